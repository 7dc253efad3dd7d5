//! What the commit needs of a store, and what replay needs of one. Stores implement these natively and know nothing of what the
//! stored things mean.

use std::collections::BTreeSet;
use std::fmt;

use crate::crypto::Digest;
use crate::ledger::{LogFiles, Tile, TileFile};
use crate::lifecycle::GenerationState;
use crate::lifecycle::status::ListKey;
use crate::oauth::{ClientId, Generation, GenerationKey, Jti, RuleName, SingleUse, Time, Txn};

/// The one place where state is durable. Used by one thread.
pub trait CommitStore: Send {
    /// Closes whatever is open, opens afresh, and recovers. Whatever the answer shows is durable from then on, also what an
    /// earlier failed [`commit`](Self::commit) left behind: it is written again, not merely flushed again.
    ///
    /// # Errors
    /// See [`StoreReason`]; it may be called again.
    fn open(&mut self) -> Result<Recovered, StoreReason>;

    /// Writes the whole batch in one transaction and returns when it is durable.
    ///
    /// # Errors
    /// After one, whether the batch is durable is unknown, and nothing may be called but [`open`](Self::open).
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreReason>;

    /// The wrapped key of a subject, if it has one.
    ///
    /// # Errors
    /// As for [`commit`](Self::commit).
    fn subject_key(&mut self, subject: &GenerationKey) -> Result<Option<Vec<u8>>, StoreReason>;
}

/// Reading records while the writer runs, for replay and proofs. Indexes count from 0; answers are in their order.
pub trait RecordReader: Send + Sync {
    /// How many records there are.
    ///
    /// # Errors
    /// See [`StoreReason`].
    fn count(&self) -> Result<u64, StoreReason>;

    /// At most `limit` records that are selected and have an index of at least `from`.
    ///
    /// # Errors
    /// See [`StoreReason`].
    fn records(&self, select: Select, from: u64, limit: u32) -> Result<Vec<Stored>, StoreReason>;

    /// The encrypted disclosures of the record at `index`; none when it has none, or its subject's key was erased.
    ///
    /// # Errors
    /// See [`StoreReason`].
    fn disclosures(&self, index: u64) -> Result<Option<Sealed>, StoreReason>;
}

/// Where the files of the log lie, and where the newest signed checkpoint is remembered apart from them. One thread writes,
/// many read ([`LogFiles`]). What a method has done is durable when it returns `Ok`; after an error that is unknown, and it may
/// be done again.
pub trait LogStore: LogFiles + Send + Sync {
    /// Every signed checkpoint that is at hand.
    ///
    /// # Errors
    /// See [`StoreReason`].
    fn signed(&self) -> Result<Signed, StoreReason>;

    /// Writes tiles under their paths, whole or not at all, in place of what may be there.
    ///
    /// # Errors
    /// See [`StoreReason`].
    fn write(&self, tiles: &[TileFile]) -> Result<(), StoreReason>;

    /// Remembers `new` as the newest signed checkpoint, instead of `old`, apart from the files and before anybody sees it.
    ///
    /// # Errors
    /// `Locked` when what is remembered is not `old`: somebody else signs.
    fn swap(&self, old: Option<&str>, new: &str) -> Result<(), StoreReason>;

    /// Serves the checkpoint of `size`, and then keeps a copy.
    ///
    /// # Errors
    /// See [`StoreReason`].
    fn publish(&self, size: u64, note: &str) -> Result<(), StoreReason>;

    /// Removes kept checkpoints, and the partial tiles that these full ones have replaced. It may be forgotten by a crash.
    ///
    /// # Errors
    /// See [`StoreReason`].
    fn tidy(&self, checkpoints: &[u64], replaced_by: &[Tile]) -> Result<(), StoreReason>;
}

/// The signed checkpoints at hand, as they lie there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signed {
    /// The newest, as remembered apart from the files.
    pub swapped: Option<String>,
    /// The one that is served.
    pub published: Option<String>,
    /// Those that are kept, by the size that their name says.
    pub kept: Vec<(u64, String)>,
}

/// Which records are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Select {
    /// Every record.
    All,
    /// Those of one transaction.
    Txn(Txn),
    /// Those about one hop.
    Jti(Jti),
}

/// One record as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its place in the ledger, from 0.
    pub index: u64,
    /// When it was committed; never earlier than its predecessor.
    pub at: Time,
    /// The hop that it is about.
    pub jti: Option<Jti>,
    /// The transaction that it belongs to.
    pub txn: Option<Txn>,
    /// The canonical bytes.
    pub record: Vec<u8>,
}

/// Disclosures as stored, with the wrapped key of their subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The pseudonym of the subject.
    pub subject: GenerationKey,
    /// The subject's key, encrypted under the root key.
    pub wrapped_key: Vec<u8>,
    /// The disclosures, encrypted under the subject's key.
    pub sealed: Vec<u8>,
}

/// What a store holds when it is opened.
#[derive(Debug, Default)]
pub struct Recovered {
    /// How many records there are, which is the index of the next one.
    pub count: u64,
    /// The newest records, at most 64, oldest first.
    pub newest: Vec<Stored>,
    /// Everything that ever ended, is held or lives for a time only, and may not be forgotten.
    pub lives: Vec<StoredGeneration>,
    /// Every single-use value that is remembered.
    pub single_use: Vec<SingleUse>,
    /// Every task that may not be forgotten.
    pub tasks: Vec<StoredTask>,
    /// Every place in a status list that is remembered as taken.
    pub status: Vec<StatusRow>,
    /// What was in force when the server last took up a configuration; none before it ever did.
    pub in_force: Option<BTreeSet<ConfiguredPrincipal>>,
}

/// A token in a status list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusRow {
    /// Which list.
    pub list: ListKey,
    /// Which place in it.
    pub index: u32,
    /// When the token expires.
    pub expires: Time,
    /// Everything that the token depends on.
    pub generations: Vec<Generation>,
}

/// Something that the files name, and that ends when they no longer do.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ConfiguredPrincipal {
    /// An agent that is not retired.
    Agent(ClientId),
    /// A trust rule that is enabled.
    Rule(RuleName),
    /// Who stands behind it, as a digest of its kind and issuer: who comes after him under that name is somebody else.
    Issuer(RuleName, Digest),
}

/// The present life of one thing that is not simply in life 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StoredGeneration {
    /// Of what.
    pub key: GenerationKey,
    /// Which life.
    pub life: GenerationState,
    /// When it may be forgotten; none for never.
    pub forget: Option<Time>,
}

/// One task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredTask {
    /// Its pseudonym.
    pub key: GenerationKey,
    /// What never changes about it.
    pub fixed: Vec<u8>,
    /// How many exchanges are left.
    pub left: u64,
    /// Who suspended it, while it is.
    pub suspended_by: Option<String>,
    /// When it may be forgotten.
    pub forget: Time,
}

/// One transaction.
#[derive(Debug)]
pub struct Batch {
    /// When it is committed.
    pub at: Time,
    /// Records at consecutive indexes.
    pub rows: Vec<Row>,
    /// Values spent.
    pub single_use: Vec<SingleUse>,
    /// Lives that begin or change; each replaces what was stored under its key.
    pub lives: Vec<StoredGeneration>,
    /// Tasks that begin or change; each replaces what was stored under its key.
    pub tasks: Vec<StoredTask>,
    /// What is left to tasks, in order; it comes after `tasks`.
    pub charges: Vec<(GenerationKey, u64)>,
    /// Places taken in status lists, each with the index of its hop's record.
    pub status: Vec<(u64, StatusRow)>,
    /// What is in force from now on, instead of what was.
    pub in_force: Option<BTreeSet<ConfiguredPrincipal>>,
    /// New subjects' keys, encrypted under the root key.
    pub subject_keys: Vec<(GenerationKey, Vec<u8>)>,
    /// Single-use values that expired at or before this, and lives, tasks and status lists that may be forgotten then, are
    /// deleted.
    pub forget: Option<Time>,
}

impl Batch {
    /// One with nothing in it.
    pub fn at(at: Time) -> Self {
        let (rows, single_use, lives, tasks, charges, status, subject_keys) = Default::default();
        Self { at, rows, single_use, lives, tasks, charges, status, in_force: None, subject_keys, forget: None }
    }

    /// Whether there is nothing to write. What may be forgotten is no reason to.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.single_use.is_empty() && self.lives.is_empty() && self.in_force.is_none()
    }
}

/// One record of a batch.
#[derive(Debug)]
pub struct Row {
    /// Its place in the ledger, from 0.
    pub index: u64,
    /// The hop that it is about.
    pub jti: Option<Jti>,
    /// The transaction that it belongs to.
    pub txn: Option<Txn>,
    /// The canonical bytes.
    pub record: Vec<u8>,
    /// The subject, and the disclosures encrypted under its key.
    pub sealed: Option<(GenerationKey, Vec<u8>)>,
}

/// Why a store cannot serve.
#[derive(Debug)]
pub enum StoreReason {
    /// Another process uses the same data folder.
    Locked,
    /// The data folder cannot be used as it is.
    Folder(std::io::Error),
    /// Written by a newer version of this program.
    Newer,
    /// What is stored contradicts itself.
    Corrupt(&'static str),
    /// The engine failed.
    Failed(Box<dyn std::error::Error + Send + Sync>),
}

impl fmt::Display for StoreReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked => f.write_str("another server uses this data folder"),
            Self::Folder(_) => f.write_str("the data folder cannot be used"),
            Self::Newer => f.write_str("the data folder was written by a newer version of this program"),
            Self::Corrupt(what) => write!(f, "the stored data is damaged: {what}"),
            Self::Failed(_) => f.write_str("the store failed"),
        }
    }
}

impl std::error::Error for StoreReason {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Folder(cause) => Some(cause),
            Self::Failed(cause) => Some(cause.as_ref()),
            Self::Locked | Self::Newer | Self::Corrupt(_) => None,
        }
    }
}
