//! A data folder on which no server runs.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::failure::Failure;
use super::folder::DataFolder;
use super::keys::{record_keys, server_keys};
use super::reconcile::{in_force, reconcile};
use super::restore::refuse_unfinished;
use super::succession::succession;
use super::terms;
use super::velocity;
use crate::commit::contract::{RecordReader, StoreReason};
use crate::commit::{self, Commit};
use crate::config::{self, ChangedBy, Fingerprint, Succession};
use crate::crypto::Digest;
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
    data: PathBuf,
    fingerprint: Fingerprint,
    digest: Digest,
    ends_percent: u32,
    /// The last hour was counted already.
    recalled: AtomicBool,
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
        refuse_unfinished(data)?;
        let (config, fingerprint, digest) = folder.configuration_as_read()?;
        let (keys_dir, ends_percent) = (config.settings.keys.dir.clone(), config.settings.files.ends_percent);
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
        let data = data.to_owned();
        Ok(Self {
            deployment,
            commit,
            keys: keys_dir,
            records,
            data,
            fingerprint,
            digest,
            ends_percent,
            recalled: AtomicBool::new(false),
            _claim: claim,
        })
    }

    /// Records what happened to the keys.
    ///
    /// # Errors
    /// When the key folder cannot be read.
    pub async fn record_keys(&self) -> Result<(), Failure> {
        record_keys(&self.commit, &KeyFiles::open(&self.keys, SystemClock.now())?, &self.keys).await
    }

    /// Counts what agents with limits were issued in the last hour, once: it takes a look at the records of it.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub fn recall(&self) -> Result<(), StoreReason> {
        if self.recalled.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        let present = SystemClock.now().max(self.commit.state().floor());
        velocity::recall(&self.commit, &*self.records, &self.deployment.catalog, present)
    }

    /// The difference that the configuration makes to what is recorded as in force.
    pub fn succession(&self) -> Succession {
        let now = in_force(&self.deployment.catalog, self.deployment.trust.rules().map(|rule| &**rule));
        let weighed = self.commit.in_force().map(|before| succession(&before, &now, self.ends_percent)).unwrap_or_default();
        if self.commit.state().is_held() { weighed.held() } else { weighed }
    }

    /// The digest of the configuration.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Puts the configuration in force in the record: what it ends is ended, and the next start has nothing to wait for.
    ///
    /// # Errors
    /// When anything was written since it was read, or meanwhile; when that cannot be recorded.
    pub async fn accept(&self) -> Result<(), Failure> {
        if self.fingerprint.again() != self.fingerprint {
            return Err(Failure::new("the files were written while they were read, or since; look again at what ends"));
        }
        reconcile(&self.commit, &self.deployment, Some((self.digest, ChangedBy::Operator))).await?;
        terms::take_up(&self.deployment, &self.digest, &self.data);
        Ok(())
    }

    /// Closes the store and gives up the lock.
    pub async fn close(&self) {
        self.commit.close().await;
    }
}
