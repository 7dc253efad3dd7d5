//! The log and the one function that brings it up to the records.

use std::sync::Arc;

use super::kept::superfluous;
use super::proving::{Heads, Proving};
use super::{LogKeys, LogParts, Published, SequencerReason};
use crate::commit::contract::{LogStore, RecordReader, Select, StoreReason, Stored};
use crate::commit::durable::Durable;
use crate::ledger::{Checkpoint, CheckpointReason, Edge, NoteReason, Tile, TileFile};

/// Records read at once.
pub(super) const PAGE: u32 = 1_024;

/// Entries between two checkpoints, at most, where there is much to catch up with.
const STRIDE: u64 = 65_536;

/// Tiles written at once, in bytes, about.
const FILES_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The log, and where it stands.
pub(super) struct Log {
    records: Arc<dyn RecordReader>,
    durable: Durable,
    files: Arc<dyn LogStore>,
    keys: LogKeys,
    /// Nothing while that is unknown: at first, and after every failure.
    standing: Option<LogState>,
}

/// Where the log stands: verified, and written by nobody else since.
struct LogState {
    edge: Edge,
    /// As remembered apart from the files.
    swapped: Option<String>,
    published: Option<Arc<Published>>,
    /// Sizes of the kept checkpoints, in rising order.
    kept: Vec<u64>,
    /// Full tiles whose partial ones can go with the next checkpoint.
    replaced_by: Vec<Tile>,
}

impl Log {
    pub(super) fn new(parts: LogParts) -> Self {
        let LogParts { records, durable, files, keys, .. } = parts;
        Self { records, durable, files, keys, standing: None }
    }

    pub(super) fn rekey(&mut self, keys: LogKeys) {
        self.keys = keys;
    }

    /// Brings the published log up to the durable records. Whatever failed before, it begins with finding out where it stands.
    pub(super) fn advance(&mut self) -> Result<Arc<Published>, SequencerReason> {
        self.recover()?;
        // Not put back after a failure: what is durable is then unknown.
        let Some(mut standing) = self.standing.take() else { return Err(nothing()) };
        loop {
            let records = self.durable.records();
            let due = standing.edge.size() < records || !self.is_signed(&standing);
            if due {
                let size = records.min(standing.edge.size().saturating_add(STRIDE));
                self.grow(&mut standing, size)?;
            }
            if standing.edge.size() >= records {
                break;
            }
        }
        let published = standing.published.clone().ok_or_else(nothing)?;
        self.standing = Some(standing);
        Ok(published)
    }

    /// Where the log stands is found out, unless it is known: signed checkpoints are believed, the files lead to the newest,
    /// the records are those that were signed. Files that do not are made again from the records, if those do.
    pub(super) fn recover(&mut self) -> Result<Option<Arc<Published>>, SequencerReason> {
        let standing = match self.standing.take() {
            Some(standing) => standing,
            None => self.found()?,
        };
        let published = standing.published.clone();
        self.standing = Some(standing);
        Ok(published)
    }

    fn found(&self) -> Result<LogState, SequencerReason> {
        let signed = self.files.signed()?;
        let heads = Heads::open(&signed, &self.keys)?;
        let proving = Proving { records: &*self.records, files: &*self.files, heads: &heads };
        let edge = proving.edge(self.durable.records())?;
        let mut standing = LogState {
            edge,
            swapped: signed.swapped,
            published: None,
            kept: signed.kept.iter().map(|(size, _)| *size).collect(),
            replaced_by: Vec::new(),
        };
        standing.kept.sort_unstable();
        // A crash may have come between the steps: whatever was signed last is now swapped and published.
        if let Some((head, note)) = heads.newest() {
            let published = signed.published.as_deref() == Some(note.as_str()) && standing.kept.contains(&head.size());
            self.finish(&mut standing, head, note, published)?;
        }
        Ok(standing)
    }

    /// Tiles durable, then the checkpoint.
    fn grow(&self, standing: &mut LogState, size: u64) -> Result<(), SequencerReason> {
        let mut files = Vec::new();
        while standing.edge.size() < size {
            let limit = u32::try_from(size - standing.edge.size()).unwrap_or(PAGE).min(PAGE);
            for stored in page(&*self.records, standing.edge.size(), limit)? {
                standing.edge.append(&stored.record).map_err(SequencerReason::Entry)?;
            }
            files.append(&mut standing.edge.take_full());
            // Many at once, for each folder is flushed once; not more than memory is to hold.
            if files.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() >= FILES_BYTES_MAX {
                self.write(standing, &std::mem::take(&mut files))?;
            }
        }
        files.append(&mut standing.edge.take());
        self.write(standing, &files)?;
        let head = Checkpoint::new(self.keys.origin.clone(), standing.edge.size(), standing.edge.root());
        let signers: Vec<_> = self.keys.signers.iter().collect();
        let note = head.sign(&signers).map_err(SequencerReason::Sign)?;
        self.finish(standing, &head, &note, false)
    }

    fn write(&self, standing: &mut LogState, files: &[TileFile]) -> Result<(), SequencerReason> {
        standing.replaced_by.extend(files.iter().map(|(tile, _)| *tile).filter(Tile::is_full));
        if files.is_empty() { Ok(()) } else { Ok(self.files.write(files)?) }
    }

    /// Swapped, then published, as far as that was not done before.
    fn finish(&self, standing: &mut LogState, head: &Checkpoint, note: &str, published: bool) -> Result<(), SequencerReason> {
        if standing.swapped.as_deref() != Some(note) {
            self.files.swap(standing.swapped.as_deref(), note)?;
            standing.swapped = Some(note.to_owned());
        }
        if !published {
            self.files.publish(head.size(), note)?;
            if standing.kept.last() != Some(&head.size()) {
                standing.kept.push(head.size());
            }
            self.tidy(standing);
        }
        standing.published = Some(Arc::new(Published { head: head.clone(), note: note.to_owned() }));
        Ok(())
    }

    /// What is left over does no harm.
    fn tidy(&self, standing: &mut LogState) {
        let gone = superfluous(&standing.kept);
        let replaced_by = std::mem::take(&mut standing.replaced_by);
        if gone.is_empty() && replaced_by.is_empty() {
            return;
        }
        match self.files.tidy(&gone, &replaced_by) {
            Ok(()) => standing.kept.retain(|size| !gone.contains(size)),
            Err(reason) => tracing::warn!(cause = ?reason, "what the ledger no longer needs was left lying"),
        }
    }

    /// Whether the published checkpoint bears the signatures of all present signers.
    fn is_signed(&self, standing: &LogState) -> bool {
        let Some(published) = &standing.published else { return false };
        let by = |known| Checkpoint::open(&published.note, &self.keys.origin, &[known]).is_ok();
        self.keys.signers.iter().all(|signer| signer.verifier().is_ok_and(by))
    }
}

/// The records from `from` on: at least one, in a row.
pub(super) fn page(records: &dyn RecordReader, from: u64, limit: u32) -> Result<Vec<Stored>, SequencerReason> {
    let page = records.records(Select::All, from, limit)?;
    if page.is_empty() || !page.iter().zip(from..).all(|(stored, index)| stored.index == index) {
        return Err(SequencerReason::Store(StoreReason::Corrupt("records are missing between others")));
    }
    Ok(page)
}

/// Not reached: a log that was brought up to the records has a checkpoint.
fn nothing() -> SequencerReason {
    SequencerReason::Sign(CheckpointReason::Note(NoteReason::Unsigned))
}
