//! The roles of keys, the lists that they stand in, and the check values by which one is told from another.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::crypto::MacKey;
pub use crate::ledger::record::{KeyCheck, KeyRole};

/// The files of the key folder that others depend on.
pub(super) const RING: &str = "keyring.json";
pub(super) const LEDGER_RING: &str = "ledger.json";
pub(super) const SECRETS: &str = "secrets.json";
pub(super) const USES: &str = "uses.json";
pub(super) const OWNER: &str = "owner.json";

/// No configuration lets an access token live longer.
pub(super) const TOKEN_LIFETIME_MAX: Duration = Duration::from_hours(24);

/// No configuration lets a task take longer: so long a key that is published no more still reads the task tokens that it signed.
pub(super) const TASK_LIFETIME_MAX: Duration = Duration::from_hours(90 * 24);

/// The label under which check values are made.
const CHECK: &str = "key check";

impl KeyRole {
    /// The list of the key folder that keys of this role stand in.
    pub(super) fn list(self) -> &'static str {
        match self {
            Self::Pseudonym | Self::Ancestry | Self::Root | Self::State => SECRETS,
            Self::Signing => RING,
            Self::Ledger => LEDGER_RING,
        }
    }
}

impl KeyCheck {
    /// The check value of a secret.
    pub(super) fn of_secret(of: KeyRole, key: &MacKey) -> Self {
        Self { of, id: URL_SAFE_NO_PAD.encode(key.tag(CHECK, of.name().as_bytes())) }
    }
}

/// The `known` keys that are not among those that the key folder lists, current, earlier, revoked or destroyed ones.
pub fn missing<'a>(known: &'a [KeyCheck], listed: &[KeyCheck]) -> Vec<&'a KeyCheck> {
    known.iter().filter(|check| !listed.contains(check)).collect()
}
