//! A data folder on which no server runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::failure::Failure;
use super::keys::{record_keys, server_keys};
use crate::commit::contract::{RecordReader, StoreReason};
use crate::commit::{self, Commit};
use crate::config::{self, Sources};
use crate::deployment::Deployment;
use crate::jose::Cache;
use crate::oauth::Clock;
use crate::store::{self, KeyClaim, KeyFiles, LedgerKeys, SystemClock};

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
    /// Opens the data folder `data` of the server whose settings are in `files`.
    ///
    /// # Errors
    /// When no server ever ran on the folder, or one runs; when its configuration or keys cannot be used.
    pub fn open(data: &Path, files: &[PathBuf]) -> Result<Self, Failure> {
        if !store::is_used(data) {
            return Err(Failure::new(format!("{}: no server runs on this folder and none ever did", data.display())));
        }
        let config = Sources::new(files.to_vec()).load().config.map_err(Failure::configuration)?;
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
        let commit = Commit::start(store, Arc::new(SystemClock), keys, commit::Limits::default()).map_err(failed)?;
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
