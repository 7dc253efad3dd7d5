//! What everybody else holds of the commit.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::change::Change;
use super::command::{self, RecordHop, RefusalRecord, Revocation, StatusChange, Transition};
use super::contract::{CommitStore, ConfiguredPrincipal, StoreReason};
use super::durable::Durable;
use super::limits::Limits;
use super::mirror::State;
use super::per_client::PerClient;
use super::quota::Quota;
use super::receipt::{CommitReason, Receipt};
use super::register::StatusLists;
use super::subject_keys::SubjectKeys;
use super::writer::{Done, Job, Parts, Recordable, Reply, Spending, Unrecorded, WithheldHop, Writer};
use crate::crypto::SealKey;
use crate::ledger::record::RECORD_BYTES_MAX;
use crate::oauth::{Clock, GenerationKey, SingleUse};

/// The pause between two looks at what the status lists say. A look is cheap while nothing has ended.
const LOOK: Duration = Duration::from_millis(200);

/// A handle on the one writer; clones are handles on the same. The writer ends when it is told to, or with the last handle.
#[derive(Clone, Debug)]
pub struct Commit {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    jobs: Sender<Job>,
    issues: Arc<Semaphore>,
    deaths: Arc<Semaphore>,
    refusals: Arc<Semaphore>,
    clients: PerClient,
    quota: Arc<Quota>,
    mirror: Arc<State>,
    register: Arc<StatusLists>,
    durable: Durable,
    closing: AtomicBool,
}

impl Commit {
    /// Opens and verifies `store`, loads what the checks need, and starts the writer. `root` is the key under which the keys of
    /// subjects are wrapped; it must not lie where the store and its backups do.
    ///
    /// # Errors
    /// What the store says; `Corrupt` when its newest records are damaged.
    pub fn start(
        store: Box<dyn CommitStore>,
        clock: Arc<dyn Clock>,
        root: Arc<SealKey>,
        limits: Limits,
    ) -> Result<Self, StoreReason> {
        let (sender, jobs) = channel();
        let mirror = Arc::new(State::default());
        let quota = Arc::new(Quota::new(limits.refusals_per_minute));
        let places = |count| Arc::new(Semaphore::new(count));
        let shared = Shared {
            jobs: sender,
            issues: places(limits.issues),
            deaths: places(limits.deaths),
            refusals: places(limits.refusals),
            clients: PerClient::new(limits.changes_per_client),
            quota: Arc::clone(&quota),
            mirror: Arc::clone(&mirror),
            register: StatusLists::new(limits.status),
            durable: Durable::default(),
            closing: AtomicBool::new(false),
        };
        let keys = SubjectKeys::new(root, limits.subject_keys);
        let (register, durable) = (Arc::clone(&shared.register), shared.durable.clone());
        let parts = Parts { store, clock: Arc::clone(&clock), limits, jobs, mirror, register, quota, keys, durable };
        let writer = Writer::start(parts)?;
        let work = move || {
            // Whoever waits for the end is told after the store was closed with the writer.
            for closed in writer.run() {
                let _gone = closed.send(());
            }
        };
        let failed = |cause: std::io::Error| StoreReason::Failed(cause.into());
        thread::Builder::new().name("commit".into()).spawn(work).map_err(failed)?;
        let commit = Self { shared: Arc::new(shared) };
        thread::Builder::new().name("status".into()).spawn(commit.looking(clock)).map_err(failed)?;
        Ok(commit)
    }

    /// Keeps the status lists true as long as there is a handle. The first look is done before this returns.
    fn looking(&self, clock: Arc<dyn Clock>) -> impl FnOnce() + Send + 'static {
        self.shared.register.look(&self.shared.mirror, clock.now());
        let shared = Arc::downgrade(&self.shared);
        move || {
            loop {
                thread::sleep(LOOK);
                let Some(shared) = shared.upgrade() else { return };
                shared.register.look(&shared.mirror, clock.now());
            }
        }
    }

    /// Records a hop. Dropping this future before it is done is safe: if the hop was recorded all the same, it is then
    /// recorded as withheld.
    ///
    /// # Errors
    /// See [`CommitReason`]; nothing was spent and nothing may be issued. After `Unavailable` the hop may turn out to be
    /// recorded; it is then recorded as withheld too.
    pub async fn submit(&self, issue: RecordHop) -> Result<Receipt, CommitReason> {
        if issue.record.len() > RECORD_BYTES_MAX {
            return Err(CommitReason::TooLarge);
        }
        let place = place(&self.shared.issues)?;
        let (to, answer) = oneshot::channel();
        let jobs = self.jobs()?;
        let reply = Reply { to, jobs: jobs.clone() };
        jobs.send(Job::Issue(issue, reply, place)).map_err(|_| CommitReason::Unavailable)?;
        let answer = answer.await.map_err(|_| CommitReason::Unavailable)??;
        answer.take().ok_or(CommitReason::Unavailable)
    }

    /// Says that the token of a recorded hop will never leave, so that this is recorded too.
    pub fn withhold(&self, receipt: Receipt) {
        if let Ok(jobs) = self.jobs() {
            let _closed = jobs.send(Job::Withhold(WithheldHop::of(&receipt)));
        }
    }

    /// Has a refusal recorded, or counted where its agent's quota or the queue's is used up. Never waits.
    pub fn refuse(&self, mut refusal: RefusalRecord<'static>) {
        let Some(suppressed) = self.shared.quota.take(&refusal.agent, refusal.at) else { return };
        let agent = refusal.agent.clone();
        let sent = place(&self.shared.refusals).and_then(|place| {
            refusal.suppressed = suppressed;
            let job = Job::Refusal(Recordable { refusal, _place: place });
            self.jobs()?.send(job).map_err(|_| CommitReason::Unavailable)
        });
        if sent.is_err() {
            self.shared.quota.give_back(&agent, suppressed + 1);
        }
    }

    /// Ends things. When it returns `Ok`, the death is durable and acts everywhere; nothing is issued after it under what it
    /// ended.
    ///
    /// # Errors
    /// `TooLarge` and `Busy`: nothing happened. `Unavailable`: the death acts in memory as long as this process lives, and
    /// nothing is issued until it is recorded; unless the server is closing, in which case nothing may have happened.
    pub async fn end(&self, death: Revocation) -> Result<(), CommitReason> {
        self.end_spending(death, Vec::new()).await
    }

    /// Ends things and spends what is single-use, at most 8 values: both or neither.
    ///
    /// # Errors
    /// As for [`end`](Self::end); and `ReplayCache`, when nothing happened.
    pub async fn end_spending(&self, death: Revocation, single_use: Vec<SingleUse>) -> Result<(), CommitReason> {
        self.change(Change::Death(death), single_use, Job::Change, &self.shared.deaths).await
    }

    /// Suspends, resumes or retires things, and spends what is single-use, at most 8 values: both or neither. When it returns
    /// `Ok`, it is durable and acts everywhere.
    ///
    /// # Errors
    /// A suspension and a retirement as for [`end_spending`](Self::end_spending). A resumption that is not answered `Ok` does
    /// not act, unless it turns out to have been durable after `Unavailable`; and `Retired`, when any of its things is.
    pub async fn hold(&self, holding: StatusChange, single_use: Vec<SingleUse>) -> Result<(), CommitReason> {
        match holding.turn {
            Transition::Resume => self.change(Change::Holding(holding), single_use, Job::Resume, &self.shared.issues).await,
            Transition::Suspend | Transition::Retire => {
                self.change(Change::Holding(holding), single_use, Job::Change, &self.shared.deaths).await
            }
        }
    }

    async fn change(
        &self,
        change: Change,
        single_use: Vec<SingleUse>,
        job: fn(Unrecorded, Done) -> Job,
        places: &Arc<Semaphore>,
    ) -> Result<(), CommitReason> {
        if !change.fits() || single_use.len() > command::SINGLE_USE_MAX {
            return Err(CommitReason::TooLarge);
        }
        let (_of_client, _place) = (self.shared.clients.take(change.by())?, Some(place(places)?));
        let (to, answer) = oneshot::channel();
        let job = job(Unrecorded { change, acting: None, lives: Vec::new(), single_use, _of_client, _place }, to);
        self.jobs()?.send(job).map_err(|_| CommitReason::Unavailable)?;
        answer.await.map_err(|_| CommitReason::Unavailable)?
    }

    /// Spends what is single-use, at most 8 values, for a request that changes nothing else. When it returns `Ok`, they are spent
    /// durably, and every death that acted before is durable too; with no values it only waits for that.
    ///
    /// # Errors
    /// See [`CommitReason`]; after `Unavailable` the values may be spent.
    pub async fn spend(&self, single_use: Vec<SingleUse>) -> Result<(), CommitReason> {
        if single_use.len() > command::SINGLE_USE_MAX {
            return Err(CommitReason::TooLarge);
        }
        let place = place(&self.shared.issues)?;
        let (to, answer) = oneshot::channel();
        let job = Job::Spend(Spending { single_use, _place: place }, to);
        self.jobs()?.send(job).map_err(|_| CommitReason::Unavailable)?;
        answer.await.map_err(|_| CommitReason::Unavailable)?
    }

    /// Takes a heartbeat of a task, and spends what is single-use, at most 8 values: both or neither. When it returns `Ok`, the
    /// task has its time, durably.
    ///
    /// # Errors
    /// `Died` when it is over; see [`CommitReason`].
    pub async fn beat(&self, task: GenerationKey, single_use: Vec<SingleUse>) -> Result<(), CommitReason> {
        if single_use.len() > command::SINGLE_USE_MAX {
            return Err(CommitReason::TooLarge);
        }
        let place = place(&self.shared.issues)?;
        let (to, answer) = oneshot::channel();
        let job = Job::Beat(task, Spending { single_use, _place: place }, to);
        self.jobs()?.send(job).map_err(|_| CommitReason::Unavailable)?;
        answer.await.map_err(|_| CommitReason::Unavailable)?
    }

    /// Whether the store takes records now, as far as the writer has found out.
    pub fn is_available(&self) -> bool {
        !self.shared.closing.load(Ordering::SeqCst) && !self.shared.mirror.is_stuck()
    }

    /// The state as the checks see it.
    pub fn state(&self) -> Arc<State> {
        Arc::clone(&self.shared.mirror)
    }

    /// The status lists.
    pub fn register(&self) -> &Arc<StatusLists> {
        &self.shared.register
    }

    /// What was in force when a configuration was last taken up; none before one ever was.
    pub fn in_force(&self) -> Option<BTreeSet<ConfiguredPrincipal>> {
        self.shared.register.in_force()
    }

    /// Remembers what is in force from now on, durably when it returns `Ok`.
    ///
    /// # Errors
    /// `Unavailable`: it may be remembered or not.
    pub async fn remember(&self, in_force: BTreeSet<ConfiguredPrincipal>) -> Result<(), CommitReason> {
        let (to, answer) = oneshot::channel();
        self.jobs()?.send(Job::Remember(in_force, to)).map_err(|_| CommitReason::Unavailable)?;
        answer.await.map_err(|_| CommitReason::Unavailable)?
    }

    /// How far the store is known to be durable.
    pub fn durable(&self) -> Durable {
        self.shared.durable.clone()
    }

    /// Refuses whatever comes from now on, finishes what waits, closes the store.
    pub async fn close(&self) {
        let (to, closed) = oneshot::channel();
        let sent = self.jobs().is_ok_and(|jobs| jobs.send(Job::Close(to)).is_ok());
        self.shared.closing.store(true, Ordering::SeqCst);
        if sent {
            let _gone = closed.await;
        }
    }

    fn jobs(&self) -> Result<Sender<Job>, CommitReason> {
        if self.shared.closing.load(Ordering::SeqCst) {
            return Err(CommitReason::Unavailable);
        }
        Ok(self.shared.jobs.clone())
    }
}

fn place(places: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, CommitReason> {
    Arc::clone(places).try_acquire_owned().map_err(|_| CommitReason::Busy)
}
