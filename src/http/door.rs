//! What every request handler sees.

use std::sync::{Arc, Mutex};

use arc_swap::{ArcSwap, Guard};

use super::ledger::LedgerDoor;
use super::metadata::Published;
use super::metrics::Metrics;
use super::status::SignedLists;
use crate::commit::Commit;
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
    pub(super) published: Published,
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
    pub fn new(world: Arc<World>, commit: Commit, ledger: LedgerDoor, clock: Arc<dyn Clock>, limits: DoorLimits) -> Self {
        commit.register().hold(world.held());
        let inside = ArcSwap::from_pointee(Inside::new(world));
        let (metrics, status_lists, usage) = Default::default();
        Self { inside, commit, clock, limits, ledger, metrics, status_lists, usage }
    }

    /// Puts a new configuration in force for every request that begins from now on.
    pub fn swap(&self, world: Arc<World>) {
        self.commit.register().hold(world.held());
        self.inside.store(Arc::new(Inside::new(world)));
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
    fn new(world: Arc<World>) -> Self {
        let published = Published::of(&world);
        Self { world, published }
    }
}
