//! The chains that led nowhere a moment ago: whoever sends one again, on another connection, costs no signature.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::X509Reason;
use crate::crypto::Digest;
use crate::oauth::Time;

/// How long a refusal is remembered. Within it a certificate that does not count yet may begin to.
const LIFETIME: Duration = Duration::from_secs(60);

/// As many chains are remembered; the oldest is forgotten first.
const CHAINS_MAX: usize = 1024;

/// Chains that a set of roots refused, by their SHA-256.
#[derive(Clone, Debug, Default)]
pub(super) struct Refusals(Arc<Mutex<RefusedChains>>);

#[derive(Debug, Default)]
struct RefusedChains {
    chains: HashMap<Digest, (Time, X509Reason)>,
    order: VecDeque<Digest>,
}

impl Refusals {
    /// Why the chain was refused within the last minute.
    pub(super) fn of(&self, chain: &Digest, now: Time) -> Option<X509Reason> {
        let refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, reason) = refused.chains.get(chain)?;
        (now >= *at && now < at.plus(LIFETIME)).then_some(*reason)
    }

    /// Remembers that the chain was refused at `now`.
    pub(super) fn remember(&self, chain: Digest, reason: X509Reason, now: Time) {
        let mut refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.chains.insert(chain, (now, reason)).is_none() {
            refused.order.push_back(chain);
        }
        if refused.order.len() > CHAINS_MAX {
            let oldest = refused.order.pop_front();
            oldest.map(|oldest| refused.chains.remove(&oldest));
        }
    }
}

/// The identity of a chain: its certificates in their order.
pub(super) fn identity<C: AsRef<[u8]>>(chain: &[C]) -> Digest {
    let each: Vec<Digest> = chain.iter().map(|certificate| Digest::of(certificate.as_ref())).collect();
    let all: Vec<&[u8]> = each.iter().map(|digest| digest.0.as_slice()).collect();
    Digest::of_parts(&all)
}
