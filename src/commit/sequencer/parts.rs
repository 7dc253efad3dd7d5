//! The parts that a sequencer is made of, the checkpoints it publishes, and the reasons for which it cannot go on.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::commit::contract::{LogStore, RecordReader, StoreReason, StoreTrimmer};
use crate::commit::receipt::Durable;
use crate::ledger::{Checkpoint, CheckpointReason, EntryBundleReason, KeyName, NoteSigner, NoteVerifier};

/// Everything that a sequencer works with.
pub struct LogParts {
    /// The records.
    pub records: Arc<dyn RecordReader>,
    /// How far they are durable.
    pub durable: Durable,
    /// The files of the log.
    pub files: Arc<dyn LogStore>,
    /// Leaves published records to the files.
    pub trimmer: Box<dyn StoreTrimmer>,
    /// The keys that sign.
    pub keys: LogKeys,
    /// How long after its commit a record is in a published checkpoint, at most, as long as the disk keeps up.
    pub interval: Duration,
}

/// The name of the log and its keys.
#[derive(Debug)]
pub struct LogKeys {
    /// The name, first line of every checkpoint.
    pub origin: KeyName,
    /// Those that sign now: one, or more while one takes over from another.
    pub signers: Vec<NoteSigner>,
    /// Those that ever signed, retired ones included.
    pub known: Vec<NoteVerifier>,
    /// The names of the logs that this one follows, whose records were lost in part: their checkpoints bind it to nothing.
    pub earlier: Vec<KeyName>,
}

impl LogKeys {
    /// True for a checkpoint of a log that this one follows.
    pub(super) fn is_earlier(&self, note: &str) -> bool {
        let origin = note.lines().next().unwrap_or_default();
        self.earlier.iter().any(|earlier| earlier.as_str() == origin)
    }
}

/// A published checkpoint.
#[derive(Debug)]
pub struct PublishedCheckpoint {
    /// Origin, size and root.
    pub head: Checkpoint,
    /// The signed text.
    pub note: String,
}

/// The reason for which nothing can be published: sentences for the operator, with what is wrong and where.
#[derive(Debug)]
pub enum SequencerReason {
    /// The records cannot be read, or the files not written.
    Store(StoreReason),
    /// The signed checkpoint of this name is not believed.
    Checkpoint(String, CheckpointReason),
    /// The kept checkpoint of this size is of another size.
    Misplaced(u64),
    /// There are fewer records than a signed checkpoint covers.
    Behind {
        /// Records in the store.
        records: u64,
        /// Entries under the newest signed checkpoint.
        signed: u64,
    },
    /// The record of this index is not the one that was signed.
    Changed(u64),
    /// The first so many records have not the root that was signed at that size, by the checkpoint of this name.
    Contradiction(u64, String),
    /// Hashes over the records before this index, which are pruned, cannot be read, for this reason.
    Pruned(u64, String),
    /// A record cannot be an entry.
    Entry(EntryBundleReason),
    /// The checkpoint cannot be signed.
    Sign(CheckpointReason),
}

impl From<StoreReason> for SequencerReason {
    fn from(reason: StoreReason) -> Self {
        Self::Store(reason)
    }
}

impl fmt::Display for SequencerReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(reason) => reason.fmt(f),
            Self::Checkpoint(name, reason) => write!(f, "{name} cannot be ours: {reason}"),
            Self::Misplaced(size) => write!(f, "checkpoints/{size} is the checkpoint of another size"),
            Self::Behind { records, signed } => write!(
                f,
                "the store has {records} records, but a checkpoint over {signed} was signed: the store was truncated, or an \
                 older copy of it was put back. Put the newest copy back; records {records} to {} are missing. Where they are \
                 lost for good, countersign restore --in-place goes on without them",
                signed.saturating_sub(1)
            ),
            Self::Changed(index) => write!(
                f,
                "record {index} in the store is not the one that was signed: records were changed or swapped, or another copy of \
                 the store was put in its place"
            ),
            Self::Contradiction(size, name) => write!(
                f,
                "the first {size} records have not the root that {name} was signed for: the records, or the checkpoint, are not \
                 those of this log"
            ),
            Self::Pruned(first, what) => write!(
                f,
                "{what}, and it cannot be made again, for the records before {first} are pruned: put it back from an archive or \
                 a backup"
            ),
            Self::Entry(reason) => reason.fmt(f),
            Self::Sign(reason) => write!(f, "the checkpoint cannot be signed: {reason}"),
        }
    }
}

impl std::error::Error for SequencerReason {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        if let Self::Store(reason) = self { reason.source() } else { None }
    }
}
