//! Records of everything besides hops and tasks: refusals, hops whose token never left, revocations and changes of status.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::schema::{INTEGER_MAX, Kind, REFUSAL_BYTES_MAX, RecordReason, VERSION, written};
use super::text::{Many, Millis, One, Optional, OptionalMillis};
use crate::crypto::Digest;
use crate::oauth::{ClientId, GenerationKey, GenerationKind, Jti, Resource, Scopes, Time, Txn};

/// A refused request of an authenticated client. Refusals of strangers are not recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefusalRecord<'a> {
    /// True when `requested`, or `audience` and `policies` too, were left out for length.
    #[serde(default, skip_serializing_if = "is_false")]
    pub abridged: bool,
    /// The agent whose request was refused.
    #[serde(with = "One")]
    pub agent: ClientId,
    /// The instant at which the request came in.
    #[serde(with = "Millis")]
    pub at: Time,
    /// The targets asked for, as far as they are registered.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "Many")]
    pub audience: Vec<Resource>,
    /// The OAuth error code of the answer.
    #[serde(borrow)]
    pub error: Cow<'a, str>,
    /// The reference that the answer carries.
    #[serde(borrow)]
    pub error_id: Cow<'a, str>,
    /// Always [`Kind::Refusal`].
    pub kind: Kind,
    /// The hop whose token was the subject token.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "Optional")]
    pub parent: Option<Jti>,
    /// The ids of the policies that decided, sorted.
    #[serde(default, skip_serializing_if = "<[String]>::is_empty")]
    pub policies: Cow<'a, [String]>,
    /// The digest of the policy set, where policy decided.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "Optional")]
    pub policy_set: Option<Digest>,
    /// The public sentence of the answer; it holds nothing of the caller's bytes.
    #[serde(borrow)]
    pub reason: Cow<'a, str>,
    /// The scopes asked for.
    #[serde(default, skip_serializing_if = "Scopes::is_empty", with = "One")]
    pub requested: Scopes,
    /// SHA-256 of the subject token, or of the token to introspect or revoke.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "Optional")]
    pub subject_token: Option<Digest>,
    /// The number of refusals of this agent that went unrecorded since its last recorded one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub suppressed: u64,
    /// The transaction, where the subject token was ours.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "Optional")]
    pub txn: Option<Txn>,
    /// Always [`VERSION`].
    pub v: u32,
}

/// A recorded hop whose token never left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WithheldRecord {
    /// The instant at which it was found that nobody received the token.
    #[serde(with = "Millis")]
    pub at: Time,
    /// The index of the hop's record.
    pub index: u64,
    /// The hop.
    #[serde(with = "One")]
    pub jti: Jti,
    /// Always [`Kind::Withheld`].
    pub kind: Kind,
    /// The transaction of the hop.
    #[serde(with = "One")]
    pub txn: Txn,
    /// Always [`VERSION`].
    pub v: u32,
}

impl WithheldRecord {
    /// The record that the token of the hop `jti`, recorded at `index`, never left.
    pub fn new(at: Time, index: u64, jti: Jti, txn: Txn) -> Self {
        Self { at, index, jti, kind: Kind::Withheld, txn, v: VERSION }
    }
}

/// A revocation: something ended, and with it whatever depends on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevocationRecord<'a> {
    /// The instant at which it took effect.
    #[serde(with = "Millis")]
    pub at: Time,
    /// The party that asked for it: an agent's id, or `ops`.
    #[serde(borrow)]
    pub by: Cow<'a, str>,
    /// The things that ended, at least one.
    #[serde(borrow)]
    pub ends: Vec<RevocableRecord<'a>>,
    /// Always [`Kind::Death`].
    pub kind: Kind,
    /// The reason, in the words of whoever asked.
    #[serde(borrow)]
    pub reason: Cow<'a, str>,
    /// The instant from which it may be forgotten; none for never.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "OptionalMillis")]
    pub until: Option<Time>,
    /// Always [`VERSION`].
    pub v: u32,
}

/// One thing that a revocation or change of status is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevocableRecord<'a> {
    /// Its keyed pseudonym.
    #[serde(with = "One")]
    pub key: GenerationKey,
    /// Its name; none where the name is personal.
    #[serde(default, skip_serializing_if = "Option::is_none", borrow)]
    pub name: Option<Cow<'a, str>>,
    /// The number of the generation that begins, or that goes on.
    pub number: u64,
    /// The kind of thing.
    #[serde(with = "One")]
    pub of: GenerationKind,
    /// The transaction that it belongs to, where it is a task, a transaction or a hop.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "Optional")]
    pub txn: Option<Txn>,
}

/// A suspension, the end of one, or a retirement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusChangeRecord<'a> {
    /// The instant at which it took effect.
    #[serde(with = "Millis")]
    pub at: Time,
    /// The party that asked for it: an agent's id, or `ops`.
    #[serde(borrow)]
    pub by: Cow<'a, str>,
    /// [`Kind::Suspension`], [`Kind::Resumption`] or [`Kind::Retirement`].
    pub kind: Kind,
    /// The reason, in the words of whoever asked.
    #[serde(borrow)]
    pub reason: Cow<'a, str>,
    /// The things that it is about, at least one.
    #[serde(borrow)]
    pub things: Vec<RevocableRecord<'a>>,
    /// Always [`VERSION`].
    pub v: u32,
}

impl<'a> StatusChangeRecord<'a> {
    /// The record of a transition of one of the three kinds.
    pub fn new(at: Time, by: &'a str, kind: Kind, reason: &'a str, things: Vec<RevocableRecord<'a>>) -> Self {
        Self { at, by: Cow::Borrowed(by), kind, reason: Cow::Borrowed(reason), things, v: VERSION }
    }

    /// A retirement begins a generation, the two others go on with the current one.
    pub(super) fn holds(&self) -> bool {
        let first = match self.kind {
            Kind::Suspension | Kind::Resumption => 0,
            Kind::Retirement => 1,
            _ => return false,
        };
        !self.things.is_empty() && self.things.iter().all(|thing| (first..=INTEGER_MAX).contains(&thing.number))
    }
}

/// The one transaction that all `things` belong to.
pub(super) fn transaction(things: &[RevocableRecord<'_>]) -> Option<Txn> {
    let first = things.first()?.txn;
    first.filter(|_| things.iter().all(|thing| thing.txn == first))
}

impl RefusalRecord<'static> {
    /// The record of a request of `agent` that came in at `at` and was answered with `error`; all that is optional is left out.
    pub fn new(agent: ClientId, at: Time, error: &'static str, error_id: String, reason: String) -> Self {
        let (error, error_id, reason) = (Cow::Borrowed(error), Cow::Owned(error_id), Cow::Owned(reason));
        let (abridged, suppressed, kind, v) = (false, 0, Kind::Refusal, VERSION);
        let (audience, requested, policies, policy_set) = (Vec::new(), Scopes::default(), Cow::default(), None);
        let (parent, subject_token, txn) = (None, None, None);
        Self {
            abridged,
            agent,
            at,
            audience,
            error,
            error_id,
            kind,
            parent,
            policies,
            policy_set,
            reason,
            requested,
            subject_token,
            suppressed,
            txn,
            v,
        }
    }
}

impl RefusalRecord<'_> {
    /// The canonical form (RFC 8785). A record that would exceed 1,024 bytes loses `requested`, then `audience` and
    /// `policies` too, and says so by `abridged`.
    ///
    /// # Errors
    /// `Long` when it is too long even so; `Time` for a time before 1970 or after 9999.
    pub fn fitted(&self) -> Result<Vec<u8>, RecordReason> {
        written(self, REFUSAL_BYTES_MAX).or_else(|reason| match reason {
            RecordReason::Long => {
                let what_decided = Self { abridged: true, requested: Scopes::default(), ..self.clone() };
                let least = Self { audience: Vec::new(), policies: Cow::default(), ..what_decided.clone() };
                written(&what_decided, REFUSAL_BYTES_MAX).or_else(|_| written(&least, REFUSAL_BYTES_MAX))
            }
            other => Err(other),
        })
    }
}

impl<'a> RevocationRecord<'a> {
    /// The record of a revocation.
    pub fn new(at: Time, by: &'a str, reason: &'a str, until: Option<Time>, ends: Vec<RevocableRecord<'a>>) -> Self {
        let (by, reason) = (Cow::Borrowed(by), Cow::Borrowed(reason));
        Self { at, by, ends, kind: Kind::Death, reason, until, v: VERSION }
    }

    /// True when it keeps the rules that the shape alone does not enforce.
    pub(super) fn holds(&self) -> bool {
        !self.ends.is_empty() && self.ends.iter().all(|end| (1..=INTEGER_MAX).contains(&end.number))
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

fn is_zero(value: &u64) -> bool {
    *value == 0
}
