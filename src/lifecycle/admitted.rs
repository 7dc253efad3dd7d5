//! The admitted exchange: the proof that policy asks for.

use std::sync::Arc;

use crate::catalog::Agent;
use crate::client::AuthenticatedClient;
use crate::oauth::{ActChain, ExchangeMode, Generation, GrantType, Jti, ScopesOnApi, Time, Txn};
use crate::token::{TaskMembership, VerifiedActor, VerifiedSubject};

/// An exchange in which this client may present this subject token, in this mode, and everything it depends on is alive. Made
/// only by [`admit`](super::admit()).
#[derive(Debug)]
pub struct AdmittedExchange(AdmittedParts);

/// The findings of `admit`.
#[derive(Debug)]
pub(super) struct AdmittedParts {
    pub(super) grant_type: Option<GrantType>,
    pub(super) client: AuthenticatedClient,
    pub(super) subject: VerifiedSubject,
    pub(super) actor: Option<VerifiedActor>,
    pub(super) current: CurrentActor,
    pub(super) mode: ExchangeMode,
    /// The part of the subject token's authority that an API's agent was sent, where it presents it on behalf.
    pub(super) sent: Option<Vec<ScopesOnApi>>,
    pub(super) chain: ActChain,
    pub(super) depth: u32,
    pub(super) generations: Vec<Generation>,
    pub(super) expiry_cap: Time,
}

/// The party that acts by the token to be issued: the outermost `act` (RFC 8693 §4.1).
#[derive(Debug, Clone)]
pub struct CurrentActor {
    /// The agent.
    pub agent: Arc<Agent>,
    /// Its running copy, as attested.
    pub instance: Option<String>,
}

impl AdmittedExchange {
    pub(super) fn new(parts: AdmittedParts) -> Self {
        Self(parts)
    }

    /// The grant type that was asked for; none where a task is opened.
    pub fn grant_type(&self) -> Option<GrantType> {
        self.0.grant_type
    }

    /// The client that asks.
    pub fn client(&self) -> &AuthenticatedClient {
        &self.0.client
    }

    /// The verified subject token.
    pub fn subject(&self) -> &VerifiedSubject {
        &self.0.subject
    }

    /// The actor token, where one was presented.
    pub fn actor(&self) -> Option<&VerifiedActor> {
        self.0.actor.as_ref()
    }

    /// The current actor: the client, or the party whose credential it presented.
    pub fn current_actor(&self) -> &CurrentActor {
        &self.0.current
    }

    /// The mode: delegation, impersonation, … (RFC 8693 §1.1).
    pub fn mode(&self) -> ExchangeMode {
        self.0.mode
    }

    /// The authority of our own subject token that counts for whoever presents it: all of it for its client and its current
    /// actor; for the agent of an API that it is for, what it holds on that API, and nothing of the others in its audience.
    pub fn held(&self) -> &[ScopesOnApi] {
        let all = || self.0.subject.own().map_or(&[][..], |own| &own.held);
        self.0.sent.as_deref().unwrap_or_else(all)
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

    /// Everything the issued token will depend on, except the APIs it is for, its own hop and a transaction that begins with it.
    pub(super) fn generations(&self) -> &[Generation] {
        &self.0.generations
    }

    /// The latest `exp` that a token of this exchange may have (promise 2).
    pub fn expiry_cap(&self) -> Time {
        self.0.expiry_cap
    }
}

#[cfg(test)]
impl AdmittedExchange {
    /// An exchange as if it had been admitted; it runs out with its subject token.
    pub(crate) fn for_tests(
        client: AuthenticatedClient,
        subject: VerifiedSubject,
        current: CurrentActor,
        mode: ExchangeMode,
    ) -> Self {
        let (depth, expiry_cap) = (subject.own().map_or(1, |own| own.depth + 1), subject.expires());
        let chain = subject.chain().clone();
        let (grant_type, actor, sent, generations) = (Some(GrantType::TokenExchange), None, None, Vec::new());
        Self(AdmittedParts { grant_type, client, subject, actor, current, mode, sent, chain, depth, generations, expiry_cap })
    }

    /// With a running copy that nothing attests.
    pub(crate) fn without_instance(mut self) -> Self {
        self.0.current.instance = None;
        self
    }

    /// With another chain.
    pub(crate) fn with_chain(mut self, chain: ActChain) -> Self {
        self.0.chain = chain;
        self
    }
}
