//! How long records are kept: what is old enough and archived is recorded as pruned, and then removed, a few bundles at a time;
//! personal values go by their age alone. All of it may be broken off anywhere, and is gone on with.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::pace::{bundles_of, give_way};
use crate::commit::contract::{RecordReader, Select, StorePruner, StoreReason};
use crate::commit::handle::Commit;
use crate::commit::retained::RecordedArchive;
use crate::commit::snapshot::ArchivedState;
use crate::commit::state::State;
use crate::ledger::TILE_WIDTH;
use crate::oauth::{Clock, Time, Txn};

const WIDTH: u64 = TILE_WIDTH as u64;

/// Bundles whose files are removed at once.
const SWEPT_MAX: u64 = 64;

/// Records whose disclosures are looked at in one transaction, and such transactions in one turn.
const FORGOTTEN_MAX: u32 = 256;
const FORGOTTEN_TURNS: u64 = 16;

/// So many bundles are recorded as pruned at once, or whatever there is after this time: a record for each would be too many.
const BUNDLES: u64 = 64;
const PAUSE: Duration = Duration::from_hours(1);

/// It is told once in this time that nothing was archived.
const TOLD: Duration = Duration::from_hours(24);

/// After a failure so many turns pass before the next attempt.
const TURNS_PAST: u32 = 64;

/// Everything that decides how long records are kept.
pub struct RetentionParts {
    /// The time for which they are; none for ever.
    pub keep: Option<Duration>,
    /// Records what is pruned, and knows what is held and archived.
    pub commit: Commit,
    /// The records.
    pub records: Arc<dyn RecordReader>,
    /// Removes them.
    pub pruner: Box<dyn StorePruner>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// The work of keeping no longer than that.
pub(super) struct Retention {
    parts: RetentionParts,
    state: Arc<State>,
    /// The transactions that were held when it was last looked what stays for them; none before that.
    held: Option<BTreeSet<Txn>>,
    /// The disclosures of the records before this index were looked at.
    forgotten: u64,
    /// When pruning was last recorded.
    recorded: Option<Time>,
    told: Option<Time>,
    /// The index of the archived state that was proved.
    proved: Option<u64>,
    past: u32,
}

impl Retention {
    pub(super) fn new(parts: RetentionParts) -> Self {
        let state = parts.commit.state();
        let (held, recorded, told, proved) = Default::default();
        Self { parts, state, held, forgotten: 0, recorded, told, proved, past: 0 }
    }

    /// Takes some steps. Returns the index of the first record that is kept; none after a failure, on which nothing depends but
    /// room on the disk.
    pub(super) fn turn(&mut self) -> Option<u64> {
        if self.past > 0 {
            self.past -= 1;
            return None;
        }
        match self.step() {
            Ok(first) => Some(first),
            Err(reason) => {
                tracing::error!(cause = ?reason, "records are kept for longer than they have to be: {reason}");
                (self.held, self.past) = (None, TURNS_PAST);
                None
            }
        }
    }

    fn step(&mut self) -> Result<u64, StoreReason> {
        let (recorded, state) = (self.state.retention(), Arc::clone(&self.state));
        let is_held = move |txn: &Txn| state.is_held_back(txn);
        let mut first = self.parts.pruner.first()?;
        for turn in bundles_of(recorded.first.saturating_sub(first) / WIDTH) {
            give_way(turn);
            self.parts.pruner.prune(&is_held)?;
            first += WIDTH;
        }
        let held: BTreeSet<Txn> = recorded.holds.into_keys().collect();
        if self.held.as_ref() != Some(&held) {
            self.parts.pruner.release(&is_held)?;
            (self.held, self.forgotten) = (Some(held), 0);
        }
        self.parts.pruner.sweep(SWEPT_MAX)?;
        if let Some(keep) = self.parts.keep
            && self.parts.clock.doubt().is_none()
        {
            let now = self.parts.clock.now();
            let until = now.before(keep);
            for turn in 0..FORGOTTEN_TURNS {
                give_way(turn);
                let next = self.parts.pruner.forget(self.forgotten, FORGOTTEN_MAX, until, &is_held)?;
                self.forgotten = next.unwrap_or(0);
                if next.is_none() {
                    break;
                }
            }
            if first == recorded.first {
                self.record(first, recorded.archive, (now, until))?;
            }
            self.tell(recorded.archive, keep, now)?;
        }
        Ok(first)
    }

    /// Records that everything is pruned that was committed by `until` and is archived.
    fn record(&mut self, first: u64, archive: Option<RecordedArchive>, (now, until): (Time, Time)) -> Result<(), StoreReason> {
        let Some(archive) = archive else { return Ok(()) };
        // Until everything that is archived is left to its bundle, less would be pruned than may be.
        if archive.covers() <= first || self.parts.pruner.time_of(archive.covers() - 1)?.is_none() {
            return Ok(());
        }
        let Some(target) = self.target(first, archive.covers(), until)? else { return Ok(()) };
        let lately = self.recorded.is_some_and(|recorded| now.since(recorded) < PAUSE);
        if lately && target - first < BUNDLES * WIDTH {
            return Ok(());
        }
        self.prove(&archive)?;
        self.parts.commit.prune(target).map_err(|reason| StoreReason::Failed(Box::new(reason)))?;
        tracing::info!(from = first, to = target, "records that are old enough and archived are pruned");
        self.recorded = Some(now);
        Ok(())
    }

    /// The index before which everything may go. Whatever was committed before a record is no younger than it, also where a clock
    /// was ahead; so records are looked at that lie ever farther apart.
    fn target(&mut self, first: u64, covers: u64, until: Time) -> Result<Option<u64>, StoreReason> {
        let mut target = first;
        loop {
            let (mut farther, mut step) = (target, WIDTH);
            while target.saturating_add(step) <= covers {
                if self.parts.pruner.time_of(target + step - 1)?.is_some_and(|at| at <= until) {
                    farther = target + step;
                }
                step = step.saturating_mul(2);
            }
            if farther == target {
                return Ok(Some(target).filter(|target| *target > first));
            }
            target = farther;
        }
    }

    /// The archived state, without which the records that are kept lead to nothing, lies beside the log and is the one that its
    /// record names.
    fn prove(&mut self, archive: &RecordedArchive) -> Result<(), StoreReason> {
        let index = archive.snapshot;
        if self.proved == Some(index) {
            return Ok(());
        }
        let lost = || StoreReason::Corrupt("the archived state in ledger/state is lost; archive again");
        let bytes = self.parts.pruner.archived_state(index)?.ok_or_else(lost)?;
        let page = self.parts.records.records(Select::All, index, 1)?;
        let stored = page.first().filter(|stored| stored.index == index).ok_or_else(lost)?;
        ArchivedState::proved(index, &bytes, &stored.record)?;
        self.proved = Some(index);
        Ok(())
    }

    /// Says once a day that nothing is pruned because nothing was archived for as long as records are kept.
    fn tell(&mut self, archive: Option<RecordedArchive>, keep: Duration, now: Time) -> Result<(), StoreReason> {
        if self.told.is_some_and(|told| now.since(told) < TOLD) {
            return Ok(());
        }
        self.told = Some(now);
        let since = match archive {
            Some(archive) => Some(archive.at()),
            None => self.parts.records.records(Select::All, 0, 1)?.first().map(|stored| stored.at),
        };
        let behind = since.map_or(Duration::ZERO, |since| now.since(since));
        if behind > keep {
            let days = behind.as_secs() / TOLD.as_secs();
            tracing::warn!(
                days,
                "nothing was archived for longer than `keep` of [ledger], so nothing is pruned: countersign archive"
            );
        }
        Ok(())
    }
}
