//! The content of verified tokens: subject and actor.

use std::sync::Arc;

use crate::catalog::Agent;
use crate::crypto::Digest;
use crate::oauth::{
    ActChain, ClientId, Confirmation, ExchangeMode, Generation, Jti, MayAct, Resource, RuleName, Scopes, ScopesOnApi, SingleUse,
    Subject, TaskId, Time, Txn,
};
use crate::trust::SubjectKind;

/// The subject token: genuine, current, from a trusted issuer, meant for us. Made only by `verify_subject`; or, where a client
/// asks for itself and shows no token, by `client_itself` of its login.
#[derive(Debug)]
pub struct VerifiedSubject {
    pub(super) subject: Subject,
    pub(super) origin: Origin,
    pub(super) chain: ActChain,
    pub(super) may_act: Option<MayAct>,
    pub(super) issued: Time,
    pub(super) expires: Time,
    pub(super) authentication: Authentication,
    pub(super) attributes: Vec<(String, String)>,
    pub(super) scope_limit: Option<Vec<ScopesOnApi>>,
    pub(super) digest: Option<Digest>,
    pub(super) confirmation: Option<Confirmation>,
    pub(super) review: Option<Digest>,
    pub(super) single_use: Option<SingleUse>,
}

/// The issuer's side of a subject token, with the facts that only a token of its kind holds.
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
    /// An identity assertion grant of another authorization server (draft-ietf-oauth-identity-assertion-authz-grant).
    IdJag {
        /// The trust rule that vouched.
        rule: RuleName,
        /// The issuer, the namespace of names in the token.
        issuer: String,
        /// The kind of party that it is about.
        kind: SubjectKind,
        /// `client_id`: the agent that redeems it.
        client: String,
        /// `resource`: the APIs that it is for; none where it does not say.
        resources: Vec<Resource>,
        /// `scope`: the most that it gives; none where it leaves that to the APIs' defaults.
        scope: Option<Scopes>,
    },
    /// No token at all: a client that asks for itself (RFC 6749 §4.4).
    Client {
        /// The trust rule that vouched for its login, where one did.
        rule: Option<RuleName>,
    },
}

/// The content of a token that this server issued, from its claims and its sealed ancestry. That of a task token was frozen when
/// the task was opened.
#[derive(Debug)]
pub struct IssuedClaims {
    /// The hop that issued it; for a task token, its own `jti`.
    pub jti: Jti,
    /// Its transaction.
    pub txn: Txn,
    /// The number of hops behind it, its own included where it is an access token.
    pub depth: u32,
    /// The client that asked for it; for a task token, its holder.
    pub client: ClientId,
    /// Every agent that asked for a hop of the chain or acted in one, sorted.
    pub agents: Vec<ClientId>,
    /// The kind of party that the trust rule vouched for at the first hop; none for an agent.
    pub kind: Option<SubjectKind>,
    /// The trust rule that vouched first: for the subject token of the first hop, or for the login of a client that asked for
    /// itself; none where a key or a secret was enough.
    pub trust: Option<RuleName>,
    /// The mode of the exchange that issued it; none for a task token, and for one that an earlier version issued.
    pub basis: Option<ExchangeMode>,
    /// The authority that it gives: scopes by API; for a task token, the most that may be held in the task.
    pub held: Vec<ScopesOnApi>,
    /// The least that was held on every API of the chain so far, its own hop included.
    pub history: Vec<ScopesOnApi>,
    /// The classes of data that the chain has touched, sorted.
    pub touched: Vec<String>,
    /// The purpose that an intent of the chain stated; empty where none did.
    pub purpose: String,
    /// SHA-256 of its `authorization_details` in canonical form; none where it has none, and for a task token.
    pub details: Option<Digest>,
    /// Every generation that it depends on.
    pub generations: Vec<Generation>,
    /// The task that it never leaves.
    pub task: Option<TaskMembership>,
}

/// The task that a token belongs to, as it was frozen when the task was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskMembership {
    /// The task's id.
    pub id: TaskId,
    /// The number of tasks one above the other, this one included.
    pub level: u32,
    /// The most that may be held in it, whatever may be derived.
    pub authority: Vec<ScopesOnApi>,
    /// Its purpose; empty where none was given.
    pub purpose: String,
    /// The classes of data that may be touched in it, sorted.
    pub data_classes: Vec<String>,
    /// Its deadline.
    pub deadline: Time,
    /// The hop whose token it was opened with, where it was one of ours.
    pub under: Option<Jti>,
    /// True when it was opened with a proof of a key or with a sender-constrained token: no bearer token is issued in it then.
    pub requires_proof: bool,
}

impl TaskMembership {
    /// The scopes of its authority on one API.
    pub fn authority_on(&self, api: &Resource) -> Scopes {
        ScopesOnApi::on(&self.authority, api).cloned().collect()
    }
}

/// The authentication of the subject (RFC 9068 §2.2.1).
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
    pub(super) attested: Option<Subject>,
    pub(super) instance: Option<String>,
    pub(super) generations: Vec<Generation>,
    pub(super) issued: Time,
    pub(super) expires: Time,
    pub(super) digest: Digest,
    pub(super) confirmation: Option<Confirmation>,
    pub(super) review: Option<Digest>,
}

impl VerifiedSubject {
    /// The subject.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Its origin.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// This token of a workload that trades its own attestation, with the agent that it is as its subject.
    #[must_use]
    pub(crate) fn standing_as(self, agent: &ClientId) -> Self {
        Self { subject: Subject::agent(agent), ..self }
    }

    /// The content of our own token, access token or task token, where it is one.
    pub fn own(&self) -> Option<&IssuedClaims> {
        match &self.origin {
            Origin::Own(own) | Origin::Task(own, _) => Some(own),
            Origin::User { .. } | Origin::Attestation { .. } | Origin::IdJag { .. } | Origin::Client { .. } => None,
        }
    }

    /// The hop that issued it, where it is one of our access tokens.
    pub fn hop(&self) -> Option<Jti> {
        match &self.origin {
            Origin::Own(own) => Some(own.jti),
            _ => None,
        }
    }

    /// The trust rule that vouched for the token itself, or for the login where there is none; none for our own.
    pub fn rule(&self) -> Option<&RuleName> {
        match &self.origin {
            Origin::Own(_) | Origin::Task(..) => None,
            Origin::User { rule, .. } | Origin::Attestation { rule, .. } | Origin::IdJag { rule, .. } => Some(rule),
            Origin::Client { rule } => rule.as_ref(),
        }
    }

    /// The trust rule that vouched first, at whatever hop it is asked about.
    pub fn trust(&self) -> Option<&RuleName> {
        self.own().map_or_else(|| self.rule(), |own| own.trust.as_ref())
    }

    /// The kind of party that it is about, by the trust rule that vouched first; none for an agent.
    pub fn kind(&self) -> Option<SubjectKind> {
        match &self.origin {
            _ if self.subject.rule().is_none() => None,
            Origin::Own(own) | Origin::Task(own, _) => own.kind,
            Origin::User { .. } => Some(SubjectKind::User),
            Origin::Attestation { .. } => Some(SubjectKind::Workload),
            Origin::IdJag { kind, .. } => Some(*kind),
            Origin::Client { .. } => None,
        }
    }

    /// The whole chain of those who acted so far.
    pub fn chain(&self) -> &ActChain {
        &self.chain
    }

    /// Its `may_act`.
    pub fn may_act(&self) -> Option<&MayAct> {
        self.may_act.as_ref()
    }

    /// The instant at which it was issued: `iat`, or the earliest that its trust rule allows.
    pub fn issued(&self) -> Time {
        self.issued
    }

    /// `exp`: nothing issued on it lives longer.
    pub fn expires(&self) -> Time {
        self.expires
    }

    /// The authentication of the subject.
    pub fn authentication(&self) -> &Authentication {
        &self.authentication
    }

    /// The subject's attributes, as its trust rule maps them, or as they were sealed into our own token.
    pub fn attributes(&self) -> &[(String, String)] {
        &self.attributes
    }

    /// The most that a foreign access token may give here, as its trust rule maps its scopes; none where only policy limits it.
    pub fn scope_limit(&self) -> Option<&[ScopesOnApi]> {
        self.scope_limit.as_deref()
    }

    /// SHA-256 of the token, where there is one.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// Its `cnf`: the key that its holder must prove.
    pub fn confirmation(&self) -> Option<Confirmation> {
        self.confirmation
    }

    /// The verdict of the cluster that issued it, by digest, where it was asked.
    pub fn review(&self) -> Option<Digest> {
        self.review
    }

    /// The value that the commit must spend, where it counts once; in nobody's share yet.
    pub fn single_use(&self) -> Option<SingleUse> {
        self.single_use
    }
}

impl VerifiedActor {
    /// Whose credential it is.
    pub fn agent(&self) -> &Arc<Agent> {
        &self.agent
    }

    /// The subject as which a trust rule vouched for it; none for our own token.
    pub fn attested(&self) -> Option<&Subject> {
        self.attested.as_ref()
    }

    /// The running copy, as attested.
    pub fn instance(&self) -> Option<&str> {
        self.instance.as_deref()
    }

    /// The generations that it depends on itself, where it is our own token.
    pub fn generations(&self) -> &[Generation] {
        &self.generations
    }

    /// The instant at which it was issued: `iat`, or the earliest that its trust rule allows.
    pub fn issued(&self) -> Time {
        self.issued
    }

    /// The instant at which it expires.
    pub fn expires(&self) -> Time {
        self.expires
    }

    /// SHA-256 of the token.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Its `cnf`: the key that its holder must prove.
    pub fn confirmation(&self) -> Option<Confirmation> {
        self.confirmation
    }

    /// The verdict of the cluster that issued it, by digest, where it was asked.
    pub fn review(&self) -> Option<Digest> {
        self.review
    }
}

#[cfg(test)]
impl VerifiedSubject {
    /// A subject token as if it had been verified.
    pub(crate) fn for_tests(subject: Subject, origin: Origin, expires: Time) -> Self {
        let (chain, authentication, digest) = (ActChain::default(), Authentication::default(), Some(Digest::of(b"")));
        let (attributes, may_act, issued, scope_limit, confirmation) = (Vec::new(), None, expires, None, None);
        Self {
            subject,
            origin,
            chain,
            may_act,
            issued,
            expires,
            authentication,
            attributes,
            scope_limit,
            digest,
            confirmation,
            review: None,
            single_use: None,
        }
    }

    /// This token with the authentication and attributes of its subject.
    pub(crate) fn told(mut self, authentication: Authentication, attributes: Vec<(String, String)>) -> Self {
        (self.authentication, self.attributes) = (authentication, attributes);
        self
    }
}
