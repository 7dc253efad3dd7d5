#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests fail by panicking")]

mod exhaustive;
mod faults;
mod listing;
mod holding;
mod memory;
mod model;
mod rules;
mod shared;
mod spending;
mod tasks;

use std::borrow::Cow;
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tokio::runtime::Builder;
use zeroize::Zeroizing;

use super::*;
use crate::crypto::{Digest, SealKey};
use crate::ledger::record::{Confirmations, Discloser, Evidence, HopRecord, Inputs, Kind, Record, VERSION};
use crate::oauth::{
    ClientId, Clock, ExchangeMode, Generation, GenerationKey, GenerationKind, Jti, Scopes, SingleUse, SingleUseKind, Subject,
    Time, Txn,
};
use crate::patience::{pass, until_async};
use memory::{Disk, Faults, MemoryStore};

const START: i64 = 1_700_000_000_000;

/// A clock that stands where it is put.
#[derive(Debug)]
pub(super) struct Hand(AtomicI64);

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
}

impl Rig {
    fn new() -> Self {
        let limits = Limits { retry: std::time::Duration::from_millis(1), ..Limits::default() };
        Self { disk: Disk::default(), faults: Faults::default(), clock: Arc::new(Hand(AtomicI64::new(START))), limits, root: 1 }
    }

    fn start(&self) -> Commit {
        let store = MemoryStore::new(&self.disk, &self.faults, 64);
        let root = Arc::new(SealKey::new(&[self.root; 32]).unwrap());
        Commit::start(Box::new(store), self.clock.clone(), root, self.limits.clone()).unwrap()
    }

    fn step(&self, millis: i64) {
        self.clock.0.fetch_add(millis, Ordering::SeqCst);
    }

    /// The kinds of the records, in order.
    fn kinds(&self) -> Vec<Kind> {
        self.disk.rows().iter().map(|row| Record::parse(&row.record).unwrap().kind()).collect()
    }
}

/// A hop that depends on life 0 of `generations` and spends `single_use`.
fn issue(id: u8, generations: &[u8], single_use: &[u8]) -> RecordHop {
    let (jti, txn) = (Jti::from_bytes([id; 16]), Txn::from_bytes([9; 16]));
    let expires = Time::from_millis(START + 60_000);
    RecordHop {
        jti,
        txn,
        record: record(jti, txn),
        generations: generations.iter().map(|id| Generation { key: GenerationKey([*id; 16]), number: 0 }).collect(),
        single_use: single_use
            .iter()
            .map(|id| SingleUse { digest: [*id; 32], expires, kind: SingleUseKind::Assertion })
            .collect(),
        deadline: expires,
        disclosed: Disclosed { subject: GenerationKey([id % 4; 16]), values: Zeroizing::new(b"[\"x\"]".to_vec()) },
        status: None,
        charge: None,
        opens: None,
    }
}

fn record(jti: Jti, txn: Txn) -> Vec<u8> {
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
        task: None,
        token: Digest([1; 32]),
        txn,
        v: VERSION,
    };
    hop.to_bytes().unwrap()
}

fn death(ids: &[u8]) -> Revocation {
    let end = |id: &u8| Revocable { key: GenerationKey([*id; 16]), kind: GenerationKind::Agent, name: None, txn: None };
    Revocation { ends: ids.iter().map(end).collect(), by: ClientId::parse("ops").unwrap(), reason: "told so".into(), until: None }
}

fn holding(turn: Transition, ids: &[u8]) -> StatusChange {
    let Revocation { ends, by, reason, .. } = death(ids);
    StatusChange { turn, things: ends, by, reason }
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
