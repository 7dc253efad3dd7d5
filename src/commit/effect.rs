//! The fold: what a record changes in state. The writer, a start, a rebuild and an audit take every record through this function
//! and nothing else, so that state is what the records say.

use crate::crypto::Digest;
use crate::ledger::record::{
    ConfigurationRecord, EpochRecord, HopRecord, KeyCheck, KeyEvent, KeyRecord, Kind, PrincipalKind, PrincipalRecord, Record,
    RevocableRecord, RevocationRecord, StateRecord, StatusChangeRecord, TaskRecord,
};
use crate::lifecycle::{TASK_SKEW, Transition};
use crate::oauth::{ClientId, GenerationKey, GenerationKind, Resource, RuleName, TaskId, Time, Txn};

use super::contract::ConfiguredPrincipal;

/// The change of state that one record brings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Effect {
    /// None.
    #[default]
    Nothing,
    /// A hop was made in a task: one exchange of its budget.
    Charge(TaskId),
    /// A task begins.
    Open(Box<TaskOpening>),
    /// Generations end; what of them may be forgotten, may be so from `until` on.
    End {
        /// The time of the end.
        at: Time,
        /// The things that ended.
        things: Vec<Thing>,
        /// None for never.
        until: Option<Time>,
    },
    /// Things are suspended, resumed or retired.
    Status {
        /// The time of the change.
        at: Time,
        /// The transition.
        transition: Transition,
        /// The things.
        things: Vec<Thing>,
        /// The party that asked for it.
        by: Option<ClientId>,
    },
    /// Principals come into force, and go out of it.
    Configure {
        /// Those that come into force.
        added: Vec<ConfiguredPrincipal>,
        /// Those that go out of it.
        removed: Vec<ConfiguredPrincipal>,
        /// An operator accepted it.
        accepted: bool,
    },
    /// A key of this server begins, is retired or is revoked.
    Key {
        /// The time of it.
        at: Time,
        /// The key.
        check: KeyCheck,
        /// The event.
        event: KeyEvent,
    },
    /// An epoch begins: everything of those before it has ended.
    Epoch {
        /// The time of it.
        at: Time,
        /// Its number.
        number: u64,
        /// Records are lost, so that nothing is issued in it until an operator accepts a configuration.
        held: bool,
    },
    /// What may be forgotten is forgotten, and the state then has this digest.
    Checkpoint {
        /// The time up to which things are forgotten.
        at: Time,
        /// The digest.
        digest: Digest,
    },
}

/// The opening of a task, as far as its record tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskOpening {
    /// The task.
    pub id: TaskId,
    /// The transaction of all its hops.
    pub txn: Txn,
    /// The task out of whose budget its own comes.
    pub parent: Option<TaskId>,
    /// The number of exchanges that may be made in it.
    pub budget: u64,
    /// The time from which it may be forgotten.
    pub forget: Time,
    /// SHA-256 of its sealed terms.
    pub terms: Option<Digest>,
    /// The agent that opened it.
    pub opener: ClientId,
    /// The agent that works on it.
    pub holder: ClientId,
}

/// One thing that a revocation or change of status is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thing {
    /// Its keyed pseudonym.
    pub key: GenerationKey,
    /// Its kind.
    pub kind: GenerationKind,
    /// The number of its generation from then on.
    pub number: u64,
    /// The transaction that it belongs to, where it is a task, a transaction or a hop.
    pub txn: Option<Txn>,
    /// The task, where it is one.
    pub task: Option<TaskId>,
    /// The agent, where it is one.
    pub agent: Option<ClientId>,
}

impl Effect {
    /// The change of state that `record` brings.
    pub fn of(record: &Record<'_>) -> Self {
        match record {
            Record::Hop(hop) => Self::of_hop(hop),
            Record::Task(task) => Self::of_task(task),
            Record::Revocation(revocation) => Self::of_revocation(revocation),
            Record::StatusChange(change) => Self::of_status_change(change),
            Record::Configuration(change) => Self::of_configuration(change),
            Record::Key(change) => Self::of_key(change),
            Record::Epoch(EpochRecord { at, number, before, .. }) => {
                Self::Epoch { at: *at, number: *number, held: before.is_some() }
            }
            Record::State(StateRecord { at, digest, .. }) => Self::Checkpoint { at: *at, digest: *digest },
            Record::Refusal(_) | Record::Withheld(_) => Self::Nothing,
        }
    }

    /// The change that a hop brings.
    pub fn of_hop(hop: &HopRecord<'_>) -> Self {
        hop.task.map_or(Self::Nothing, Self::Charge)
    }

    /// The change that the opening of a task brings.
    pub fn of_task(task: &TaskRecord<'_>) -> Self {
        Self::Open(Box::new(TaskOpening {
            id: task.task,
            txn: task.txn,
            parent: task.parent,
            budget: task.budget,
            forget: task.expires.plus(TASK_SKEW),
            terms: task.terms,
            opener: task.client.clone(),
            holder: task.holder.clone(),
        }))
    }

    fn of_revocation(revocation: &RevocationRecord<'_>) -> Self {
        let RevocationRecord { at, ends, until, .. } = revocation;
        Self::End { at: *at, things: ends.iter().map(thing).collect(), until: *until }
    }

    fn of_status_change(change: &StatusChangeRecord<'_>) -> Self {
        let transition = match change.kind {
            Kind::Suspension => Transition::Suspend,
            Kind::Resumption => Transition::Resume,
            _ => Transition::Retire,
        };
        let (things, by) = (change.things.iter().map(thing).collect(), ClientId::parse(&change.by).ok());
        Self::Status { at: change.at, transition, things, by }
    }

    fn of_configuration(change: &ConfigurationRecord<'_>) -> Self {
        let read = |named: &[PrincipalRecord<'_>]| named.iter().filter_map(principal).collect();
        let accepted = change.by.as_deref() == Some(ClientId::operators().as_str());
        Self::Configure { added: read(&change.added), removed: read(&change.removed), accepted }
    }

    fn of_key(change: &KeyRecord<'_>) -> Self {
        let KeyRecord { at, event, id, of, .. } = change;
        Self::Key { at: *at, check: KeyCheck { of: *of, id: id.to_string() }, event: *event }
    }
}

fn thing(record: &RevocableRecord<'_>) -> Thing {
    let RevocableRecord { key, name, number, of, txn } = record;
    let task = name.as_deref().filter(|_| *of == GenerationKind::Task).and_then(|name| TaskId::parse(name).ok());
    let agent = name.as_deref().filter(|_| *of == GenerationKind::Agent).and_then(|name| ClientId::parse(name).ok());
    Thing { key: *key, kind: *of, number: *number, txn: *txn, task, agent }
}

/// A principal as it stands in a record.
pub(super) fn record_of(principal: &ConfiguredPrincipal) -> PrincipalRecord<'_> {
    let (of, name, digest) = match principal {
        ConfiguredPrincipal::Agent(id) => (PrincipalKind::Agent, id.as_str(), None),
        ConfiguredPrincipal::Api(id) => (PrincipalKind::Api, id.as_str(), None),
        ConfiguredPrincipal::Rule(name) => (PrincipalKind::Rule, name.as_str(), None),
        ConfiguredPrincipal::Issuer(name, digest) => (PrincipalKind::Issuer, name.as_str(), Some(*digest)),
        ConfiguredPrincipal::ApiTerm(id, digest) => (PrincipalKind::Term, id.as_str(), Some(*digest)),
    };
    PrincipalRecord { digest, name: name.into(), of }
}

/// A principal whose name no configuration could have is none.
fn principal(record: &PrincipalRecord<'_>) -> Option<ConfiguredPrincipal> {
    let rule = || RuleName::parse(&record.name).ok();
    match record.of {
        PrincipalKind::Agent => ClientId::parse(&record.name).ok().map(ConfiguredPrincipal::Agent),
        PrincipalKind::Api => Resource::parse(&record.name).ok().map(ConfiguredPrincipal::Api),
        PrincipalKind::Rule => rule().map(ConfiguredPrincipal::Rule),
        PrincipalKind::Issuer => Some(ConfiguredPrincipal::Issuer(rule()?, record.digest?)),
        PrincipalKind::Term => Some(ConfiguredPrincipal::ApiTerm(Resource::parse(&record.name).ok()?, record.digest?)),
    }
}
