//! Going on with a copy of the data, while no server runs: without what is missing in it, in another epoch, and where records
//! that were signed are missing, under the name of another log.

use std::path::{Path, PathBuf};

use super::failure::Failure;
use crate::commit::contract::{RecordReader, Select, StoreReason};
use crate::commit::{RestoredEpoch, first_epoch_of_log, log_of_epoch, rebuild, recorded_state};
use crate::crypto::Digest;
use crate::ledger::record::{LostCheckpoint, Record, StateCause};
use crate::ledger::{Checkpoint, KeyName};
use crate::oauth::Clock;
use crate::store::{self, KeyFiles, LedgerKeys, SystemClock, TileFolder};

/// What goes on with a copy, and what does not.
#[derive(Debug)]
pub struct RestorePlan {
    /// Records in the copy.
    pub records: u64,
    /// The newest signed checkpoint, where it covers records that are not in the copy.
    pub lost: Option<LostCheckpoint<'static>>,
    /// The copy is of a server that was stopped, and nothing is missing: it goes on as it was.
    pub whole: bool,
    /// The epoch that begins otherwise.
    pub epoch: u64,
    /// The number and the name of the log that goes on.
    log: u64,
    origin: KeyName,
    keys: PathBuf,
}

impl RestorePlan {
    /// Weighs the copy in the folder `copy` against the key folder `keys`; the log is called `base` by the configuration.
    ///
    /// # Errors
    /// When the copy or the keys cannot be read.
    pub fn weigh(copy: &Path, keys: &Path, base: &str) -> Result<Self, Failure> {
        let failed = |reason: StoreReason| Failure::at(copy, &reason);
        let reader = store::reader(copy).map_err(failed)?;
        let (records, ledger, base) = (reader.count().map_err(failed)?, LedgerKeys::open(keys)?, KeyName::parse(base)?);
        let before = recorded_state(&*reader).map_err(failed)?.epoch().number;
        let (own, newest) = (log_of_epoch(before), ledger.newest_log(&base));
        let head = TileFolder::remembered_head(keys, &ledger).map_err(|reason| Failure::at(keys, &reason))?;
        let of_another = own != newest;
        let lost = head.filter(|head| of_another || head.size() > records).map(|head| lost(&head));
        let breaks = of_another || lost.is_some();
        let log = if breaks { own.max(newest) + 1 } else { own };
        let epoch = if breaks { first_epoch_of_log(log) } else { before + 1 };
        let whole = !breaks && is_stopped(&*reader, records).map_err(failed)?;
        Ok(Self { records, lost, whole, epoch, log, origin: base.restored(log)?, keys: keys.to_owned() })
    }

    /// The number of records that were signed and are not in the copy, at least.
    pub fn missing(&self) -> u64 {
        self.lost.as_ref().map_or(0, |lost| lost.size.saturating_sub(self.records))
    }

    /// True where agents and rules are held until an operator accepts a configuration, and another log begins.
    pub fn breaks(&self) -> bool {
        self.epoch == first_epoch_of_log(self.log) && self.log > 0
    }

    /// The name of the log that goes on.
    pub fn origin(&self) -> &KeyName {
        &self.origin
    }

    /// Begins the epoch in the data folder `data`: in one transaction, so that a crash leaves it as it was or done.
    ///
    /// # Errors
    /// `Locked` where a server runs on it; what cannot be read or written.
    pub fn begin(&self, data: &Path, reason: &str) -> Result<(), Failure> {
        let mut store = store::open(data).map_err(|reason| Failure::at(data, &reason))?;
        let keys = KeyFiles::open(&self.keys, SystemClock.now())?.commit(&LedgerKeys::open(&self.keys)?)?;
        // An epoch that holds what may have been lost names a checkpoint; where none was signed, that of no records.
        let nothing = || LostCheckpoint { origin: self.origin.to_string().into(), root: Digest::of(b""), size: 0 };
        let before = self.breaks().then(|| self.lost.clone().unwrap_or_else(nothing));
        let restored = RestoredEpoch { number: self.epoch, before, reason: reason.to_owned() };
        rebuild(&mut *store, keys, &SystemClock, Some(&restored), |_, _| {}).map_err(|reason| Failure::store(data, &reason))?;
        Ok(())
    }

    /// Makes the key of the log that goes on, without which nothing starts: last, once the data are in their place.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn settle(&self) -> Result<(), Failure> {
        if self.breaks() {
            LedgerKeys::open_or_create(&self.keys, &self.origin, SystemClock.now())?;
        }
        Ok(())
    }
}

fn lost(head: &Checkpoint) -> LostCheckpoint<'static> {
    LostCheckpoint { origin: head.origin().to_string().into(), root: head.root(), size: head.size() }
}

/// True where the newest record is that of a server that ended: nothing was spent after it.
fn is_stopped(reader: &dyn RecordReader, records: u64) -> Result<bool, StoreReason> {
    let Some(last) = records.checked_sub(1) else { return Ok(false) };
    let page = reader.records(Select::All, last, 1)?;
    let stop = |record: Record<'_>| matches!(record, Record::State(state) if state.cause == StateCause::Stop);
    Ok(page.first().is_some_and(|stored| Record::parse(&stored.record).is_ok_and(stop)))
}
