//! Starting, and starting again after the store failed: one and the same path, by which the records lead to the state.

use std::collections::HashMap;
use std::time::Instant;

use super::{Writer, WriterParts};
use crate::commit::change::PendingChange;
use crate::commit::command::{CommitCommand, UncertainBatch, WriterMemory};
use crate::commit::commands::AdoptCommand;
use crate::commit::contract::{
    Batch, CommitStore, EarlierState, LearnedChanges, Recovered, StoreReason, Stored, StoredCheckpoint,
};
use crate::commit::effect::Effect;
use crate::commit::fold::Fold;
use crate::commit::fold_reason::FoldReason;
use crate::commit::named_fold::explain;
use crate::commit::tasks::{self, TermsSealer};
use crate::ledger::record::{Kind, Record};
use crate::lifecycle::{GenerationState, TaskTerms};
use crate::oauth::{GenerationKey, Time};

/// So many of the newest records are read again at a start, at least.
const NEWEST: u64 = 64;

/// The store as it was read.
struct Reread {
    recovered: Recovered,
    fold: Fold,
    /// The index and the time of the newest checkpoint's record.
    checkpoint: (u64, Time),
    newest: Time,
    /// The uncertain batch is among the records.
    landed: bool,
    /// A program of before kept the state.
    adopts: bool,
}

impl Writer {
    /// Opens the store, verifies it, and loads what the checks need.
    ///
    /// # Errors
    /// See [`StoreReason`].
    pub(in crate::commit) fn start(parts: WriterParts) -> Result<Self, StoreReason> {
        let WriterParts { mut store, clock, limits, messages, mut memory, durable, listed } = parts;
        let mut read = reread(&mut *store, &UncertainBatch::default())?;
        // Another key would read everything below as damaged.
        read.fold.state.require_keys(&listed)?;
        memory.keys.admit(&mut *store)?;
        let (next, checkpoint) = (read.recovered.count, read.checkpoint);
        clock.begin(read.newest);
        let earlier = read.recovered.earlier.take();
        if earlier.is_some() && clock.doubt().is_some() {
            return Err(StoreReason::ClockDoubted);
        }
        let adoption = earlier.map(|earlier| adoption(*earlier, &read.fold, &memory)).transpose()?;
        memory.load(read, &mut [])?;
        durable.set(next);
        let (turns, pending, failed, closing, behind) = Default::default();
        let mut writer =
            Self { store, clock, limits, messages, turns, memory, next, checkpoint, durable, pending, failed, closing, behind };
        if let Some(adoption) = adoption {
            writer.write_all(vec![Box::new(adoption)]);
            if writer.failed.is_some() || writer.next == next {
                return Err(StoreReason::Failed("what a version of before kept could not be taken up".into()));
            }
            tracing::info!(records = next, "the data folder of an earlier version was taken up, and this is recorded");
        }
        Ok(writer)
    }

    /// The batch may or may not be durable: nobody gets a receipt, and nothing more is committed until that is known.
    pub(super) fn fail(&mut self, batch: &Batch, staged: Vec<Box<dyn CommitCommand>>, failure: &StoreReason) {
        tracing::error!(cause = ?failure, "the store failed, so nothing is issued until it has recovered");
        self.memory.keys.clear();
        let last = batch.rows.last().map(|row| (row.index, row.record.clone()));
        let places = batch.status.iter().map(|(_, row)| row.place).collect();
        let mut uncertain = UncertainBatch { last, places, ..UncertainBatch::default() };
        staged.into_iter().for_each(|command| command.fail(&mut uncertain));
        self.failed = Some((uncertain, Instant::now()));
    }

    pub(super) fn recover_when_due(&mut self) {
        if self.failed.as_ref().is_some_and(|(_, since)| since.elapsed() >= self.limits.retry) {
            self.recover_now();
        }
    }

    /// One attempt to bring the store back.
    pub(super) fn recover_now(&mut self) {
        let Some((mut uncertain, _)) = self.failed.take() else { return };
        match self.adopt(&mut uncertain) {
            Ok(()) => tracing::info!(records = self.next, "the store has recovered"),
            Err(failure) => {
                tracing::error!(cause = ?failure, "the store has not recovered yet");
                self.failed = Some((uncertain, Instant::now()));
            }
        }
    }

    /// Reads the store afresh. It must hold whatever was acknowledged, with or without the whole uncertain batch.
    fn adopt(&mut self, uncertain: &mut UncertainBatch) -> Result<(), StoreReason> {
        let read = reread(&mut *self.store, uncertain)?;
        if read.recovered.count < self.next {
            return Err(StoreReason::Corrupt("it does not hold what it acknowledged"));
        }
        let (landed, next, checkpoint) = (read.landed, read.recovered.count, read.checkpoint);
        let mut changes = Vec::new();
        if !landed {
            changes.append(&mut uncertain.lost.changes);
        }
        changes.append(&mut self.pending.changes);
        let loaded = self.memory.load(read, &mut changes);
        self.pending.changes = changes;
        loaded?;
        if !landed {
            self.memory.lists.release(&uncertain.places);
        }
        let withheld = if landed { &mut uncertain.hops } else { &mut uncertain.lost.withheld };
        self.pending.withheld.splice(0..0, withheld.drain(..));
        // Those that are recorded by now are passed over.
        self.pending.add_keys(std::mem::take(&mut uncertain.lost.keys));
        self.durable.set(next);
        (self.next, self.checkpoint) = (next, checkpoint);
        Ok(())
    }

    /// Takes up what others committed, as it follows from their records.
    ///
    /// # Errors
    /// `Corrupt` for a record that does not follow. `Failed` while changes act that are not recorded yet: they must come after.
    pub(super) fn learn(&mut self, since: LearnedChanges) -> Result<(), StoreReason> {
        let LearnedChanges { records, terms, unrecorded } = since;
        if !records.is_empty() && !self.pending.changes.is_empty() {
            return Err(StoreReason::Failed("others recorded something before what acts here already".into()));
        }
        let memory = &mut self.memory;
        let sealed: HashMap<u64, Vec<u8>> = terms.into_iter().collect();
        for stored in &records {
            let record = whole(stored)?;
            let effect = Effect::of(&record);
            if let Effect::Checkpoint { at, digest } = &effect {
                let (changes, _) = memory.state.checkpoint(*at);
                memory.hash.take(&changes);
                if memory.hash.digest() != *digest {
                    return Err(StoreReason::Diverged(FoldReason::Digest(stored.index).to_string()));
                }
                self.checkpoint = (stored.index, *at);
            }
            memory.apply(stored.index, &effect, stored.at);
            if let (Effect::Open(opening), Some(sealed)) = (&effect, sealed.get(&stored.index)) {
                let terms = memory.terms.open(opening.id, sealed).ok_or(StoreReason::Corrupt("the terms of a task"))?;
                memory.state.open(terms, stored.at);
            }
        }
        memory.sum.learn(&unrecorded);
        memory.replay.spend(&unrecorded.single_use, memory.state.floor());
        memory.state.take_beats(&unrecorded.beats);
        memory.lists.learn(unrecorded.status);
        Ok(())
    }
}

impl WriterMemory {
    /// Takes up the effect of the record at `index`, as it is committed at `at`.
    pub(in crate::commit) fn apply(&mut self, index: u64, effect: &Effect, at: Time) {
        self.state.apply(index, effect, at);
        if matches!(effect, Effect::Epoch { .. })
            && let Some(fence) = self.state.fence()
        {
            self.replay.begin_epoch(fence);
        }
    }

    /// Replaces everything by what the store holds. Changes that are `pending` act again.
    fn load(&mut self, read: Reread, pending: &mut [PendingChange]) -> Result<(), StoreReason> {
        let Reread { recovered, fold, newest, adopts, .. } = read;
        self.sum.load(&recovered.unrecorded, adopts || recovered.count == 0 && recovered.unrecorded.is_empty())?;
        let terms = if adopts { Vec::new() } else { terms_of(&fold, &recovered, &self.terms)? };
        let Fold { state, hash } = fold;
        self.hash = hash;
        self.replay.load(&recovered.unrecorded.single_use, state.fence());
        self.state.load(state, terms, &recovered.unrecorded.beats, pending, newest);
        self.lists.learn(recovered.unrecorded.status);
        Ok(())
    }
}

/// Opens the store, reads the records from the newest checkpoint on, and folds them.
fn reread(store: &mut dyn CommitStore, uncertain: &UncertainBatch) -> Result<Reread, StoreReason> {
    let recovered = store.open()?;
    let StoredCheckpoint { index, rows } = &recovered.checkpoint;
    if index.is_none() && !rows.is_empty() {
        return Err(StoreReason::Corrupt("the state has no checkpoint"));
    }
    // Else its tables, made anew, would keep the sum of what no record holds from being asked for.
    if index.is_some() && recovered.earlier.is_some() {
        return Err(StoreReason::Corrupt("what an earlier version kept lies beside a checkpoint of this one"));
    }
    let begins = index.unwrap_or(0);
    let Ok(mut fold) = Fold::of_rows(rows) else {
        return Err(StoreReason::Diverged(explain(store, recovered.first > 0, begins, rows)?));
    };
    let uncertain_from = uncertain.last.as_ref().map_or(u64::MAX, |(index, _)| *index);
    let from = begins.min(recovered.count.saturating_sub(NEWEST)).min(uncertain_from).max(recovered.first);
    let (mut next, mut newest, mut landed, mut checkpoint) = (from, Time::from_millis(0), false, (begins, Time::from_millis(0)));
    let mut differs = false;
    store.records(from, &mut |stored| {
        let record = whole(&stored)?;
        // An epoch alone goes back in time.
        if stored.index != next || stored.at < newest && record.kind() != Kind::Epoch {
            return Err(StoreReason::Corrupt("the order of the newest records"));
        }
        landed |= uncertain.last.as_ref().is_some_and(|(index, bytes)| *index == stored.index && *bytes == stored.record);
        (next, newest) = (next + 1, stored.at);
        let effect = Effect::of(&record);
        match effect {
            _ if stored.index < begins => Ok(()),
            Effect::Checkpoint { at, digest } if *index == Some(stored.index) => {
                checkpoint = (stored.index, at);
                differs = !fold.hash.digest().same_as(&digest);
                Ok(())
            }
            _ if differs => Ok(()),
            _ if *index == Some(stored.index) => Err(StoreReason::Corrupt("the checkpoint of the state")),
            Effect::Checkpoint { .. } => Err(StoreReason::Corrupt("the stored state is older than its newest checkpoint")),
            effect => fold.state.apply(stored.index, &effect).map_err(|reason| StoreReason::Diverged(reason.to_string())),
        }
    })?;
    if differs {
        return Err(StoreReason::Diverged(explain(store, recovered.first > 0, begins, rows)?));
    }
    if next != recovered.count || index.is_some_and(|index| index >= recovered.count) {
        return Err(StoreReason::Corrupt("the newest records are missing"));
    }
    if recovered.first > fold.state.retention().first {
        return Err(StoreReason::Corrupt("records were removed that are not recorded as pruned"));
    }
    let adopts = recovered.earlier.is_some();
    Ok(Reread { recovered, fold, checkpoint, newest, landed, adopts })
}

/// What is to be taken up of `earlier`. The records are the truth; where what was kept beside them differs, that is told.
fn adoption(earlier: EarlierState, fold: &Fold, memory: &WriterMemory) -> Result<AdoptCommand, StoreReason> {
    let EarlierState { generations, tasks, in_force } = earlier;
    let differs = |(key, kept): &&(GenerationKey, GenerationState)| {
        let recorded = fold.state.generation(key);
        (recorded.number, recorded.inactive) != (kept.number, kept.inactive)
    };
    let differing = generations.iter().filter(differs).count();
    if differing > 0 {
        tracing::warn!(differing, "the state that was kept is not what the records say; the records count");
    }
    let mut taken = Vec::new();
    for (key, kept) in tasks {
        let opened = memory.keys.open_task(key, &kept);
        let terms = tasks::earlier(key, opened.as_ref().map_or(&kept, |terms| &**terms));
        let terms = terms.ok_or(StoreReason::Corrupt("the terms of a task, unless root.key is another than before"))?;
        if let Some(index) = fold.state.task(&terms.id).map(|task| task.index) {
            taken.push((index, memory.terms.seal(terms).map_err(|reason| StoreReason::Failed(Box::new(reason)))?));
        }
    }
    Ok(AdoptCommand { in_force, tasks: taken })
}

/// The terms of every task that is remembered. Those of a task whose record names their digest must be just those.
fn terms_of(fold: &Fold, recovered: &Recovered, sealer: &TermsSealer) -> Result<Vec<TaskTerms>, StoreReason> {
    let sealed: HashMap<u64, &Vec<u8>> = recovered.terms.iter().map(|(index, sealed)| (*index, sealed)).collect();
    fold.state
        .tasks()
        .map(|(id, task)| {
            let sealed = sealed.get(&task.index).filter(|sealed| task.is_sealed_as(sealed));
            sealed
                .and_then(|sealed| sealer.open(*id, sealed))
                .ok_or(StoreReason::Corrupt("the terms of a task, unless state.key of the key folder is another than before"))
        })
        .collect()
}

/// The record, if it is one, and is stored for the hop and transaction that it is about.
fn whole(stored: &Stored) -> Result<Record<'_>, StoreReason> {
    let record = Record::parse(&stored.record).ok();
    let same = record.filter(|record| record.jti() == stored.jti && record.txn() == stored.txn);
    same.ok_or(StoreReason::Corrupt("one of the newest records"))
}
