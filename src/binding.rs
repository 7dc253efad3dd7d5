//! Sender constraint: the one place that decides to which key an issued token is bound (`cnf`, RFC 7800), and its `token_type`
//! with it. A bound input never gives an unbound output, and the output is bound to a key that this very request proved
//! (promise 8).

use std::fmt;

use crate::authority::{Target, Targets};
use crate::catalog::{BoundTokens, ConstraintRequirement};
use crate::client::{AuthMethod, MissingProof, ProvenKeys};
use crate::lifecycle::{AdmittedExchange, AdmittedTask};
use crate::oauth::{Confirmation, ConfirmationMethod, ExchangeMode};

/// The key that an issued token is bound to, or none. Made only by [`bind`] and [`bind_task`].
#[derive(Clone, Copy, Debug)]
pub struct SenderConstraint {
    issued: Option<Confirmation>,
    subject: Option<Confirmation>,
    /// True for what is no access token, but handed to another authorization server.
    handed_over: bool,
}

/// No token may be issued with the keys that were proved. `Display` is the public sentence: what was expected, what was found,
/// and which file would allow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindingReason {
    /// The subject token is bound, and the request proved another key of that kind, or none.
    SubjectKey(MissingProof),
    /// The actor token is bound, and the request proved another key of that kind, or none.
    ActorKey(MissingProof),
    /// The subject token is bound and may be bound anew, but the request proved no key to bind to.
    NextKey,
    /// The agent's tokens must be bound, and the request proved no key that would do.
    Agent(BoundTokens),
    /// The agent's tokens must be bound to its certificate, and the request asks by a DPoP proof for another binding.
    AgentCertificate,
    /// The API takes bound tokens only.
    ApiRequires,
    /// The API takes bearer tokens only, and the token would be bound.
    ApiRefuses {
        /// True where the subject token is bound; false where the client asks for a binding.
        inherited: bool,
    },
}

/// The facts that the decision rests on.
struct ConstraintInputs<'a> {
    subject: Option<Confirmation>,
    /// The confirmation of the actor token; the outer `Option` is none without an actor token.
    actor: Option<Option<Confirmation>>,
    /// The confirmation of the attestation by which the client logged in: it proved that key, or it would not be authenticated.
    attestation: Option<Confirmation>,
    /// True in a task that was opened with a proof of a key or under a bound token.
    task: bool,
    proven: &'a ProvenKeys,
    mode: ExchangeMode,
    login: AuthMethod,
    agent: BoundTokens,
    apis: Constraints,
}

/// The `sender_constraint`s of all APIs of an audience.
#[derive(Clone, Copy, Debug, Default)]
struct Constraints {
    required: bool,
    refused: bool,
}

/// Decides to which key a token for `targets` is bound.
///
/// The origin of the tokens makes no difference: a foreign token with `cnf` is bound as one of ours is. A bound subject token
/// needs the proof of its own key (continuation), or a direct credential of whoever acts next together with the proof of a key
/// (rebinding). Such a credential is an actor token. For an API's own agent, which was handed the token and
/// never had its key, the login of this request is one too, unless it is a shared secret.
///
/// # Errors
/// See [`BindingReason`].
pub fn bind(admitted: &AdmittedExchange, targets: &Targets) -> Result<SenderConstraint, BindingReason> {
    let required = targets.iter().map(Target::api).map(|api| api.sender_constraint);
    let handed_over = targets.iter().any(|target| target.api().authorization_server.is_some());
    let constraint = ConstraintInputs::new(admitted, required.collect()).decide()?;
    Ok(SenderConstraint { handed_over, ..constraint })
}

/// Decides whether a task that is opened must be bound. No API takes a task token; to which key a token that is issued in the
/// task is bound is decided when it is issued.
///
/// # Errors
/// See [`BindingReason`].
pub fn bind_task(task: &AdmittedTask) -> Result<SenderConstraint, BindingReason> {
    ConstraintInputs::new(task.admitted(), Constraints::default()).decide()
}

impl FromIterator<ConstraintRequirement> for Constraints {
    fn from_iter<I: IntoIterator<Item = ConstraintRequirement>>(apis: I) -> Self {
        apis.into_iter().fold(Self::default(), |all, api| Self {
            required: all.required || api == ConstraintRequirement::Required,
            refused: all.refused || api == ConstraintRequirement::None,
        })
    }
}

impl<'a> ConstraintInputs<'a> {
    fn new(admitted: &'a AdmittedExchange, apis: Constraints) -> Self {
        let client = admitted.client();
        Self {
            subject: admitted.subject().confirmation(),
            actor: admitted.actor().map(|actor| actor.confirmation()),
            attestation: client.binding(),
            task: admitted.task().is_some_and(|task| task.requires_proof),
            proven: client.proven(),
            mode: admitted.mode(),
            login: client.method(),
            agent: client.agent().bound,
            apis,
        }
    }

    fn decide(&self) -> Result<SenderConstraint, BindingReason> {
        if let Some(missed) = self.proven.missed(self.actor.flatten()) {
            return Err(BindingReason::ActorKey(missed));
        }
        if let Some(missed) = self.proven.missed(self.subject).filter(|_| !self.direct_credential()) {
            return Err(BindingReason::SubjectKey(missed));
        }
        match self.issued()? {
            Some(_) if self.apis.refused => Err(BindingReason::ApiRefuses { inherited: self.inherited() }),
            None if self.must() => Err(self.missing()),
            issued => Ok(SenderConstraint { issued, subject: self.subject, handed_over: false }),
        }
    }

    /// A DPoP proof always binds: who sends one must not be left to believe so (RFC 9449 §5). A certificate binds where the
    /// token must be bound; otherwise it may have served to log in and nothing else (RFC 8705 §3.4).
    fn issued(&self) -> Result<Option<Confirmation>, BindingReason> {
        let certificate_only = self.agent.certificate && !self.agent.dpop;
        let dpop_only = self.agent.dpop && !self.agent.certificate;
        match (self.proven.dpop(), self.proven.certificate()) {
            (Some(_), _) if certificate_only => Err(BindingReason::AgentCertificate),
            (Some(proof), _) => Ok(Some(Confirmation::Dpop(proof.key))),
            (None, Some(certificate)) if self.must() && !dpop_only => Ok(Some(Confirmation::Certificate(certificate))),
            _ => Ok(None),
        }
    }

    fn must(&self) -> bool {
        self.agent.dpop || self.agent.certificate || self.apis.required || self.inherited()
    }

    fn inherited(&self) -> bool {
        self.task || [self.subject, self.actor.flatten(), self.attestation].iter().any(Option::is_some)
    }

    fn missing(&self) -> BindingReason {
        match self.agent {
            BoundTokens { dpop: false, certificate: false } if self.inherited() => BindingReason::NextKey,
            BoundTokens { dpop: false, certificate: false } => BindingReason::ApiRequires,
            agent => BindingReason::Agent(agent),
        }
    }

    fn direct_credential(&self) -> bool {
        let secret = matches!(self.login, AuthMethod::SecretBasic | AuthMethod::SecretPost);
        self.actor.is_some() || (self.mode == ExchangeMode::OnBehalfOf && !secret)
    }
}

impl SenderConstraint {
    /// The token's `cnf`.
    pub fn issued(&self) -> Option<Confirmation> {
        self.issued
    }

    /// The `cnf` of the subject token.
    pub fn subject(&self) -> Option<Confirmation> {
        self.subject
    }

    /// The `token_type` of the answer: `N_A` for what no API takes (RFC 8693 §2.2.1).
    pub fn token_type(&self) -> &'static str {
        if self.handed_over { "N_A" } else { Confirmation::token_type(self.issued) }
    }

    /// The name of the binding in policy's `context.binding`.
    pub fn as_str(&self) -> &'static str {
        self.issued.map_or("none", |binding| binding.kind().as_str())
    }
}

#[cfg(test)]
impl SenderConstraint {
    /// Not bound.
    pub(crate) const NONE: Self = Self { issued: None, subject: None, handed_over: false };
}

impl BindingReason {
    /// True where a DPoP proof is missing or wrong: `invalid_dpop_proof` (RFC 9449 §5).
    pub fn is_proof(&self) -> bool {
        match self {
            Self::SubjectKey(missed) | Self::ActorKey(missed) => missed.kind == ConfirmationMethod::Dpop,
            Self::Agent(bound) => bound.dpop,
            Self::NextKey | Self::ApiRequires => true,
            Self::AgentCertificate | Self::ApiRefuses { .. } => false,
        }
    }
}

impl fmt::Display for BindingReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SubjectKey(missed) => {
                return write!(
                    f,
                    "subject_token {missed}; prove that key, or present the actor_token of whoever acts next together with the \
                     proof of a key of its own"
                );
            }
            Self::ActorKey(missed) => return write!(f, "actor_token {missed}"),
            Self::NextKey => concat!(
                "subject_token is bound, so the new token must be, and no key was proved to bind it to; ",
                "send a DPoP header with a proof, or connect with a client certificate"
            ),
            Self::Agent(BoundTokens { dpop: true, certificate: true }) => concat!(
                "tokens of this client must be bound (dpop_bound_access_tokens and tls_client_certificate_bound_access_tokens ",
                "of the agent's file) and no key was proved; send a DPoP header with a proof or connect with a client certificate"
            ),
            Self::Agent(BoundTokens { certificate: true, .. }) => concat!(
                "tokens of this client must be bound to its certificate (tls_client_certificate_bound_access_tokens of the ",
                "agent's file) and the connection has none; connect with a client certificate"
            ),
            Self::Agent(_) => concat!(
                "tokens of this client must be bound by DPoP (dpop_bound_access_tokens of the agent's file) and no proof was ",
                "found; send a DPoP header with one"
            ),
            Self::AgentCertificate => concat!(
                "tokens of this client must be bound to its certificate (tls_client_certificate_bound_access_tokens of the ",
                "agent's file); leave out the DPoP header, or have dpop_bound_access_tokens set there too"
            ),
            Self::ApiRequires => concat!(
                "this target takes bound tokens only (sender_constraint = required in the API's file) and no key was proved; ",
                "send a DPoP header with a proof, or connect with a client certificate"
            ),
            Self::ApiRefuses { inherited: true } => concat!(
                "this target takes bearer tokens only (sender_constraint = none in the API's file) and what is issued from a ",
                "bound token stays bound; have sender_constraint = optional set there"
            ),
            Self::ApiRefuses { inherited: false } => concat!(
                "this target takes bearer tokens only (sender_constraint = none in the API's file); leave out the DPoP header, ",
                "or have sender_constraint = optional set there"
            ),
        })
    }
}

#[cfg(test)]
mod tests;
