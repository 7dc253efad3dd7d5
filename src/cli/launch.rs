//! Puts a server together: configuration, keys, store, writer, listeners.

mod crowd;
mod in_force;
mod ledger;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::sign::CertifiedKey;

use super::output::Failed;
use crate::commit::contract::StoreReason;
use crate::commit::{self, Commit, Sequencer};
use crate::config::{self, Config, Diagnostics, Fingerprint, ServerKeys, Settings, Sources, Tls};
use crate::exchange::Deployment;
use crate::http::{self, AppState, Frontend, InputLimits, Running, Serving, TlsIdentity, TlsSetup};
use crate::jose::Cache;
use crate::oauth::Clock;
use crate::store::{self, KeyFiles, SequenceFile, SystemClock};
use crate::trust::{Fetcher, Sequences};
use ledger::Signing;

/// A server that answers.
pub(super) struct Server {
    running: Running,
    commit: Commit,
    sequencer: Sequencer,
    pub(super) settings: Settings,
    reload: Reload,
    fingerprint: Fingerprint,
}

/// What a reload needs.
#[derive(Clone)]
struct Reload {
    clock: Arc<dyn Clock>,
    verified: Arc<Cache>,
    sequences: Arc<Sequences>,
    fetcher: Fetcher,
    ledger: Signing,
    identity: Option<Arc<TlsIdentity>>,
    door: Arc<AppState>,
    commit: Commit,
    runtime: tokio::runtime::Handle,
}

/// Reads the configuration and starts the server on `data`. Must be called on a tokio runtime inside an actix system.
///
/// # Errors
/// Every complaint about the configuration; a folder, key or address that cannot be used.
pub(super) async fn start(sources: &Sources, data: &Path) -> Result<Server, Failed> {
    let mut loaded = sources.load();
    let config = loaded.config.map_err(complaints)?;
    warn(&config);
    let settings = config.settings.clone();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let verified = Arc::new(Cache::new(settings.limits.verified_tokens));
    let identity = config.identity.clone().map(TlsIdentity::new);
    let sockets = http::bind(settings.listen.public, settings.listen.ops)?.with_mtls(settings.tls.mtls)?;
    let files = KeyFiles::open_or_create(&settings.keys.dir, &settings.keys.algorithms, clock.now())?;
    // What was made just now is no change of the configuration.
    loaded.fingerprint.look_again_at(&config::keyring(&settings));
    let root = Arc::new(files.root()?);
    let failed = |reason: StoreReason| Failed::new(format!("{}: {}", data.display(), with_causes(&reason)));
    let store = store::open(data).map_err(failed)?;
    let limits = commit::Limits {
        issues: settings.limits.queue,
        refusals_per_minute: settings.limits.refusals_per_minute,
        single_use: settings.limits.single_use,
        status: settings.limits.status_tokens,
        tasks: settings.limits.tasks,
        ..commit::Limits::default()
    };
    let commit = Commit::start(store, Arc::clone(&clock), root, limits).map_err(|reason| match reason {
        StoreReason::Corrupt(_) => Failed::new(format!("{reason}; countersign ledger verify {} says where", data.display())),
        other => failed(other),
    })?;
    let (signing, ledger) = ledger::start(&settings, data, &commit, clock.now())?;
    let sequences = sequences(data)?;
    let world = Arc::new(config::world(config, material(&files, &verified, &sequences)?, None).map_err(complaints)?);
    in_force::take_up(&commit, &world).await.map_err(|reason| {
        Failed::new(format!("what the configuration no longer has in force cannot be recorded as ended: {reason}"))
    })?;
    let fetcher = Fetcher::new();
    world.trust.keep_fresh(&fetcher, &clock);
    world.logins.keep_fresh(&fetcher, &clock);
    let limits = InputLimits { body_bytes_max: settings.limits.body_bytes_max, parameters_max: settings.limits.parameters_max };
    let door = Arc::new(AppState::new(world, Frontend::of(&settings), commit.clone(), ledger, Arc::clone(&clock), limits));
    let serving = Serving {
        path: &settings.issuer.path(),
        workers: settings.limits.workers,
        crowd: crowd::allowed(&settings.limits),
        tls: identity.clone().map(|identity| TlsSetup { identity, public: settings.tls.public, ask: settings.tls.ask }),
    };
    let running = http::serve(Arc::clone(&door), sockets.with_local(data), serving)?;
    let (ledger, runtime) = (signing.clone(), tokio::runtime::Handle::current());
    let reload = Reload { clock, verified, sequences, fetcher, ledger, identity, door, commit: commit.clone(), runtime };
    Ok(Server { running, commit, sequencer: signing.sequencer, settings, reload, fingerprint: loaded.fingerprint })
}

impl Server {
    /// Finishes requests under way, publishes what they recorded, and closes the store.
    pub(super) async fn stop(self) {
        self.running.stop().await;
        self.commit.close().await;
        let sequencer = self.sequencer;
        let _panicked = tokio::task::spawn_blocking(move || sequencer.close()).await;
    }

    /// Watches the configuration from now on: a changed and valid one is put in force whole, an invalid one is logged and left
    /// alone.
    pub(super) fn watch(&self, sources: Sources) -> impl Future<Output = ()> + use<> {
        let (reload, before, known) = (self.reload.clone(), self.settings.clone(), self.fingerprint.clone());
        config::watch(sources, known, move |loaded| {
            let _inside = reload.runtime.enter();
            reload.take(loaded, &before);
        })
    }
}

impl Reload {
    fn take(&self, loaded: Result<Config, Diagnostics>, before: &Settings) {
        let made = loaded.map_err(|complaints| complaints.to_string()).and_then(|config| self.build(config, before));
        let taken_up = made.and_then(|made| match self.runtime.block_on(in_force::take_up(&self.commit, &made.0)) {
            Ok(ended) => Ok((made, ended)),
            Err(reason) => Err(format!("what it no longer has in force cannot be recorded as ended: {reason}")),
        });
        match taken_up {
            Ok(((world, front, certificate), ended)) => {
                world.trust.keep_fresh(&self.fetcher, &self.clock);
                world.logins.keep_fresh(&self.fetcher, &self.clock);
                let old = self.door.world();
                self.door.swap(Arc::new(world), front);
                if let (Some(identity), Some(certificate)) = (&self.identity, certificate) {
                    identity.replace(certificate);
                }
                tracing::info!("the changed configuration is in force");
                self.end_again(&old, &ended);
            }
            Err(complaints) => {
                tracing::error!("the changed configuration is not used, the one before stays in force:\n{complaints}");
                tracing::error!("it is read again when a file changes, or on SIGHUP");
            }
        }
    }

    /// Requests that began under the `old` configuration may have been issued something under what it still had in force. They
    /// are waited for, and what came of them ends too.
    fn end_again(&self, old: &Arc<Deployment>, ended: &in_force::Ended) {
        if ended.is_empty() {
            return;
        }
        let since = Instant::now();
        while Arc::strong_count(old) > 1 && since.elapsed() < in_force::REQUEST_MAX {
            std::thread::sleep(Duration::from_millis(10));
        }
        let reason = "the configuration no longer has it in force, and requests under the one before are over";
        if let Err(reason) = self.runtime.block_on(ended.record(&self.commit, reason)) {
            tracing::error!(%reason, "what requests under the configuration before may have been issued could not be ended");
        }
    }

    fn build(&self, config: Config, before: &Settings) -> Result<(Deployment, Frontend, Option<Arc<CertifiedKey>>), String> {
        let restart = for_a_restart(&config.settings, before);
        if !restart.is_empty() {
            return Err(format!("these change with a restart only: {}", restart.join(", ")));
        }
        let addresses = |tls: &Tls| (tls.identity.is_some(), tls.public, tls.ask, tls.mtls);
        if addresses(&config.settings.tls) != addresses(&before.tls) {
            return Err("whether and where TLS is spoken changes with a restart only".to_owned());
        }
        warn(&config);
        let keys = &config.settings.keys;
        let files =
            KeyFiles::open_or_create(&keys.dir, &keys.algorithms, self.clock.now()).map_err(|reason| reason.to_string())?;
        let material = material(&files, &self.verified, &self.sequences).map_err(|failed| failed.to_string())?;
        self.ledger.renew(&config.settings, self.clock.now()).map_err(|failed| failed.to_string())?;
        let (front, certificate) = (Frontend::of(&config.settings), config.identity.clone());
        let world = config::world(config, material, Some(&self.door.world())).map_err(|complaints| complaints.to_string())?;
        Ok((world, front, certificate))
    }
}

/// What differs between two settings and cannot change while the server runs.
fn for_a_restart(after: &Settings, before: &Settings) -> Vec<&'static str> {
    let differs = [
        ("issuer", after.issuer != before.issuer),
        ("[listen]", after.listen != before.listen),
        ("dir of [keys]", after.keys.dir != before.keys.dir),
        ("[ledger]", after.ledger != before.ledger),
        ("[store]", after.commit != before.commit),
        ("[limits]", after.limits != before.limits),
    ];
    differs.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
}

/// The keys of the folder, parsed.
pub(super) fn material(files: &KeyFiles, verified: &Arc<Cache>, sequences: &Arc<Sequences>) -> Result<ServerKeys, Failed> {
    Ok(ServerKeys {
        signers: files.signers()?,
        ancestry: files.ancestry()?,
        pseudonyms: files.pseudonyms(),
        verified: Arc::clone(verified),
        sequences: Arc::clone(sequences),
    })
}

/// The newest bundles of trust domains, as the data folder has them. Without them nobody could tell whether one was rolled back.
fn sequences(data: &Path) -> Result<Arc<Sequences>, Failed> {
    let file = SequenceFile::new(data);
    let path = file.path();
    let kept = Sequences::kept_in(Box::new(file)).map_err(|error| {
        let way_out = "put it back from a backup, or remove it where no trust domain's bundle can have been rolled back";
        Failed::new(format!("{}: {error}; {way_out}", path.display()))
    })?;
    Ok(Arc::new(kept))
}

/// All complaints as one failure.
pub(super) fn complaints(complaints: Diagnostics) -> Failed {
    Failed::new(format!("the configuration cannot be used:\n{complaints}"))
}

fn warn(config: &Config) {
    for warning in config.warnings.iter() {
        tracing::warn!("{warning}");
    }
}

/// An error and what caused it, on one line.
pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        text = format!("{text}: {deeper}");
        cause = deeper.source();
    }
    text
}
