//! Proving that files, records and signed checkpoints belong together.

use std::fmt::Display;

use super::kept::replay_from;
use super::parts::{LogKeys, SequencerReason};
use crate::commit::contract::{LogStore, RecordReader, Select, StoreReason, Stored, StoredCheckpoints};
use crate::crypto::Digest;
use crate::ledger::merkle::{self, Nodes, includes, inclusion, leaf_hash};
use crate::ledger::{CHECKPOINT_PATH, Checkpoint, Edge, EdgeReason, HashEdge, NodeReason, TileNodes};

/// Records read at once.
pub(super) const PAGE: u32 = 1_024;

/// The signed checkpoints at hand, each believed, in rising order of size.
pub(super) struct VerifiedCheckpoints(Vec<VerifiedCheckpoint>);

struct VerifiedCheckpoint {
    /// Its name in messages.
    name: String,
    checkpoint: Checkpoint,
    note: String,
}

impl VerifiedCheckpoints {
    /// Opens them all.
    pub(super) fn open(signed: &StoredCheckpoints, keys: &LogKeys) -> Result<Self, SequencerReason> {
        let kept = || signed.kept.iter().filter(|(_, note)| !keys.is_earlier(note));
        let named = kept().map(|(size, note)| (format!("checkpoints/{size}"), note));
        let published = signed.published.iter().map(|note| (CHECKPOINT_PATH.to_owned(), note));
        let swapped = signed.swapped.iter().map(|note| ("the remembered checkpoint".to_owned(), note));
        let open = |(name, note): (String, &String)| match Checkpoint::open(note, &keys.origin, &keys.known) {
            Ok(checkpoint) => Ok(VerifiedCheckpoint { name, checkpoint, note: note.clone() }),
            Err(reason) => Err(SequencerReason::Checkpoint(name, reason)),
        };
        let others = published.chain(swapped).filter(|(_, note)| !keys.is_earlier(note));
        let mut heads = named.chain(others).map(open).collect::<Result<Vec<_>, _>>()?;
        let misplaced = kept().zip(&heads).find(|((size, _), head)| *size != head.checkpoint.size());
        if let Some(((size, _), _)) = misplaced {
            return Err(SequencerReason::Misplaced(*size));
        }
        // Stable: of two for the same size the one that was swapped comes last.
        heads.sort_by_key(|head| head.checkpoint.size());
        Ok(Self(heads))
    }

    /// The newest, and its signed text.
    pub(super) fn newest(&self) -> Option<(&Checkpoint, &String)> {
        self.0.last().map(|head| (&head.checkpoint, &head.note))
    }

    fn sizes(&self) -> Vec<u64> {
        self.0.iter().map(|head| head.checkpoint.size()).collect()
    }

    /// Those of exactly this size must have this root.
    fn agree(&self, size: u64, root: Digest) -> Result<(), SequencerReason> {
        let wrong = |head: &&VerifiedCheckpoint| head.checkpoint.size() == size && head.checkpoint.root() != root;
        match self.0.iter().find(wrong) {
            Some(head) => Err(SequencerReason::Contradiction(size, head.name.clone())),
            None => Ok(()),
        }
    }
}

/// The records, files and checkpoints that are compared.
pub(super) struct Proving<'a> {
    pub(super) records: &'a dyn RecordReader,
    pub(super) files: &'a dyn LogStore,
    pub(super) heads: &'a VerifiedCheckpoints,
    /// The index of the first record that is kept. No checkpoint at hand is of fewer.
    pub(super) first: u64,
}

impl Proving<'_> {
    /// The edge of the log at its newest checkpoint, which the files and the records agree with; `records` of them are durable.
    pub(super) fn edge(&self, records: u64) -> Result<Edge, SequencerReason> {
        let Some((newest, _)) = self.heads.newest() else { return Ok(Edge::empty()) };
        if records < newest.size() {
            return Err(SequencerReason::Behind { records, signed: newest.size() });
        }
        match self.edge_in_files(newest) {
            Ok(edge) => self.replay(newest).map(|()| edge),
            Err(damage) => {
                tracing::warn!("the files of the ledger are made again from the records: {damage}");
                let edge = self.at_first(|size| HashEdge::load_within(self.files, self.first, size))?;
                self.verify_records(self.first, edge, newest)?;
                self.rebuild()
            }
        }
    }

    /// The files must lead to the roots of all checkpoints.
    fn edge_in_files(&self, newest: &Checkpoint) -> Result<Edge, String> {
        let edge = Edge::load(self.files, newest.size()).map_err(|reason: EdgeReason| reason.to_string())?;
        let mut nodes = TileNodes::new(self.files, newest.size());
        for head in &self.heads.0 {
            let root = merkle::root(&mut nodes, head.checkpoint.size()).map_err(|reason: NodeReason| reason.to_string())?;
            if root != head.checkpoint.root() {
                return Err(format!("the tiles do not lead to the root in {}", head.name));
            }
        }
        Ok(edge)
    }

    /// The edge at the first record that is kept, from files of a tree of any size that was signed: a backup has those of its
    /// own. That it is right is not shown yet.
    fn at_first<T, R: Display>(&self, load: impl Fn(u64) -> Result<T, R>) -> Result<T, SequencerReason> {
        let mut newest_first = self.heads.sizes().into_iter().rev().map(&load);
        let newest = newest_first.next().unwrap_or_else(|| load(self.first));
        let any = newest.or_else(|reason| newest_first.find_map(Result::ok).ok_or(reason));
        any.map_err(|reason| SequencerReason::Pruned(self.first, reason.to_string()))
    }

    /// The newest records are hashed again, from a checkpoint that is old enough.
    fn replay(&self, newest: &Checkpoint) -> Result<(), SequencerReason> {
        let from = replay_from(&self.heads.sizes(), newest.size()).max(self.first);
        // That the files lead there was shown before. At the first record that is kept no other tile is needed.
        let loaded = if from == 0 { Ok(HashEdge::empty()) } else { HashEdge::load_within(self.files, from, newest.size()) };
        match loaded {
            Ok(edge) => self.verify_records(from, edge, newest),
            Err(reason) if self.first > 0 => Err(SequencerReason::Pruned(self.first, reason.to_string())),
            Err(_) => self.verify_records(0, HashEdge::empty(), newest),
        }
    }

    /// The records from `from` on, appended to `edge`, have the roots that were signed.
    fn verify_records(&self, from: u64, mut edge: HashEdge, newest: &Checkpoint) -> Result<(), SequencerReason> {
        self.heads.agree(edge.size(), edge.root())?;
        let sizes = self.heads.sizes();
        while edge.size() < newest.size() {
            for stored in page(self.records, edge.size(), limit(&edge, newest))? {
                edge.append(leaf_hash(&stored.record));
                edge.take_full();
                if sizes.binary_search(&edge.size()).is_ok()
                    && let Err(reason) = self.heads.agree(edge.size(), edge.root())
                {
                    return Err(self.first_changed(from, newest)?.unwrap_or(reason));
                }
            }
        }
        Ok(())
    }

    /// The first record, from `from` on, in whose place the signed tree has another: as far as the tiles can show it.
    fn first_changed(&self, from: u64, newest: &Checkpoint) -> Result<Option<SequencerReason>, SequencerReason> {
        let (mut nodes, mut at) = (TileNodes::new(self.files, newest.size()), from);
        while at < newest.size() {
            for stored in page(self.records, at, PAGE)?.iter().take_while(|stored| stored.index < newest.size()) {
                match nodes.node(0, stored.index) {
                    Ok(leaf) if leaf == leaf_hash(&stored.record) => at += 1,
                    Ok(leaf) => {
                        let signed = is_signed(&mut nodes, stored.index, leaf, newest);
                        return Ok(signed.then_some(SequencerReason::Changed(stored.index)));
                    }
                    Err(_) => return Ok(None),
                }
            }
        }
        Ok(None)
    }

    /// Writes every file again, the partial tiles of every checkpoint at hand too; the records were verified.
    fn rebuild(&self) -> Result<Edge, SequencerReason> {
        let mut edge = self.at_first(|size| Edge::load_within(self.files, self.first, size))?;
        for size in self.heads.sizes() {
            while edge.size() < size {
                let left = u32::try_from(size - edge.size()).unwrap_or(PAGE).min(PAGE);
                for stored in page(self.records, edge.size(), left)? {
                    edge.append(&stored.record).map_err(SequencerReason::Entry)?;
                }
                self.files.write(&edge.take_full())?;
            }
            self.files.write(&edge.take())?;
        }
        Ok(edge)
    }
}

fn limit(edge: &HashEdge, newest: &Checkpoint) -> u32 {
    u32::try_from(newest.size() - edge.size()).unwrap_or(PAGE).min(PAGE)
}

fn is_signed(nodes: &mut impl Nodes, index: u64, leaf: Digest, newest: &Checkpoint) -> bool {
    let path = inclusion(nodes, index, newest.size());
    path.is_ok_and(|path| path.is_some_and(|path| includes(leaf, index, &path, newest.size(), newest.root())))
}

/// The records from `from` on: at least one, in a row.
pub(super) fn page(records: &dyn RecordReader, from: u64, limit: u32) -> Result<Vec<Stored>, SequencerReason> {
    let page = records.records(Select::All, from, limit)?;
    if page.is_empty() || !page.iter().zip(from..).all(|(stored, index)| stored.index == index) {
        return Err(SequencerReason::Store(StoreReason::Corrupt("records are missing between others")));
    }
    Ok(page)
}
