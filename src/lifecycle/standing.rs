//! Who stands before policy: this client may present this subject, and all of it is alive.

use std::sync::Arc;

use crate::catalog::Agent;
use crate::client::AuthenticatedClient;
use crate::ledger::Basis;
use crate::oauth::{ActChain, Generation, Jti, Time, Txn};
use crate::token::{VerifiedActor, VerifiedSubject};

/// This client may present this subject token, in this role, and everything it depends on is alive. Made only by `admit`.
#[derive(Debug)]
pub struct Standing {
    client: AuthenticatedClient,
    subject: VerifiedSubject,
    actor: Option<VerifiedActor>,
    acting: Acting,
    basis: Basis,
    chain: ActChain,
    depth: u32,
    generations: Vec<Generation>,
    bound: Time,
}

/// The party that acts by what will be issued.
#[derive(Debug, Clone)]
pub struct Acting {
    /// The agent.
    pub agent: Arc<Agent>,
    /// Its running copy, as attested.
    pub instance: Option<String>,
}

impl Standing {
    /// Who asks.
    pub fn client(&self) -> &AuthenticatedClient {
        &self.client
    }

    /// On whose behalf.
    pub fn subject(&self) -> &VerifiedSubject {
        &self.subject
    }

    /// The actor token, where one was presented.
    pub fn actor(&self) -> Option<&VerifiedActor> {
        self.actor.as_ref()
    }

    /// Who acts: the client, or the party whose credential it presented.
    pub fn acting(&self) -> &Acting {
        &self.acting
    }

    /// In which role.
    pub fn basis(&self) -> Basis {
        self.basis
    }

    /// The chain as the issued token and the record will have it, whole.
    pub fn chain(&self) -> &ActChain {
        &self.chain
    }

    /// The number of hops, this one included.
    pub fn depth(&self) -> u32 {
        self.depth
    }

    /// The hop this one descends from; none for a first hop.
    pub fn parent(&self) -> Option<Jti> {
        self.subject.own().map(|own| own.jti)
    }

    /// The tree this hop joins; none for a first hop.
    pub fn txn(&self) -> Option<Txn> {
        self.subject.own().map(|own| own.txn)
    }

    /// Everything the issued token will depend on, except its own hop and a transaction that begins with it.
    pub fn generations(&self) -> &[Generation] {
        &self.generations
    }

    /// The earliest expiry of anything presented: nothing issued lives longer.
    pub fn bound(&self) -> Time {
        self.bound
    }
}

#[cfg(test)]
impl Standing {
    /// A standing as if it had been admitted; it runs out with its subject token.
    pub(crate) fn for_tests(client: AuthenticatedClient, subject: VerifiedSubject, acting: Acting, basis: Basis) -> Self {
        let (depth, bound) = (subject.own().map_or(1, |own| own.depth + 1), subject.expires());
        let chain = subject.chain().clone();
        Self { client, subject, actor: None, acting, basis, chain, depth, generations: Vec::new(), bound }
    }

    /// The same with another chain.
    pub(crate) fn with_chain(mut self, chain: ActChain) -> Self {
        self.chain = chain;
        self
    }
}
