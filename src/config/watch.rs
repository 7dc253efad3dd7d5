//! Hot reload: files become a configuration when they rest, whole and valid, and whatever they would end had time to come back.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

use super::build::Config;
use super::candidate::{
    CandidateBoard, CandidateReport, CandidateState, ChangedBy, StartState, Succession, TakeOutcome, seconds,
};
use super::look::{Fingerprint, KeptFiles};
use super::settings::Settings;
use super::{Loaded, Sources, key_lists};
use crate::crypto::Digest;
use crate::diagnostic::Diagnostics;

/// The longest time between two looks at the files, and the shortest.
const PERIOD: [Duration; 2] = [Duration::from_secs(1), Duration::from_millis(10)];

/// Puts configurations in force. Its functions run on a thread that may block.
pub trait Successor: Send + 'static {
    /// The difference that `config` would make.
    fn weigh(&self, config: &Config) -> Succession;

    /// Puts `config` in force, whose digest is `digest`; where that cannot be it logs why.
    fn take(&self, config: Config, digest: Digest, by: ChangedBy) -> TakeOutcome;

    /// True where something can be recorded now.
    fn records(&self) -> bool;

    /// Takes up other keys for the configuration that is in force.
    fn rekey(&self, config: Config);

    /// Logs why a configuration cannot be used.
    fn refuse(&self, why: &Diagnostics);
}

/// Looks at all files that make a configuration, and hands it on.
pub struct ConfigurationWatch<S> {
    sources: Sources,
    successor: S,
    board: Arc<CandidateBoard>,
    in_force: Option<InForce>,
    candidate: Option<Candidate>,
    /// The lists of keys, which others write at once.
    keys: Fingerprint,
    settle: [Duration; 2],
    /// By SIGHUP, or for a start that was not recorded: what is on disk is taken, also where nothing has changed.
    asked: bool,
    /// Something was written during the last look, which says nothing therefore.
    void: bool,
}

/// The files of the configuration in force.
struct InForce {
    fingerprint: Fingerprint,
    kept: KeptFiles,
}

/// A configuration that waits.
struct Candidate {
    fingerprint: Fingerprint,
    kept: KeptFiles,
    digest: Digest,
    /// None once it could not be put in force.
    config: Option<Result<Config, Diagnostics>>,
    succession: Succession,
    /// It reads fewer files than the one in force.
    loses: bool,
    /// It was taken, and nothing could be recorded.
    unrecorded: bool,
    since: Duration,
    told: Option<CandidateState>,
}

impl<S: Successor> ConfigurationWatch<S> {
    /// Goes on from the files `kept` and `settings` of a start. What is not in force waits since the time 0.
    pub fn new(
        sources: Sources,
        successor: S,
        board: Arc<CandidateBoard>,
        (kept, settings): (&KeptFiles, &Settings),
        start: StartState,
    ) -> Self {
        let (keys, settle) = (Fingerprint::of_files(key_lists(settings)), [settings.files.settle, settings.files.settle_ends]);
        let (in_force, candidate, asked, void) = (None, None, start == StartState::Unrecorded, false);
        let mut watch = Self { sources, successor, board, in_force, candidate, keys, settle, asked, void };
        match start {
            StartState::Waits => watch.wait(watch.sources.load_kept(kept), Duration::ZERO),
            _ => watch.in_force = Some(InForce { fingerprint: kept.fingerprint(), kept: kept.clone() }),
        }
        watch
    }

    /// Looks once, at the time `now` since the start; `asked` by SIGHUP.
    pub fn look(&mut self, now: Duration, asked: bool) {
        self.rekey();
        if asked {
            tracing::info!("the configuration is read again; it is put in force once its files rest");
        }
        self.asked |= asked;
        if asked || self.has_changed() {
            self.read(now);
        }
        self.decide(now);
    }

    /// Keys are taken up at once, whatever the other files are about: with the files that are in force.
    fn rekey(&mut self) {
        let now = self.keys.again();
        if now.says_the_same_as(&self.keys) {
            return;
        }
        self.keys = now;
        let Some(in_force) = &self.in_force else { return };
        match self.sources.load_kept(&in_force.kept).config {
            Ok(config) => self.successor.rekey(config),
            Err(why) => self.successor.refuse(&why),
        }
    }

    /// Whatever is written again begins to wait anew.
    fn has_changed(&self) -> bool {
        match (&self.candidate, &self.in_force) {
            (Some(candidate), _) => candidate.fingerprint.again() != candidate.fingerprint,
            (None, Some(_)) if self.asked || self.void => true,
            (None, Some(in_force)) => !in_force.fingerprint.again().says_the_same_as(&in_force.fingerprint),
            (None, None) => true,
        }
    }

    fn read(&mut self, now: Duration) {
        let before = self.candidate.take();
        let loaded = self.sources.load();
        self.void = !loaded.is_whole();
        if self.void {
            return;
        }
        let back = self.in_force.as_ref().is_some_and(|in_force| in_force.fingerprint.says_the_same_as(&loaded.fingerprint));
        if !back || self.asked {
            return self.wait(loaded, now);
        }
        if before.is_some_and(|before| before.told.is_some()) {
            tracing::info!("the files are again those of the configuration in force: nothing changes");
        }
        self.board.clear();
    }

    fn wait(&mut self, loaded: Loaded, now: Duration) {
        let succession = loaded.config.as_ref().map(|config| self.successor.weigh(config)).unwrap_or_default();
        let lost = self.in_force.iter().flat_map(|in_force| in_force.fingerprint.lost_in(&loaded.fingerprint)).next();
        let loses = lost.is_some();
        let Loaded { config, kept, fingerprint, digest } = loaded;
        let config = Some(config);
        let (unrecorded, told) = (false, None);
        self.candidate = Some(Candidate { fingerprint, kept, digest, config, succession, loses, unrecorded, since: now, told });
    }

    /// Takes the configuration that waits, or says what it waits for.
    fn decide(&mut self, now: Duration) {
        let Some(candidate) = &mut self.candidate else { return };
        let accepted = self.board.is_accepted(&candidate.digest);
        let (state, left) = candidate.state(now, self.settle);
        let left = if accepted && candidate.is_usable() { Some(Duration::ZERO) } else { left };
        if left != Some(Duration::ZERO) {
            candidate.tell(state, left, &self.successor);
            return self.board.show(candidate.report(state, left));
        }
        if candidate.unrecorded && !self.successor.records() {
            return self.board.show(candidate.report(CandidateState::Unrecorded, None));
        }
        self.take(if accepted { ChangedBy::Operator } else { ChangedBy::Files });
    }

    /// Takes the configuration that waits. One that could not be recorded is kept as it was read, and taken again.
    fn take(&mut self, by: ChangedBy) {
        let Some(mut candidate) = self.candidate.take() else { return };
        let Some(Ok(config)) = candidate.config.take() else { return };
        let settle = [config.settings.files.settle, config.settings.files.settle_ends];
        match self.successor.take(config, candidate.digest, by) {
            TakeOutcome::InForce => {
                (self.asked, self.settle) = (false, settle);
                self.in_force = Some(InForce { fingerprint: candidate.fingerprint, kept: candidate.kept });
                return self.board.serve(candidate.digest);
            }
            TakeOutcome::Unrecorded => {
                candidate.unrecorded = true;
                candidate.config = Some(self.sources.load_kept(&candidate.kept).config);
                self.board.show(candidate.report(CandidateState::Unrecorded, None));
            }
            TakeOutcome::Refused => {
                self.asked = false;
                self.board.show(candidate.report(CandidateState::Unusable, None));
            }
        }
        self.candidate = Some(candidate);
    }
}

impl Candidate {
    fn is_usable(&self) -> bool {
        matches!(self.config, Some(Ok(_)))
    }

    /// What it waits for at `now`, and for how long; for ever where nothing is said.
    fn state(&self, now: Duration, [settle, ends]: [Duration; 2]) -> (CandidateState, Option<Duration>) {
        let rested = now.saturating_sub(self.since);
        let ends = if self.loses || !self.succession.ends.is_empty() { ends } else { Duration::ZERO };
        let by_itself = self.is_usable() && !self.succession.needs_acceptance;
        let left = by_itself.then_some((settle + ends).saturating_sub(rested));
        match &self.config {
            None => (CandidateState::Unusable, None),
            _ if rested < settle => (CandidateState::Settling, left),
            Some(Err(_)) => (CandidateState::Unusable, None),
            Some(Ok(_)) if self.succession.needs_acceptance => (CandidateState::NeedsAcceptance, None),
            Some(Ok(_)) => (CandidateState::EndsWait, left),
        }
    }

    /// Logs what it waits for, once.
    fn tell(&mut self, state: CandidateState, left: Option<Duration>, successor: &impl Successor) {
        if self.told == Some(state) {
            return;
        }
        let (digest, ends, left) = (self.digest, &self.succession, left.map_or(0, seconds));
        match (state, &self.config) {
            (CandidateState::Settling | CandidateState::Unrecorded, _) => return,
            (CandidateState::Unusable, Some(Err(why))) => successor.refuse(why),
            (CandidateState::Unusable, _) => {}
            (CandidateState::EndsWait, _) if ends.ends.is_empty() => {
                tracing::warn!(%digest, "fewer files are read than before; in {left} s that counts, unless they come back");
            }
            (CandidateState::EndsWait, _) => tracing::warn!(
                %digest,
                "in {left} s the changed configuration ends everything of: {ends}; until then it can be undone, and \
                 `countersign config accept` takes it at once"
            ),
            (CandidateState::NeedsAcceptance, _) => tracing::error!(
                %digest,
                "the changed configuration is not used, for it ends everything of: {ends}; undo it, or say \
                 `countersign config accept`"
            ),
        }
        self.told = Some(state);
    }

    fn report(&self, state: CandidateState, left: Option<Duration>) -> CandidateReport {
        let Succession { comes, ends, .. } = self.succession.clone();
        CandidateReport { digest: self.digest, state, comes, ends, in_force_in: left.map(seconds) }
    }
}

/// Looks again and again: at once on SIGHUP and when a configuration is accepted. Never returns.
pub async fn watch<S: Successor>(watch: ConfigurationWatch<S>) {
    let (start, board) = (Instant::now(), Arc::clone(&watch.board));
    let mut ticks = interval((watch.settle[0] / 2).clamp(PERIOD[1], PERIOD[0]));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut hangups, watch) = (signal(SignalKind::hangup()).ok(), Arc::new(Mutex::new(watch)));
    loop {
        let asked = tokio::select! {
            _ = ticks.tick() => false,
            () = board.is_asked() => false,
            () = hangup(&mut hangups) => true,
        };
        let watch = Arc::clone(&watch);
        board.begin_look();
        let look = move || watch.lock().unwrap_or_else(PoisonError::into_inner).look(start.elapsed(), asked);
        let _panicked = tokio::task::spawn_blocking(look).await;
        board.end_look();
    }
}

/// The next SIGHUP; never comes on a system without signals.
async fn hangup(hangups: &mut Option<tokio::signal::unix::Signal>) {
    match hangups {
        Some(hangups) => drop(hangups.recv().await),
        None => std::future::pending().await,
    }
}
