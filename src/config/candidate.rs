//! A configuration that may come into force: what it would bring and end, what it waits for, and whether an operator accepted it.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{Notify, watch};

use crate::crypto::Digest;

/// The difference that a configuration makes to what is in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Succession {
    /// Whom it brings into force, in words.
    pub comes: Vec<String>,
    /// Whose tokens it ends, in words.
    pub ends: Vec<String>,
    /// It ends so much that somebody has to accept it.
    pub needs_acceptance: bool,
}

impl Succession {
    /// The same, where records were lost: whoever accepts it says that it is right without them.
    #[must_use]
    pub fn held(mut self) -> Self {
        self.ends.push("what lost records said of agents, rules and APIs (held since the restore)".to_owned());
        Self { needs_acceptance: true, ..self }
    }
}

/// The party by which a configuration came into force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangedBy {
    /// Whoever wrote the files.
    Files,
    /// An operator who accepted it.
    Operator,
}

/// The configuration of a start, as the watch over its files finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartState {
    /// It is in force.
    InForce,
    /// It is in force for requests, but could not be recorded: then nothing is issued either.
    Unrecorded,
    /// It would end something, and waits. Nobody is served.
    Waits,
}

/// The end of an attempt to put a configuration in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakeOutcome {
    /// It is in force.
    InForce,
    /// It is not, for nothing can be recorded now.
    Unrecorded,
    /// It cannot be put in force.
    Refused,
}

/// The reason why a configuration on disk is not in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CandidateState {
    /// It was written just now.
    Settling,
    /// It would end something, and could be undone yet.
    EndsWait,
    /// It would end so much that an operator has to accept it.
    NeedsAcceptance,
    /// It is taken up as soon as the store takes records and the clock is believed.
    Unrecorded,
    /// There are mistakes in it, or it could not be put in force.
    Unusable,
}

/// A configuration that waits, for operators to see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CandidateReport {
    /// Its digest, by which it is accepted.
    #[serde(serialize_with = "text")]
    pub digest: Digest,
    /// Why it is not in force.
    pub state: CandidateState,
    /// Whom it brings into force, in words.
    pub comes: Vec<String>,
    /// Whose tokens it ends, in words.
    pub ends: Vec<String>,
    /// The seconds until it is taken up if nothing is written meanwhile; none where that does not happen by itself.
    pub in_force_in: Option<u64>,
}

/// The configuration that waits, and the one that an operator accepted. Shared by who looks at the files and who answers.
#[derive(Debug, Default)]
pub struct CandidateBoard {
    state: Mutex<BoardState>,
    asked: Notify,
    refuses: AtomicBool,
    looks: watch::Sender<Looks>,
}

/// How many looks at the files began, and which of them ended last.
#[derive(Clone, Copy, Debug, Default)]
struct Looks {
    begun: u64,
    ended: u64,
}

#[derive(Debug, Default)]
struct BoardState {
    shown: Option<CandidateReport>,
    accepted: Option<Digest>,
    /// The one that was put in force last.
    in_force: Option<Digest>,
}

impl CandidateBoard {
    /// The configuration that waits; none where that in force is the one on disk.
    pub fn shown(&self) -> Option<CandidateReport> {
        self.lock().shown.clone()
    }

    /// The same, by a look at the files that begins after this call. Resolves only while somebody looks.
    pub async fn look(&self) -> Option<CandidateReport> {
        let mut looks = self.looks.subscribe();
        let next = looks.borrow().begun + 1;
        self.asked.notify_one();
        // No error comes: the board is there as long as whoever asks it.
        let _ended = looks.wait_for(|looks| looks.ended >= next).await;
        self.shown()
    }

    /// Accepts the configuration with this digest. False where another one waits, or none.
    pub fn accept(&self, digest: Digest) -> bool {
        let mut state = self.lock();
        let waits = state.shown.as_ref().is_some_and(|shown| shown.digest == digest);
        if waits {
            state.accepted = Some(digest);
            self.asked.notify_one();
        }
        waits
    }

    /// True where the configuration with this digest is the one that was put in force last.
    pub fn is_in_force(&self, digest: &Digest) -> bool {
        self.lock().in_force.as_ref() == Some(digest)
    }

    /// True before any configuration is in force: then nobody is served.
    pub fn refuses(&self) -> bool {
        self.refuses.load(Ordering::SeqCst)
    }

    /// Nobody is served until a configuration is in force.
    pub fn refuse(&self) {
        self.refuses.store(true, Ordering::SeqCst);
    }

    /// Shows the configuration that waits. If another one was accepted, it is not any more: it was written over.
    pub(super) fn show(&self, report: CandidateReport) {
        let mut state = self.lock();
        state.accepted.take_if(|accepted| *accepted != report.digest);
        state.shown = Some(report);
    }

    /// The configuration that waited waits no more.
    pub(super) fn clear(&self) {
        let mut state = self.lock();
        (state.shown, state.accepted) = (None, None);
    }

    /// The configuration with this digest is in force.
    pub(super) fn serve(&self, digest: Digest) {
        *self.lock() = BoardState { in_force: Some(digest), ..BoardState::default() };
        self.refuses.store(false, Ordering::SeqCst);
    }

    /// True where the configuration with this digest was accepted.
    pub(super) fn is_accepted(&self, digest: &Digest) -> bool {
        self.lock().accepted.as_ref() == Some(digest)
    }

    /// Resolves when one is accepted, or somebody asks what waits.
    pub(super) async fn is_asked(&self) {
        self.asked.notified().await;
    }

    /// Says that a look at the files begins.
    pub(super) fn begin_look(&self) {
        self.looks.send_modify(|looks| looks.begun += 1);
    }

    /// Says that the look that began last is over.
    pub(super) fn end_look(&self) {
        self.looks.send_modify(|looks| looks.ended = looks.begun);
    }

    fn lock(&self) -> MutexGuard<'_, BoardState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ChangedBy {
    /// The name that records give it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Operator => "ops",
        }
    }
}

impl CandidateState {
    /// Every one.
    pub const ALL: [Self; 5] = [Self::Settling, Self::EndsWait, Self::NeedsAcceptance, Self::Unrecorded, Self::Unusable];

    /// The name that metrics give it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Settling => "settling",
            Self::EndsWait => "ends_wait",
            Self::NeedsAcceptance => "needs_acceptance",
            Self::Unrecorded => "unrecorded",
            Self::Unusable => "unusable",
        }
    }
}

impl fmt::Display for Succession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let few: Vec<&str> = self.ends.iter().take(8).map(String::as_str).collect();
        let more = self.ends.len().saturating_sub(few.len());
        match more {
            0 => write!(f, "{}", few.join(", ")),
            more => write!(f, "{}, and {more} more", few.join(", ")),
        }
    }
}

/// Whole seconds, rounded up.
pub(super) fn seconds(time: Duration) -> u64 {
    time.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX)
}

fn text<S: serde::Serializer>(digest: &Digest, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(digest)
}
