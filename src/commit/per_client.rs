//! How many changes one client has under way, so that it cannot take the places of all others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::receipt::CommitReason;
use crate::oauth::ClientId;

/// What each client has under way.
#[derive(Debug)]
pub(super) struct PerClient {
    max: usize,
    under_way: Arc<Mutex<HashMap<ClientId, usize>>>,
}

/// One change of one client; it counts until this is dropped.
#[derive(Debug)]
pub(super) struct OfClient {
    under_way: Arc<Mutex<HashMap<ClientId, usize>>>,
    client: ClientId,
}

impl PerClient {
    pub(super) fn new(max: usize) -> Self {
        Self { max, under_way: Arc::default() }
    }

    /// Counts one more change of `client`, which may have `max` of them at once. Operators have no limit but that of the queue.
    pub(super) fn take(&self, client: &ClientId) -> Result<Option<OfClient>, CommitReason> {
        if *client == ClientId::operators() {
            return Ok(None);
        }
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let count = under_way.get(client).copied().unwrap_or_default();
        if count >= self.max {
            return Err(CommitReason::Busy);
        }
        under_way.insert(client.clone(), count + 1);
        Ok(Some(OfClient { under_way: Arc::clone(&self.under_way), client: client.clone() }))
    }
}

impl Drop for OfClient {
    fn drop(&mut self) {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        match under_way.get_mut(&self.client) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(under_way.remove(&self.client)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    #[test]
    fn one_client_leaves_places_for_others_and_operators_have_all() {
        let clients = PerClient::new(2);
        let client = |id: &str| ClientId::parse(id).unwrap();
        let one = clients.take(&client("a")).unwrap();
        let _two = clients.take(&client("a")).unwrap();
        assert_eq!(clients.take(&client("a")).unwrap_err(), CommitReason::Busy);
        assert!(clients.take(&client("b")).is_ok());
        assert!((0..100).all(|_| clients.take(&client("ops")).is_ok()));
        drop(one);
        assert!(clients.take(&client("a")).is_ok());
        drop(_two);
        assert!(clients.under_way.lock().unwrap().is_empty(), "nothing is remembered of who has nothing under way");
    }
}
