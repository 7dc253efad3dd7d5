//! The places for connections: how many there are at a time, how many one address may hold, and who gives way when places are
//! short: of connections without a request under way the longest idle, first of the address that holds most.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;

use super::read_order::Lane;

/// The connections that clients may have.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// At a time; who comes later takes the place of an idle one, or is closed.
    pub connections: usize,
    /// Of these from one address, at most.
    pub per_address: usize,
    /// As many as the settings say; `connections` is less where the system allows fewer open files.
    pub configured: usize,
}

/// The places of a listener's connections, whichever thread serves them.
#[derive(Debug)]
pub(super) struct ConnectionPlaces {
    limits: ConnectionLimits,
    table: Mutex<PlaceTable>,
    yielded: AtomicU64,
    refused: AtomicU64,
    /// Connections of proxies since the start.
    proxied: AtomicU64,
}

/// The numbers of connections since the start, for operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ConnectionCounts {
    /// Open now.
    pub(super) open: usize,
    /// Open at most, at a time.
    pub(super) max: usize,
    /// As the settings would have it.
    pub(super) configured: usize,
    /// Idle ones that were closed for another.
    pub(super) yielded: u64,
    /// Closed at once, because no idle one had to give way to them.
    pub(super) refused: u64,
}

/// Permission for one connection, given back when it is dropped.
#[derive(Debug)]
pub(super) struct ConnectionPermit {
    places: Option<Arc<ConnectionPlaces>>,
    address: IpAddr,
    lane: Option<Lane>,
    notice: Arc<Notice>,
    /// The turn at which it fell idle; none while a request is under way.
    idle: Option<u64>,
}

/// Tells an idle connection that its place was given to another.
#[derive(Debug, Default)]
struct Notice {
    given: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

#[derive(Debug, Default)]
struct PlaceTable {
    held: usize,
    holders: HashMap<IpAddr, Holder>,
    /// The addresses with an idle connection: the last holds most, and of those that hold as many it has the longest idle one.
    yielding: BTreeSet<(usize, Reverse<u64>, IpAddr)>,
    turn: u64,
}

/// The connections of one address.
#[derive(Debug, Default)]
struct Holder {
    held: usize,
    /// Behind it are many clients: its idle ones give way to others only where there is no place at all.
    is_proxy: bool,
    /// By the turn at which they fell idle.
    idle: BTreeMap<u64, Arc<Notice>>,
}

impl ConnectionPlaces {
    pub(super) fn new(limits: ConnectionLimits) -> Arc<Self> {
        let [yielded, refused, proxied] = std::array::from_fn(|_| AtomicU64::new(0));
        Arc::new(Self { limits, table: Mutex::default(), yielded, refused, proxied })
    }

    /// A permit for a connection from `address`; none when it must not have one more. An address may hold as many as are free,
    /// so that whoever takes all that it can get leaves as much to others as it has. Who holds more than that by now, because
    /// others came, loses idle ones. A proxy is bounded by the places alone.
    pub(super) fn permit(self: &Arc<Self>, address: IpAddr, is_proxy: bool) -> Option<ConnectionPermit> {
        let address = network(address);
        let admitted = self.table().admit(address, self.limits, is_proxy);
        let Some(evicted) = admitted else {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        if let Some(notice) = evicted {
            self.yielded.fetch_add(1, Ordering::Relaxed);
            notice.give();
        }
        let lane = match is_proxy {
            true => Lane::Connection(self.proxied.fetch_add(1, Ordering::Relaxed)),
            false => Lane::Address(address),
        };
        Some(ConnectionPermit { places: Some(Arc::clone(self)), address, lane: Some(lane), notice: Arc::default(), idle: None })
    }

    pub(super) fn counts(&self) -> ConnectionCounts {
        ConnectionCounts {
            open: self.table().held,
            max: self.limits.connections,
            configured: self.limits.configured,
            yielded: self.yielded.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
        }
    }

    fn table(&self) -> std::sync::MutexGuard<'_, PlaceTable> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PlaceTable {
    /// Takes a place. The answer is the notice of the idle connection that gives way for it, if one does.
    fn admit(&mut self, address: IpAddr, limits: ConnectionLimits, is_proxy: bool) -> Option<Option<Arc<Notice>>> {
        let own = self.holders.get(&address).map_or(0, |holder| holder.held);
        let free = limits.connections.saturating_sub(self.held);
        let is_full = own >= limits.per_address && !is_proxy;
        let evicted = if !is_full && free > 0 && (is_proxy || own < free) {
            self.beyond(free - 1).and_then(|address| self.evict(address))
        } else {
            let most = self.yielding.last().filter(|(held, ..)| !is_full && (*held > own || is_proxy));
            let victim = most.map_or(address, |(.., address)| *address);
            Some(self.evict(victim)?)
        };
        self.change(address, |holder| (holder.held, holder.is_proxy) = (holder.held + 1, is_proxy));
        self.held += 1;
        Some(evicted)
    }

    /// The address that holds most, where that is more than `free`, and has an idle connection.
    fn beyond(&self, free: usize) -> Option<IpAddr> {
        let beyond = self.yielding.iter().rev().take_while(|(held, ..)| *held > free);
        let is_bounded = |address: &IpAddr| self.holders.get(address).is_some_and(|holder| !holder.is_proxy);
        beyond.map(|(.., address)| *address).find(is_bounded)
    }

    /// Takes its place from the longest idle connection of `address`.
    fn evict(&mut self, address: IpAddr) -> Option<Arc<Notice>> {
        let (_, notice) = self.change(address, |holder| holder.idle.pop_first())?;
        self.leave(address);
        Some(notice)
    }

    fn leave(&mut self, address: IpAddr) {
        self.change(address, |holder| holder.held -= 1);
        self.held -= 1;
    }

    /// Changes the connections of `address`, and its place among those who yield.
    fn change<T>(&mut self, address: IpAddr, change: impl FnOnce(&mut Holder) -> T) -> T {
        let holder = self.holders.entry(address).or_default();
        let rank = |holder: &Holder| holder.idle.keys().next().map(|turn| (holder.held, Reverse(*turn), address));
        let before = rank(holder);
        let done = change(holder);
        let (after, is_over) = (rank(holder), holder.held == 0);
        if before != after {
            before.map(|rank| self.yielding.remove(&rank));
            self.yielding.extend(after);
        }
        if is_over {
            self.holders.remove(&address);
        }
        done
    }
}

impl ConnectionPermit {
    /// A permit that is not counted: for the socket in the data folder.
    pub(super) fn uncounted() -> Self {
        Self { places: None, address: IpAddr::V6(Ipv6Addr::UNSPECIFIED), lane: None, notice: Arc::default(), idle: None }
    }

    /// Whoever its reads take turns with others' as; none for those that are always in turn.
    pub(super) fn lane(&self) -> Option<Lane> {
        self.lane
    }

    /// No request is under way: from now on the place may be given to another.
    pub(super) fn rest(&mut self) {
        let Some(places) = self.places.as_ref().filter(|_| self.idle.is_none() && !self.is_given()) else { return };
        let mut table = places.table();
        table.turn += 1;
        let (turn, notice) = (table.turn, Arc::clone(&self.notice));
        table.change(self.address, |holder| holder.idle.insert(turn, notice));
        self.idle = Some(turn);
    }

    /// A request is under way. Where it came while the place was being given away, it is served, beyond the places if need be.
    pub(super) fn begin(&mut self) {
        let (Some(places), Some(turn)) = (&self.places, self.idle.take()) else { return };
        let mut table = places.table();
        if table.change(self.address, |holder| holder.idle.remove(&turn)).is_none() {
            table.change(self.address, |holder| holder.held += 1);
            table.held += 1;
        }
    }

    /// True when the place was given to another: the connection closes as soon as no request is under way. Else `waker` is
    /// woken when it is.
    pub(super) fn is_given_or_wakes(&self, waker: &Waker) -> bool {
        let mut known = self.notice.waker.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *known = Some(waker.clone());
        }
        self.is_given()
    }

    fn is_given(&self) -> bool {
        self.notice.given.load(Ordering::Acquire)
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let Some(places) = self.places.take() else { return };
        let mut table = places.table();
        let was_counted = self.idle.is_none_or(|turn| table.change(self.address, |holder| holder.idle.remove(&turn)).is_some());
        if was_counted {
            table.leave(self.address);
        }
    }
}

impl Notice {
    fn give(&self) {
        let mut waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        self.given.store(true, Ordering::Release);
        if let Some(waker) = waker.take() {
            waker.wake();
        }
    }
}

/// Whoever has one address of IPv6 has the 2^64 beside it.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        address => address,
    }
}

#[cfg(test)]
mod tests;
