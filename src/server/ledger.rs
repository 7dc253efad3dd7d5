//! Puts the ledger together: keys, files, sequencer.

use std::path::Path;
use std::sync::Arc;

use super::failure::{Failure, with_causes};
use crate::commit::{Commit, LogKeys, LogParts, Sequencer};
use crate::config::{LedgerAccess, Settings};
use crate::http::LedgerState;
use crate::ledger::KeyName;
use crate::oauth::Time;
use crate::store::{self, LEDGER_FOLDER, LedgerKeys, TileFolder};

/// Signs the checkpoints, with other keys when the key folder has others.
#[derive(Clone)]
pub(super) struct LedgerSigning {
    pub(super) sequencer: Sequencer,
    files: Arc<TileFolder>,
}

impl LedgerSigning {
    /// Signs with the keys that are in the key folder at `now`.
    ///
    /// # Errors
    /// When a file is not in order.
    pub(super) fn renew(&self, settings: &Settings, now: Time) -> Result<(), Failure> {
        let keys = keys(settings, now)?;
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
    now: Time,
) -> Result<(LedgerSigning, LedgerState), Failure> {
    let files = Arc::new(TileFolder::new(data, &settings.keys.dir).map_err(|reason| Failure::at(data, &reason))?);
    files.refuse_lost_head()?;
    let records = store::reader(data).map_err(|reason| Failure::at(data, &reason))?;
    let keys = keys(settings, now)?;
    files.write_keys(&keys.known).map_err(|reason| Failure::at(data, &reason))?;
    let parts = LogParts {
        records: store::reader(data).map_err(|reason| Failure::at(data, &reason))?,
        durable: commit.durable(),
        files: Arc::clone(&files) as Arc<_>,
        trimmer: store::trimmer(data),
        keys,
        interval: settings.ledger.checkpoint_interval,
    };
    let sequencer = Sequencer::start(parts).map_err(|reason| {
        Failure::new(format!("the ledger in {}: {}", data.join(LEDGER_FOLDER).display(), with_causes(&reason)))
    })?;
    let public = settings.ledger.access == LedgerAccess::Public;
    let signing = LedgerSigning { sequencer: sequencer.clone(), files: Arc::clone(&files) };
    Ok((signing, LedgerState { sequencer, files, records, public }))
}

/// The log's keys as they are at `now`; the first is made when there is none.
fn keys(settings: &Settings, now: Time) -> Result<LogKeys, Failure> {
    let origin = KeyName::parse(&settings.ledger.origin)?;
    let keys = LedgerKeys::open_or_create(&settings.keys.dir, &origin, now)?;
    Ok(LogKeys { signers: keys.signers(&origin, now)?, known: keys.verifiers(&origin), origin })
}
