//! What every request handler sees.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use arc_swap::{ArcSwap, Guard};

use super::ledger::LedgerDoor;
use super::metadata::Published;
use super::metrics::Metrics;
use super::status::SignedLists;
use crate::commit::Commit;
use crate::config::{Proxy, Settings};
use crate::exchange::World;
use crate::ledger::Usage;
use crate::oauth::{Clock, Time};

/// The front door: the configuration in force, the one writer, and the clock that is read once per request.
pub struct Door {
    inside: ArcSwap<Inside>,
    commit: Commit,
    clock: Arc<dyn Clock>,
    limits: DoorLimits,
    pub(super) ledger: LedgerDoor,
    pub(super) metrics: Metrics,
    pub(super) status_lists: SignedLists,
    /// What agents did, as far as it was counted when somebody asked last.
    pub(super) usage: Mutex<Usage>,
}

/// What one configuration means at the door.
pub(super) struct Inside {
    pub(super) world: Arc<World>,
    pub(super) front: Front,
    pub(super) published: Published,
}

/// How clients reach the door.
#[derive(Clone, Debug, Default)]
pub struct Front {
    /// Who may tell which certificates clients showed in front of us.
    pub(super) proxies: Vec<Proxy>,
    /// Whether a client can show a certificate at all.
    pub(super) certificates: bool,
    /// Under which URL clients are asked for a certificate, where that is not the issuer's (RFC 8705 §5).
    pub(super) mtls_url: Option<String>,
}

impl Front {
    /// What the settings say of it.
    pub fn of(settings: &Settings) -> Self {
        let (tls, proxies) = (&settings.tls, settings.proxies.clone());
        Self { certificates: tls.takes_certificates(&proxies), proxies, mtls_url: tls.mtls_url.clone() }
    }
}

/// Bounds on what comes in.
#[derive(Clone, Copy, Debug)]
pub struct DoorLimits {
    /// A longer body is refused, in bytes.
    pub body_bytes_max: usize,
    /// A form with more parameters is refused.
    pub parameters_max: usize,
}

impl Door {
    /// Opens the door on `world`.
    pub fn new(
        world: Arc<World>,
        front: Front,
        commit: Commit,
        ledger: LedgerDoor,
        clock: Arc<dyn Clock>,
        limits: DoorLimits,
    ) -> Self {
        commit.register().hold(world.held());
        let inside = ArcSwap::from_pointee(Inside::new(world, front));
        let (metrics, status_lists, usage) = Default::default();
        Self { inside, commit, clock, limits, ledger, metrics, status_lists, usage }
    }

    /// Puts a new configuration in force for every request that begins from now on.
    pub fn swap(&self, world: Arc<World>, front: Front) {
        self.commit.register().hold(world.held());
        self.inside.store(Arc::new(Inside::new(world, front)));
    }

    /// Whether a proxy in front of us connects from there.
    pub(super) fn is_proxy(&self, address: IpAddr) -> bool {
        self.inside.load().front.proxies.iter().any(|proxy| proxy.is_at(address))
    }

    /// The configuration in force.
    pub fn world(&self) -> Arc<World> {
        Arc::clone(&self.inside.load().world)
    }

    pub(super) fn inside(&self) -> Guard<Arc<Inside>> {
        self.inside.load()
    }

    pub(super) fn commit(&self) -> &Commit {
        &self.commit
    }

    pub(super) fn now(&self) -> Time {
        self.clock.now()
    }

    pub(super) fn limits(&self) -> DoorLimits {
        self.limits
    }
}

impl Inside {
    fn new(world: Arc<World>, front: Front) -> Self {
        let published = Published::of(&world, &front);
        Self { world, front, published }
    }
}
