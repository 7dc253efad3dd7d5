//! Why a subject or actor token is refused.

use std::fmt;

use crate::jose::JoseReason;
use crate::oauth::{ActReason, ForeignNameReason, MayActReason};
use crate::trust::TrustRefusal;

/// Why a token is refused. The sentences do not say which issuer, audience or key was expected; the log does.
#[derive(Debug)]
pub enum TokenReason {
    /// Not a JWS that we read, or its signature is not good.
    Jose(JoseReason),
    /// No trust rule vouches for it.
    Trust(TrustRefusal),
    /// Our token, declared as something that we do not issue.
    DeclaredWrongly,
    /// Declared as an access token of this server, issued by somebody else (RFC 8693 §3).
    ForeignAccessToken,
    /// An access token of another server, declared as an ID token.
    NotIdToken,
    /// Signed by us, but not an access token.
    NotAccessToken,
    /// A task token where none is taken, or declared as something else.
    TaskToken,
    /// Claims missing or of the wrong type.
    Claims,
    /// Run out.
    Expired,
    /// Its ancestry cannot be opened.
    Ancestry,
    /// Its `act` is refused.
    Act(ActReason),
    /// Its `may_act` cannot be understood.
    MayAct(MayActReason),
    /// Its `acr`, or a method in its `amr`, is no name that may stand in what is issued.
    Authentication(ForeignNameReason),
    /// Its `auth_time` is more than a minute ahead.
    AuthenticatedLater,
    /// An identity assertion grant whose `aud` is not our issuer identifier alone.
    HandedElsewhere,
    /// An actor token that is itself delegated.
    ActorDelegated,
    /// An actor token that is no agent's, or more than one agent's.
    ActorUnknown,
}

impl From<JoseReason> for TokenReason {
    fn from(reason: JoseReason) -> Self {
        Self::Jose(reason)
    }
}

impl From<TrustRefusal> for TokenReason {
    fn from(refused: TrustRefusal) -> Self {
        Self::Trust(refused)
    }
}

impl fmt::Display for TokenReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Jose(reason) => return reason.fmt(f),
            Self::Trust(reason) => return reason.fmt(f),
            Self::Act(reason) => return reason.fmt(f),
            Self::DeclaredWrongly => {
                "it is an access token of this server; declare it as urn:ietf:params:oauth:token-type:access_token"
            }
            Self::ForeignAccessToken => {
                "type access_token means an access token of this server; declare a token of another issuer as jwt or id_token"
            }
            Self::NotIdToken => {
                "it is an access token or a grant of another server; declare it as urn:ietf:params:oauth:token-type:jwt"
            }
            Self::TaskToken => {
                "it is a task token: send it as subject_token of type urn:ietf:params:oauth:token-type:jwt, and nowhere else"
            }
            Self::NotAccessToken => "it was signed by this server but is not an access token",
            Self::Claims => "a required claim is missing or has the wrong type",
            Self::Expired => "it has expired",
            Self::Ancestry => "it carries no ancestry that this server can read",
            Self::MayAct(reason) => return write!(f, "its may_act {reason}"),
            Self::Authentication(reason) => return write!(f, "its acr and each of its amr {reason}"),
            Self::AuthenticatedLater => "its auth_time is too far in the future",
            Self::HandedElsewhere => "its aud must be the issuer identifier of this server, alone",
            Self::ActorDelegated => "it must be a direct credential of the actor, without act or may_act",
            Self::ActorUnknown => "it is not the credential of exactly one registered agent",
        })
    }
}

impl std::error::Error for TokenReason {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        if let Self::Trust(refused) = self { Some(refused) } else { None }
    }
}
