//! The record of a task that was opened.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::hop::{ActorRecord, AgentSubject, Evidence};
use super::schema::{INTEGER_MAX, Kind, RECORD_BYTES_MAX, RecordReason, ascending, written};
use super::text::{Many, Millis, One, Optional};
use crate::crypto::Digest;
use crate::oauth::{ClientId, Jti, Resource, Scopes, ScopesOnApi, TaskId, Time, Txn};

/// A task. Its purpose is the opener's words and may be about a person, so it stands as a digest in `_sd`, beside the subject
/// where a trust rule vouched for it. Members stand in alphabetical order, as in a hop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskRecord<'a> {
    /// The digests of the disclosures of `purpose` and `subject`, sorted.
    #[serde(rename = "_sd", default, skip_serializing_if = "Vec::is_empty", with = "Many")]
    pub sd: Vec<Digest>,
    /// The instant at which the request came in.
    #[serde(with = "Millis")]
    pub at: Time,
    /// The most that may be held in it.
    pub authority: Vec<AuthorityRecord>,
    /// The number of exchanges that may be made in it.
    pub budget: u64,
    /// The whole chain, current actor first.
    #[serde(default, skip_serializing_if = "Vec::is_empty", borrow)]
    pub chain: Vec<ActorRecord<'a>>,
    /// The agent that opened it.
    #[serde(with = "One")]
    pub client: ClientId,
    /// The classes of data that may be touched in it, sorted.
    #[serde(default, skip_serializing_if = "<[String]>::is_empty")]
    pub data_classes: Cow<'a, [String]>,
    /// Digests of the credentials that were presented.
    #[serde(default, skip_serializing_if = "Evidence::is_empty")]
    pub evidence: Evidence,
    /// Its deadline, in whole seconds.
    #[serde(with = "Millis")]
    pub expires: Time,
    /// The number of seconds that it lives without a heartbeat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<u64>,
    /// The agent that works on it.
    #[serde(with = "One")]
    pub holder: ClientId,
    /// The hop whose token it was opened with.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "Optional")]
    pub hop: Option<Jti>,
    /// The task token's `jti`.
    #[serde(with = "One")]
    pub jti: Jti,
    /// The `kid` of the key that signed the task token.
    #[serde(borrow)]
    pub kid: Cow<'a, str>,
    /// Always [`Kind::Task`].
    pub kind: Kind,
    /// The method by which the client authenticated.
    #[serde(borrow)]
    pub login: Cow<'a, str>,
    /// The task that it is a child of.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "Optional")]
    pub parent: Option<TaskId>,
    /// The ids of the policies that decided, sorted.
    #[serde(default, skip_serializing_if = "<[String]>::is_empty")]
    pub policies: Cow<'a, [String]>,
    /// The digest of the policy set.
    #[serde(with = "One")]
    pub policy_set: Digest,
    /// The subject, where it is an agent of this server; else its digest stands in `_sd`.
    #[serde(default, skip_serializing_if = "Option::is_none", borrow)]
    pub subject: Option<AgentSubject<'a>>,
    /// The task's id.
    #[serde(with = "One")]
    pub task: TaskId,
    /// SHA-256 of its sealed terms; none in a record of before they were sealed.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "Optional")]
    pub terms: Option<Digest>,
    /// SHA-256 of the task token.
    #[serde(with = "One")]
    pub token: Digest,
    /// The transaction of all its hops.
    #[serde(with = "One")]
    pub txn: Txn,
    /// Always [`VERSION`](super::VERSION).
    pub v: u32,
}

/// Scopes of one API, as they stand in `authority`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthorityRecord {
    /// The API's id.
    #[serde(with = "One")]
    pub api: Resource,
    /// The scopes, at least one.
    #[serde(with = "One")]
    pub scope: Scopes,
}

impl TaskRecord<'_> {
    /// The canonical form (RFC 8785).
    ///
    /// # Errors
    /// `Long` beyond 65,535 bytes; `Time` for a time before 1970 or after 9999.
    pub fn to_bytes(&self) -> Result<Vec<u8>, RecordReason> {
        written(self, RECORD_BYTES_MAX)
    }

    /// True when it keeps the rules that the shape alone does not enforce.
    pub(super) fn holds(&self) -> bool {
        let personal = usize::from(self.subject.is_none());
        let counted = (personal..=personal + 1).contains(&self.sd.len()) && ascending(&self.sd);
        let in_range = |number: u64| (1..=INTEGER_MAX).contains(&number);
        let numbers = in_range(self.budget) && self.heartbeat.is_none_or(in_range);
        let authority = !self.authority.is_empty() && self.authority.iter().all(|on_api| !on_api.scope.is_empty());
        self.kind == Kind::Task && counted && numbers && authority && self.chain.iter().all(ActorRecord::holds)
    }
}

impl From<&ScopesOnApi> for AuthorityRecord {
    fn from(held: &ScopesOnApi) -> Self {
        Self { api: held.api.clone(), scope: held.scopes.clone() }
    }
}
