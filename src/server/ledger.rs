//! Puts the ledger together: keys, files, sequencer.

use std::path::Path;
use std::sync::Arc;

use super::failure::{Failure, with_causes};
use crate::commit::{Commit, LogKeys, LogParts, RetentionParts, Sequencer, log_of_epoch};
use crate::config::{LedgerAccess, Settings};
use crate::http::LedgerState;
use crate::ledger::KeyName;
use crate::oauth::{Clock, Time};
use crate::store::{self, LEDGER_FOLDER, LedgerKeys, TileFolder};

/// Signs the checkpoints, with other keys when the key folder has others.
#[derive(Clone)]
pub(super) struct LedgerSigning {
    pub(super) sequencer: Sequencer,
    files: Arc<TileFolder>,
    /// The number of the log.
    log: u64,
}

impl LedgerSigning {
    /// Signs with the keys that are in the key folder at `now`.
    ///
    /// # Errors
    /// When a file is not in order.
    pub(super) fn renew(&self, settings: &Settings, now: Time) -> Result<(), Failure> {
        let keys = keys(settings, self.log, now)?;
        self.files.write_keys(&keys.known)?;
        self.sequencer.rekey(keys);
        Ok(())
    }
}

/// Starts the sequencer over the records in `data`, whose lock is held by `commit`'s store.
///
/// # Errors
/// A fault of keys, records or log, with its place.
pub(super) fn start(
    settings: &Settings,
    data: &Path,
    commit: &Commit,
    clock: &Arc<dyn Clock>,
) -> Result<(LedgerSigning, LedgerState), Failure> {
    let now = clock.now();
    let files = Arc::new(TileFolder::new(data, &settings.keys.dir).map_err(|reason| Failure::at(data, &reason))?);
    files.refuse_lost_head()?;
    let records = store::reader(data).map_err(|reason| Failure::at(data, &reason))?;
    let log = log_of(settings, data, commit)?;
    let keys = keys(settings, log, now)?;
    files.write_keys(&keys.known).map_err(|reason| Failure::at(data, &reason))?;
    let parts = LogParts {
        records: store::reader(data).map_err(|reason| Failure::at(data, &reason))?,
        durable: commit.durable(),
        files: Arc::clone(&files) as Arc<_>,
        trimmer: store::trimmer(data),
        keys,
        interval: settings.ledger.checkpoint_interval,
    };
    let retention = RetentionParts {
        keep: settings.ledger.keep,
        commit: commit.clone(),
        records: Arc::clone(&records),
        pruner: store::pruner(data),
        clock: Arc::clone(clock),
    };
    let sequencer = Sequencer::start(parts, Some(retention)).map_err(|reason| {
        Failure::new(format!("the ledger in {}: {}", data.join(LEDGER_FOLDER).display(), with_causes(&reason)))
    })?;
    let public = settings.ledger.access == LedgerAccess::Public;
    let signing = LedgerSigning { sequencer: sequencer.clone(), files: Arc::clone(&files), log };
    Ok((signing, LedgerState { sequencer, files, records, data: data.to_owned(), public, keep: settings.ledger.keep }))
}

/// The number of the log that goes on with these records, which is the newest that there is a key for: else the data are an older
/// copy, or going on without what is lost was broken off.
fn log_of(settings: &Settings, data: &Path, commit: &Commit) -> Result<u64, Failure> {
    let base = KeyName::parse(&settings.ledger.origin)?;
    let (log, newest) = (log_of_epoch(commit.state().epoch()), LedgerKeys::open(&settings.keys.dir)?.newest_log(&base));
    if log == newest {
        return Ok(log);
    }
    let (origin, data) = (base.restored(newest)?, data.display());
    Err(Failure::new(format!(
        "the records in {data} are not those that the log {origin} goes on with, which is the newest that the key folder has a \
         key for: they are an older copy, or a restore was broken off. Put the newest copy back; where it is lost for good, \
         countersign restore --in-place --data {data} goes on without what is missing"
    )))
}

/// The log's keys as they are at `now`; the first is made when there is none.
fn keys(settings: &Settings, log: u64, now: Time) -> Result<LogKeys, Failure> {
    let base = KeyName::parse(&settings.ledger.origin)?;
    let origin = base.restored(log)?;
    let keys = LedgerKeys::open_or_create(&settings.keys.dir, &origin, now)?;
    let earlier = (0..log).map(|log| base.restored(log)).collect::<Result<_, _>>()?;
    Ok(LogKeys { signers: keys.signers(&origin, now)?, known: keys.verifiers(&origin), origin, earlier })
}
