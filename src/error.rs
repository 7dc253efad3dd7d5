//! Every stage's reasons, and the OAuth error code of each (RFC 6749 §5.2, RFC 8693 §2.2.2, RFC 8707 §2).

use std::error::Error;
use std::fmt;

use crate::authority::AuthorityError;
use crate::binding::BindingError;
use crate::client::{ClientReason, DpopReason};
use crate::commit::CommitReason;
use crate::lifecycle::AdmissionReason;
use crate::mint::MintReason;
use crate::oauth::Resource;
use crate::policy::{ApprovalNeeded, Denial, DenialReason};
use crate::request::{FormReason, RequestReason};
use crate::token::TokenReason;
use crate::trust::TrustReason;

/// Why a request is refused, as the stage that refused it says.
#[derive(Debug)]
pub enum ExchangeError {
    /// The body is no form.
    Form(FormReason),
    /// The request is malformed.
    Request(RequestReason),
    /// The client did not prove itself.
    Client(ClientReason),
    /// The DPoP proof is refused.
    Proof(DpopReason),
    /// The subject token is refused.
    Subject(TokenReason),
    /// The actor token is refused.
    Actor(TokenReason),
    /// This client may not present this subject token, or what it rests on is over.
    Standing(AdmissionReason),
    /// No target can be told, or nothing is within reach on it.
    Authority(AuthorityError),
    /// The keys that were proved do not do.
    Binding(BindingError),
    /// Policy does not permit it.
    Denied(Box<Denial>),
    /// Policy permits it with a person's approval only.
    ApprovalNeeded(Box<ApprovalNeeded>),
    /// The token could not be made.
    Mint(MintReason),
    /// The hop could not be recorded.
    Commit(CommitReason),
    /// A task token is to be revoked.
    TaskToken,
}

/// An OAuth error code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    /// Malformed, or a subject or actor token that is invalid or unacceptable.
    InvalidRequest,
    /// Not authenticated.
    InvalidClient,
    /// The client may not do this at all.
    UnauthorizedClient,
    /// The grant is not served.
    UnsupportedGrantType,
    /// Scope.
    InvalidScope,
    /// Target (RFC 8707 §2).
    InvalidTarget,
    /// `authorization_details` (RFC 9396 §5).
    InvalidAuthorizationDetails,
    /// A DPoP proof is missing or wrong (RFC 9449 §5).
    InvalidDpopProof,
    /// The DPoP proof must carry the nonce that the answer gives (RFC 9449 §8).
    UseDpopNonce,
    /// The kind of token cannot be revoked (RFC 7009 §2.2.1).
    UnsupportedTokenType,
    /// Cannot serve now; try again. Our choice of code, RFC 6749 §5.2 has none.
    TemporarilyUnavailable,
    /// A bug.
    ServerError,
}

impl ErrorCode {
    /// The registered code.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget => "invalid_target",
            Self::InvalidAuthorizationDetails => "invalid_authorization_details",
            Self::InvalidDpopProof => "invalid_dpop_proof",
            Self::UseDpopNonce => "use_dpop_nonce",
            Self::UnsupportedTokenType => "unsupported_token_type",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
            Self::ServerError => "server_error",
        }
    }
}

impl ExchangeError {
    /// The code that the table of this grant gives the reason: in a plain exchange a bad token is `invalid_request`
    /// (RFC 8693 §2.2.2).
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Form(_) => ErrorCode::InvalidRequest,
            Self::Request(reason) => request_code(reason),
            Self::Client(reason) => client_code(reason),
            Self::Proof(reason) if reason.wants_nonce() => ErrorCode::UseDpopNonce,
            Self::Proof(_) => ErrorCode::InvalidDpopProof,
            Self::Subject(reason) | Self::Actor(reason) => token_code(reason),
            Self::Standing(AdmissionReason::Revoker) => ErrorCode::UnauthorizedClient,
            Self::Standing(_) => ErrorCode::InvalidRequest,
            Self::Authority(_) => ErrorCode::InvalidTarget,
            Self::Binding(error) if error.reason.is_proof() => ErrorCode::InvalidDpopProof,
            Self::Binding(_) => ErrorCode::InvalidRequest,
            Self::Denied(denial) => denial_code(denial.reason()),
            Self::ApprovalNeeded(needed) => denial_code(needed.denial().reason()),
            Self::Mint(MintReason::TooLarge) => ErrorCode::InvalidRequest,
            Self::Mint(MintReason::NoKey) => ErrorCode::TemporarilyUnavailable,
            Self::Mint(MintReason::Crypto | MintReason::ReceiptForeign) => ErrorCode::ServerError,
            Self::Commit(reason) => commit_code(*reason),
            Self::TaskToken => ErrorCode::UnsupportedTokenType,
        }
    }
}

impl ExchangeError {
    /// The registered targets of the request, by API id, where it was refused by a stage that knows them.
    pub fn targets(&self) -> &[Resource] {
        match self {
            Self::Authority(error) => &error.targets,
            Self::Binding(error) => &error.targets,
            other => other.denial().map_or(&[], Denial::targets),
        }
    }

    /// The denial of policy, with the policies that decided.
    pub fn denial(&self) -> Option<&Denial> {
        match self {
            Self::Denied(denial) => Some(denial),
            Self::ApprovalNeeded(needed) => Some(needed.denial()),
            _ => None,
        }
    }
}

fn request_code(reason: &RequestReason) -> ErrorCode {
    match reason {
        RequestReason::GrantUnsupported => ErrorCode::UnsupportedGrantType,
        RequestReason::Target(..) | RequestReason::TargetCount => ErrorCode::InvalidTarget,
        RequestReason::Scope(_) => ErrorCode::InvalidScope,
        RequestReason::Details | RequestReason::Task(_) => ErrorCode::InvalidAuthorizationDetails,
        _ => ErrorCode::InvalidRequest,
    }
}

fn client_code(reason: &ClientReason) -> ErrorCode {
    match reason {
        ClientReason::KeysUnavailable(_) => ErrorCode::TemporarilyUnavailable,
        ClientReason::Several | ClientReason::Repeated(_) => ErrorCode::InvalidRequest,
        _ => ErrorCode::InvalidClient,
    }
}

fn token_code(reason: &TokenReason) -> ErrorCode {
    match reason {
        TokenReason::Trust(TrustReason::KeysUnavailable) => ErrorCode::TemporarilyUnavailable,
        _ => ErrorCode::InvalidRequest,
    }
}

fn denial_code(reason: &DenialReason) -> ErrorCode {
    match reason {
        DenialReason::TargetRefused | DenialReason::TargetEmpty => ErrorCode::InvalidTarget,
        DenialReason::Scope(_) => ErrorCode::InvalidScope,
        DenialReason::Task(_) => ErrorCode::InvalidAuthorizationDetails,
        DenialReason::Impersonation | DenialReason::PresentActor | DenialReason::Expired => ErrorCode::InvalidRequest,
    }
}

fn commit_code(reason: CommitReason) -> ErrorCode {
    match reason {
        CommitReason::Died
        | CommitReason::Retired
        | CommitReason::Outranked
        | CommitReason::Budget
        | CommitReason::Expired
        | CommitReason::TooLarge => ErrorCode::InvalidRequest,
        CommitReason::Spent => ErrorCode::InvalidClient,
        CommitReason::Replayed => ErrorCode::InvalidDpopProof,
        CommitReason::Busy | CommitReason::Unavailable | CommitReason::ClockBehind => ErrorCode::TemporarilyUnavailable,
    }
}

impl fmt::Display for ExchangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form(reason) => reason.fmt(f),
            Self::Request(reason) => reason.fmt(f),
            Self::Client(reason) => reason.fmt(f),
            Self::Proof(reason) => reason.fmt(f),
            Self::Subject(reason) => write!(f, "subject_token: {reason}"),
            Self::Actor(reason) => write!(f, "actor_token: {reason}"),
            Self::Standing(reason) => reason.fmt(f),
            Self::Authority(error) => error.fmt(f),
            Self::Binding(error) => error.fmt(f),
            Self::Denied(denial) => denial.fmt(f),
            Self::ApprovalNeeded(needed) => needed.fmt(f),
            Self::Mint(reason) => reason.fmt(f),
            Self::Commit(reason) => reason.fmt(f),
            Self::TaskToken => f.write_str("token: the token of a task is not revoked; complete the task instead"),
        }
    }
}

/// What a stage keeps from the caller: each cause is for the log alone.
impl Error for ExchangeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Client(reason) => reason.source(),
            Self::Proof(reason) => reason.source(),
            Self::Subject(reason) | Self::Actor(reason) => reason.source(),
            _ => None,
        }
    }
}
