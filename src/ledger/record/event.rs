//! What is recorded besides hops and tasks: refusals, hops whose token never left, deaths, and what is held.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::text::{few, millis, millis_option, one, option};
use super::{Kind, REFUSAL_BYTES_MAX, RecordReason, written};
use crate::crypto::Digest;
use crate::oauth::{ClientId, GenerationKey, GenerationKind, Jti, Resource, Scopes, Time, Txn};

/// A refused request of an authenticated client. Refusals of strangers are not recorded.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// Whose request was refused.
    pub agent: ClientId,
    /// When the request came in.
    pub at: Time,
    /// The OAuth error code of the answer.
    pub error: &'static str,
    /// The reference that the answer carries.
    pub error_id: String,
    /// The public sentence of the answer; it holds nothing of the caller's bytes.
    pub reason: String,
    /// SHA-256 of the subject token.
    pub subject_token: Option<Digest>,
    /// The tree, where the subject token was ours.
    pub txn: Option<Txn>,
    /// The hop whose token was the subject token.
    pub parent: Option<Jti>,
    /// The targets asked for, as far as they are registered.
    pub audience: Vec<Resource>,
    /// The scopes asked for.
    pub requested: Option<Scopes>,
    /// The policies that decided, by id, sorted.
    pub policies: Vec<String>,
    /// The policy set's digest, where policy decided.
    pub policy_set: Option<Digest>,
}

impl Refusal {
    /// The canonical record. One that would exceed 1,024 bytes leaves out `audience`, `policies` and `requested` and says so by
    /// `abridged`.
    ///
    /// # Errors
    /// `Long` when it is too long even so; `Malformed` for an instant out of range.
    pub fn record(&self, suppressed: u64) -> Result<Vec<u8>, RecordReason> {
        let mut record = self.full(suppressed);
        written(&record, REFUSAL_BYTES_MAX).or_else(|reason| {
            if reason != RecordReason::Long {
                return Err(reason);
            }
            record.abridged = true;
            (record.audience, record.policies, record.requested) = (Cow::default(), Cow::default(), None);
            written(&record, REFUSAL_BYTES_MAX)
        })
    }

    fn full(&self, suppressed: u64) -> RefusalRecord<'_> {
        RefusalRecord {
            abridged: false,
            agent: self.agent.clone(),
            at: self.at,
            audience: Cow::Borrowed(&self.audience),
            error: Cow::Borrowed(self.error),
            error_id: Cow::Borrowed(&self.error_id),
            kind: Kind::Refusal,
            parent: self.parent,
            policies: Cow::Borrowed(&self.policies),
            policy_set: self.policy_set,
            reason: Cow::Borrowed(&self.reason),
            requested: self.requested.clone().filter(|scopes| !scopes.is_empty()),
            subject_token: self.subject_token,
            suppressed,
            txn: self.txn,
            v: super::version(),
        }
    }
}

/// A refusal as recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefusalRecord<'a> {
    /// Whether members were left out for length.
    #[serde(default, skip_serializing_if = "is_false")]
    pub abridged: bool,
    /// Whose request was refused.
    #[serde(with = "one")]
    pub agent: ClientId,
    /// When the request came in.
    #[serde(with = "millis")]
    pub at: Time,
    /// The targets asked for.
    #[serde(default, skip_serializing_if = "<[Resource]>::is_empty", with = "few")]
    pub audience: Cow<'a, [Resource]>,
    /// The OAuth error code.
    #[serde(borrow)]
    pub error: Cow<'a, str>,
    /// The reference that the answer carried.
    #[serde(borrow)]
    pub error_id: Cow<'a, str>,
    /// Always `refusal`.
    pub kind: Kind,
    /// The hop whose token was the subject token.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "option")]
    pub parent: Option<Jti>,
    /// The policies that decided.
    #[serde(default, skip_serializing_if = "<[String]>::is_empty")]
    pub policies: Cow<'a, [String]>,
    /// The policy set's digest.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "option")]
    pub policy_set: Option<Digest>,
    /// The public sentence.
    #[serde(borrow)]
    pub reason: Cow<'a, str>,
    /// The scopes asked for.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "option")]
    pub requested: Option<Scopes>,
    /// SHA-256 of the subject token.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "option")]
    pub subject_token: Option<Digest>,
    /// How many refusals of this agent went unrecorded since its last recorded one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub suppressed: u64,
    /// The tree.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "option")]
    pub txn: Option<Txn>,
    /// Always 1.
    pub v: u32,
}

/// A recorded hop whose token never left, as recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WithheldRecord {
    /// When it was found that nobody received the token.
    #[serde(with = "millis")]
    pub at: Time,
    /// The index of the hop's record.
    pub index: u64,
    /// The hop.
    #[serde(with = "one")]
    pub jti: Jti,
    /// Always `withheld`.
    pub kind: Kind,
    /// The tree.
    #[serde(with = "one")]
    pub txn: Txn,
    /// Always 1.
    pub v: u32,
}

impl WithheldRecord {
    /// The record that the token of the hop `jti`, recorded at `index`, never left.
    pub fn new(at: Time, index: u64, jti: Jti, txn: Txn) -> Self {
        Self { at, index, jti, kind: Kind::Withheld, txn, v: super::version() }
    }
}

/// A death as recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevocationRecord<'a> {
    /// When it took effect.
    #[serde(with = "millis")]
    pub at: Time,
    /// Who asked for it: an agent's id, or `ops`.
    #[serde(borrow)]
    pub by: Cow<'a, str>,
    /// What ended.
    #[serde(borrow)]
    pub ends: Vec<RevocableRecord<'a>>,
    /// Always `death`.
    pub kind: Kind,
    /// Why, in words.
    #[serde(borrow)]
    pub reason: Cow<'a, str>,
    /// When it may be forgotten; absent for never.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "millis_option")]
    pub until: Option<Time>,
    /// Always 1.
    pub v: u32,
}

/// One thing that ended, as recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevocableRecord<'a> {
    /// Its keyed pseudonym.
    #[serde(with = "one")]
    pub key: GenerationKey,
    /// Its name; absent where the name is personal.
    #[serde(default, skip_serializing_if = "Option::is_none", borrow)]
    pub name: Option<Cow<'a, str>>,
    /// The number of the life that begins, or that goes on.
    pub number: u64,
    /// What it is.
    #[serde(with = "one")]
    pub of: GenerationKind,
    /// The transaction that it belongs to, where it is a task.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "option")]
    pub txn: Option<Txn>,
}

/// Something that is held, or held no longer, as recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusChangeRecord<'a> {
    /// When it took effect.
    #[serde(with = "millis")]
    pub at: Time,
    /// Who asked for it: an agent's id, or `ops`.
    #[serde(borrow)]
    pub by: Cow<'a, str>,
    /// `suspension`, `resumption` or `retirement`.
    pub kind: Kind,
    /// Why, in words.
    #[serde(borrow)]
    pub reason: Cow<'a, str>,
    /// What it is about.
    #[serde(borrow)]
    pub things: Vec<RevocableRecord<'a>>,
    /// Always 1.
    pub v: u32,
}

impl<'a> StatusChangeRecord<'a> {
    /// The record of a turn of one of the three kinds.
    pub fn new(at: Time, by: &'a str, kind: Kind, reason: &'a str, things: Vec<RevocableRecord<'a>>) -> Self {
        Self { at, by: Cow::Borrowed(by), kind, reason: Cow::Borrowed(reason), things, v: super::version() }
    }

    /// A retirement begins a life, the two others go on with the one they find.
    pub(super) fn holds(&self) -> bool {
        let first = match self.kind {
            Kind::Suspension | Kind::Resumption => 0,
            Kind::Retirement => 1,
            _ => return false,
        };
        !self.things.is_empty() && self.things.iter().all(|thing| (first..=super::INTEGER_MAX).contains(&thing.number))
    }
}

/// The one transaction that all `things` belong to.
pub(super) fn transaction(things: &[RevocableRecord<'_>]) -> Option<Txn> {
    let first = things.first()?.txn;
    first.filter(|_| things.iter().all(|thing| thing.txn == first))
}

impl<'a> RevocationRecord<'a> {
    /// The record of a death.
    pub fn new(at: Time, by: &'a str, reason: &'a str, until: Option<Time>, ends: Vec<RevocableRecord<'a>>) -> Self {
        let (by, reason) = (Cow::Borrowed(by), Cow::Borrowed(reason));
        Self { at, by, ends, kind: Kind::Death, reason, until, v: super::version() }
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

fn is_zero(value: &u64) -> bool {
    *value == 0
}
