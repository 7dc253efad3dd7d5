//! Puts a server together, from a configuration and a data folder to listeners that answer, and takes it apart again.
//!
//! `reload` puts a changed configuration in force, `renewal` makes keys that follow others at their age, `rewrap` lets the keys
//! of subjects follow the root key, `reconcile` ends what a configuration no longer names, `terms` tells what it takes back,
//! `offline` is for administration where no server runs, `folder` finds what a data folder is served with.

mod failure;
mod folder;
mod keys;
mod ledger;
mod limits;
mod offline;
mod rebuild;
mod reconcile;
mod reload;
mod renewal;
mod rewrap;
mod terms;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

pub use failure::{Failure, with_causes};
pub use folder::DataFolder;
pub use keys::stand_in_keys;
pub use offline::Offline;
pub use rebuild::rebuild_state;
pub use reconcile::retired_in_record;
pub use terms::{TakenBack, taken_back};

use crate::catalog::Status;
use crate::commit::contract::{CommitStore, StoreReason};
use crate::commit::{Commit, CommitReason};
use crate::config::{self, Config, Fingerprint, Settings, Sources};
use crate::http::{self, AppState, Frontend, ListenerSettings, Running, Sockets, TlsIdentity, TlsSetup};
use crate::ledger::record::StateCause;
use crate::oauth::{Clock, GenerationKind};
use crate::store::{self, KeyClaim, KeyFiles, LedgerKeys, VouchedClock};
use reconcile::Removed;
use reload::{Lasting, Reload};
use rewrap::Rewrapping;

/// The pause between two attempts to record what the configuration has in force, while the clock is not believed.
const RECONCILED_LATER: Duration = Duration::from_secs(1);

/// A server that answers.
pub struct Server {
    running: Running,
    settings: Settings,
    reload: Reload,
    fingerprint: Fingerprint,
    _claim: KeyClaim,
}

/// Reads the configuration and starts the server on `data`. Must be called on a tokio runtime inside an actix system.
///
/// # Errors
/// Every complaint about the configuration; a folder, key or address that cannot be used.
pub async fn start(sources: &Sources, data: &Path) -> Result<Server, Failure> {
    let mut loaded = sources.load();
    let config = loaded.config.map_err(Failure::configuration)?;
    reload::warn(&config);
    let settings = config.settings.clone();
    let sockets = http::bind(settings.listen.public, settings.listen.ops)?.with_mtls(settings.tls.mtls)?;
    let store = store::open(data).map_err(|reason| Failure::at(data, &reason))?;
    let vouched = VouchedClock::new(data);
    let clock: Arc<dyn Clock> = Arc::new(vouched.clock()?);
    let claim = KeyClaim::take(&settings.keys.dir, data)?;
    let files = KeyFiles::open_or_create(&settings.keys.dir, &settings.keys.algorithms, clock.now())?;
    let known = LedgerKeys::open(&settings.keys.dir)?;
    claim.require_known(&files, &known)?;
    let commit = commit(store, &config, (&files, &known), &clock)?.map_err(|reason| Failure::store(data, &reason))?;
    let files = keys::as_recorded(&commit, files, &settings.keys, clock.now())?;
    let (signing, ledger) = ledger::start(&settings, data, &commit, clock.now())?;
    settle(&claim, &files, &settings, data)?;
    folder::remember(sources, &settings, data)?;
    keys::record_keys(&commit, &files, &settings.keys.dir).await?;
    // What was made just now is no change of the configuration.
    config::key_lists(&settings).for_each(|list| loaded.fingerprint.look_again_at(&list));
    let identity = config.identity.clone().map(TlsIdentity::new);
    let lasting = Lasting::new(&settings, data, clock, commit)?;
    let deployment = config::deployment(config, lasting.keys(&files)?, None).map_err(Failure::configuration)?;
    // While the store takes no records a server serves what needs none.
    match lasting.commit.checkpoint(StateCause::Start).await {
        Ok(()) => vouched.remove()?,
        Err(reason) => tracing::error!(%reason, "the digest of the state was not recorded at the start"),
    }
    let late = doubted(reconcile::reconcile(&lasting.commit, &deployment).await)?;
    terms::take_up(&deployment, data);
    lasting.keep_fresh(&deployment);
    let state = AppState::new(
        Arc::new(deployment),
        Frontend::of(&settings),
        lasting.commit.clone(),
        ledger,
        Arc::clone(&lasting.clock),
        limits::input(&settings.limits),
        settings.keys.dir.clone(),
    );
    let state = Arc::new(state);
    let running = listen(&state, sockets.with_local(data), &settings, identity.clone())?;
    if late {
        tokio::spawn(reconcile_later(Arc::clone(&state), lasting.commit.clone()));
    }
    let (commit, clock) = (lasting.commit.clone(), Arc::clone(&lasting.clock));
    let roots = Rewrapping::start(commit, &settings.keys.dir, files.root_key()?, clock);
    let reload = Reload { lasting, signing, roots, identity, state, runtime: Handle::current() };
    Ok(Server { running, settings, reload, fingerprint: loaded.fingerprint, _claim: claim })
}

impl Server {
    /// The settings that it was started with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Watches the configuration from now on: a changed and valid one is put in force whole, an invalid one is logged and left
    /// alone. Keys are followed by others at their age.
    pub fn watch(&self, sources: Sources) -> impl Future<Output = ()> + use<> {
        let (reload, before, known) = (self.reload.clone(), self.settings.clone(), self.fingerprint.clone());
        let renewed = renewal::watch(before.keys.clone(), Arc::clone(&self.reload.lasting.clock));
        let watched = config::watch(sources, known, move |loaded| reload.take(loaded, &before));
        async move {
            tokio::join!(watched, renewed);
        }
    }

    /// Waits until a thread that everything needs is dead, and names it.
    pub fn dead_thread(&self) -> impl Future<Output = &'static str> + use<> {
        let commit = self.reload.lasting.commit.alarm().clone();
        let sequencer = self.reload.signing.sequencer.alarm().clone();
        async move {
            tokio::select! {
                thread = commit.heard() => thread,
                thread = sequencer.heard() => thread,
            }
        }
    }

    /// Finishes requests under way, publishes what they recorded, and closes the store.
    pub async fn stop(self) {
        self.running.stop().await;
        if let Err(reason) = self.reload.lasting.commit.checkpoint(StateCause::Stop).await {
            tracing::warn!(%reason, "the digest of the state was not recorded at the end; the next start reads more records");
        }
        self.reload.lasting.commit.close().await;
        let sequencer = self.reload.signing.sequencer;
        let _panicked = tokio::task::spawn_blocking(move || sequencer.close()).await;
    }
}

/// True where what the configuration ends acts, and is not recorded because the clock is not believed; nothing is issued meanwhile.
fn doubted(reconciled: Result<Removed, CommitReason>) -> Result<bool, Failure> {
    match reconciled {
        Ok(_) => Ok(false),
        Err(CommitReason::ClockDoubted) => Ok(true),
        Err(reason) => {
            Err(Failure::new(format!("what the configuration no longer has in force cannot be recorded as ended: {reason}")))
        }
    }
}

/// Records what the configuration has in force when the clock is believed again.
async fn reconcile_later(state: Arc<AppState>, commit: Commit) {
    while let Err(reason) = reconcile::reconcile(&commit, &state.deployment()).await {
        if reason != CommitReason::ClockDoubted {
            tracing::error!(%reason, "what the configuration has in force is not recorded yet");
        }
        tokio::time::sleep(RECONCILED_LATER).await;
    }
}

/// The one writer, on the store of the data folder.
fn commit(
    store: Box<dyn CommitStore>,
    config: &Config,
    (files, ledger): (&KeyFiles, &LedgerKeys),
    clock: &Arc<dyn Clock>,
) -> Result<Result<Commit, StoreReason>, Failure> {
    let limits = limits::commit(&config.settings.limits);
    let (inactive, pseudonyms) = (config.catalog.agents().filter(|agent| agent.status != Status::Active), files.pseudonyms()?);
    let suspended = inactive.flat_map(|agent| pseudonyms.every(GenerationKind::Agent, agent.id.as_str().as_bytes())).collect();
    Ok(Commit::start_suspending(store, Arc::clone(clock), files.commit(ledger)?, limits, suspended))
}

/// Says in both folders that they belong together, and once to the operator.
fn settle(claim: &KeyClaim, files: &KeyFiles, settings: &Settings, data: &Path) -> Result<(), Failure> {
    if claim.settle(files, &LedgerKeys::open(&settings.keys.dir)?)? {
        let keys = settings.keys.dir.display();
        tracing::info!("the key folder {keys} belongs to the data folder {} from now on, and to no other", data.display());
    }
    Ok(())
}

/// Starts the listeners on the bound sockets.
fn listen(
    state: &Arc<AppState>,
    sockets: Sockets,
    settings: &Settings,
    identity: Option<Arc<TlsIdentity>>,
) -> Result<Running, Failure> {
    let tls = identity.map(|identity| TlsSetup { identity, public: settings.tls.public, ask: settings.tls.ask });
    let (path, workers) = (&settings.issuer.path(), settings.limits.workers);
    let connections = limits::connections(&settings.limits);
    Ok(http::serve(Arc::clone(state), sockets, ListenerSettings { path, workers, connections, tls })?)
}
