//! How many connections there are at a time, and how many from one address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// The connections that clients may have.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// At a time; who comes later waits.
    pub connections: usize,
    /// Of these from one address; further ones are closed at once.
    pub per_address: usize,
}

/// Counts the connections of each address.
#[derive(Debug)]
pub(super) struct AddressLimit {
    per_address: usize,
    taken: Mutex<HashMap<IpAddr, usize>>,
}

/// Permission for one connection, given back when it is dropped.
#[derive(Debug)]
pub(super) struct ConnectionPermit {
    limit: Arc<AddressLimit>,
    address: Option<IpAddr>,
}

impl AddressLimit {
    /// Allows each address so many connections at a time.
    pub(super) fn new(per_address: usize) -> Arc<Self> {
        Arc::new(Self { per_address, taken: Mutex::default() })
    }

    /// A permit for a connection from `address`; none when it has as many as it may.
    pub(super) fn permit(self: &Arc<Self>, address: IpAddr) -> Option<ConnectionPermit> {
        let address = network(address);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(address).or_default();
        if *count >= self.per_address {
            return None;
        }
        *count += 1;
        Some(ConnectionPermit { limit: Arc::clone(self), address: Some(address) })
    }

    /// A permit that is not counted: for proxies, behind which are many clients.
    pub(super) fn uncounted(self: &Arc<Self>) -> ConnectionPermit {
        ConnectionPermit { limit: Arc::clone(self), address: None }
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let Some(address) = self.address else { return };
        let mut taken = self.limit.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&address);
            }
        }
    }
}

/// Whoever has one address of IPv6 has the 2^64 beside it.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    #[test]
    fn an_address_has_so_many_places_and_gets_them_back() {
        let limit = AddressLimit::new(2);
        let at = |text: &str| limit.permit(text.parse().unwrap());
        let (first, second) = (at("192.0.2.1").unwrap(), at("192.0.2.1").unwrap());
        assert!(at("192.0.2.1").is_none() && at("::ffff:192.0.2.1").is_none());
        assert!(at("192.0.2.2").is_some());
        drop(limit.uncounted());
        drop(first);
        assert!(at("192.0.2.1").is_some());
        drop(second);
        assert!(limit.taken.lock().unwrap().is_empty());
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one() {
        let limit = AddressLimit::new(1);
        let _taken = limit.permit("2001:db8::1".parse().unwrap()).unwrap();
        assert!(limit.permit("2001:db8::ffff:1".parse().unwrap()).is_none());
        assert!(limit.permit("2001:db8:0:1::1".parse().unwrap()).is_some());
    }
}
