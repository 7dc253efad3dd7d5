//! The keys of the commit.

use std::sync::Arc;

use super::contract::KeyList;
use super::subject_keys::RootKey;
use crate::crypto::{MacKey, MessageKeys, SealKey, SealReason};

/// The purpose of the key that seals the terms of tasks.
pub const TASK_TERMS: &str = "task terms";

/// The purpose of the key of the sum of everything that no record holds.
pub const SUM: &str = "sum";

/// The keys of the commit. They must not lie where the store and its backups do.
#[derive(Debug)]
pub struct CommitKeys {
    /// The key under which the keys of subjects are wrapped.
    pub root: RootKey,
    /// The keys under which the terms of tasks are sealed.
    pub terms: Arc<MessageKeys>,
    /// The keys of the sum of everything that no record holds, the current one first.
    pub sums: Vec<MacKey>,
    /// All that the key folder lists: those that records name must be among them.
    pub listed: KeyList,
}

impl CommitKeys {
    /// The keys that come from the root key, and from the secret of what lies in the store besides records.
    ///
    /// # Errors
    /// None for 32 bytes; the type of the primitive allows one.
    pub fn of_secrets(root: &[u8; 32], state: &[u8; 32]) -> Result<Self, SealReason> {
        let state = MacKey::new(state);
        let terms = MessageKeys::new(&state.derive(TASK_TERMS));
        let id = MacKey::new(root).derive("id").map(|byte| format!("{byte:02x}")).concat();
        let (root, sums) = (RootKey { key: Arc::new(SealKey::new(root)?), ids: vec![id] }, vec![MacKey::new(&state.derive(SUM))]);
        Ok(Self { root, terms: Arc::new(terms), sums, listed: KeyList::new() })
    }
}
