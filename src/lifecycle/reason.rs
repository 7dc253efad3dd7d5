//! The reasons for which a well-proved request is not admitted.

use std::fmt;

use super::liveness::NotAlive;

/// The reason for which a request is not admitted: this client may not present this token, or something it rests on is over.
/// `Display` is the public sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdmissionReason {
    /// The client is neither the one the subject token was issued to, nor its actor, nor its audience.
    Presenter,
    /// It cannot be told for which client the subject token was issued.
    OriginUnknown,
    /// The attestation is of another workload, and the client is not among the rule's presenters.
    OtherWorkload,
    /// The subject token was the login, which allows a self-exchange only.
    SelfOnly,
    /// The agent's file does not allow the grant type.
    GrantType,
    /// The subject token is to be exchanged on behalf, and the client is not the agent of an API that it is for.
    NotOnBehalf,
    /// A client asks for itself by an attestation that says that another acts.
    NotItself,
    /// `may_act` of the subject token names somebody else.
    MayAct,
    /// Impersonation of a subject whose token carries `act` or `may_act`.
    ImpersonationOfDelegated,
    /// Impersonation with an actor token, or of oneself.
    ImpersonationPointless,
    /// The client that wants to revoke a token is neither its client nor the agent of an API it is for.
    Revoker,
    /// The client that presents a task token is not the holder of the task.
    TaskHolder,
    /// A task token presented, or a task opened, by a client that proved no key of its own.
    TaskKeyless,
    /// A task token presented with another key than it is bound to.
    TaskKey,
    /// A task token together with another actor than its holder.
    TaskActor,
    /// A task opened with an access token that is in a task itself.
    InTask,
    /// No such task, or none of this client's business.
    NoTask,
    /// This is not for this client to do with the task.
    TaskRole,
    /// The chain would be deeper than allowed.
    Deep,
    /// An agent of the chain is suspended, retired or no longer registered.
    AgentInactive,
    /// The trust rule that vouched for the subject is disabled or gone.
    RuleInactive,
    /// The subject token was issued before something that it vouches for was ended.
    SubjectOutdated,
    /// The actor token was.
    ActorOutdated,
    /// Something that the token depends on has ended or is suspended.
    NotAlive(NotAlive),
}

impl AdmissionReason {
    /// The parameter at fault.
    pub fn parameter(self) -> &'static str {
        match self {
            Self::ImpersonationOfDelegated | Self::ImpersonationPointless => "impersonate",
            Self::GrantType => "grant_type",
            Self::NotOnBehalf => "requested_token_use",
            Self::Revoker => "token",
            Self::TaskActor | Self::ActorOutdated => "actor_token",
            Self::NoTask | Self::TaskRole => "task",
            _ => "subject_token",
        }
    }
}

impl fmt::Display for AdmissionReason {
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
            Self::GrantType => "this client may not ask by this grant type; have it listed in grant_types of the agent's file",
            Self::NotItself => "it says by act that others act too; client_credentials is for the client itself alone",
            Self::NotOnBehalf => {
                "on_behalf_of is for an access token of this server whose aud is an API that names this client as its agent"
            }
            Self::MayAct => "its may_act names another actor or client; ask as that client, or for that actor",
            Self::ImpersonationOfDelegated => "a subject token that carries act or may_act cannot be impersonated",
            Self::ImpersonationPointless => {
                "must not be combined with actor_token, nor used by a client that is the subject itself"
            }
            Self::Revoker => "it was issued to another client; only its client or the agent of an API it is for may revoke it",
            Self::TaskHolder => "it is the token of a task that another agent holds; only that agent may present it",
            Self::TaskKeyless => {
                "a task is bound to a key; log in with one of your own (private_key_jwt), or send a DPoP proof of one"
            }
            Self::TaskKey => "it is bound to another key than this client logged in with or proved by DPoP",
            Self::TaskActor => "the holder of a task acts in it itself; open a child task for another agent",
            Self::InTask => "it is in a task already; open a child with the task token of that task",
            Self::NoTask => "there is no such task that this client opened or holds",
            Self::TaskRole => "only the holder sends heartbeats",
            Self::Deep => "the chain of delegation is as deep as this server allows",
            Self::AgentInactive => "an agent in its chain is suspended, retired or unknown",
            Self::RuleInactive => "the trust rule that vouched for its subject is not in force",
            Self::SubjectOutdated | Self::ActorOutdated => {
                "it was issued before something that it vouches for was ended; get a new one, a minute after that or later"
            }
            Self::NotAlive(dead) if dead.is_final() => "it, or something that it depends on, has ended",
            Self::NotAlive(_) => "it, or something that it depends on, is suspended",
        };
        write!(f, "{}: {sentence}", self.parameter())
    }
}

impl std::error::Error for AdmissionReason {}
