//! Puts a changed configuration in force without a restart: whole, or not at all.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::sign::CertifiedKey;
use tokio::runtime::Handle;

use super::failure::Failure;
use super::keys::{as_recorded, record_keys, server_keys};
use super::ledger::LedgerSigning;
use super::reconcile::{Removed, reconcile, weigh};
use super::rewrap::Rewrapping;
use super::terms::take_up;
use crate::commit::{Commit, CommitReason, Hindrance};
use crate::config::{self, ChangedBy, Config, ServerKeys, Settings, Succession, Successor, TakeOutcome, TlsSettings};
use crate::crypto::Digest;
use crate::deployment::Deployment;
use crate::diagnostic::Diagnostics;
use crate::http::{AppState, Frontend, TlsIdentity};
use crate::jose::Cache;
use crate::keys::Sequences;
use crate::net::Fetcher;
use crate::oauth::Clock;
use crate::store::{self, KeyFiles, LedgerKeys, SequenceFile};

/// The longest time that a request may take, whatever it waits for: after it, those that began under the configuration before
/// are over.
const REQUEST_MAX: Duration = Duration::from_secs(120);

/// Takes up configurations that have changed.
#[derive(Clone)]
pub(super) struct Reload {
    pub(super) lasting: Lasting,
    pub(super) signing: LedgerSigning,
    pub(super) roots: Rewrapping,
    pub(super) identity: Option<Arc<TlsIdentity>>,
    pub(super) state: Arc<AppState>,
    /// The settings of the start.
    pub(super) before: Arc<Settings>,
    /// The runtime of the server.
    pub(super) runtime: Handle,
}

/// The parts of a server that outlive its configurations.
#[derive(Clone)]
pub(super) struct Lasting {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) commit: Commit,
    /// The data folder.
    data: PathBuf,
    /// Tokens whose signatures were verified.
    verified: Arc<Cache>,
    /// The highest versions of trust domains' bundles.
    sequences: Arc<Sequences>,
    fetcher: Fetcher,
}

/// A configuration that is ready to be put in force.
struct Prepared {
    deployment: Deployment,
    frontend: Frontend,
    certificate: Option<Arc<CertifiedKey>>,
}

impl Successor for Reload {
    fn weigh(&self, config: &Config) -> Succession {
        let commit = &self.lasting.commit;
        weigh(commit.in_force().as_ref(), commit.state().is_held(), config)
    }

    fn take(&self, config: Config, digest: Digest, by: ChangedBy) -> TakeOutcome {
        let _inside = self.runtime.enter();
        let prepared = match self.build(config) {
            Ok(prepared) => prepared,
            Err(why) => {
                self.refused(&why);
                return TakeOutcome::Refused;
            }
        };
        match self.runtime.block_on(reconcile(&self.lasting.commit, &prepared.deployment, Some((digest, by)))) {
            Ok(removed) => {
                take_up(&prepared.deployment, &digest, &self.lasting.data);
                let old = self.put_in_force(prepared);
                tracing::info!(%digest, by = by.name(), "the changed configuration is in force");
                self.end_again(&old, &removed);
                TakeOutcome::InForce
            }
            Err(reason) => self.unrecorded(reason),
        }
    }

    fn records(&self) -> bool {
        let hindrances = self.runtime.block_on(self.lasting.commit.hindrances());
        let stops = |hindrance: &Hindrance| {
            use Hindrance::{ClockDoubted, Closing, Stalled, Store, Thread};
            matches!(hindrance, Thread | Closing | Stalled | Store | ClockDoubted)
        };
        !hindrances.iter().any(stops)
    }

    /// Nothing is recorded, for the configuration remains what it was.
    fn rekey(&self, config: Config) {
        let _inside = self.runtime.enter();
        match self.build(config) {
            Ok(prepared) => {
                self.put_in_force(prepared);
                tracing::info!("the changed keys are in use");
            }
            Err(why) => tracing::error!("the changed keys are not used, those before are: {why}"),
        }
    }

    fn refuse(&self, why: &Diagnostics) {
        self.refused(why);
    }
}

impl Reload {
    fn refused(&self, why: &dyn Display) {
        tracing::error!("the changed configuration is not used, the one before stays in force:\n{why}");
        tracing::error!("it is read again when a file changes, or on SIGHUP");
    }

    /// It is tried again where that can help.
    fn unrecorded(&self, reason: CommitReason) -> TakeOutcome {
        let why = format!("what the changed configuration has in force, and what it ends, cannot be recorded: {reason}");
        if reason.is_temporary() {
            tracing::error!("{why}; it is taken up when it can be");
            return TakeOutcome::Unrecorded;
        }
        self.refused(&why);
        TakeOutcome::Refused
    }

    fn build(&self, config: Config) -> Result<Prepared, Failure> {
        restart_only(&config.settings, &self.before)?;
        warn(&config);
        let (keys, now) = (&config.settings.keys, self.lasting.clock.now());
        let files = KeyFiles::open_or_create(&keys.dir, &keys.algorithms, now)?;
        let files = as_recorded(&self.lasting.commit, files, keys, now)?;
        self.signing.renew(&config.settings, now)?;
        store::remember(&self.lasting.data, &files, &LedgerKeys::open(&keys.dir)?)?;
        self.runtime.block_on(record_keys(&self.lasting.commit, &files, &keys.dir))?;
        self.roots.take(files.root_key()?);
        let keys = self.lasting.keys(&files)?;
        let (frontend, certificate) = (Frontend::of(&config.settings), config.identity.clone());
        let deployment = config::deployment(config, keys, Some(&self.state.deployment())).map_err(Failure::new)?;
        Ok(Prepared { deployment, frontend, certificate })
    }

    /// The configuration that was in force before.
    fn put_in_force(&self, prepared: Prepared) -> Arc<Deployment> {
        self.lasting.keep_fresh(&prepared.deployment);
        let old = self.state.deployment();
        self.state.swap(Arc::new(prepared.deployment), prepared.frontend);
        if let (Some(identity), Some(certificate)) = (&self.identity, prepared.certificate) {
            identity.replace(certificate);
        }
        old
    }

    /// Requests that began under the `old` configuration may have been issued something under what it still had in force. They
    /// are waited for, and what came of them ends too.
    fn end_again(&self, old: &Arc<Deployment>, removed: &Removed) {
        if removed.is_empty() {
            return;
        }
        // This thread is not one of the runtime's, which may be stopping meanwhile.
        let since = Instant::now();
        while Arc::strong_count(old) > 1 && since.elapsed() < REQUEST_MAX {
            std::thread::sleep(Duration::from_millis(10));
        }
        let reason = "the configuration no longer has it in force, and requests under the one before are over";
        if let Err(reason) = self.runtime.block_on(removed.record(&self.lasting.commit, reason)) {
            tracing::error!(%reason, "what requests under the configuration before may have been issued could not be ended");
        }
    }
}

impl Lasting {
    /// Reads the highest bundle versions of the data folder. Without them nobody could tell whether one was rolled back.
    pub(super) fn new(settings: &Settings, data: &Path, clock: Arc<dyn Clock>, commit: Commit) -> Result<Self, Failure> {
        let file = SequenceFile::new(data);
        let path = file.path();
        let sequences = Sequences::kept_in(Box::new(file)).map_err(|error| {
            let way_out = "put it back from a backup, or remove it where no trust domain's bundle can have been rolled back";
            Failure::new(format!("{}: {error}; {way_out}", path.display()))
        })?;
        let verified = Arc::new(Cache::new(settings.limits.verified_tokens));
        if let Some(variable) = config::proxy_variable() {
            tracing::warn!(
                variable,
                "the proxy of the environment is not used to fetch keys; `proxy` in [keys] of a trust rule is"
            );
        }
        Ok(Self { clock, commit, data: data.to_owned(), verified, sequences: Arc::new(sequences), fetcher: Fetcher::new() })
    }

    /// The keys of the folder.
    pub(super) fn keys(&self, files: &KeyFiles) -> Result<ServerKeys, Failure> {
        server_keys(files, &self.verified, &self.sequences)
    }

    /// Fetches the foreign keys of the deployment, now and for as long as it is in force.
    pub(super) fn keep_fresh(&self, deployment: &Deployment) {
        deployment.trust.keep_fresh(&self.fetcher, &self.clock);
        deployment.logins.keep_fresh(&self.fetcher, &self.clock);
    }
}

/// Refuses settings that differ from those before in what cannot change while the server runs.
fn restart_only(after: &Settings, before: &Settings) -> Result<(), Failure> {
    let differs = [
        ("issuer", after.issuer != before.issuer),
        ("[listen]", after.listen != before.listen),
        ("dir of [keys]", after.keys.dir != before.keys.dir),
        ("rotate_after of [keys]", after.keys.rotate_after != before.keys.rotate_after),
        ("rotate_secrets_after of [keys]", after.keys.rotate_secrets_after != before.keys.rotate_secrets_after),
        ("[ledger]", after.ledger != before.ledger),
        ("[store]", after.commit != before.commit),
        ("[limits]", after.limits != before.limits),
    ];
    let named: Vec<&str> = differs.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect();
    if !named.is_empty() {
        return Err(Failure::new(format!("these change with a restart only: {}", named.join(", "))));
    }
    let listening = |tls: &TlsSettings| (tls.identity.is_some(), tls.public, tls.ask, tls.mtls);
    match listening(&after.tls) == listening(&before.tls) {
        true => Ok(()),
        false => Err(Failure::new("whether and where TLS is spoken changes with a restart only")),
    }
}

/// Logs the warnings of a configuration.
pub(super) fn warn(config: &Config) {
    config.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
}
