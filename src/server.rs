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
mod opening;
mod rebuild;
mod restore;
mod reconcile;
mod reload;
mod renewal;
mod rewrap;
mod succession;
mod terms;
mod records_since;
mod velocity;
mod repeating;

use std::path::Path;
use std::sync::Arc;

use tokio::runtime::Handle;

pub use failure::{Failure, with_causes};
pub use folder::DataFolder;
pub use keys::stand_in_keys;
pub use offline::Offline;
pub use rebuild::rebuild_state;
pub use reconcile::{retired_in_record, succession_on};
pub use repeating::{RepeatingAgent, repeating_agents};
pub use restore::{BESIDE, RestoreFolders, RestorePlan};
pub use terms::{TakenBack, taken_back};

use crate::catalog::Status;
use crate::commit::Commit;
use crate::commit::contract::{CommitStore, StoreReason};
use crate::config::{self, Config, ConfigurationWatch, KeptFiles, Settings, Sources, StartState};
use crate::deployment::Deployment;
use crate::http::{self, AppState, Frontend, LedgerState, ListenerSettings, Running, Sockets, TlsIdentity, TlsSetup};
use crate::ledger::record::StateCause;
use crate::oauth::{Clock, GenerationKind};
use crate::store::{self, KeyClaim, KeyFiles, LedgerKeys, VouchedClock};
use opening::StartConfiguration;
use reload::{Lasting, Reload};
use rewrap::Rewrapping;

/// A server that answers.
pub struct Server {
    running: Running,
    settings: Settings,
    reload: Reload,
    kept: KeptFiles,
    start: StartState,
    _claim: KeyClaim,
}

/// Reads the configuration and starts the server on `data`. Must be called on a tokio runtime inside an actix system.
///
/// # Errors
/// Every complaint about the configuration; a folder, key or address that cannot be used.
pub async fn start(sources: &Sources, data: &Path) -> Result<Server, Failure> {
    let StartConfiguration { config, kept, digest } = opening::read(sources).await?;
    opening::announce(sources, &config, data);
    let settings = config.settings.clone();
    restore::refuse_unfinished(data)?;
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
    let succession = reconcile::weigh(commit.in_force().as_ref(), commit.state().is_held(), &config);
    opening::refuse_accident(sources, &config, &succession, data)?;
    let (signing, ledger) = ledger::start(&settings, data, &commit, &clock)?;
    settle(&claim, &files, &settings, data)?;
    folder::remember(sources, &settings, data)?;
    keys::record_keys(&commit, &files, &settings.keys.dir).await?;
    let identity = config.identity.clone().map(TlsIdentity::new);
    let lasting = Lasting::new(&settings, data, clock, commit)?;
    let deployment = config::deployment(config, lasting.keys(&files)?, None).map_err(Failure::configuration)?;
    let present = lasting.clock.now().max(lasting.commit.state().floor());
    velocity::recall(&lasting.commit, &*ledger.records, &deployment.catalog, present)
        .map_err(|reason| Failure::at(data, &reason))?;
    // While the store takes no records a server serves what needs none.
    match lasting.commit.checkpoint(StateCause::Start).await {
        Ok(()) => vouched.remove()?,
        Err(reason) => tracing::error!(%reason, "the digest of the state was not recorded at the start"),
    }
    let start = opening::take_up((&lasting.commit, &succession), &deployment, &digest, data).await?;
    let state = app_state(deployment, &lasting, ledger, &settings);
    if start == StartState::Waits {
        state.board.refuse();
    }
    let running = listen(&state, sockets.with_local(data), &settings, identity.clone())?;
    let (commit, clock) = (lasting.commit.clone(), Arc::clone(&lasting.clock));
    let roots = Rewrapping::start(commit, &settings.keys.dir, files.root_key()?, clock);
    let (before, runtime) = (Arc::new(settings.clone()), Handle::current());
    let reload = Reload { lasting, signing, roots, identity, state, before, runtime };
    Ok(Server { running, settings, reload, kept, start, _claim: claim })
}

fn app_state(deployment: Deployment, lasting: &Lasting, ledger: LedgerState, settings: &Settings) -> Arc<AppState> {
    lasting.keep_fresh(&deployment);
    Arc::new(AppState::new(
        Arc::new(deployment),
        Frontend::of(settings),
        lasting.commit.clone(),
        ledger,
        Arc::clone(&lasting.clock),
        limits::input(&settings.limits),
        settings.keys.dir.clone(),
    ))
}

impl Server {
    /// The settings that it was started with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// False while what it was started with waits, because it would end something: then nobody is served.
    pub fn serves(&self) -> bool {
        self.start != StartState::Waits
    }

    /// Watches the configuration from now on: a changed and valid one is put in force whole, an invalid one is logged and left
    /// alone. Keys are followed by others at their age.
    pub fn watch(&self, sources: Sources) -> impl Future<Output = ()> + use<> {
        let renewed = renewal::watch(self.settings.keys.clone(), Arc::clone(&self.reload.lasting.clock));
        let (reload, board) = (self.reload.clone(), Arc::clone(&self.reload.state.board));
        let watch = ConfigurationWatch::new(sources, reload, board, (&self.kept, &self.settings), self.start);
        let watched = config::watch(watch);
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
