//! The contracts between the commit and its stores, and the types that travel between them. Stores implement these natively and
//! know nothing of the meaning of what they store.

use std::collections::BTreeSet;
use std::fmt;

use crate::crypto::Digest;
use crate::ledger::{LogFiles, Tile, TileFile};
use crate::lifecycle::GenerationState;
use crate::lifecycle::status::ListKey;
use crate::oauth::{ClientId, Generation, GenerationKey, Jti, Resource, RuleName, SingleUse, Time, Txn};

/// The one place where state is durable. Used by one thread; there may be others, in other processes, on the same store.
///
/// A batch is committed in two steps. [`begin`](Self::begin) locks the store and tells what others committed since; the writer
/// judges by that; [`write`](Self::write) or [`abandon`](Self::abandon) ends it. Index, time and verdict are thus decided under
/// the lock, whoever holds it.
pub trait CommitStore: Send {
    /// Closes whatever is open, the lock included, opens afresh, and recovers. Whatever the answer shows is durable from then on,
    /// also what an earlier failed [`write`](Self::write) left behind: it is written again, not merely flushed again.
    ///
    /// # Errors
    /// See [`StoreReason`]; it may be called again.
    fn open(&mut self) -> Result<Recovered, StoreReason>;

    /// Takes the lock under which one writer at a time commits, and tells what others committed since this store was opened, or
    /// last told or wrote. `wanted` are the single-use values that the batch may spend.
    ///
    /// # Errors
    /// After one nothing may be called but [`open`](Self::open).
    fn begin(&mut self, wanted: &mut dyn Iterator<Item = SingleUse>) -> Result<Learned, StoreReason>;

    /// The wrapped key of a subject, if it has one. Called under the lock.
    ///
    /// # Errors
    /// As for [`begin`](Self::begin).
    fn subject_key(&mut self, subject: &GenerationKey) -> Result<Option<Vec<u8>>, StoreReason>;

    /// Writes the whole batch in one transaction, gives the lock back, and returns when the batch is durable.
    ///
    /// # Errors
    /// As for [`begin`](Self::begin); whether the batch is durable is then unknown.
    fn write(&mut self, batch: &Batch) -> Result<(), StoreReason>;

    /// Gives the lock back; nothing is written.
    fn abandon(&mut self);
}

/// Reading records while the writer runs, for replay and proofs. Indexes count from 0; answers are in their order.
pub trait RecordReader: Send + Sync {
    /// The number of records.
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
    fn disclosures(&self, index: u64) -> Result<Option<SealedDisclosures>, StoreReason>;

    /// True where the subject has a key: a record holds something personal about it.
    ///
    /// # Errors
    /// See [`StoreReason`].
    fn has_subject_key(&self, subject: &GenerationKey) -> Result<bool, StoreReason>;

    /// The present generation of everything that ever ended, is suspended or retired, or lives for a time only.
    ///
    /// # Errors
    /// See [`StoreReason`].
    fn generations(&self) -> Result<Vec<StoredGeneration>, StoreReason>;
}

/// The files of the log, and the newest signed checkpoint, which is remembered apart from them. One thread writes, many read
/// ([`LogFiles`]). A method's work is durable when it returns `Ok`; after an error that is unknown, and it may be done again.
pub trait LogStore: LogFiles + Send + Sync {
    /// Every signed checkpoint that is at hand.
    ///
    /// # Errors
    /// See [`StoreReason`].
    fn signed(&self) -> Result<StoredCheckpoints, StoreReason>;

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

/// The signed checkpoints at hand, as they are stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredCheckpoints {
    /// The newest, as remembered apart from the files.
    pub swapped: Option<String>,
    /// The one that is served.
    pub published: Option<String>,
    /// Those that are kept, by the size that their name says.
    pub kept: Vec<(u64, String)>,
}

/// A selection of records.
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
    /// The time of its commit; never earlier than that of its predecessor.
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
pub struct SealedDisclosures {
    /// The pseudonym of the subject.
    pub subject: GenerationKey,
    /// The subject's key, encrypted under the root key.
    pub wrapped_key: Vec<u8>,
    /// The disclosures, encrypted under the subject's key.
    pub sealed: Vec<u8>,
}

/// The content of a store as it is opened.
#[derive(Debug, Default)]
pub struct Recovered {
    /// The number of records, which is the index of the next one.
    pub count: u64,
    /// The newest records, at most 64, oldest first.
    pub newest: Vec<Stored>,
    /// Everything else that the writer holds in memory.
    pub state: StoredState,
}

/// The answer to [`CommitStore::begin`].
#[derive(Debug)]
pub struct Learned {
    /// The index of the next record.
    pub next: u64,
    /// The time of the newest record.
    pub newest: Time,
    /// The state that others changed since. Of single-use values it has those of the wanted ones that are spent, however long
    /// ago: a writer holds its own in memory, and those that were spent when the store was opened. None where there is nothing.
    pub since: Option<Box<StoredState>>,
}

/// The stored state that the writer holds in memory, or the part of it that changed.
#[derive(Clone, Debug, Default)]
pub struct StoredState {
    /// Everything that ever ended, is suspended or retired, or lives for a time only, and may not be forgotten.
    pub generations: Vec<StoredGeneration>,
    /// The single-use values that are remembered.
    pub single_use: Vec<SingleUse>,
    /// The tasks that may not be forgotten.
    pub tasks: Vec<StoredTask>,
    /// The places in status lists that are remembered as taken.
    pub status: Vec<StatusRow>,
    /// The principals in force when the server last took up a configuration; none before it ever did.
    pub in_force: Option<BTreeSet<ConfiguredPrincipal>>,
}

/// A token in a status list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusRow {
    /// The list.
    pub list: ListKey,
    /// The place in it, from 0.
    pub index: u32,
    /// The token's `exp`.
    pub expires: Time,
    /// Everything that the token depends on.
    pub generations: Vec<Generation>,
}

/// A principal that the configuration names, and that ends when it no longer does.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ConfiguredPrincipal {
    /// An agent that is not retired.
    Agent(ClientId),
    /// A trust rule that is enabled.
    Rule(RuleName),
    /// The issuer behind a trust rule, as a digest of kind and issuer: another one under the same name is somebody else.
    Issuer(RuleName, Digest),
    /// A registered API.
    Api(Resource),
    /// A term that tokens for an API rest on, as a digest: the agent as which it exchanges them onward, a scope and its effect.
    ApiTerm(Resource, Digest),
}

/// The present generation of one thing that is not simply in generation 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StoredGeneration {
    /// The pseudonym of the thing.
    pub key: GenerationKey,
    /// Its generation.
    pub state: GenerationState,
    /// The time at which it may be forgotten; none for never.
    pub forget: Option<Time>,
}

/// One task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredTask {
    /// Its pseudonym.
    pub key: GenerationKey,
    /// Its terms, which never change.
    pub fixed: Vec<u8>,
    /// The exchanges that are left.
    pub left: u64,
    /// The client that suspended it, while it is suspended.
    pub suspended_by: Option<String>,
    /// The time at which it may be forgotten.
    pub forget: Time,
}

/// One transaction.
#[derive(Debug)]
pub struct Batch {
    /// The time of the commit.
    pub at: Time,
    /// Records at consecutive indexes.
    pub rows: Vec<Row>,
    /// Values spent.
    pub single_use: Vec<SingleUse>,
    /// Generations that begin or change; each replaces the one stored under its key.
    pub generations: Vec<StoredGeneration>,
    /// Tasks that begin or change; each replaces the one stored under its key.
    pub tasks: Vec<StoredTask>,
    /// The exchanges left to tasks, in order; applied after `tasks`.
    pub charges: Vec<(GenerationKey, u64)>,
    /// Places taken in status lists, each with the index of its hop's record.
    pub status: Vec<(u64, StatusRow)>,
    /// The principals in force from now on, in place of those before.
    pub in_force: Option<BTreeSet<ConfiguredPrincipal>>,
    /// New subjects' keys, encrypted under the root key.
    pub subject_keys: Vec<(GenerationKey, Vec<u8>)>,
    /// Single-use values that expired at or before this, and generations, tasks and status lists that may be forgotten then, are
    /// deleted.
    pub forget: Option<Time>,
}

impl Batch {
    /// One with nothing in it.
    pub fn at(at: Time) -> Self {
        let (rows, single_use, generations, tasks, charges, status, subject_keys) = Default::default();
        Self { at, rows, single_use, generations, tasks, charges, status, in_force: None, subject_keys, forget: None }
    }

    /// True where there is nothing to write. That something may be forgotten is no reason to.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.single_use.is_empty() && self.generations.is_empty() && self.in_force.is_none()
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

/// The reason for which a store cannot serve.
#[derive(Debug)]
pub enum StoreReason {
    /// Another process uses the same data folder.
    Locked,
    /// The data folder cannot be used as it is.
    Folder(std::io::Error),
    /// Written by a newer version of this program.
    Newer,
    /// The stored data contradict themselves.
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
