//! The contracts between the commit and its stores, and the types that travel between them. Stores implement these natively and
//! know nothing of the meaning of what they store.

use std::collections::{BTreeMap, BTreeSet};

pub use super::pruning::{IsHeld, StorePruner};
pub use super::store_reason::StoreReason;
use crate::crypto::Digest;
use crate::ledger::record::{KeyCheck, KeyEvent, Kind};
use crate::ledger::{LogFiles, Record, RecordReason, Tile, TileFile};
use crate::lifecycle::GenerationState;
use crate::lifecycle::status::ListKey;
use crate::oauth::{ClientId, Generation, GenerationKey, Jti, Resource, RuleName, SingleUse, StatusPlace, TaskId, Time, Txn};

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

    /// Shows every record from `from` on, of those that are kept, to `each`, in order. Called while the store is open and not
    /// locked.
    ///
    /// # Errors
    /// As for [`begin`](Self::begin), and whatever `each` answers.
    fn records(&mut self, from: u64, each: &mut dyn FnMut(Stored) -> Result<(), StoreReason>) -> Result<(), StoreReason>;

    /// The newest archived state, with the index that it is named by, from which the records that are kept lead on; none while
    /// all are kept. Called while the store is open.
    ///
    /// # Errors
    /// As for [`begin`](Self::begin).
    fn archived_state(&mut self) -> Result<Option<(u64, Vec<u8>)>, StoreReason>;

    /// The wrapped key of a subject, if it has one. Called under the lock.
    ///
    /// # Errors
    /// As for [`begin`](Self::begin).
    fn subject_key(&mut self, subject: &GenerationKey) -> Result<Option<Vec<u8>>, StoreReason>;

    /// The ids of the root keys, each key of a subject being wrapped under one of them; [`UNKNOWN_ROOT`] among them where keys
    /// were taken from elsewhere. Called while the store is open.
    ///
    /// # Errors
    /// As for [`begin`](Self::begin).
    fn roots(&mut self) -> Result<Vec<String>, StoreReason>;

    /// Replaces those. When it returns, this and everything that was wrapped anew before is durable.
    ///
    /// # Errors
    /// As for [`begin`](Self::begin).
    fn set_roots(&mut self, roots: &[String]) -> Result<(), StoreReason>;

    /// Shows the wrapped keys of at most `limit` subjects after `after`, in the order of subjects, to `wrap`, and puts what that
    /// gives in place of one. Returns the last of these subjects; none where there were fewer than `limit`. Called under the
    /// lock. It may become durable late, but not half a key of it.
    ///
    /// # Errors
    /// As for [`begin`](Self::begin).
    fn rewrap(
        &mut self,
        after: Option<GenerationKey>,
        limit: u32,
        wrap: &mut WrapAnew<'_>,
    ) -> Result<Option<GenerationKey>, StoreReason>;

    /// Writes the whole batch in one transaction, gives the lock back, and returns when the batch is durable. The keys of new
    /// subjects may be durable before it, and without it.
    ///
    /// # Errors
    /// As for [`begin`](Self::begin); whether the batch is durable is then unknown.
    fn write(&mut self, batch: &Batch) -> Result<(), StoreReason>;

    /// Appends records that survived elsewhere, as they are, in one transaction, and returns when they are durable. What no
    /// record holds is not what was written from then on: nobody is served on the store before an epoch begins. Called while the
    /// store is open and not locked, by its only writer.
    ///
    /// # Errors
    /// As for [`begin`](Self::begin).
    fn fold_in(&mut self, records: &[Stored]) -> Result<(), StoreReason>;

    /// Gives the lock back; nothing is written.
    fn abandon(&mut self);
}

/// Another wrapped form of the key of a subject, made of the one that is stored; none where that is to stay.
pub type WrapAnew<'a> = dyn FnMut(GenerationKey, &[u8]) -> Option<Vec<u8>> + 'a;

/// Stands for the root keys under which a program of before wrapped.
pub const UNKNOWN_ROOT: &str = "";

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

    /// The index of the first record about a hop. Its bytes are not read.
    ///
    /// # Errors
    /// See [`StoreReason`].
    fn index_of(&self, jti: Jti) -> Result<Option<u64>, StoreReason>;

    /// The encrypted disclosures of the record at `index`; none when it has none, or its subject's key was erased.
    ///
    /// # Errors
    /// See [`StoreReason`].
    fn disclosures(&self, index: u64) -> Result<Option<SealedDisclosures>, StoreReason>;

    /// The subjects of at most `limit` records from the index `from` on, of those that have disclosures.
    ///
    /// # Errors
    /// See [`StoreReason`].
    fn subjects(&self, from: u64, limit: u32) -> Result<Vec<(u64, GenerationKey)>, StoreReason>;

    /// The key of a subject, encrypted under the root key; none where it was erased or never made.
    ///
    /// # Errors
    /// See [`StoreReason`].
    fn wrapped_key(&self, subject: &GenerationKey) -> Result<Option<Vec<u8>>, StoreReason>;

    /// True where the subject has a key: a record holds something personal about it.
    ///
    /// # Errors
    /// See [`StoreReason`].
    fn has_subject_key(&self, subject: &GenerationKey) -> Result<bool, StoreReason>;

    /// The number of keys that were made for subjects since the copy of the keys that is there now, and are not in it.
    ///
    /// # Errors
    /// See [`StoreReason`].
    fn missing_subject_keys(&self) -> Result<u64, StoreReason>;

    /// The index of the first record that is kept: those before are pruned, but for some that are held, which are found by hop
    /// and transaction alone.
    ///
    /// # Errors
    /// See [`StoreReason`].
    fn first(&self) -> Result<u64, StoreReason>;

    /// The state as of the newest checkpoint.
    ///
    /// # Errors
    /// See [`StoreReason`].
    fn checkpoint(&self) -> Result<StoredCheckpoint, StoreReason>;

    /// The bytes that lie beside the database and are not copied into it, or were and wait to be overwritten.
    fn log_bytes(&self) -> u64;
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

/// Leaves the bytes of records to the entry bundle in which they were published, so that each lies once. What is needed to find a
/// record stays in the store. Used by one thread, beside the writer.
pub trait StoreTrimmer: Send {
    /// The number of records, from the first on, whose bytes lie in their entry bundles alone.
    ///
    /// # Errors
    /// See [`StoreReason`].
    fn trimmed(&mut self) -> Result<u64, StoreReason>;

    /// Leaves to the full entry bundle of this number the bytes of the next 256 records, once the bundle was read and holds just
    /// those. Done whole or not at all.
    ///
    /// # Errors
    /// `Bundle` when the bundle does not hold them; others as of the store.
    fn trim(&mut self, bundle: u64) -> Result<(), StoreReason>;
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

impl Stored {
    /// The record with these bytes at `index`, as it stands in a store after one of the time `before`. An epoch alone goes back.
    ///
    /// # Errors
    /// When they are no record.
    pub fn of(index: u64, record: Vec<u8>, before: Time) -> Result<Self, RecordReason> {
        let parsed = Record::parse(&record)?;
        let at = if parsed.kind() == Kind::Epoch { parsed.at() } else { parsed.at().max(before) };
        let (jti, txn) = (parsed.jti(), parsed.txn());
        Ok(Self { index, at, jti, txn, record })
    }
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
    /// The index of the first record that is kept.
    pub first: u64,
    /// The state as of the newest checkpoint; the records from there on lead to that of now.
    pub checkpoint: StoredCheckpoint,
    /// The sealed terms of tasks, each with the index of the record that opened it.
    pub terms: Vec<(u64, Vec<u8>)>,
    /// Everything that no record holds.
    pub unrecorded: Unrecorded,
    /// The state as a program of before kept it, which is taken up once; no checkpoint was written then.
    pub earlier: Option<Box<EarlierState>>,
}

/// The state as of one record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredCheckpoint {
    /// The index of the record that names the digest of it; none before there is one.
    pub index: Option<u64>,
    /// Its entries, in no particular order.
    pub rows: Vec<StateRow>,
}

/// One entry of the state.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StateRow {
    /// The thing that it is about.
    pub key: Vec<u8>,
    /// What is known of it.
    pub value: Vec<u8>,
}

/// A change of one entry between two checkpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateChangeRow {
    /// The thing that it is about.
    pub key: Vec<u8>,
    /// The value as of the earlier checkpoint; none where there was no entry.
    pub before: Option<Vec<u8>>,
    /// The value as of the later; none where there is no entry any more.
    pub after: Option<Vec<u8>>,
}

/// What decides and stands in no record; all of it is bounded in time.
#[derive(Clone, Debug, Default)]
pub struct Unrecorded {
    /// The single-use values that are remembered.
    pub single_use: Vec<SingleUse>,
    /// The newest heartbeat of each task that had one.
    pub beats: Vec<Heartbeat>,
    /// The places in status lists that are remembered as taken.
    pub status: Vec<StatusRow>,
    /// The keyed sum of all of it, masked; none before there was one.
    pub sum: Option<Vec<u8>>,
}

impl Unrecorded {
    /// True where there is nothing that decides.
    pub fn is_empty(&self) -> bool {
        self.single_use.is_empty() && self.beats.is_empty() && self.status.is_empty()
    }
}

/// A heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// The task.
    pub task: TaskId,
    /// When it came.
    pub at: Time,
}

/// State as version 0.1.0 kept it.
#[derive(Debug, Default)]
pub struct EarlierState {
    /// The present generation of things.
    pub generations: Vec<(GenerationKey, GenerationState)>,
    /// Tasks: the pseudonym, the terms as they were sealed then, or not at all.
    pub tasks: Vec<(GenerationKey, Vec<u8>)>,
    /// The principals in force when the server last took up a configuration; none before it ever did.
    pub in_force: Option<BTreeSet<ConfiguredPrincipal>>,
}

/// The answer to [`CommitStore::begin`].
#[derive(Debug)]
pub struct Learned {
    /// The index of the next record.
    pub next: u64,
    /// The time of the newest record.
    pub newest: Time,
    /// What others committed since; none where that is nothing.
    pub since: Option<Box<LearnedChanges>>,
}

/// What other writers committed.
#[derive(Clone, Debug, Default)]
pub struct LearnedChanges {
    /// Their records, in order.
    pub records: Vec<Stored>,
    /// The sealed terms of the tasks that they opened, each with the index of its record.
    pub terms: Vec<(u64, Vec<u8>)>,
    /// What they wrote besides. Of single-use values it has those of the wanted ones that are spent, however long ago: a writer
    /// holds its own in memory, and those that were spent when the store was opened.
    pub unrecorded: Unrecorded,
}

/// A token in a status list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusRow {
    /// The list.
    pub list: ListKey,
    /// Its place, in that list.
    pub place: StatusPlace,
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

/// The keys that the key folder lists, each with the newest event in its life.
pub type KeyList = BTreeMap<KeyCheck, KeyEvent>;

/// One transaction.
#[derive(Debug)]
pub struct Batch {
    /// The time of the commit.
    pub at: Time,
    /// Records at consecutive indexes.
    pub rows: Vec<Row>,
    /// Values spent.
    pub single_use: Vec<SingleUse>,
    /// The sealed terms of tasks, each with the index of the record that opened it.
    pub terms: Vec<(u64, Vec<u8>)>,
    /// Heartbeats; each replaces the one stored for its task.
    pub beats: Vec<Heartbeat>,
    /// Places taken in status lists, each with the index of its hop's record.
    pub status: Vec<(u64, StatusRow)>,
    /// New subjects' keys, encrypted under the root key.
    pub subject_keys: Vec<(GenerationKey, Vec<u8>)>,
    /// The state as of one of the records, as far as it changed since the checkpoint before.
    pub checkpoint: Option<NewCheckpoint>,
    /// Single-use values that expired at or before this, and status lists that may be forgotten then, are deleted.
    pub forget: Option<Time>,
    /// The keyed sum of everything that no record holds, as it is after this batch, masked.
    pub sum: Vec<u8>,
    /// What a program of before kept is deleted.
    pub adopts: bool,
    /// Everything that no record holds is deleted first.
    pub clears: bool,
}

/// A checkpoint to be written.
#[derive(Debug)]
pub struct NewCheckpoint {
    /// The index of its record.
    pub index: u64,
    /// The entries that changed.
    pub changes: Vec<StateChangeRow>,
    /// Tasks that were forgotten, each with the index of the record that opened it: their terms and heartbeats are deleted.
    pub forgotten: Vec<(TaskId, u64)>,
}

impl Batch {
    /// One with nothing in it.
    pub fn at(at: Time) -> Self {
        let (rows, single_use, terms, beats, status, subject_keys) = Default::default();
        let (checkpoint, forget, sum, adopts, clears) = Default::default();
        Self { at, rows, single_use, terms, beats, status, subject_keys, checkpoint, forget, sum, adopts, clears }
    }

    /// True where there is nothing to write. That something may be forgotten is no reason to.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.single_use.is_empty() && self.beats.is_empty()
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
