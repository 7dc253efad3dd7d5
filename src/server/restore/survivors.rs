//! Records that survive elsewhere: nothing of them is used before they lead, together with those of the copy, to a checkpoint
//! that a key of ours signed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::commit::contract::{RecordReader, Select, StoreReason};
use crate::crypto::Digest;
use crate::ledger::merkle::{self, leaf_hash};
use crate::ledger::{BundleEntries, CHECKPOINT_PATH, Checkpoint, Frontier, KeyName, TILE_WIDTH, TileNodes};
use crate::server::failure::Failure;
use crate::store::{LEDGER_FOLDER, LedgerKeys, LogFolder};

/// So many records are in memory at once, and are verified again just before they are written.
const PAGE: u64 = if cfg!(test) { 4 } else { 1_024 };

/// The folder of a log, as it is called in sentences.
#[derive(Clone, Debug)]
pub(super) struct LogPlace {
    name: String,
    folder: LogFolder,
}

/// A signed checkpoint that is believed, and where it lies.
#[derive(Clone, Debug)]
pub(super) struct SignedHead {
    /// Its place, as it is called in sentences.
    pub(super) place: String,
    /// The number of its log.
    pub(super) log: u64,
    /// The checkpoint.
    pub(super) head: Checkpoint,
    /// Its signed text.
    pub(super) note: Option<String>,
    /// It was named as a place of records that survive.
    pub(super) named: bool,
}

/// The tree over the records of the copy.
#[derive(Clone, Debug)]
pub(super) struct CopyTree {
    tree: Frontier,
    /// Its roots at the sizes at which checkpoints are at hand.
    roots: BTreeMap<u64, Digest>,
}

/// Records that survive and are proved: those from the end of the copy on, up to a signed checkpoint.
#[derive(Debug)]
pub(super) struct Survivors {
    places: Vec<LogPlace>,
    tree: Frontier,
    /// The roots at the end of each page.
    roots: Vec<Digest>,
    /// The checkpoint that they lead to.
    pub(super) by: SignedHead,
}

impl LogPlace {
    /// The log in `folder`, which is a data folder, or the folder of a log.
    pub(super) fn of(folder: &Path) -> Self {
        let within = folder.join(LEDGER_FOLDER);
        let folder = if within.is_dir() { within.as_path() } else { folder };
        Self { name: folder.display().to_string(), folder: LogFolder::new(folder) }
    }

    /// Adds the checkpoints in it that keys of `keys` signed for the log `base`, or one that followed it, to `signed`. Answers
    /// whether the newest is among them, or there is none.
    ///
    /// # Errors
    /// When one cannot be read.
    pub(super) fn signed(
        &self,
        (keys, base, named): (&LedgerKeys, &KeyName, bool),
        signed: &mut Vec<SignedHead>,
    ) -> Result<bool, Failure> {
        let failed = |error| Failure::at(self.folder.path(), &error);
        let newest = self.folder.note(CHECKPOINT_PATH).map_err(failed)?;
        let kept = self.folder.kept().map_err(failed)?.into_iter().map(|(_, note)| note);
        let opened = |note: &str| {
            let origin = KeyName::parse(note.lines().next()?).ok()?;
            let head = Checkpoint::open(note, &origin, &keys.unrevoked(&origin)).ok()?;
            Some((origin.restored_from(base)?, head))
        };
        let believed = newest.as_deref().is_none_or(|note| opened(note).is_some());
        for note in kept.chain(newest) {
            if let Some((log, head)) = opened(&note) {
                signed.push(SignedHead { place: self.name.clone(), log, head, note: Some(note), named });
            }
        }
        Ok(believed)
    }

    /// The newest checkpoint in it that covers at least `first` and at most `count` records.
    fn within<'a>(&self, first: u64, count: u64, signed: &'a [SignedHead]) -> Option<&'a Checkpoint> {
        let here = signed.iter().filter(|signed| signed.place == self.name && (first..=count).contains(&signed.head.size()));
        here.max_by_key(|signed| signed.age()).map(|signed| &signed.head)
    }

    /// The tree over the first records, as the tiles have it.
    fn pruned(&self, first: u64, count: u64, signed: &[SignedHead]) -> Option<Frontier> {
        let head = self.within(first, count, signed)?;
        Frontier::load(&mut TileNodes::new(&self.folder, head.size()), first).ok()
    }

    /// The root at `size` of the tree whose newest checkpoint is `head`, as far as its tiles prove it.
    fn root_within(&self, head: &Checkpoint, size: u64) -> Option<Digest> {
        let mut nodes = TileNodes::new(&self.folder, head.size());
        let root = merkle::root(&mut nodes, size).ok()?;
        let path = merkle::consistency(&mut nodes, size, head.size()).ok()??;
        merkle::extends((size, root), (head.size(), head.root()), &path).then_some(root)
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

impl SignedHead {
    /// Of two, the one with the later log, or with more entries, is newer.
    pub(super) fn age(&self) -> (u64, u64) {
        (self.log, self.head.size())
    }
}

impl CopyTree {
    /// The tree over the first `count` records of the copy in `place`, with its roots at the sizes of `signed`. Of records that
    /// were pruned the tiles tell it, up to the newest checkpoint there, which those that follow must lead to.
    ///
    /// # Errors
    /// Those of the store; `Corrupt` where records are missing between others, or do not follow what was pruned.
    pub(super) fn of(
        reader: &dyn RecordReader,
        place: &LogPlace,
        count: u64,
        signed: &[SignedHead],
    ) -> Result<Self, StoreReason> {
        let gap = StoreReason::Corrupt("records are missing between others");
        let sizes: BTreeSet<u64> = signed.iter().map(|signed| signed.head.size()).collect();
        let first = reader.records(Select::All, 0, 1)?.first().map_or(count, |stored| stored.index);
        let mut tree = if first == 0 { Frontier::empty() } else { place.pruned(first, count, signed).ok_or(gap)? };
        let mut roots = BTreeMap::from([(tree.size(), tree.root())]);
        while tree.size() < count {
            let limit = u32::try_from((count - tree.size()).min(PAGE)).unwrap_or(1);
            let page = reader.records(Select::All, tree.size(), limit)?;
            if page.is_empty() || !page.iter().zip(tree.size()..).all(|(stored, index)| stored.index == index) {
                return Err(StoreReason::Corrupt("records are missing between others"));
            }
            for stored in page {
                tree.append(leaf_hash(&stored.record), |_, _| ());
                if sizes.contains(&tree.size()) {
                    roots.insert(tree.size(), tree.root());
                }
            }
        }
        let proved =
            first == 0 || place.within(first, count, signed).is_some_and(|head| roots.get(&head.size()) == Some(&head.root()));
        if proved { Ok(Self { tree, roots }) } else { Err(StoreReason::Corrupt("the records after those that were pruned")) }
    }

    /// The tree.
    #[cfg(test)]
    pub(super) fn frontier(&self) -> &Frontier {
        &self.tree
    }

    /// Refuses checkpoints that contradict the copy, which is of the log `own`, or one another.
    ///
    /// # Errors
    /// Names the first.
    pub(super) fn agree(&self, own: u64, signed: &[SignedHead]) -> Result<(), Failure> {
        let mut known: BTreeMap<(u64, u64), &SignedHead> = BTreeMap::new();
        for one in signed {
            let other = known.entry(one.age()).or_insert(one);
            if other.head.root() != one.head.root() {
                let (size, origin, place) = (one.head.size(), one.head.origin(), &other.place);
                return Err(Failure::new(format!(
                    "{}: the checkpoint of {origin} over {size} records in it contradicts the one in {place}: somebody signed \
                     two histories, or these are not the keys of one server",
                    one.place
                )));
            }
            let binds = one.log == own || one.named && one.log > own;
            let size = one.head.size();
            if binds && self.roots.get(&size).is_some_and(|root| *root != one.head.root()) {
                return Err(Failure::new(format!(
                    "{}: the checkpoint of {} over {size} records in it contradicts the copy, whose first {size} records are \
                     others",
                    one.place,
                    one.head.origin()
                )));
            }
        }
        Ok(())
    }
}

/// Refuses a place whose tree contradicts the copy, which is of the log `own`, or a smaller checkpoint of its log.
///
/// # Errors
/// Names it, and the checkpoint.
pub(super) fn trees_agree(copy: &CopyTree, own: u64, places: &[LogPlace], signed: &[SignedHead]) -> Result<(), Failure> {
    let tree = &copy.tree;
    for place in places {
        let theirs = signed.iter().filter(|signed| signed.place == place.name);
        let Some(newest) = theirs.max_by_key(|signed| signed.age()) else { continue };
        let others = signed.iter().map(|other| (other.log, other.head.size(), other.head.root(), other.place.as_str()));
        let smaller = others.chain([(own, tree.size(), tree.root(), "the copy")]);
        for (_, size, root, name) in
            smaller.filter(|(log, size, ..)| *log == newest.log && (1..newest.head.size()).contains(size))
        {
            if place.root_within(&newest.head, size).is_some_and(|other| other != root) {
                return Err(Failure::new(format!(
                    "{}: the checkpoint over {} records in it contradicts {name}, whose first {size} records are others",
                    place.name,
                    newest.head.size()
                )));
            }
        }
    }
    Ok(())
}

impl Survivors {
    /// Finds the records in `places` that follow those of the copy and lead to the newest of the `signed` checkpoints that any
    /// lead to; none where they lead to none.
    ///
    /// # Errors
    /// When a checkpoint contradicts those records.
    pub(super) fn find(copy: CopyTree, places: &[LogPlace], signed: &[SignedHead]) -> Result<Option<Self>, Failure> {
        let from = copy.tree.size();
        let newer: Vec<&SignedHead> = signed.iter().filter(|signed| signed.head.size() > from).collect();
        let newest = newer.iter().map(|signed| signed.age()).max();
        let mut best: Option<(EntryReading, &SignedHead)> = None;
        for first in 0..places.len() {
            if best.as_ref().map(|(_, by)| by.age()) == newest {
                break;
            }
            let mut places = places.to_vec();
            places.rotate_left(first);
            let pass = EntryReading::over(copy.tree.clone(), places, &newer);
            let proved = newer.iter().filter(|signed| pass.leads_to(signed)).max_by_key(|signed| signed.age());
            if let Some(by) = proved.filter(|by| best.as_ref().is_none_or(|(_, other)| other.age() < by.age())) {
                best = Some((pass, by));
            }
        }
        let Some((pass, by)) = best else { return Ok(None) };
        let of_them = |other: &&&SignedHead| other.log == by.log && other.head.size() <= by.head.size();
        if let Some(other) = newer.iter().filter(of_them).find(|other| !pass.leads_to(other)) {
            return Err(Failure::new(format!(
                "{}: the checkpoint over {} records in it contradicts the records that lead to the one in {}",
                other.place,
                other.head.size(),
                by.place
            )));
        }
        let whole = (from / PAGE + 1..).take_while(|page| page * PAGE < by.head.size()).count();
        let roots = pass.pages.into_iter().take(whole).chain([by.head.root()]).collect();
        Ok(Some(Self { places: pass.places, tree: copy.tree, roots, by: by.clone() }))
    }

    /// The number of records.
    pub(super) fn count(&self) -> u64 {
        self.by.head.size() - self.tree.size()
    }

    /// Shows all of them in order to `each`, in pages with the index of the first, each verified just before.
    ///
    /// # Errors
    /// When they are not any more what they were; whatever `each` answers.
    pub(super) fn pages(&self, mut each: impl FnMut(u64, Vec<Vec<u8>>) -> Result<(), Failure>) -> Result<(), Failure> {
        let (mut tree, mut entries) = (self.tree.clone(), SurvivingEntries::of(&self.places));
        let changed = || Failure::new("the records that survive elsewhere were changed while they were read");
        for root in &self.roots {
            let (from, end) = (tree.size(), ((tree.size() / PAGE + 1) * PAGE).min(self.by.head.size()));
            let mut page = Vec::new();
            for index in from..end {
                let entry = entries.at(index).ok_or_else(changed)?;
                tree.append(leaf_hash(entry), |_, _| ());
                page.push(entry.to_vec());
            }
            if tree.root() != *root {
                return Err(changed());
            }
            each(from, page)?;
        }
        Ok(())
    }
}

/// One reading of the entries behind the copy, as far as there are any.
#[derive(Debug)]
struct EntryReading {
    places: Vec<LogPlace>,
    /// The roots at the sizes of the checkpoints.
    roots: BTreeMap<u64, Digest>,
    /// The roots at the end of each page.
    pages: Vec<Digest>,
}

impl EntryReading {
    /// Reads from `places`, the first that has an entry counts.
    fn over(mut tree: Frontier, places: Vec<LogPlace>, signed: &[&SignedHead]) -> Self {
        let sizes: BTreeSet<u64> = signed.iter().map(|signed| signed.head.size()).collect();
        let (mut roots, mut pages, mut entries) = (BTreeMap::new(), Vec::new(), SurvivingEntries::of(&places));
        let last = sizes.last().copied().unwrap_or(0);
        while tree.size() < last {
            let Some(entry) = entries.at(tree.size()) else { break };
            tree.append(leaf_hash(entry), |_, _| ());
            if tree.size().is_multiple_of(PAGE) {
                pages.push(tree.root());
            }
            if sizes.contains(&tree.size()) {
                roots.insert(tree.size(), tree.root());
            }
        }
        Self { places, roots, pages }
    }

    fn leads_to(&self, signed: &SignedHead) -> bool {
        self.roots.get(&signed.head.size()) == Some(&signed.head.root())
    }
}

/// Entries by their index, read from the first place that has them.
struct SurvivingEntries<'a> {
    places: &'a [LogPlace],
    /// The bundle that was read last.
    bundle: (u64, Vec<Vec<u8>>),
}

impl<'a> SurvivingEntries<'a> {
    fn of(places: &'a [LogPlace]) -> Self {
        Self { places, bundle: (u64::MAX, Vec::new()) }
    }

    /// None where no place has it, or what has it cannot be read.
    fn at(&mut self, index: u64) -> Option<&[u8]> {
        let (number, offset) = (index / u64::from(TILE_WIDTH), usize::try_from(index % u64::from(TILE_WIDTH)).ok()?);
        if self.bundle.0 != number || self.bundle.1.len() <= offset {
            let bundle = self.places.iter().map(|place| read(place, number)).find(|bundle| bundle.len() > offset)?;
            self.bundle = (number, bundle);
        }
        self.bundle.1.get(offset).map(Vec::as_slice)
    }
}

/// The entries of a bundle, as far as it is sound.
fn read(place: &LogPlace, number: u64) -> Vec<Vec<u8>> {
    let bytes = place.folder.widest_bundle(number).unwrap_or_else(|error| {
        tracing::warn!(%error, number, "a bundle of entries in {} cannot be read", place.name);
        None
    });
    let bytes = bytes.unwrap_or_default();
    BundleEntries::of(&bytes).map_while(Result::ok).map(<[u8]>::to_vec).collect()
}
