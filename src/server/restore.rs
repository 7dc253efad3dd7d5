//! Going on with a copy of the data, while no server runs: with what survives elsewhere, without what is missing, in another
//! epoch, and where records that were signed are missing, under the name of another log.

mod place;
mod survivors;

use std::path::{Path, PathBuf};

use super::failure::Failure;
use crate::commit::contract::{CommitStore, RecordReader, Select, StoreReason, Stored};
use crate::commit::{Fold, RestoredEpoch, first_epoch_of_log, log_of_epoch, rebuild, recorded_fold};
use crate::crypto::Digest;
use crate::ledger::record::{LostCheckpoint, Record, StateCause};
use crate::ledger::{Checkpoint, KeyName};
use crate::oauth::{Clock, Time};
use crate::store::{self, KeyFiles, LedgerKeys, SystemClock, TileFolder};
pub use place::BESIDE;
use place::KeyTasks;
pub(super) use place::refuse_unfinished;
use survivors::{CopyTree, LogPlace, SignedHead, Survivors};

/// The folders that a restore is about.
#[derive(Clone, Copy, Debug)]
pub struct RestoreFolders<'a> {
    /// The copy.
    pub copy: &'a Path,
    /// The data folder whose place it takes, or which it is.
    pub data: &'a Path,
    /// The places in which records may survive that the copy does not have.
    pub records: &'a [PathBuf],
    /// The key folder.
    pub keys: &'a Path,
    /// The name of the first log, as it is configured.
    pub base: &'a str,
}

/// What goes on with a copy, and what does not.
#[derive(Debug)]
pub struct RestorePlan {
    /// Records in the copy.
    pub records: u64,
    /// The newest signed checkpoint, where it covers records that are neither in the copy nor proved to survive.
    pub lost: Option<LostCheckpoint<'static>>,
    /// The copy is of a server that was stopped, and nothing is missing: it goes on as it was.
    pub whole: bool,
    /// The epoch that begins otherwise.
    pub epoch: u64,
    /// Sentences on what the folders of records have and cannot be used.
    pub notes: Vec<String>,
    survivors: Option<Survivors>,
    /// The time of the newest record of the copy.
    newest: Time,
    /// The number and the name of the log that goes on.
    log: u64,
    origin: KeyName,
    keys: PathBuf,
    head: Option<String>,
}

/// The checkpoints and the places of records that are at hand.
struct AtHand {
    signed: Vec<SignedHead>,
    remembered: Option<(u64, u64)>,
    /// The logs of the copy and of the data folder, and the places in which records may survive.
    trees: Vec<LogPlace>,
    places: Vec<LogPlace>,
    notes: Vec<String>,
}

impl RestorePlan {
    /// Weighs a copy against the key folder and everything that is signed by its keys. Nothing is written.
    ///
    /// # Errors
    /// When a copy, a folder or the keys cannot be read; when a checkpoint contradicts the copy, or another checkpoint.
    pub fn weigh(folders: RestoreFolders<'_>) -> Result<Self, Failure> {
        let RestoreFolders { copy, keys, base, .. } = folders;
        let failed = |reason: StoreReason| Failure::at(copy, &reason);
        let reader = store::reader(copy).map_err(failed)?;
        let (records, ledger, base) = (reader.count().map_err(failed)?, LedgerKeys::open(keys)?, KeyName::parse(base)?);
        let mut fold = recorded_fold(&*reader).map_err(failed)?;
        let newest_log = ledger.newest_log(&base);
        let AtHand { signed, remembered, trees, places, mut notes } = AtHand::of(folders, (&ledger, &base), newest_log)?;
        let tree = CopyTree::of(&*reader, &LogPlace::of(copy), records, &signed).map_err(failed)?;
        let own = log_of_epoch(fold.state.epoch().number);
        tree.agree(own, &signed)?;
        survivors::trees_agree(&tree, own, &[trees.as_slice(), &places].concat(), &signed)?;
        let survivors = Survivors::find(tree, &places, &signed)?;
        if let Some(survivors) = &survivors {
            followed(&mut fold, survivors)?;
            let listed = KeyFiles::open(keys, SystemClock.now())?.commit(&ledger)?.listed;
            fold.state.require_keys(&listed).map_err(|reason| Failure::at(keys, &reason))?;
        }
        if survivors.is_none() && !places.is_empty() {
            notes
                .push("no record that the copy does not have is proved by a key of this server, so none is folded in".to_owned());
        }
        let (before, end) = (fold.state.epoch().number, survivors.as_ref().map_or(records, |survivors| survivors.by.head.size()));
        let beside = AtHand::beside(&signed, end, folders.data);
        let (own, newest) = (log_of_epoch(before), signed.into_iter().max_by_key(SignedHead::age));
        let of_another = own != newest_log;
        let lost = newest.as_ref().filter(|newest| of_another || newest.head.size() > end).map(|newest| lost(&newest.head));
        if lost.is_some() {
            notes.extend(beside);
        }
        let breaks = of_another || lost.is_some();
        let log = if breaks { own.max(newest_log) + 1 } else { own };
        let epoch = if breaks { first_epoch_of_log(log) } else { before + 1 };
        let whole = !breaks && survivors.is_none() && is_stopped(&*reader, records).map_err(failed)?;
        let newer = |newest: &SignedHead| (newest.named || remembered.is_some()) && remembered < Some(newest.age());
        let head = newest.filter(|newest| !breaks && newer(newest)).and_then(|newest| newest.note);
        let (origin, newest) = (base.restored(log)?, time_of_newest(&*reader, records).map_err(failed)?);
        Ok(Self { records, lost, whole, epoch, notes, survivors, newest, log, origin, keys: keys.to_owned(), head })
    }

    /// The number of records that survive elsewhere and are folded in.
    pub fn folded_in(&self) -> u64 {
        self.survivors.as_ref().map_or(0, Survivors::count)
    }

    /// The size of the checkpoint that proves those, and the place in which it lies.
    pub fn proved_by(&self) -> Option<(u64, &str)> {
        self.survivors.as_ref().map(|survivors| (survivors.by.head.size(), survivors.by.place.as_str()))
    }

    /// The number of records that were signed and are nowhere, at least.
    pub fn missing(&self) -> u64 {
        self.lost.as_ref().map_or(0, |lost| lost.size.saturating_sub(self.records + self.folded_in()))
    }

    /// True where agents and rules are held until an operator accepts a configuration, and another log begins.
    pub fn breaks(&self) -> bool {
        self.epoch == first_epoch_of_log(self.log) && self.log > 0
    }

    /// The name of the log that goes on.
    pub fn origin(&self) -> &KeyName {
        &self.origin
    }

    /// Does it to the data folder `data`: with the backup in `dir`, or with what lies there. A crash leaves the data as they
    /// were, or a folder that no server starts on until this was said again. `progress` hears what is done with how many records
    /// of how many.
    ///
    /// # Errors
    /// When a server runs on it; what cannot be read or written.
    pub fn carry_out(
        &self,
        dir: Option<&Path>,
        data: &Path,
        reason: &str,
        progress: &mut dyn FnMut(&str, u64, u64),
    ) -> Result<(), Failure> {
        let origin = self.breaks().then(|| self.origin.to_string());
        let adopts = !store::is_used(data);
        let tasks = KeyTasks { keys: std::path::absolute(&self.keys)?, adopts, origin, head: self.head.clone() };
        let claim = tasks.claim(data)?;
        let Some(dir) = dir else {
            self.begin(data, reason, progress)?;
            drop(claim);
            place::step()?;
            return tasks.settle(data);
        };
        let begin = |aside: &Path| if self.whole { Ok(()) } else { self.begin(aside, reason, progress) };
        place::make_ready(dir, data, &tasks, begin)?;
        drop(claim);
        place::finish(data)
    }

    /// True where one that was broken off is to be finished in the data folder `data`.
    pub fn is_unfinished(data: &Path) -> bool {
        place::is_unfinished(data)
    }

    /// Finishes it.
    ///
    /// # Errors
    /// As of [`carry_out`](Self::carry_out).
    pub fn finish(data: &Path) -> Result<(), Failure> {
        place::finish(data)
    }

    /// Folds in what survives, and begins the epoch, in one transaction. Before that nobody is served on what was folded in.
    fn begin(&self, data: &Path, reason: &str, progress: &mut dyn FnMut(&str, u64, u64)) -> Result<(), Failure> {
        let mut store = store::open(data).map_err(|reason| Failure::at(data, &reason))?;
        let keys = KeyFiles::open(&self.keys, SystemClock.now())?.commit(&LedgerKeys::open(&self.keys)?)?;
        let found = store.open().map_err(|reason| Failure::store(data, &reason))?;
        if found.count != self.records {
            return Err(Failure::new(format!("{}: something was recorded meanwhile; say it again", data.display())));
        }
        // Else it is refused below, as it is.
        if found.earlier.is_none() {
            self.fold_in(&mut *store, data, progress)?;
        }
        place::step()?;
        // An epoch that holds what may have been lost names a checkpoint; where none was signed, that of no records.
        let nothing = || LostCheckpoint { origin: self.origin.to_string().into(), root: Digest::of(b""), size: 0 };
        let before = self.breaks().then(|| self.lost.clone().unwrap_or_else(nothing));
        let restored = RestoredEpoch { number: self.epoch, before, reason: reason.to_owned() };
        let read = |at, of| progress("read", at, of);
        rebuild(&mut *store, keys, &SystemClock, Some(&restored), read).map_err(|reason| Failure::store(data, &reason))?;
        Ok(())
    }

    fn fold_in(&self, store: &mut dyn CommitStore, data: &Path, progress: &mut dyn FnMut(&str, u64, u64)) -> Result<(), Failure> {
        let Some(survivors) = &self.survivors else { return Ok(()) };
        let mut before = self.newest;
        survivors.pages(|from, page| {
            let mut records = Vec::with_capacity(page.len());
            for (index, record) in (from..).zip(page) {
                let stored = Stored::of(index, record, before)?;
                before = stored.at;
                records.push(stored);
            }
            place::step()?;
            progress("folded in", from - self.records, survivors.count());
            store.fold_in(&records).map_err(|reason| Failure::at(data, &reason))
        })
    }
}

impl AtHand {
    fn of(folders: RestoreFolders<'_>, (ledger, base): (&LedgerKeys, &KeyName), newest_log: u64) -> Result<Self, Failure> {
        let RestoreFolders { copy, data, records, keys, .. } = folders;
        let head = TileFolder::remembered_head(keys, ledger).map_err(|reason| Failure::at(keys, &reason))?;
        let remembered = head.map(|head| SignedHead {
            place: keys.join("ledger.head").display().to_string(),
            log: head.origin().restored_from(base).unwrap_or(newest_log),
            head,
            note: None,
            named: false,
        });
        let age = remembered.as_ref().map(SignedHead::age);
        let trees = [copy, data].map(LogPlace::of).to_vec();
        let mut at_hand = Self {
            signed: remembered.into_iter().collect(),
            remembered: age,
            trees: trees.clone(),
            places: Vec::new(),
            notes: Vec::new(),
        };
        trees.iter().try_for_each(|place| at_hand.add(place, ledger, base, false))?;
        for folder in records {
            if !folder.is_dir() {
                return Err(Failure::new(format!("--records {}: there is no such folder", folder.display())));
            }
            let place = LogPlace::of(folder);
            at_hand.add(&place, ledger, base, true)?;
            at_hand.places.push(place);
        }
        Ok(at_hand)
    }

    /// Takes in what is signed in a place, and says where the newest of it does not count.
    fn add(&mut self, place: &LogPlace, ledger: &LedgerKeys, base: &KeyName, named: bool) -> Result<(), Failure> {
        let believed = place.signed((ledger, base, named), &mut self.signed)?;
        let note = format!("{}: no key of this server that counts signed the checkpoint in it", place.name());
        if !believed && !self.notes.contains(&note) {
            self.notes.push(note);
        }
        Ok(())
    }

    /// A sentence where the log in the data folder goes further than `end`, and was not named.
    fn beside(signed: &[SignedHead], end: u64, data: &Path) -> Option<String> {
        let place = LogPlace::of(data);
        let further = |signed: &&SignedHead| !signed.named && signed.place == place.name() && signed.head.size() > end;
        signed.iter().find(further)?;
        Some(format!("{} has newer records: --records {} folds in those that are proved", place.name(), data.display()))
    }
}

/// Takes up the records that survive.
fn followed(fold: &mut Fold, survivors: &Survivors) -> Result<(), Failure> {
    survivors.pages(|from, page| {
        for (index, record) in (from..).zip(page) {
            let parsed =
                Record::parse(&record).map_err(|reason| Failure::new(format!("record {index} that survives: {reason}")))?;
            fold.take(index, &parsed)?;
        }
        Ok(())
    })
}

fn lost(head: &Checkpoint) -> LostCheckpoint<'static> {
    LostCheckpoint { origin: head.origin().to_string().into(), root: head.root(), size: head.size() }
}

fn newest(reader: &dyn RecordReader, records: u64) -> Result<Option<Stored>, StoreReason> {
    let Some(last) = records.checked_sub(1) else { return Ok(None) };
    Ok(reader.records(Select::All, last, 1)?.pop())
}

fn time_of_newest(reader: &dyn RecordReader, records: u64) -> Result<Time, StoreReason> {
    Ok(newest(reader, records)?.map_or(Time::from_millis(0), |stored| stored.at))
}

/// True where the newest record is that of a server that ended: nothing was spent after it. The state is then as of that record,
/// unless it was folded in from elsewhere.
fn is_stopped(reader: &dyn RecordReader, records: u64) -> Result<bool, StoreReason> {
    let Some(stored) = newest(reader, records)? else { return Ok(false) };
    let stop = |record: Record<'_>| matches!(record, Record::State(state) if state.cause == StateCause::Stop);
    let stopped = Record::parse(&stored.record).is_ok_and(stop);
    Ok(stopped && reader.checkpoint()?.index == Some(stored.index))
}

#[cfg(test)]
mod tests;
