//! A task that was opened, as recorded.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::text::{list, millis, one, option};
use super::{ActorRecord, EvidenceRecord, INTEGER_MAX, Kind};
use crate::crypto::Digest;
use crate::oauth::{ClientId, Jti, Resource, Scopes, TaskId, Time, Txn};

/// A task as recorded. The purpose is the opener's words and may be about a person, so it stands as a digest in `_sd`, beside
/// the subject where a trust rule vouched for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskRecord<'a> {
    /// The digests of the disclosures of `purpose` and `subject`, sorted.
    #[serde(rename = "_sd", default, skip_serializing_if = "Vec::is_empty", with = "list")]
    pub sd: Vec<Digest>,
    /// When the request came in.
    #[serde(with = "millis")]
    pub at: Time,
    /// The ceiling.
    pub authority: Vec<PairsRecord>,
    /// How many exchanges it may make.
    pub budget: u64,
    /// Who acts and acted, current actor first.
    #[serde(default, skip_serializing_if = "Vec::is_empty", borrow)]
    pub chain: Vec<ActorRecord<'a>>,
    /// Who opened it.
    #[serde(with = "one")]
    pub client: ClientId,
    /// The classes of data that may be touched in it.
    #[serde(default, skip_serializing_if = "<[String]>::is_empty")]
    pub data_classes: Cow<'a, [String]>,
    /// SHA-256 of what was presented.
    #[serde(default, skip_serializing_if = "EvidenceRecord::is_empty")]
    pub evidence: EvidenceRecord,
    /// Its deadline.
    #[serde(with = "millis")]
    pub expires: Time,
    /// How many seconds it lives without a heartbeat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<u64>,
    /// Who works on it.
    #[serde(with = "one")]
    pub holder: ClientId,
    /// The hop whose token it was opened with.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "option")]
    pub hop: Option<Jti>,
    /// The task token's `jti`.
    #[serde(with = "one")]
    pub jti: Jti,
    /// The key that signed the task token.
    #[serde(borrow)]
    pub kid: Cow<'a, str>,
    /// Always `task`.
    pub kind: Kind,
    /// How the client proved itself.
    #[serde(borrow)]
    pub login: Cow<'a, str>,
    /// The task that it is a child of.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "option")]
    pub parent: Option<TaskId>,
    /// The policies that decided.
    #[serde(default, skip_serializing_if = "<[String]>::is_empty")]
    pub policies: Cow<'a, [String]>,
    /// The digest of the policy set.
    #[serde(with = "one")]
    pub policy_set: Digest,
    /// On whose behalf, where it is an agent of this server.
    #[serde(default, skip_serializing_if = "Option::is_none", borrow)]
    pub subject: Option<Cow<'a, str>>,
    /// The task.
    #[serde(with = "one")]
    pub task: TaskId,
    /// SHA-256 of the task token.
    #[serde(with = "one")]
    pub token: Digest,
    /// The tree.
    #[serde(with = "one")]
    pub txn: Txn,
    /// Always 1.
    pub v: u32,
}

/// Scopes of one API, as recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairsRecord {
    /// The API.
    #[serde(with = "one")]
    pub api: Resource,
    /// The scopes.
    #[serde(with = "one")]
    pub scope: Scopes,
}

impl TaskRecord<'_> {
    pub(super) fn holds(&self) -> bool {
        let personal = usize::from(self.subject.is_none());
        let counted = (personal..=personal + 1).contains(&self.sd.len());
        let ascending = self.sd.is_sorted_by(|earlier, later| earlier < later);
        let numbers =
            (1..=INTEGER_MAX).contains(&self.budget) && self.heartbeat.is_none_or(|span| (1..=INTEGER_MAX).contains(&span));
        let ceiling = !self.authority.is_empty() && self.authority.iter().all(|pairs| !pairs.scope.is_empty());
        self.kind == Kind::Task && counted && ascending && numbers && ceiling && self.chain.iter().all(ActorRecord::holds)
    }
}
