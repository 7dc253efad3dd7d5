//! What a verified token says.

use std::sync::Arc;

use crate::catalog::Agent;
use crate::client::Confirmation;
use crate::crypto::Digest;
use crate::oauth::{ActChain, ClientId, Generation, Jti, MayAct, Resource, RuleName, Scopes, Subject, TaskId, Time, Txn};
use crate::trust::SubjectKind;

/// The subject token: genuine, current, from a trusted issuer, meant for us. Made only by `verify_subject`.
#[derive(Debug)]
pub struct VerifiedSubject {
    pub(super) subject: Subject,
    pub(super) origin: Origin,
    pub(super) chain: ActChain,
    pub(super) may_act: Option<MayAct>,
    pub(super) issued_at: Option<Time>,
    pub(super) expires: Time,
    pub(super) authentication: Authentication,
    pub(super) attributes: Vec<(String, String)>,
    pub(super) ceiling: Option<Vec<ScopesOnApi>>,
    pub(super) digest: Digest,
    pub(super) binding: Option<Confirmation>,
}

/// Where a subject token comes from, with what its kind alone can say.
#[derive(Debug)]
pub enum Origin {
    /// An access token that this server issued.
    Own(IssuedClaims),
    /// A task token that this server issued, with the thumbprint of the key that must present it (RFC 7800 §3.1); none where
    /// any key of its client will do.
    Task(IssuedClaims, Option<Digest>),
    /// An ID token of a foreign issuer, obtained by the client named.
    User {
        /// The trust rule that vouched.
        rule: RuleName,
        /// The issuer, the namespace of names in the token.
        issuer: String,
        /// `azp`, or the sole `aud`: the client that obtained it; none when that cannot be told.
        client: Option<String>,
    },
    /// An attestation of a workload.
    Attestation {
        /// The trust rule that vouched.
        rule: RuleName,
        /// The issuer, the namespace of names in the token.
        issuer: String,
        /// Agents that may present other workloads' attestations under this rule.
        presenters: Vec<ClientId>,
        /// The running copy, as attested.
        instance: Option<String>,
    },
}

/// What one of our own tokens says, from its claims and its sealed ancestry. A task token says what was frozen in it.
#[derive(Debug)]
pub struct IssuedClaims {
    /// The hop that issued it; for a task token, its own `jti`.
    pub jti: Jti,
    /// Its tree.
    pub txn: Txn,
    /// How many hops lie behind it, its own included where it is an access token.
    pub depth: u32,
    /// Who asked for it; for a task token, its holder.
    pub client: ClientId,
    /// Every agent that asked for a hop of the chain or acted in one, sorted.
    pub agents: Vec<ClientId>,
    /// What kind of party the trust rule vouched for at the first hop; none for an agent.
    pub kind: Option<SubjectKind>,
    /// What it permits: scopes by API; for a task token, the ceiling.
    pub held: Vec<ScopesOnApi>,
    /// The least that was held on every API of the chain so far, its own hop included.
    pub history: Vec<ScopesOnApi>,
    /// The classes of data that the chain has touched, sorted.
    pub touched: Vec<String>,
    /// Every generation that it depends on.
    pub generations: Vec<Generation>,
    /// The task that it never leaves.
    pub task: Option<TaskMembership>,
}

/// The task that a token belongs to, as it was frozen when the task was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskMembership {
    /// Which.
    pub id: TaskId,
    /// How many tasks lie one above the other, this one included.
    pub level: u32,
    /// The ceiling: nothing else is held in it, whatever may be derived.
    pub authority: Vec<ScopesOnApi>,
    /// What it is for; empty where nobody said.
    pub purpose: String,
    /// The classes of data that may be touched in it, sorted.
    pub data_classes: Vec<String>,
    /// When it ends.
    pub deadline: Time,
    /// The hop whose token it was opened with, where it was one of ours.
    pub under: Option<Jti>,
    /// Whether it was opened with a proof of a key or under a bound token, so that nothing unbound is issued in it.
    pub bound: bool,
}

impl TaskMembership {
    /// The scopes of the ceiling on one API.
    pub fn ceiling(&self, api: &Resource) -> Scopes {
        self.authority.iter().filter(|held| held.api == *api).flat_map(|held| held.scopes.iter().cloned()).collect()
    }
}

/// Scopes held on one API. Scopes of two APIs never mix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopesOnApi {
    /// The API.
    pub api: Resource,
    /// The scopes.
    pub scopes: Scopes,
}

/// How and when the subject authenticated (RFC 9068 §2.2.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Authentication {
    /// `acr`.
    pub acr: Option<String>,
    /// `amr`.
    pub amr: Vec<String>,
    /// `auth_time`.
    pub time: Option<Time>,
}

/// The actor token: a direct credential of an agent. Made only by `verify_actor`.
#[derive(Debug)]
pub struct VerifiedActor {
    pub(super) agent: Arc<Agent>,
    pub(super) rule: Option<RuleName>,
    pub(super) instance: Option<String>,
    pub(super) generations: Vec<Generation>,
    pub(super) expires: Time,
    pub(super) digest: Digest,
    pub(super) binding: Option<Confirmation>,
}

impl VerifiedSubject {
    /// On whose behalf.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Where the token comes from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The same token, of a workload that trades its own attestation: it stands as the agent it is.
    #[must_use]
    pub(crate) fn standing_as(self, agent: &ClientId) -> Self {
        Self { subject: Subject::agent(agent), ..self }
    }

    /// What our own token says, access token or task token, where it is one.
    pub fn own(&self) -> Option<&IssuedClaims> {
        match &self.origin {
            Origin::Own(own) | Origin::Task(own, _) => Some(own),
            Origin::User { .. } | Origin::Attestation { .. } => None,
        }
    }

    /// The hop that issued it, where it is one of our access tokens.
    pub fn hop(&self) -> Option<Jti> {
        match &self.origin {
            Origin::Own(own) => Some(own.jti),
            _ => None,
        }
    }

    /// The trust rule that vouched for the token itself; none for our own.
    pub fn rule(&self) -> Option<&RuleName> {
        match &self.origin {
            Origin::Own(_) | Origin::Task(..) => None,
            Origin::User { rule, .. } | Origin::Attestation { rule, .. } => Some(rule),
        }
    }

    /// What kind of party it is about, by the trust rule that vouched first; none for an agent.
    pub fn kind(&self) -> Option<SubjectKind> {
        match &self.origin {
            _ if self.subject.rule().is_none() => None,
            Origin::Own(own) | Origin::Task(own, _) => own.kind,
            Origin::User { .. } => Some(SubjectKind::User),
            Origin::Attestation { .. } => Some(SubjectKind::Workload),
        }
    }

    /// Who acted so far, whole.
    pub fn chain(&self) -> &ActChain {
        &self.chain
    }

    /// Who may act.
    pub fn may_act(&self) -> Option<&MayAct> {
        self.may_act.as_ref()
    }

    /// `iat`.
    pub fn issued_at(&self) -> Option<Time> {
        self.issued_at
    }

    /// `exp`: nothing issued on it lives longer.
    pub fn expires(&self) -> Time {
        self.expires
    }

    /// How the subject authenticated.
    pub fn authentication(&self) -> &Authentication {
        &self.authentication
    }

    /// What its trust rule says about the subject; empty for our own tokens.
    pub fn attributes(&self) -> &[(String, String)] {
        &self.attributes
    }

    /// What a foreign access token may give here, as its trust rule maps its scopes; none where only policy bounds it.
    pub fn ceiling(&self) -> Option<&[ScopesOnApi]> {
        self.ceiling.as_deref()
    }

    /// SHA-256 of the token.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The key that its holder must prove: its `cnf`.
    pub fn binding(&self) -> Option<Confirmation> {
        self.binding
    }
}

impl VerifiedActor {
    /// Whose credential it is.
    pub fn agent(&self) -> &Arc<Agent> {
        &self.agent
    }

    /// The trust rule that vouched for it; none for our own token.
    pub fn rule(&self) -> Option<&RuleName> {
        self.rule.as_ref()
    }

    /// Which running copy, as attested.
    pub fn instance(&self) -> Option<&str> {
        self.instance.as_deref()
    }

    /// What it depends on itself, where it is our own token.
    pub fn generations(&self) -> &[Generation] {
        &self.generations
    }

    /// When it runs out.
    pub fn expires(&self) -> Time {
        self.expires
    }

    /// SHA-256 of the token.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The key that its holder must prove: its `cnf`.
    pub fn binding(&self) -> Option<Confirmation> {
        self.binding
    }
}

#[cfg(test)]
impl VerifiedSubject {
    /// A subject token as if it had been verified.
    pub(crate) fn for_tests(subject: Subject, origin: Origin, expires: Time) -> Self {
        let (chain, authentication, digest) = (ActChain::default(), Authentication::default(), Digest::of(b""));
        let (attributes, may_act, issued_at, ceiling, binding) = (Vec::new(), None, None, None, None);
        Self { subject, origin, chain, may_act, issued_at, expires, authentication, attributes, ceiling, digest, binding }
    }

    /// The same with what else its issuer says about the subject.
    pub(crate) fn told(mut self, authentication: Authentication, attributes: Vec<(String, String)>) -> Self {
        (self.authentication, self.attributes) = (authentication, attributes);
        self
    }
}
