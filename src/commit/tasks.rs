//! Tasks, as they are opened and as they lie in the store: their terms as one block of bytes, the rest beside it.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::contract::{StoreReason, StoredTask};
use super::subject_keys::SubjectKeys;
use crate::crypto::SealReason;
use crate::lifecycle::{Task, TaskTerms};
use crate::oauth::{ClientId, Generation, GenerationKey, Resource, Scopes, ScopesOnApi, TaskId, Time, Txn};

/// A task that begins when its record is durable.
#[derive(Debug)]
pub struct NewTask {
    /// Its pseudonym.
    pub key: GenerationKey,
    /// Its terms.
    pub terms: TaskTerms,
    /// The task out of whose budget its own comes.
    pub out_of: Option<GenerationKey>,
}

#[derive(Serialize, Deserialize)]
struct PackedTerms<'a> {
    id: [u8; 16],
    txn: [u8; 16],
    parent: Option<[u8; 16]>,
    opener: &'a str,
    holder: &'a str,
    opened: i64,
    deadline: i64,
    heartbeat: Option<u64>,
    budget: u64,
    #[serde(borrow)]
    authority: Vec<(&'a str, String)>,
    purpose: &'a str,
    #[serde(borrow)]
    data_classes: Vec<&'a str>,
    generations: Vec<([u8; 16], u64)>,
}

impl NewTask {
    /// Its terms as they are stored: sealed, for its purpose is the opener's words.
    ///
    /// # Errors
    /// When there is no randomness.
    pub(super) fn sealed(&self, keys: &SubjectKeys) -> Result<Vec<u8>, SealReason> {
        let terms = postcard::to_allocvec(&packed(&self.terms)).map_err(|_| SealReason)?;
        keys.seal_task(self.key, &terms)
    }
}

/// Terms as a program stored them that did not seal them.
#[cfg(test)]
pub(crate) fn unsealed(terms: &TaskTerms) -> Vec<u8> {
    postcard::to_allocvec(&packed(terms)).unwrap_or_default()
}

/// Seals the terms of tasks that a program stored which did not.
///
/// # Errors
/// `Corrupt` where the bytes of one are damaged; `Failed` when there is no randomness.
pub(super) fn seal_all(tasks: &mut [StoredTask], keys: &SubjectKeys) -> Result<(), StoreReason> {
    for task in tasks {
        unpacked(&task.terms).ok_or(StoreReason::Corrupt("the terms of a task"))?;
        task.terms = keys.seal_task(task.key, &task.terms).map_err(|reason| StoreReason::Failed(Box::new(reason)))?;
    }
    Ok(())
}

/// The tasks that were stored.
///
/// # Errors
/// `Corrupt` where the terms of one are damaged, not sealed, or sealed under another root key.
pub(super) fn read_all(stored: &[StoredTask], keys: &SubjectKeys) -> Result<Vec<(GenerationKey, Task)>, StoreReason> {
    let damaged = "the terms of a task; if root.key of the key folder is another than before, put the one of before back";
    stored.iter().map(|stored| read(stored, keys).ok_or(StoreReason::Corrupt(damaged))).collect()
}

fn read(stored: &StoredTask, keys: &SubjectKeys) -> Option<(GenerationKey, Task)> {
    let terms = unpacked(&keys.open_task(stored.key, &stored.terms).ok()?)?;
    let suspended_by = stored.suspended_by.as_deref().map(ClientId::parse).transpose().ok()?;
    Some((stored.key, Task { terms: Arc::new(terms), left: stored.left, suspended_by }))
}

fn packed(task: &TaskTerms) -> PackedTerms<'_> {
    PackedTerms {
        id: *task.id.as_bytes(),
        txn: *task.txn.as_bytes(),
        parent: task.parent.map(|parent| *parent.as_bytes()),
        opener: task.opener.as_str(),
        holder: task.holder.as_str(),
        opened: task.opened.millis(),
        deadline: task.deadline.millis(),
        heartbeat: task.heartbeat.map(|span| span.as_secs()),
        budget: task.budget,
        authority: task.authority.iter().map(|held| (held.api.as_str(), held.scopes.to_string())).collect(),
        purpose: &task.purpose,
        data_classes: task.data_classes.iter().map(String::as_str).collect(),
        generations: task.generations.iter().map(|generation| (generation.key.0, generation.number)).collect(),
    }
}

fn unpacked(terms: &[u8]) -> Option<TaskTerms> {
    let packed: PackedTerms<'_> = postcard::from_bytes(terms).ok()?;
    let held = |(api, scopes): (&str, String)| {
        Some(ScopesOnApi { api: Resource::parse(api).ok()?, scopes: Scopes::parse(&scopes).ok()? })
    };
    Some(TaskTerms {
        id: TaskId::from_bytes(packed.id),
        txn: Txn::from_bytes(packed.txn),
        parent: packed.parent.map(TaskId::from_bytes),
        opener: ClientId::parse(packed.opener).ok()?,
        holder: ClientId::parse(packed.holder).ok()?,
        opened: Time::from_millis(packed.opened),
        deadline: Time::from_millis(packed.deadline),
        heartbeat: packed.heartbeat.map(Duration::from_secs),
        budget: packed.budget,
        authority: packed.authority.into_iter().map(held).collect::<Option<_>>()?,
        purpose: packed.purpose.to_owned(),
        data_classes: packed.data_classes.into_iter().map(str::to_owned).collect(),
        generations: packed.generations.into_iter().map(|(key, number)| Generation { key: GenerationKey(key), number }).collect(),
    })
}
