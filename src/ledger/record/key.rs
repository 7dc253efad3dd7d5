//! Records of the server's own keys: each begins, is retired or is revoked, and is told from others by its check value.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::schema::{Kind, VERSION};
use super::text::Millis;
use crate::oauth::Time;

/// The most bytes of a check value: a verifier key has the name of its log.
const ID_BYTES_MAX: usize = 1_024;

/// A key of this server that begins, is retired or is revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRecord<'a> {
    /// The time of the commit.
    #[serde(with = "Millis")]
    pub at: Time,
    /// The party that keeps the keys: `ops`.
    #[serde(borrow)]
    pub by: Cow<'a, str>,
    /// Its event.
    pub event: KeyEvent,
    /// Its check value.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// Always [`Kind::Key`].
    pub kind: Kind,
    /// Its role.
    pub of: KeyRole,
    /// Always [`VERSION`].
    pub v: u32,
}

/// The events in the life of a key; none is followed by one that stands before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyEvent {
    /// It is in use.
    Begin,
    /// It is used no more, and its secret part is destroyed.
    Retire,
    /// It was revoked: what it protects or signed counts no longer.
    Revoke,
}

/// The role of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyRole {
    /// It makes the pseudonyms under which state is kept.
    Pseudonym,
    /// It seals the ancestry in tokens.
    #[serde(rename = "anc")]
    Ancestry,
    /// It wraps the keys of personal data.
    Root,
    /// It is the source of the keys of what lies in the store besides records.
    State,
    /// It signs tokens.
    Signing,
    /// It signs the checkpoints of the ledger.
    Ledger,
}

/// The check value of a key: the first 16 bytes of HMAC-SHA-256 under a secret, over its use, in base64url; of a signing key its
/// `kid`, of a ledger key its verifier key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyCheck {
    /// The key's role.
    pub of: KeyRole,
    /// The value.
    pub id: String,
}

impl<'a> KeyRecord<'a> {
    /// The record that the key `check` had this event.
    pub fn new(at: Time, by: &'a str, check: &'a KeyCheck, event: KeyEvent) -> Self {
        let KeyCheck { of, id } = check;
        Self { at, by: Cow::Borrowed(by), event, id: Cow::Borrowed(id), kind: Kind::Key, of: *of, v: VERSION }
    }

    /// True when it keeps the rules that the shape alone does not enforce.
    pub(super) fn holds(&self) -> bool {
        self.kind == Kind::Key && (1..=ID_BYTES_MAX).contains(&self.id.len())
    }
}

impl KeyRole {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Pseudonym, Self::Ancestry, Self::Root, Self::State, Self::Signing, Self::Ledger];

    /// Its name in files, commands and records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pseudonym => "pseudonym",
            Self::Ancestry => "anc",
            Self::Root => "root",
            Self::State => "state",
            Self::Signing => "signing",
            Self::Ledger => "ledger",
        }
    }
}
