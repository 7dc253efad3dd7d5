//! The state that all request handlers share.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::HttpRequest;
use arc_swap::{ArcSwap, Guard};

use super::client_cert::Frontend;
use super::log_sample::LogSample;
use super::metadata::Discovery;
use super::metrics::Metrics;
use super::strangers::{KnownConnection, StrangerLimits, Strangers, Visitor};
use crate::commit::contract::RecordReader;
use crate::commit::{Commit, Sequencer};
use crate::config::CandidateBoard;
use crate::deployment::Deployment;
use crate::ledger::{LogFiles, Usage};
use crate::lines::RequestRates;
use crate::mint::SignedList;
use crate::oauth::{Clock, ListId, Time};

/// The configuration in force, the one writer, and the clock that is read once per request.
pub struct AppState {
    snapshot: ArcSwap<Snapshot>,
    /// The configuration that is not in force yet.
    pub board: Arc<CandidateBoard>,
    commit: Commit,
    clock: Arc<dyn Clock>,
    limits: InputLimits,
    /// The folder of our own keys.
    pub(super) keys: PathBuf,
    pub(super) ledger: LedgerState,
    pub(super) metrics: Metrics,
    pub(super) strangers: Strangers,
    pub(super) log: LogSample,
    pub(super) status_lists: SignedLists,
    /// The use of agents, counted from the records as far as the last inventory read them.
    pub(super) usage: Mutex<Usage>,
    /// How often each client may ask.
    pub(super) rates: RequestRates,
}

/// One configuration, with everything that is derived from it alone.
pub(super) struct Snapshot {
    pub(super) deployment: Arc<Deployment>,
    pub(super) frontend: Frontend,
    pub(super) discovery: Discovery,
}

/// Bounds on a request's form, and on who may send many that are refused.
#[derive(Clone, Copy, Debug)]
pub struct InputLimits {
    /// The longest body, in bytes.
    pub body_bytes_max: usize,
    /// The most parameters.
    pub parameters_max: usize,
    /// The refusals of strangers from one address.
    pub strangers: StrangerLimits,
}

/// The log and its records, for proofs, tiles and inventories.
pub struct LedgerState {
    /// Publishes the checkpoints.
    pub sequencer: Sequencer,
    /// The files of the log.
    pub files: Arc<dyn LogFiles + Send + Sync>,
    /// The records.
    pub records: Arc<dyn RecordReader>,
    /// The data folder, which has the index that finds records.
    pub data: PathBuf,
    /// Checkpoints and tiles of hashes are for everybody.
    pub public: bool,
    /// The time for which archived records are kept; none for ever.
    pub keep: Option<Duration>,
}

/// The status lists as they were signed last.
#[derive(Default)]
pub(super) struct SignedLists(Mutex<HashMap<ListId, Arc<CachedList>>>);

/// A signed status list and its validator.
pub(super) struct CachedList {
    pub(super) list: SignedList,
    /// The version of the list, and the configuration that it was signed under.
    pub(super) version: (u64, usize),
    /// RFC 9110 §8.8.3.
    pub(super) etag: String,
}

impl AppState {
    /// The state of a server that begins with `deployment`.
    pub fn new(
        deployment: Arc<Deployment>,
        frontend: Frontend,
        commit: Commit,
        ledger: LedgerState,
        clock: Arc<dyn Clock>,
        limits: InputLimits,
        keys: PathBuf,
    ) -> Self {
        commit.suspend_configured(deployment.inactive());
        let snapshot = ArcSwap::from_pointee(Snapshot::new(deployment, frontend));
        let (board, metrics, log, status_lists, usage, rates) = Default::default();
        let strangers = Strangers::new(limits.strangers);
        Self { snapshot, board, commit, clock, limits, ledger, keys, metrics, strangers, log, status_lists, usage, rates }
    }

    /// Puts a new configuration in force for every request that begins from now on.
    pub fn swap(&self, deployment: Arc<Deployment>, frontend: Frontend) {
        self.commit.suspend_configured(deployment.inactive());
        self.snapshot.store(Arc::new(Snapshot::new(deployment, frontend)));
    }

    /// The configuration in force.
    pub fn deployment(&self) -> Arc<Deployment> {
        Arc::clone(&self.snapshot.load().deployment)
    }

    /// The configuration in force, with what is derived from it.
    pub(super) fn snapshot(&self) -> Guard<Arc<Snapshot>> {
        self.snapshot.load()
    }

    /// Tells whether a proxy in front of this server connects from `address`.
    pub(super) fn is_proxy(&self, address: IpAddr) -> bool {
        self.snapshot.load().frontend.proxies.iter().any(|proxy| proxy.is_at(address))
    }

    /// Whoever sent `request`. A proxy has no address: behind it are many.
    pub(super) fn visitor<'a>(&self, request: &'a HttpRequest) -> Visitor<'a> {
        let address = request.peer_addr().map(|peer| peer.ip()).filter(|address| !self.is_proxy(*address));
        Visitor::new(address, request.conn_data::<KnownConnection>(), request.headers())
    }

    pub(super) fn commit(&self) -> &Commit {
        &self.commit
    }

    /// The clock that everything goes by.
    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    pub(super) fn now(&self) -> Time {
        self.clock.now()
    }

    pub(super) fn limits(&self) -> InputLimits {
        self.limits
    }
}

impl Snapshot {
    fn new(deployment: Arc<Deployment>, frontend: Frontend) -> Self {
        let discovery = Discovery::of(&deployment, &frontend);
        Self { deployment, frontend, discovery }
    }
}

impl SignedLists {
    pub(super) fn get(&self, list: &ListId) -> Option<Arc<CachedList>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(list).cloned()
    }

    /// Keeps `signed`, and forgets every list that does not live any more.
    pub(super) fn put(&self, list: ListId, signed: Arc<CachedList>, lives: impl Fn(&ListId) -> bool) {
        let mut lists = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lists.insert(list, signed);
        lists.retain(|list, _| lives(list));
    }
}
