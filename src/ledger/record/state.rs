//! Records of the state itself: its digest at an instant, and the principals that the configuration has in force.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::schema::{INTEGER_MAX, Kind, VERSION};
use super::text::{Millis, One, Optional};
use crate::crypto::Digest;
use crate::oauth::Time;

/// The digest of the whole state that follows from all records before this one. What may be forgotten at `at` is forgotten first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateRecord {
    /// The time of the commit.
    #[serde(with = "Millis")]
    pub at: Time,
    /// Why it was written.
    pub cause: StateCause,
    /// SHA-256 of the LtHash of all entries.
    #[serde(with = "One")]
    pub digest: Digest,
    /// The number of entries.
    pub entries: u64,
    /// Always [`Kind::State`].
    pub kind: Kind,
    /// Always [`VERSION`].
    pub v: u32,
}

/// The cause for which the digest of the state is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StateCause {
    /// A server begins.
    Start,
    /// Enough was recorded since.
    Interval,
    /// A server ends.
    Stop,
    /// A data folder of an earlier version was taken up: no record before this one says what state was then.
    Adoption,
}

/// A change of what the configuration has in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigurationRecord<'a> {
    /// The principals in force from now on, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty", borrow)]
    pub added: Vec<PrincipalRecord<'a>>,
    /// The time of the commit.
    #[serde(with = "Millis")]
    pub at: Time,
    /// The party by which it came into force: `files`, or `ops` where an operator accepted it.
    #[serde(default, skip_serializing_if = "Option::is_none", borrow)]
    pub by: Option<Cow<'a, str>>,
    /// The digest of everything that its files and the environment say.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "Optional")]
    pub digest: Option<Digest>,
    /// Always [`Kind::Configuration`].
    pub kind: Kind,
    /// Those in force no longer, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty", borrow)]
    pub removed: Vec<PrincipalRecord<'a>>,
    /// Always [`VERSION`].
    pub v: u32,
}

/// A principal that the configuration names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrincipalRecord<'a> {
    /// SHA-256 of the kind and the identifier of an issuer, or of a term.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "Optional")]
    pub digest: Option<Digest>,
    /// Its name.
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    /// The kind of principal.
    pub of: PrincipalKind,
}

/// The kinds of principals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PrincipalKind {
    /// An agent that is not retired.
    Agent,
    /// An API.
    Api,
    /// The issuer behind a trust rule.
    Issuer,
    /// A trust rule that is enabled.
    Rule,
    /// A term that tokens for an API rest on.
    Term,
}

impl StateRecord {
    /// The record of a state of so many `entries` with the digest `digest`.
    pub fn new(at: Time, cause: StateCause, digest: Digest, entries: u64) -> Self {
        Self { at, cause, digest, entries, kind: Kind::State, v: VERSION }
    }

    /// True when it keeps the rules that the shape alone does not enforce.
    pub(super) fn holds(&self) -> bool {
        self.kind == Kind::State && self.entries <= INTEGER_MAX
    }
}

impl<'a> ConfigurationRecord<'a> {
    /// The record that `added` are in force from now on, and `removed` no longer.
    pub fn new(at: Time, added: Vec<PrincipalRecord<'a>>, removed: Vec<PrincipalRecord<'a>>) -> Self {
        Self { at, added, by: None, digest: None, removed, kind: Kind::Configuration, v: VERSION }
    }

    /// The same, with the digest of the configuration and the party by which it came into force.
    #[must_use]
    pub fn from(self, digest: Digest, by: &'a str) -> Self {
        Self { digest: Some(digest), by: Some(by.into()), ..self }
    }

    /// True when it keeps the rules that the shape alone does not enforce.
    pub(super) fn holds(&self) -> bool {
        let digested = [PrincipalKind::Issuer, PrincipalKind::Term];
        let whole = |principal: &PrincipalRecord<'_>| principal.digest.is_some() == digested.contains(&principal.of);
        self.kind == Kind::Configuration
            && self.by.is_some() == self.digest.is_some()
            && self.added.iter().chain(&self.removed).all(whole)
    }
}
