//! The log and the one function that brings it up to the records.

use std::sync::Arc;

use super::kept::superfluous;
use super::pace::{bundles_of, give_way};
use super::parts::{LogKeys, LogParts, PublishedCheckpoint, SequencerReason};
use super::proving::{PAGE, Proving, VerifiedCheckpoints, page};
use crate::commit::contract::{LogStore, RecordReader, StoreReason, StoreTrimmer};
use crate::commit::receipt::Durable;
use crate::ledger::{Checkpoint, CheckpointReason, Edge, NoteReason, TILE_WIDTH, Tile, TileFile};

/// Entries between two checkpoints, at most, where there is much to catch up with.
const STRIDE: u64 = 65_536;

/// Tiles written at once, in bytes, about.
const FILES_BYTES_MAX: usize = 8 * 1024 * 1024;

/// After a failure to trim, so many turns pass before the next attempt.
const TURNS_PAST: u32 = 64;

/// Writes the log, and knows its state.
pub(super) struct LogWriter {
    records: Arc<dyn RecordReader>,
    durable: Durable,
    files: Arc<dyn LogStore>,
    keys: LogKeys,
    trimming: Trimming,
    /// None while that is unknown: at first, and after every failure.
    state: Option<LogState>,
}

/// Leaving to the published bundles what is in them.
struct Trimming {
    trimmer: Box<dyn StoreTrimmer>,
    /// The number of records that were left to them; none while that is unknown.
    trimmed: Option<u64>,
    /// Turns that are still to pass after a failure.
    past: u32,
}

impl Trimming {
    /// Takes some steps, as far as a published checkpoint over `size` records covers full bundles. Nothing depends on it but room
    /// on the disk, so that a failure is only told.
    fn advance(&mut self, size: u64) {
        if self.past > 0 {
            self.past -= 1;
        } else if let Err(reason) = self.step(size) {
            tracing::error!(cause = ?reason, "records are kept in the store that lie in the ledger too: {reason}");
            (self.trimmed, self.past) = (None, TURNS_PAST);
        }
    }

    fn step(&mut self, size: u64) -> Result<(), StoreReason> {
        let width = u64::from(TILE_WIDTH);
        let mut trimmed = self.trimmed.map_or_else(|| self.trimmer.trimmed(), Ok)?;
        for turn in bundles_of(size.saturating_sub(trimmed) / width) {
            give_way(turn);
            self.trimmer.trim(trimmed / width)?;
            trimmed += width;
        }
        self.trimmed = Some(trimmed);
        Ok(())
    }
}

/// The state of the log: verified, and written by nobody else since.
struct LogState {
    edge: Edge,
    /// As remembered apart from the files.
    swapped: Option<String>,
    published: Option<Arc<PublishedCheckpoint>>,
    /// Sizes of the kept checkpoints, in rising order.
    kept: Vec<u64>,
    /// Full tiles whose partial ones can go with the next checkpoint.
    replaced_by: Vec<Tile>,
}

impl LogWriter {
    pub(super) fn new(parts: LogParts) -> Self {
        let LogParts { records, durable, files, keys, trimmer, .. } = parts;
        let trimming = Trimming { trimmer, trimmed: None, past: 0 };
        Self { records, durable, files, keys, trimming, state: None }
    }

    pub(super) fn rekey(&mut self, keys: LogKeys) {
        self.keys = keys;
    }

    /// Brings the published log up to the durable records. Whatever failed before, it begins with finding out the state.
    pub(super) fn advance(&mut self) -> Result<Arc<PublishedCheckpoint>, SequencerReason> {
        self.recover()?;
        // Not put back after a failure: what is durable is then unknown.
        let Some(mut state) = self.state.take() else { return Err(nothing()) };
        loop {
            let records = self.durable.records();
            let due = state.edge.size() < records || !self.is_signed(&state);
            if due {
                let size = records.min(state.edge.size().saturating_add(STRIDE));
                self.grow(&mut state, size)?;
            }
            if state.edge.size() >= records {
                break;
            }
        }
        let published = state.published.clone().ok_or_else(nothing)?;
        self.state = Some(state);
        Ok(published)
    }

    /// Leaves published records to their bundles, some at a time.
    pub(super) fn trim(&mut self) {
        if let Some(published) = self.state.as_ref().and_then(|state| state.published.as_ref()) {
            self.trimming.advance(published.head.size());
        }
    }

    /// The records before `first` are pruned: checkpoints over fewer go with them.
    pub(super) fn pruned(&mut self, first: u64) {
        let Some(state) = &mut self.state else { return };
        let gone: Vec<u64> = state.kept.iter().copied().filter(|size| *size < first).collect();
        match self.files.tidy(&gone, &[]) {
            Ok(()) => state.kept.retain(|size| *size >= first),
            Err(reason) => tracing::warn!(cause = ?reason, "checkpoints of pruned records were left lying"),
        }
    }

    /// Finds out the state of the log, unless it is known: signed checkpoints are believed, the files lead to the newest,
    /// the records are those that were signed. Files that do not are made again from the records, if those do.
    pub(super) fn recover(&mut self) -> Result<Option<Arc<PublishedCheckpoint>>, SequencerReason> {
        let state = match self.state.take() {
            Some(state) => state,
            None => self.found()?,
        };
        let published = state.published.clone();
        self.state = Some(state);
        Ok(published)
    }

    fn found(&self) -> Result<LogState, SequencerReason> {
        let mut signed = self.files.signed()?;
        let first = self.records.first()?;
        // Those of fewer records than are kept are in the archive, and those of a log before bind this one to nothing.
        let goes = |(size, note): &mut (u64, String)| *size < first || self.keys.is_earlier(note);
        let earlier: Vec<u64> = signed.kept.extract_if(.., goes).map(|(size, _)| size).collect();
        if !earlier.is_empty() {
            self.files.tidy(&earlier, &[])?;
        }
        let heads = VerifiedCheckpoints::open(&signed, &self.keys)?;
        let proving = Proving { records: &*self.records, files: &*self.files, heads: &heads, first };
        let edge = proving.edge(self.durable.records())?;
        let mut state = LogState {
            edge,
            swapped: signed.swapped,
            published: None,
            kept: signed.kept.iter().map(|(size, _)| *size).collect(),
            replaced_by: Vec::new(),
        };
        state.kept.sort_unstable();
        // A crash may have come between the steps: whatever was signed last is now swapped and published.
        if let Some((head, note)) = heads.newest() {
            let published = signed.published.as_deref() == Some(note.as_str()) && state.kept.contains(&head.size());
            self.finish(&mut state, head, note, published)?;
        }
        Ok(state)
    }

    /// Tiles durable, then the checkpoint.
    fn grow(&self, state: &mut LogState, size: u64) -> Result<(), SequencerReason> {
        let mut files = Vec::new();
        while state.edge.size() < size {
            let limit = u32::try_from(size - state.edge.size()).unwrap_or(PAGE).min(PAGE);
            for stored in page(&*self.records, state.edge.size(), limit)? {
                state.edge.append(&stored.record).map_err(SequencerReason::Entry)?;
            }
            files.append(&mut state.edge.take_full());
            // Many at once, for each folder is flushed once; not more than memory is to hold.
            if files.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() >= FILES_BYTES_MAX {
                self.write(state, &std::mem::take(&mut files))?;
            }
        }
        files.append(&mut state.edge.take());
        self.write(state, &files)?;
        let head = Checkpoint::new(self.keys.origin.clone(), state.edge.size(), state.edge.root());
        let signers: Vec<_> = self.keys.signers.iter().collect();
        let note = head.sign(&signers).map_err(SequencerReason::Sign)?;
        self.finish(state, &head, &note, false)
    }

    fn write(&self, state: &mut LogState, files: &[TileFile]) -> Result<(), SequencerReason> {
        state.replaced_by.extend(files.iter().map(|(tile, _)| *tile).filter(Tile::is_full));
        if files.is_empty() { Ok(()) } else { Ok(self.files.write(files)?) }
    }

    /// Swapped, then published, as far as that was not done before.
    fn finish(&self, state: &mut LogState, head: &Checkpoint, note: &str, published: bool) -> Result<(), SequencerReason> {
        if state.swapped.as_deref() != Some(note) {
            self.files.swap(state.swapped.as_deref(), note)?;
            state.swapped = Some(note.to_owned());
        }
        if !published {
            self.files.publish(head.size(), note)?;
            if state.kept.last() != Some(&head.size()) {
                state.kept.push(head.size());
            }
            self.tidy(state);
        }
        state.published = Some(Arc::new(PublishedCheckpoint { head: head.clone(), note: note.to_owned() }));
        Ok(())
    }

    /// Removes files that are not needed any more; those that stay do no harm.
    fn tidy(&self, state: &mut LogState) {
        let gone = superfluous(&state.kept);
        let replaced_by = std::mem::take(&mut state.replaced_by);
        if gone.is_empty() && replaced_by.is_empty() {
            return;
        }
        match self.files.tidy(&gone, &replaced_by) {
            Ok(()) => state.kept.retain(|size| !gone.contains(size)),
            Err(reason) => tracing::warn!(cause = ?reason, "what the ledger no longer needs was left lying"),
        }
    }

    /// True where the published checkpoint bears the signatures of all present signers.
    fn is_signed(&self, state: &LogState) -> bool {
        let Some(published) = &state.published else { return false };
        let by = |known| Checkpoint::open(&published.note, &self.keys.origin, &[known]).is_ok();
        self.keys.signers.iter().all(|signer| signer.verifier().is_ok_and(by))
    }
}

/// Not reached: a log that was brought up to the records has a checkpoint.
fn nothing() -> SequencerReason {
    SequencerReason::Sign(CheckpointReason::Note(NoteReason::Unsigned))
}
