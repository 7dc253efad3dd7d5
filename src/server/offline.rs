//! A data folder on which no server runs.

use std::path::PathBuf;
use std::sync::Arc;

use super::failure::Failure;
use super::folder::DataFolder;
use super::keys::{record_keys, server_keys};
use crate::commit::contract::{RecordReader, StoreReason};
use crate::commit::{self, Commit};
use crate::config;
use crate::deployment::Deployment;
use crate::jose::Cache;
use crate::oauth::Clock;
use crate::store::{self, KeyClaim, KeyFiles, LedgerKeys, SystemClock, VouchedClock};

/// A data folder whose lock this process holds, with the configuration of its server.
pub struct Offline {
    /// The configuration, with the server's keys.
    pub deployment: Deployment,
    /// The one writer.
    pub commit: Commit,
    /// The key folder.
    pub keys: PathBuf,
    /// The records.
    pub records: Arc<dyn RecordReader>,
    _claim: KeyClaim,
}

impl Offline {
    /// Opens a data folder.
    ///
    /// # Errors
    /// When no server ever ran on the folder, or one runs; when its configuration or keys cannot be used.
    pub fn open(folder: &DataFolder) -> Result<Self, Failure> {
        let data = folder.data.as_path();
        if !store::is_used(data) {
            return Err(Failure::new(format!("{}: no server runs on this folder and none ever did", data.display())));
        }
        let config = folder.configuration()?;
        let keys_dir = config.settings.keys.dir.clone();
        let key_files = KeyFiles::open(&keys_dir, SystemClock.now())?;
        let keys = server_keys(&key_files, &Arc::new(Cache::new(1)), &Arc::default())?;
        let deployment = config::deployment(config, keys, None).map_err(Failure::configuration)?;
        let failed = |reason: StoreReason| match reason {
            StoreReason::Locked => Failure::new(format!("a server uses {}, but its ops.sock does not answer", data.display())),
            other => Failure::at(data, &other),
        };
        let store = store::open(data).map_err(failed)?;
        let claim = KeyClaim::take(&keys_dir, data)?;
        let ledger = LedgerKeys::open(&keys_dir)?;
        claim.require_known(&key_files, &ledger)?;
        let keys = key_files.commit(&ledger)?;
        let clock = Arc::new(VouchedClock::new(data).clock()?);
        let commit = Commit::start(store, clock, keys, commit::Limits::default()).map_err(failed)?;
        let records = store::reader(data).map_err(failed)?;
        Ok(Self { deployment, commit, keys: keys_dir, records, _claim: claim })
    }

    /// Records what happened to the keys.
    ///
    /// # Errors
    /// When the key folder cannot be read.
    pub async fn record_keys(&self) -> Result<(), Failure> {
        record_keys(&self.commit, &KeyFiles::open(&self.keys, SystemClock.now())?, &self.keys).await
    }

    /// Closes the store and gives up the lock.
    pub async fn close(&self) {
        self.commit.close().await;
    }
}
