//! What every request handler sees.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use arc_swap::{ArcSwap, Guard};

use super::ledger::LedgerState;
use super::metadata::Published;
use super::metrics::Metrics;
use super::status::SignedLists;
use crate::commit::Commit;
use crate::config::{Proxy, Settings};
use crate::exchange::Deployment;
use crate::ledger::Usage;
use crate::oauth::{Clock, Time};

/// The front door: the configuration in force, the one writer, and the clock that is read once per request.
pub struct AppState {
    inside: ArcSwap<Snapshot>,
    commit: Commit,
    clock: Arc<dyn Clock>,
    limits: InputLimits,
    pub(super) ledger: LedgerState,
    pub(super) metrics: Metrics,
    pub(super) status_lists: SignedLists,
    /// What agents did, as far as it was counted when somebody asked last.
    pub(super) usage: Mutex<Usage>,
}

/// What one configuration means at the door.
pub(super) struct Snapshot {
    pub(super) world: Arc<Deployment>,
    pub(super) front: Frontend,
    pub(super) published: Published,
}

/// How clients reach the door.
#[derive(Clone, Debug, Default)]
pub struct Frontend {
    /// Who may tell which certificates clients showed in front of us.
    pub(super) proxies: Vec<Proxy>,
    /// Whether a client can show a certificate at all.
    pub(super) certificates: bool,
    /// Under which URL clients are asked for a certificate, where that is not the issuer's (RFC 8705 §5).
    pub(super) mtls_url: Option<String>,
}

impl Frontend {
    /// What the settings say of it.
    pub fn of(settings: &Settings) -> Self {
        let (tls, proxies) = (&settings.tls, settings.proxies.clone());
        Self { certificates: tls.takes_certificates(&proxies), proxies, mtls_url: tls.mtls_url.clone() }
    }
}

/// Bounds on what comes in.
#[derive(Clone, Copy, Debug)]
pub struct InputLimits {
    /// A longer body is refused, in bytes.
    pub body_bytes_max: usize,
    /// A form with more parameters is refused.
    pub parameters_max: usize,
}

impl AppState {
    /// Opens the door on `world`.
    pub fn new(
        world: Arc<Deployment>,
        front: Frontend,
        commit: Commit,
        ledger: LedgerState,
        clock: Arc<dyn Clock>,
        limits: InputLimits,
    ) -> Self {
        commit.status_lists().hold(world.held());
        let inside = ArcSwap::from_pointee(Snapshot::new(world, front));
        let (metrics, status_lists, usage) = Default::default();
        Self { inside, commit, clock, limits, ledger, metrics, status_lists, usage }
    }

    /// Puts a new configuration in force for every request that begins from now on.
    pub fn swap(&self, world: Arc<Deployment>, front: Frontend) {
        self.commit.status_lists().hold(world.held());
        self.inside.store(Arc::new(Snapshot::new(world, front)));
    }

    /// Whether a proxy in front of us connects from there.
    pub(super) fn is_proxy(&self, address: IpAddr) -> bool {
        self.inside.load().front.proxies.iter().any(|proxy| proxy.is_at(address))
    }

    /// The configuration in force.
    pub fn world(&self) -> Arc<Deployment> {
        Arc::clone(&self.inside.load().world)
    }

    pub(super) fn inside(&self) -> Guard<Arc<Snapshot>> {
        self.inside.load()
    }

    pub(super) fn commit(&self) -> &Commit {
        &self.commit
    }

    pub(super) fn now(&self) -> Time {
        self.clock.now()
    }

    pub(super) fn limits(&self) -> InputLimits {
        self.limits
    }
}

impl Snapshot {
    fn new(world: Arc<Deployment>, front: Frontend) -> Self {
        let published = Published::of(&world, &front);
        Self { world, front, published }
    }
}
