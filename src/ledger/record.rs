//! Records: the leaves of the ledger. Canonical JSON (RFC 8785), versioned, described member by member in `docs/records.md`.
//!
//! The structures below are written in the alphabetical order of their members, so that serialising one *is* canonicalising it:
//! only strings, integers, arrays and objects occur. Empty members are left out. [`Record::parse`] accepts nothing else.

mod canonical;
mod event;
mod task;
mod text;

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

pub use event::{Refusal, RefusalRecord, RevocableRecord, RevocationRecord, StatusChangeRecord, WithheldRecord};
pub use task::{PairsRecord, TaskRecord};
use text::{few, list, millis, one};

use super::hop::ExchangeMode;
use crate::client::Confirmation;
use crate::crypto::{Digest, SealReason};
use crate::oauth::{ClientId, Jti, Resource, Scopes, StatusPlace, TaskId, Time, Txn};

/// No record has more bytes.
pub const RECORD_BYTES_MAX: usize = 65_535;

/// No record of a refusal has more bytes.
pub const REFUSAL_BYTES_MAX: usize = 1_024;

/// The greatest integer that every JSON reader holds exactly (RFC 7493 §2.2).
const INTEGER_MAX: u64 = (1 << 53) - 1;

/// The version of the schema that this program writes and reads.
const VERSION: u32 = 1;

/// One parsed record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// A delegation step.
    Hop(Box<HopRecord<'a>>),
    /// A task that was opened.
    Task(Box<TaskRecord<'a>>),
    /// A request of an authenticated client that was refused.
    Refusal(RefusalRecord<'a>),
    /// A recorded hop whose token never left.
    Withheld(WithheldRecord),
    /// Something ended.
    Death(RevocationRecord<'a>),
    /// Something is held, or held no longer.
    Holding(StatusChangeRecord<'a>),
}

/// What kind of record it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A delegation step.
    Hop,
    /// A task that was opened.
    Task,
    /// A refused request.
    Refusal,
    /// A hop whose token never left.
    Withheld,
    /// Something ended.
    Death,
    /// Something was suspended.
    Suspension,
    /// Something that was suspended goes on.
    Resumption,
    /// Something ended and never begins again.
    Retirement,
}

/// A hop as recorded. Personal values stand only as digests in the `_sd` members (RFC 9901 §4.2.4.1) and in `...` members of
/// `chain` (RFC 9901 §4.2.4.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HopRecord<'a> {
    /// The digest of the subject's disclosure, where a trust rule vouched for the subject.
    #[serde(rename = "_sd", default, skip_serializing_if = "Vec::is_empty", with = "list")]
    pub sd: Vec<Digest>,
    /// Who acts by this hop.
    #[serde(with = "one")]
    pub actor: ClientId,
    /// When the request came in.
    #[serde(with = "millis")]
    pub at: Time,
    /// The token's audience.
    #[serde(default, skip_serializing_if = "<[Resource]>::is_empty", with = "few")]
    pub audience: Cow<'a, [Resource]>,
    /// In which role the client came by the subject token.
    #[serde(with = "one")]
    pub basis: ExchangeMode,
    /// What the token and the subject token are bound to.
    #[serde(default, skip_serializing_if = "BindingsRecord::is_empty")]
    pub binding: BindingsRecord,
    /// Who acts and acted, current actor first.
    #[serde(default, skip_serializing_if = "Vec::is_empty", borrow)]
    pub chain: Vec<ActorRecord<'a>>,
    /// Who asked.
    #[serde(with = "one")]
    pub client: ClientId,
    /// The number of hops from the first to this one, this one included.
    pub depth: u32,
    /// SHA-256 of what was presented.
    #[serde(default, skip_serializing_if = "EvidenceRecord::is_empty")]
    pub evidence: EvidenceRecord,
    /// The token's `exp`.
    #[serde(with = "millis")]
    pub expires: Time,
    /// What else the decision rested on.
    #[serde(default, skip_serializing_if = "InputsRecord::is_empty", borrow)]
    pub inputs: InputsRecord<'a>,
    /// The running copy of the client, as attested.
    #[serde(default, skip_serializing_if = "Option::is_none", borrow)]
    pub instance: Option<Cow<'a, str>>,
    /// The token's `jti`.
    #[serde(with = "one")]
    pub jti: Jti,
    /// The key that signed the token.
    #[serde(borrow)]
    pub kid: Cow<'a, str>,
    /// Always `hop`.
    pub kind: Kind,
    /// How the client proved itself.
    #[serde(borrow)]
    pub login: Cow<'a, str>,
    /// The hop whose token was the subject token.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::option")]
    pub parent: Option<Jti>,
    /// The policies that decided.
    #[serde(default, skip_serializing_if = "<[String]>::is_empty")]
    pub policies: Cow<'a, [String]>,
    /// The digest of the policy set.
    #[serde(with = "one")]
    pub policy_set: Digest,
    /// The token's scope.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::option")]
    pub scope: Option<Scopes>,
    /// Where its status stands, where an API asks for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<StatusPlace>,
    /// On whose behalf, where it is an agent of this server.
    #[serde(default, skip_serializing_if = "Option::is_none", borrow)]
    pub subject: Option<Cow<'a, str>>,
    /// The task that it is in.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::option")]
    pub task: Option<TaskId>,
    /// SHA-256 of the issued token.
    #[serde(with = "one")]
    pub token: Digest,
    /// The tree.
    #[serde(with = "one")]
    pub txn: Txn,
    /// Always 1.
    pub v: u32,
}

/// One actor of a recorded chain: shown when this server named it, else only the digest of its disclosure.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActorRecord<'a> {
    /// The digest of the disclosure that holds a foreign actor's members; nothing else is then present.
    #[serde(rename = "...", default, skip_serializing_if = "Option::is_none", with = "text::option")]
    pub hidden: Option<Digest>,
    /// The attested running copy.
    #[serde(default, skip_serializing_if = "Option::is_none", borrow)]
    pub instance: Option<Cow<'a, str>>,
    /// This server's issuer identifier.
    #[serde(default, skip_serializing_if = "Option::is_none", borrow)]
    pub iss: Option<Cow<'a, str>>,
    /// The agent.
    #[serde(default, skip_serializing_if = "Option::is_none", borrow)]
    pub sub: Option<Cow<'a, str>>,
    /// The agent's kind.
    #[serde(default, skip_serializing_if = "Option::is_none", borrow)]
    pub sub_profile: Option<Cow<'a, str>>,
}

/// The keys on both sides of a hop, as they stand in `cnf`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BindingsRecord {
    /// What the issued token is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued: Option<Confirmation>,
    /// What the subject token was bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Confirmation>,
}

impl BindingsRecord {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// SHA-256 of what was presented.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvidenceRecord {
    /// The actor token.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::option")]
    pub actor_token: Option<Digest>,
    /// The client's assertion or attestation.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::option")]
    pub client_assertion: Option<Digest>,
    /// The DPoP proof.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::option")]
    pub proof: Option<Digest>,
    /// The subject token.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::option")]
    pub subject_token: Option<Digest>,
}

/// What else the decision rested on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputsRecord<'a> {
    /// The digests of the disclosures of `acr`, `amr` and `auth_time`, as far as they are known.
    #[serde(rename = "_sd", default, skip_serializing_if = "Vec::is_empty", with = "list")]
    pub sd: Vec<Digest>,
    /// The subject's attributes.
    #[serde(default, skip_serializing_if = "AttributesRecord::is_empty")]
    pub attributes: AttributesRecord,
    /// The scopes asked for.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::option")]
    pub requested: Option<Scopes>,
    /// The trust rule that vouched for the subject.
    #[serde(default, skip_serializing_if = "Option::is_none", borrow)]
    pub rule: Option<Cow<'a, str>>,
    /// The classes of data that the chain had touched before.
    #[serde(default, skip_serializing_if = "<[String]>::is_empty")]
    pub touched: Cow<'a, [String]>,
}

/// The subject's attributes, each a disclosure of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttributesRecord {
    /// The digests of the disclosures.
    #[serde(rename = "_sd", with = "list")]
    pub sd: Vec<Digest>,
}

/// Why bytes are no record, or a record cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordReason {
    /// More bytes than a record of its kind may have.
    Long,
    /// Not one JSON object with the members of a known kind, or a value that is not what its member holds.
    Malformed,
    /// A version that this program does not know.
    Version,
    /// The right content in a form other than the canonical one (RFC 8785).
    NotCanonical,
    /// An actor named by this server carries members that it never writes.
    Actor,
    /// There is no randomness for salts.
    Salt,
}

impl<'a> Record<'a> {
    /// Reads one record: canonical form only, unknown kinds and members refused.
    ///
    /// # Errors
    /// See [`RecordReason`]; `Actor` and `Salt` do not occur.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, RecordReason> {
        if bytes.len() > RECORD_BYTES_MAX {
            return Err(RecordReason::Long);
        }
        if let Some(hop) = Self::read_hop(bytes) {
            return hop.holds().then_some(hop).ok_or(RecordReason::Malformed);
        }
        let record = Self::read(bytes)?;
        if record.to_bytes()? != bytes {
            return Err(RecordReason::NotCanonical);
        }
        record.holds().then_some(record).ok_or(RecordReason::Malformed)
    }

    /// A hop in canonical form, as nearly all records are, is read in one pass; whatever is none is read by the long way.
    fn read_hop(bytes: &'a [u8]) -> Option<Self> {
        let hop: HopRecord<'_> = canonical::from_str(std::str::from_utf8(bytes).ok()?).ok()?;
        (hop.v == VERSION).then(|| Self::Hop(Box::new(hop)))
    }

    /// The canonical form.
    ///
    /// # Errors
    /// `Long` when it has more bytes than its kind may have.
    pub fn to_bytes(&self) -> Result<Vec<u8>, RecordReason> {
        match self {
            Self::Hop(record) => written(record, RECORD_BYTES_MAX),
            Self::Task(record) => written(record, RECORD_BYTES_MAX),
            Self::Refusal(record) => written(record, REFUSAL_BYTES_MAX),
            Self::Withheld(record) => written(record, RECORD_BYTES_MAX),
            Self::Death(record) => written(record, RECORD_BYTES_MAX),
            Self::Holding(record) => written(record, RECORD_BYTES_MAX),
        }
    }

    /// What kind of record it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Hop(_) => Kind::Hop,
            Self::Task(_) => Kind::Task,
            Self::Refusal(_) => Kind::Refusal,
            Self::Withheld(_) => Kind::Withheld,
            Self::Death(_) => Kind::Death,
            Self::Holding(record) => record.kind,
        }
    }

    /// The hop, or the opening of a task, that it is about, if it is about one: by the `jti` of the token.
    pub fn jti(&self) -> Option<Jti> {
        match self {
            Self::Hop(record) => Some(record.jti),
            Self::Task(record) => Some(record.jti),
            Self::Withheld(record) => Some(record.jti),
            Self::Refusal(_) | Self::Death(_) | Self::Holding(_) => None,
        }
    }

    /// The transaction that it belongs to, if it belongs to one.
    pub fn txn(&self) -> Option<Txn> {
        match self {
            Self::Hop(record) => Some(record.txn),
            Self::Task(record) => Some(record.txn),
            Self::Withheld(record) => Some(record.txn),
            Self::Refusal(record) => record.txn,
            Self::Death(record) => event::transaction(&record.ends),
            Self::Holding(record) => event::transaction(&record.things),
        }
    }

    /// Hops are most of a ledger, so they are tried first; the head is read only of what is no hop.
    fn read(bytes: &'a [u8]) -> Result<Self, RecordReason> {
        #[derive(Deserialize)]
        struct Head {
            kind: Kind,
            v: u32,
        }
        if let Ok(hop) = serde_json::from_slice::<HopRecord<'_>>(bytes) {
            return if hop.v == VERSION { Ok(Self::Hop(Box::new(hop))) } else { Err(RecordReason::Version) };
        }
        let head: Head = serde_json::from_slice(bytes).map_err(|_| RecordReason::Malformed)?;
        if head.v != VERSION {
            return Err(RecordReason::Version);
        }
        match head.kind {
            Kind::Hop => Err(RecordReason::Malformed),
            Kind::Task => parsed(bytes).map(|record| Self::Task(Box::new(record))),
            Kind::Refusal => parsed(bytes).map(Self::Refusal),
            Kind::Withheld => parsed(bytes).map(Self::Withheld),
            Kind::Death => parsed(bytes).map(Self::Death),
            Kind::Suspension | Kind::Resumption | Kind::Retirement => parsed(bytes).map(Self::Holding),
        }
    }

    /// The rules that the shape alone does not enforce.
    fn holds(&self) -> bool {
        match self {
            Self::Hop(record) => record.kind == Kind::Hop && record.holds(),
            Self::Task(record) => record.holds(),
            Self::Refusal(record) => record.suppressed <= INTEGER_MAX,
            Self::Withheld(record) => record.index <= INTEGER_MAX,
            Self::Death(record) => {
                !record.ends.is_empty() && record.ends.iter().all(|end| (1..=INTEGER_MAX).contains(&end.number))
            }
            Self::Holding(record) => record.holds(),
        }
    }
}

impl HopRecord<'_> {
    fn holds(&self) -> bool {
        let one_subject = self.subject.is_some() != (self.sd.len() == 1) && self.sd.len() <= 1;
        let lists = [&self.sd, &self.inputs.sd, &self.inputs.attributes.sd];
        let ascending = lists.iter().all(|list| list.is_sorted_by(|earlier, later| earlier < later));
        one_subject && ascending && self.depth > 0 && self.chain.iter().all(ActorRecord::holds)
    }
}

impl ActorRecord<'_> {
    fn holds(&self) -> bool {
        let shown = self.iss.is_some() && self.sub.is_some();
        let other = self.instance.is_some() || self.iss.is_some() || self.sub.is_some() || self.sub_profile.is_some();
        if self.hidden.is_some() { !other } else { shown }
    }
}

impl EvidenceRecord {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl InputsRecord<'_> {
    fn is_empty(&self) -> bool {
        let Self { sd, attributes, requested, rule, touched } = self;
        sd.is_empty() && attributes.is_empty() && requested.is_none() && rule.is_none() && touched.is_empty()
    }
}

impl AttributesRecord {
    fn is_empty(&self) -> bool {
        self.sd.is_empty()
    }
}

/// Writes `record`, whose members stand in canonical order.
pub(super) fn written(record: &impl Serialize, bytes_max: usize) -> Result<Vec<u8>, RecordReason> {
    let mut bytes = Vec::with_capacity(1536);
    serde_json::to_writer(&mut bytes, record).map_err(|_| RecordReason::Malformed)?;
    if bytes.len() > bytes_max { Err(RecordReason::Long) } else { Ok(bytes) }
}

fn parsed<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, RecordReason> {
    serde_json::from_slice(bytes).map_err(|_| RecordReason::Malformed)
}

pub(super) const fn version() -> u32 {
    VERSION
}

impl fmt::Display for RecordReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Long => "the record has too many bytes",
            Self::Malformed => "the record is not a JSON object of a known kind",
            Self::Version => "the record has a version that this program does not know",
            Self::NotCanonical => "the record is not in its canonical form",
            Self::Actor => "an actor of this server carries members that it never writes",
            Self::Salt => "there is no randomness for salts",
        })
    }
}

impl std::error::Error for RecordReason {}

impl From<SealReason> for RecordReason {
    fn from(_: SealReason) -> Self {
        Self::Salt
    }
}
#[cfg(test)]
mod tests;
