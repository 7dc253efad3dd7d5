#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests fail by panicking")]

mod clock_steps;
mod copies;
mod doubted;
mod epochs;
mod exhaustive;
mod faults;
mod hindered;
mod histories;
pub(crate) mod listing;
mod holding;
mod keys;
mod looking;
mod memory;
mod model;
mod outlasting;
mod restores;
mod retaining;
mod rewrap;
mod rules;
mod shared;
mod shares;
mod spending;
mod stored;
pub(crate) mod tasks;
mod velocity;

use std::borrow::Cow;
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tokio::runtime::Builder;
use zeroize::Zeroizing;

use super::*;
use crate::crypto::Digest;
use crate::ledger::record::{
    AuthorityRecord, Confirmations, Discloser, Evidence, HopRecord, Inputs, Kind, Record, TaskRecord, VERSION,
};
use crate::lifecycle::TaskTerms;
use crate::oauth::{
    ClientId, Clock, ExchangeMode, Generation, GenerationKey, GenerationKind, Jti, Resource, Scopes, ShareKey, SingleUse,
    SingleUseKind, Subject, TaskId, Time, Txn,
};
use crate::patience::{pass, until_async};
use memory::{Disk, Faults, MemoryStore};

pub(crate) const START: i64 = 1_700_000_000_000;

/// A clock that stands where it is put.
#[derive(Debug)]
pub(crate) struct Hand(pub(crate) AtomicI64);

impl Clock for Hand {
    fn now(&self) -> Time {
        Time::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// A store that outlives the commits started on it, faults to inject into it, and a clock.
pub(super) struct Rig {
    disk: Disk,
    faults: Faults,
    clock: Arc<Hand>,
    limits: Limits,
    root: u8,
    listed: contract::KeyList,
}

impl Rig {
    fn new() -> Self {
        let (retry, checkpoint_pause) = (std::time::Duration::from_millis(1), std::time::Duration::ZERO);
        let limits = Limits { retry, checkpoint_pause, ..Limits::default() };
        let listed = contract::KeyList::new();
        Self {
            disk: Disk::default(),
            faults: Faults::default(),
            clock: Arc::new(Hand(AtomicI64::new(START))),
            limits,
            root: 1,
            listed,
        }
    }

    fn start(&self) -> Commit {
        self.tried().unwrap()
    }

    fn tried(&self) -> Result<Commit, contract::StoreReason> {
        let store = MemoryStore::new(&self.disk, &self.faults);
        let keys = CommitKeys { listed: self.listed.clone(), ..keys(self.root) };
        Commit::start(Box::new(store), self.clock.clone(), keys, self.limits.clone())
    }

    fn step(&self, millis: i64) {
        self.clock.0.fetch_add(millis, Ordering::SeqCst);
    }

    /// The kinds of the records, in order. Those of the state come whenever something is forgotten, and are left out.
    fn kinds(&self) -> Vec<Kind> {
        let rows = self.rows();
        rows.iter().map(|row| Record::parse(&row.record).unwrap().kind()).collect()
    }

    /// The records, without those of the state.
    fn rows(&self) -> Vec<contract::Stored> {
        let of_state = |row: &contract::Stored| Record::parse(&row.record).unwrap().kind() == Kind::State;
        self.disk.rows().into_iter().filter(|row| !of_state(row)).collect()
    }
}

/// The keys of a commit with the root key that is made of this byte.
pub(crate) fn keys(byte: u8) -> CommitKeys {
    CommitKeys::of_secrets(&[byte; 32], &[1; 32]).unwrap()
}

/// A hop that depends on life 0 of `generations` and spends `single_use`.
pub(crate) fn issue(id: u8, generations: &[u8], single_use: &[u8]) -> RecordHop {
    let (jti, txn) = (Jti::from_bytes([id; 16]), Txn::from_bytes([9; 16]));
    let expires = Time::from_millis(START + 60_000);
    RecordHop {
        share: ShareKey::NOBODY,
        jti,
        txn,
        record: record(jti, txn, None),
        generations: generations.iter().map(|id| Generation { key: GenerationKey([*id; 16]), number: 0 }).collect(),
        single_use: single_use
            .iter()
            .map(|id| SingleUse {
                digest: [*id; 32],
                expires,
                issued: Time::from_millis(START),
                kind: SingleUseKind::Assertion,
                share: ShareKey::NOBODY,
            })
            .collect(),
        deadline: expires,
        disclosed: Disclosed { subject: GenerationKey([id % 4; 16]), values: Zeroizing::new(b"[\"x\"]".to_vec()) },
        status: None,
        effect: Effect::Nothing,
        counted: None,
        opens: None,
    }
}

fn record(jti: Jti, txn: Txn, task: Option<TaskId>) -> Vec<u8> {
    let client = ClientId::parse("orchestrator").unwrap();
    let subject = Subject::agent(&client);
    let (sd, subject) = Discloser::default().subject(&subject, "").unwrap();
    let hop = HopRecord {
        sd,
        actor: client.clone(),
        at: Time::from_millis(START),
        audience: vec![],
        basis: ExchangeMode::SelfExchange,
        binding: Confirmations::default(),
        chain: vec![],
        client,
        depth: 1,
        evidence: Evidence::default(),
        expires: Time::from_millis(START + 60_000),
        handed_to: None,
        inputs: Inputs::default(),
        instance: None,
        jti,
        kid: "k".into(),
        kind: Kind::Hop,
        login: "private_key_jwt".into(),
        parent: None,
        policies: Cow::default(),
        policy_set: Digest([2; 32]),
        scope: Scopes::default(),
        status: None,
        subject,
        task,
        token: Digest([1; 32]),
        txn,
        v: VERSION,
    };
    hop.to_bytes().unwrap()
}

/// The opening of a task with these terms.
pub(crate) fn opened(id: u8, on: &[u8], terms: TaskTerms) -> RecordHop {
    let sealed = TermsSealer::new(keys(1).terms).seal(terms).unwrap();
    let (hop, terms) = (issue(id, on, &[]), sealed.terms());
    let subject = Subject::agent(&terms.opener);
    let (sd, subject) = Discloser::default().subject(&subject, "").unwrap();
    let (api, scope) = (Resource::parse("https://crm.example").unwrap(), Scopes::parse("contacts.read").unwrap());
    let task = TaskRecord {
        sd,
        at: terms.opened,
        authority: vec![AuthorityRecord { api, scope }],
        budget: terms.budget,
        chain: vec![],
        client: terms.opener.clone(),
        data_classes: Cow::default(),
        evidence: Evidence::default(),
        expires: terms.deadline,
        heartbeat: None,
        holder: terms.holder.clone(),
        hop: None,
        jti: hop.jti,
        kid: "k".into(),
        kind: Kind::Task,
        login: "private_key_jwt".into(),
        parent: terms.parent,
        policies: Cow::default(),
        policy_set: Digest([2; 32]),
        subject: subject.clone(),
        task: terms.id,
        terms: Some(sealed.digest()),
        token: Digest([1; 32]),
        txn: hop.txn,
        v: VERSION,
    };
    let (record, effect) = (task.to_bytes().unwrap(), Effect::of_task(&task));
    RecordHop { record, effect, opens: Some(Box::new(sealed)), ..hop }
}

pub(crate) fn thing(id: u8) -> Revocable {
    Revocable { key: GenerationKey([id; 16]), kind: GenerationKind::Agent, name: None, txn: None }
}

pub(crate) fn death(ids: &[u8]) -> Revocation {
    Revocation {
        ends: ids.iter().map(|id| thing(*id)).collect(),
        by: ClientId::parse("ops").unwrap(),
        reason: "told so".into(),
        until: None,
    }
}

pub(crate) fn holding(turn: Transition, ids: &[u8]) -> StatusChange {
    let Revocation { ends, by, reason, .. } = death(ids);
    StatusChange { turn, things: ends, by, reason }
}

/// Lets the writer try again until nothing is left to do without being asked.
fn finish(writer: &mut writer::Writer) {
    let mut attempts = 0;
    while writer.unfinished() {
        writer.write_all(Vec::new());
        attempts += 1;
        assert!(attempts < 100, "the store does not recover");
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    Builder::new_current_thread().enable_time().build().unwrap().block_on(work)
}

/// Waits until `done`, and where that is in vain tells the caller's line.
#[track_caller]
fn eventually(done: impl Fn() -> bool) -> impl Future<Output = ()> {
    let line = Location::caller();
    async move { until_async(&line.to_string(), async || done()).await }
}
