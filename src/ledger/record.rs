//! Records: the leaves of the ledger. Canonical JSON (RFC 8785), versioned, described member by member in `docs/records.md`.
//!
//! One structure per kind is both what a stage fills in and what is written and read. Its members stand in alphabetical order, so
//! that serialising it *is* canonicalising it: only strings, integers, arrays and objects occur. Empty members are left out.
//! [`Record::parse`] accepts nothing else.

mod schema;
mod text;
mod canonical;
mod hop;
mod disclosure;
mod task;
mod event;
mod state;
mod key;
mod epoch;
mod retention;
mod terms;
mod schemas;

use serde::Deserialize;

pub use disclosure::{Discloser, Disclosure, Disclosures};
pub use epoch::{EpochCause, EpochRecord, LostCheckpoint};
pub use event::{RefusalRecord, RevocableRecord, RevocationRecord, StatusChangeRecord, WithheldRecord};
pub use hop::{ActorRecord, AgentSubject, AttributeDigests, Confirmations, Evidence, HopRecord, Inputs};
pub use key::{KeyCheck, KeyEvent, KeyRecord, KeyRole};
pub use retention::{RetentionRecord, RetentionStep};
pub use schema::{Kind, RECORD_BYTES_MAX, REFUSAL_BYTES_MAX, RecordReason, VERSION};
pub use state::{ConfigurationRecord, PrincipalKind, PrincipalRecord, StateCause, StateRecord};
pub use task::{AuthorityRecord, TaskRecord};
pub use terms::{Field, OUTCOMES, Term, terms};

use schema::{INTEGER_MAX, written};

use crate::oauth::{Jti, Time, Txn};

/// One parsed record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// An issued token: one delegation step.
    Hop(Box<HopRecord<'a>>),
    /// A task that was opened.
    Task(Box<TaskRecord<'a>>),
    /// A request of an authenticated client that was refused.
    Refusal(RefusalRecord<'a>),
    /// A recorded hop whose token never left.
    Withheld(WithheldRecord),
    /// A revocation.
    Revocation(RevocationRecord<'a>),
    /// A suspension, the end of one, or a retirement.
    StatusChange(StatusChangeRecord<'a>),
    /// The digest of the state.
    State(StateRecord),
    /// A change of what the configuration has in force.
    Configuration(ConfigurationRecord<'a>),
    /// An event in the life of a key of this server.
    Key(KeyRecord<'a>),
    /// The beginning of an epoch.
    Epoch(EpochRecord<'a>),
    /// A step by which records are archived, held, released or pruned.
    Retention(RetentionRecord<'a>),
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
            Self::Hop(record) => record.to_bytes(),
            Self::Task(record) => record.to_bytes(),
            Self::Refusal(record) => written(record, REFUSAL_BYTES_MAX),
            Self::Withheld(record) => written(record, RECORD_BYTES_MAX),
            Self::Revocation(record) => written(record, RECORD_BYTES_MAX),
            Self::StatusChange(record) => written(record, RECORD_BYTES_MAX),
            Self::State(record) => written(record, RECORD_BYTES_MAX),
            Self::Configuration(record) => written(record, RECORD_BYTES_MAX),
            Self::Key(record) => written(record, RECORD_BYTES_MAX),
            Self::Epoch(record) => written(record, RECORD_BYTES_MAX),
            Self::Retention(record) => written(record, RECORD_BYTES_MAX),
        }
    }

    /// Its member `kind`.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Hop(_) => Kind::Hop,
            Self::Task(_) => Kind::Task,
            Self::Refusal(_) => Kind::Refusal,
            Self::Withheld(_) => Kind::Withheld,
            Self::Revocation(_) => Kind::Death,
            Self::StatusChange(record) => record.kind,
            Self::State(_) => Kind::State,
            Self::Configuration(_) => Kind::Configuration,
            Self::Key(_) => Kind::Key,
            Self::Epoch(_) => Kind::Epoch,
            Self::Retention(_) => Kind::Retention,
        }
    }

    /// Its member `at`.
    pub fn at(&self) -> Time {
        match self {
            Self::Hop(record) => record.at,
            Self::Task(record) => record.at,
            Self::Refusal(record) => record.at,
            Self::Withheld(record) => record.at,
            Self::Revocation(record) => record.at,
            Self::StatusChange(record) => record.at,
            Self::State(StateRecord { at, .. }) | Self::Configuration(ConfigurationRecord { at, .. }) => *at,
            Self::Key(record) => record.at,
            Self::Epoch(record) => record.at,
            Self::Retention(record) => record.at,
        }
    }

    /// The hop, or the opening of a task, that it is about, if it is about one: by the `jti` of the token.
    pub fn jti(&self) -> Option<Jti> {
        match self {
            Self::Hop(record) => Some(record.jti),
            Self::Task(record) => Some(record.jti),
            Self::Withheld(record) => Some(record.jti),
            Self::Refusal(_) | Self::Revocation(_) | Self::StatusChange(_) => None,
            Self::State(_) | Self::Configuration(_) | Self::Key(_) | Self::Epoch(_) | Self::Retention(_) => None,
        }
    }

    /// The transaction that it belongs to, if it belongs to one.
    pub fn txn(&self) -> Option<Txn> {
        match self {
            Self::Hop(record) => Some(record.txn),
            Self::Task(record) => Some(record.txn),
            Self::Withheld(record) => Some(record.txn),
            Self::Refusal(record) => record.txn,
            Self::Revocation(record) => event::transaction(&record.ends),
            Self::StatusChange(record) => event::transaction(&record.things),
            Self::Retention(record) => record.txn,
            Self::State(_) | Self::Configuration(_) | Self::Key(_) | Self::Epoch(_) => None,
        }
    }

    /// Hops are most of a ledger, so they are tried first; kind and version are read alone only of what is no hop.
    fn read(bytes: &'a [u8]) -> Result<Self, RecordReason> {
        #[derive(Deserialize)]
        struct KindAndVersion {
            kind: Kind,
            v: u32,
        }
        if let Ok(hop) = serde_json::from_slice::<HopRecord<'_>>(bytes) {
            return if hop.v == VERSION { Ok(Self::Hop(Box::new(hop))) } else { Err(RecordReason::Version) };
        }
        let KindAndVersion { kind, v } = parsed(bytes)?;
        if v != VERSION {
            return Err(RecordReason::Version);
        }
        match kind {
            Kind::Hop => Err(RecordReason::Malformed),
            Kind::Task => parsed(bytes).map(|record| Self::Task(Box::new(record))),
            Kind::Refusal => parsed(bytes).map(Self::Refusal),
            Kind::Withheld => parsed(bytes).map(Self::Withheld),
            Kind::Death => parsed(bytes).map(Self::Revocation),
            Kind::Suspension | Kind::Resumption | Kind::Retirement => parsed(bytes).map(Self::StatusChange),
            Kind::State => parsed(bytes).map(Self::State),
            Kind::Configuration => parsed(bytes).map(Self::Configuration),
            Kind::Key => parsed(bytes).map(Self::Key),
            Kind::Epoch => parsed(bytes).map(Self::Epoch),
            Kind::Retention => parsed(bytes).map(Self::Retention),
        }
    }

    /// True when it keeps the rules that the shape alone does not enforce.
    fn holds(&self) -> bool {
        match self {
            Self::Hop(record) => record.holds(),
            Self::Task(record) => record.holds(),
            Self::Refusal(record) => record.suppressed <= INTEGER_MAX,
            Self::Withheld(record) => record.index <= INTEGER_MAX,
            Self::Revocation(record) => record.holds(),
            Self::StatusChange(record) => record.holds(),
            Self::State(record) => record.holds(),
            Self::Configuration(record) => record.holds(),
            Self::Key(record) => record.holds(),
            Self::Epoch(record) => record.holds(),
            Self::Retention(record) => record.holds(),
        }
    }
}

fn parsed<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, RecordReason> {
    serde_json::from_slice(bytes).map_err(|_| RecordReason::Malformed)
}

#[cfg(test)]
mod tests;
