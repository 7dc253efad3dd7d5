//! Who stands before policy: this client may present this subject, and all of it is alive.

use std::sync::Arc;

use crate::catalog::Agent;
use crate::client::AuthenticatedClient;
use crate::oauth::{ActChain, ExchangeMode, Generation, Jti, Time, Txn};
use crate::token::{TaskMembership, VerifiedActor, VerifiedSubject};

/// This client may present this subject token, in this role, and everything it depends on is alive. Made only by `admit`.
#[derive(Debug)]
pub struct AdmittedExchange(Parts);

/// What `admit` found.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) client: AuthenticatedClient,
    pub(super) subject: VerifiedSubject,
    pub(super) actor: Option<VerifiedActor>,
    pub(super) acting: CurrentActor,
    pub(super) basis: ExchangeMode,
    pub(super) chain: ActChain,
    pub(super) depth: u32,
    pub(super) generations: Vec<Generation>,
    pub(super) bound: Time,
}

/// The party that acts by what will be issued.
#[derive(Debug, Clone)]
pub struct CurrentActor {
    /// The agent.
    pub agent: Arc<Agent>,
    /// Its running copy, as attested.
    pub instance: Option<String>,
}

impl AdmittedExchange {
    pub(super) fn new(parts: Parts) -> Self {
        Self(parts)
    }

    /// Who asks.
    pub fn client(&self) -> &AuthenticatedClient {
        &self.0.client
    }

    /// On whose behalf.
    pub fn subject(&self) -> &VerifiedSubject {
        &self.0.subject
    }

    /// The actor token, where one was presented.
    pub fn actor(&self) -> Option<&VerifiedActor> {
        self.0.actor.as_ref()
    }

    /// Who acts: the client, or the party whose credential it presented.
    pub fn acting(&self) -> &CurrentActor {
        &self.0.acting
    }

    /// In which role.
    pub fn basis(&self) -> ExchangeMode {
        self.0.basis
    }

    /// The chain as the issued token and the record will have it, whole.
    pub fn chain(&self) -> &ActChain {
        &self.0.chain
    }

    /// The number of hops, this one included.
    pub fn depth(&self) -> u32 {
        self.0.depth
    }

    /// The hop this one descends from; none for a first hop, and for one that enters a task.
    pub fn parent(&self) -> Option<Jti> {
        self.0.subject.hop()
    }

    /// The task that this hop is in.
    pub fn task(&self) -> Option<&TaskMembership> {
        self.0.subject.own().and_then(|own| own.task.as_ref())
    }

    /// The tree this hop joins; none for a first hop outside a task.
    pub fn txn(&self) -> Option<Txn> {
        self.0.subject.own().map(|own| own.txn)
    }

    /// Everything the issued token will depend on, except its own hop and a transaction that begins with it.
    pub fn generations(&self) -> &[Generation] {
        &self.0.generations
    }

    /// The earliest expiry of anything presented: nothing issued lives longer.
    pub fn bound(&self) -> Time {
        self.0.bound
    }
}

#[cfg(test)]
impl AdmittedExchange {
    /// A standing as if it had been admitted; it runs out with its subject token.
    pub(crate) fn for_tests(
        client: AuthenticatedClient,
        subject: VerifiedSubject,
        acting: CurrentActor,
        basis: ExchangeMode,
    ) -> Self {
        let (depth, bound) = (subject.own().map_or(1, |own| own.depth + 1), subject.expires());
        let chain = subject.chain().clone();
        Self(Parts { client, subject, actor: None, acting, basis, chain, depth, generations: Vec::new(), bound })
    }

    /// The same with another chain.
    pub(crate) fn with_chain(mut self, chain: ActChain) -> Self {
        self.0.chain = chain;
        self
    }
}
