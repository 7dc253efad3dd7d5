//! Why a well-proved request still has no standing.

use std::fmt;

use super::Dead;

/// Why this client may not present this subject token, or why what it rests on is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StandingReason {
    /// The client is neither the one the subject token was issued to, nor its actor, nor its audience.
    Presenter,
    /// It cannot be told for which client the subject token was issued.
    OriginUnknown,
    /// The attestation is of another workload, and the client is not among the rule's presenters.
    OtherWorkload,
    /// The subject token was the login, which allows a self-exchange only.
    SelfOnly,
    /// `may_act` of the subject token names somebody else.
    MayAct,
    /// Impersonation of a subject whose token carries `act` or `may_act`.
    ImpersonationOfDelegated,
    /// Impersonation with an actor token, or of oneself.
    ImpersonationPointless,
    /// Who wants to revoke a token is neither its client nor the agent of an API it is for.
    Revoker,
    /// The chain would be deeper than allowed.
    Deep,
    /// An agent of the chain is suspended, retired or no longer registered.
    AgentInactive,
    /// The trust rule that vouched for the subject is disabled or gone.
    RuleInactive,
    /// Something that the token depends on has ended or is suspended.
    Dead(Dead),
}

impl StandingReason {
    /// Which parameter is at fault.
    pub fn parameter(self) -> &'static str {
        match self {
            Self::ImpersonationOfDelegated | Self::ImpersonationPointless => "impersonate",
            Self::Revoker => "token",
            _ => "subject_token",
        }
    }
}

impl fmt::Display for StandingReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sentence = match self {
            Self::Presenter => {
                "it was issued to another client; its client, its current actor or the agent of its API may present it"
            }
            Self::OriginUnknown => "it does not say for which client it was issued (azp, or a single aud)",
            Self::OtherWorkload => {
                "it attests another workload than the one that logged in; log in with it, or be one of its rule's presenters"
            }
            Self::SelfOnly => {
                "it served as the login, so it can be exchanged for itself only; authenticate as a client to do more"
            }
            Self::MayAct => "its may_act names another actor or client",
            Self::ImpersonationOfDelegated => "a subject token that carries act or may_act cannot be impersonated",
            Self::ImpersonationPointless => {
                "must not be combined with actor_token, nor used by a client that is the subject itself"
            }
            Self::Revoker => "it was issued to another client; only its client or the agent of an API it is for may revoke it",
            Self::Deep => "the chain of delegation is as deep as this server allows",
            Self::AgentInactive => "an agent in its chain is suspended, retired or unknown",
            Self::RuleInactive => "the trust rule that vouched for its subject is not in force",
            Self::Dead(dead) if dead.is_final() => "it, or something that it depends on, has ended",
            Self::Dead(_) => "it, or something that it depends on, is suspended",
        };
        write!(f, "{}: {sentence}", self.parameter())
    }
}

impl std::error::Error for StandingReason {}
