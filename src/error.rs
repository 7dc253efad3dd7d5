//! Every stage's reasons, and the OAuth error code of each, by the error table of the request's profile (RFC 6749 §5.2).

use std::error::Error;
use std::fmt;

use crate::authority::AuthorityReason;
use crate::binding::BindingReason;
use crate::client::{AccessReason, ClientReason, DpopReason};
use crate::commit::CommitReason;
use crate::lifecycle::AdmissionReason;
use crate::mint::MintReason;
use crate::oauth::GrantType;
use crate::policy::{Denial, DenialReason, StepUp};
use crate::request::{FormReason, RequestReason};
use crate::token::TokenReason;

/// The reason of the stage that refused a request. `Display` is the public sentence; the sources are for the log alone.
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
    /// This client may not present this subject token, or something that it depends on is not alive.
    Admission(AdmissionReason),
    /// No target can be told, or nothing is within reach on it.
    Authority(AuthorityReason),
    /// The keys that were proved do not do.
    Binding(BindingReason),
    /// Policy does not permit it.
    Denied(Box<Denial>),
    /// Policy would permit it with a person's approval, which this server does not ask for.
    ApprovalNeeded(Box<Denial>),
    /// The token could not be made.
    Mint(MintReason),
    /// The client asks more often than it may.
    Rate(RateExceeded),
    /// The hop could not be recorded.
    Commit(CommitReason),
    /// A task token is to be revoked.
    TaskToken,
}

/// The requests of a client exceed what it may ask per second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateExceeded {
    /// Requests per second.
    pub per_second: u32,
    /// The time in seconds after which it may ask again.
    pub seconds: u32,
}

/// The reason for which an access token of ours does not open what it was sent for.
#[derive(Debug)]
pub enum AccessError {
    /// It does not count as it was sent.
    Credential(AccessReason),
    /// It is no genuine access token of ours.
    Token(TokenReason),
    /// It is another hop's than the one that was asked for.
    OtherHop,
    /// Its proof was used before, or cannot be spent now.
    Commit(CommitReason),
}

/// The error table of a grant type: the codes in which the specifications differ. All other codes are the same in every one.
#[derive(Clone, Copy, Debug)]
pub struct Profile {
    /// Of a token that is presented as a grant and is invalid, unacceptable, or not alive.
    unacceptable: ErrorCode,
    /// The name, for sentences, of what stands where token exchange has its `subject_token`.
    subject: &'static str,
}

const SUBJECT_TOKEN: &str = "subject_token";

impl Profile {
    /// Token exchange: RFC 8693 §2.2.2. Introspection, revocation and tasks, of which no specification says more, answer alike.
    pub const TOKEN_EXCHANGE: Self = Self { unacceptable: ErrorCode::InvalidRequest, subject: SUBJECT_TOKEN };

    /// An assertion as a grant: RFC 7523 §3.1.
    const JWT_BEARER: Self = Self { unacceptable: ErrorCode::InvalidGrant, subject: "assertion" };

    /// A client for itself: RFC 6749 §5.2.
    const CLIENT_CREDENTIALS: Self = Self { unacceptable: ErrorCode::InvalidGrant, subject: "login" };

    /// The error table of a grant type.
    pub fn of(grant_type: GrantType) -> Self {
        match grant_type {
            GrantType::TokenExchange => Self::TOKEN_EXCHANGE,
            GrantType::JwtBearer => Self::JWT_BEARER,
            GrantType::ClientCredentials => Self::CLIENT_CREDENTIALS,
        }
    }

    /// The public sentence of `reason`, in the words of the grant type.
    pub fn sentence(self, reason: &ExchangeError) -> String {
        reason.to_string().replace(SUBJECT_TOKEN, self.subject)
    }

    /// The same for the caller alone: it may hold words of the request.
    pub fn told(self, reason: &ExchangeError) -> String {
        format!("{reason:#}").replace(SUBJECT_TOKEN, self.subject)
    }
}

named! {
    /// An OAuth error code: each is counted, and has its registered name.
    pub enum ErrorCode {
        /// Malformed, or a subject or actor token that is invalid or unacceptable.
        InvalidRequest = "invalid_request",
        /// An assertion, or a login that asks for itself, that is invalid or unacceptable (RFC 6749 §5.2).
        InvalidGrant = "invalid_grant",
        /// Not authenticated.
        InvalidClient = "invalid_client",
        /// The client may not do this at all.
        UnauthorizedClient = "unauthorized_client",
        /// The grant is not served.
        UnsupportedGrantType = "unsupported_grant_type",
        /// The scopes exceed what is held or permitted, or are malformed.
        InvalidScope = "invalid_scope",
        /// The target is unknown, malformed, or gives nothing (RFC 8707 §2).
        InvalidTarget = "invalid_target",
        /// The `authorization_details` are malformed or exceed what is permitted (RFC 9396 §5).
        InvalidAuthorizationDetails = "invalid_authorization_details",
        /// The person has to log in again, more strongly or just now (RFC 9470 §3).
        InsufficientUserAuthentication = "insufficient_user_authentication",
        /// A DPoP proof is missing or wrong (RFC 9449 §5).
        InvalidDpopProof = "invalid_dpop_proof",
        /// The proof of a client attestation must carry the challenge that the answer gives
        /// (draft-ietf-oauth-attestation-based-client-auth §7.4).
        UseAttestationChallenge = "use_attestation_challenge",
        /// The client attestation has expired (draft-ietf-oauth-attestation-based-client-auth §7.4).
        UseFreshAttestation = "use_fresh_attestation",
        /// The DPoP proof must carry the nonce that the answer gives (RFC 9449 §8).
        UseDpopNonce = "use_dpop_nonce",
        /// An access token is missing what it needs, or none of ours (RFC 6750 §3.1).
        InvalidToken = "invalid_token",
        /// An access token does not open this (RFC 6750 §3.1).
        InsufficientScope = "insufficient_scope",
        /// The kind of token cannot be revoked (RFC 7009 §2.2.1).
        UnsupportedTokenType = "unsupported_token_type",
        /// The server cannot answer now; trying again may help. The code of RFC 6749 §4.1.2.1, as §5.2 has none.
        TemporarilyUnavailable = "temporarily_unavailable",
        /// A defect of the server.
        ServerError = "server_error",
    }
}

impl ExchangeError {
    /// The code that the error table of `profile` gives the reason.
    pub fn code(&self, profile: Profile) -> ErrorCode {
        match self {
            Self::Form(_) => ErrorCode::InvalidRequest,
            Self::Request(reason) => request_code(reason),
            Self::Client(reason) => client_code(reason, profile),
            Self::Proof(reason) if reason.wants_nonce() => ErrorCode::UseDpopNonce,
            Self::Proof(_) => ErrorCode::InvalidDpopProof,
            Self::Subject(TokenReason::Trust(refused)) | Self::Actor(TokenReason::Trust(refused)) if refused.is_no_verdict() => {
                ErrorCode::TemporarilyUnavailable
            }
            Self::Subject(_) | Self::Actor(_) => profile.unacceptable,
            Self::Admission(AdmissionReason::Revoker | AdmissionReason::GrantType) => ErrorCode::UnauthorizedClient,
            Self::Admission(_) => profile.unacceptable,
            Self::Authority(_) => ErrorCode::InvalidTarget,
            Self::Binding(reason) if reason.is_proof() => ErrorCode::InvalidDpopProof,
            Self::Binding(_) => ErrorCode::InvalidRequest,
            Self::Denied(denial) | Self::ApprovalNeeded(denial) => denial_code(denial.reason(), profile),
            Self::Mint(MintReason::TooLarge) => ErrorCode::InvalidRequest,
            Self::Mint(MintReason::NoKey) => ErrorCode::TemporarilyUnavailable,
            Self::Mint(MintReason::Crypto | MintReason::ReceiptForeign) => ErrorCode::ServerError,
            Self::Rate(_) => ErrorCode::TemporarilyUnavailable,
            Self::Commit(reason) => commit_code(*reason, profile),
            Self::TaskToken => ErrorCode::UnsupportedTokenType,
        }
    }

    /// True where the login was used before, so that whoever asks is nobody.
    pub fn is_used_login(&self) -> bool {
        matches!(self, Self::Commit(CommitReason::Spent | CommitReason::Forgotten))
    }

    /// The login of the person that policy misses.
    pub fn step_up(&self) -> Option<&StepUp> {
        match self.denial()?.reason() {
            DenialReason::StepUp(login) => Some(login),
            _ => None,
        }
    }

    /// The denial of policy, with the policies that decided.
    pub fn denial(&self) -> Option<&Denial> {
        match self {
            Self::Denied(denial) | Self::ApprovalNeeded(denial) => Some(denial),
            _ => None,
        }
    }
}

impl AccessError {
    /// The code of RFC 6750 §3.1 and RFC 9449 §7.1; none where the request shows no access token at all.
    pub fn code(&self) -> Option<ErrorCode> {
        Some(match self {
            Self::Credential(AccessReason::Missing) => return None,
            Self::Credential(AccessReason::Malformed | AccessReason::ProofUnasked) => ErrorCode::InvalidRequest,
            Self::Credential(AccessReason::Proof(reason)) if reason.wants_nonce() => ErrorCode::UseDpopNonce,
            Self::Credential(AccessReason::Proof(_) | AccessReason::Key) => ErrorCode::InvalidDpopProof,
            Self::Credential(_) | Self::Token(_) => ErrorCode::InvalidToken,
            Self::OtherHop => ErrorCode::InsufficientScope,
            Self::Commit(reason) if reason.is_used() => ErrorCode::InvalidDpopProof,
            Self::Commit(CommitReason::Expired) => ErrorCode::InvalidDpopProof,
            Self::Commit(_) => ErrorCode::TemporarilyUnavailable,
        })
    }
}

fn request_code(reason: &RequestReason) -> ErrorCode {
    match reason {
        RequestReason::GrantUnsupported => ErrorCode::UnsupportedGrantType,
        RequestReason::Target(..) | RequestReason::TargetCount => ErrorCode::InvalidTarget,
        RequestReason::Scope(_) => ErrorCode::InvalidScope,
        RequestReason::Intent(_) | RequestReason::Task(_) => ErrorCode::InvalidAuthorizationDetails,
        _ => ErrorCode::InvalidRequest,
    }
}

fn client_code(reason: &ClientReason, profile: Profile) -> ErrorCode {
    match reason {
        // An assertion for a token needs no login beside it, so that it is the assertion that is wrong.
        ClientReason::MissingAttestation(_) if profile.unacceptable == ErrorCode::InvalidGrant => ErrorCode::InvalidGrant,
        ClientReason::KeysUnavailable(_) => ErrorCode::TemporarilyUnavailable,
        ClientReason::Several | ClientReason::Repeated(_) => ErrorCode::InvalidRequest,
        ClientReason::Attestation(reason) if reason.wants_challenge() => ErrorCode::UseAttestationChallenge,
        ClientReason::Attestation(reason) if reason.is_stale() => ErrorCode::UseFreshAttestation,
        _ => ErrorCode::InvalidClient,
    }
}

fn denial_code(reason: &DenialReason, profile: Profile) -> ErrorCode {
    match reason {
        DenialReason::TargetRefused | DenialReason::TargetEmpty => ErrorCode::InvalidTarget,
        DenialReason::Scope(_) => ErrorCode::InvalidScope,
        DenialReason::Task(_) | DenialReason::Intent(_) => ErrorCode::InvalidAuthorizationDetails,
        DenialReason::Expired => profile.unacceptable,
        DenialReason::Unbound => ErrorCode::InvalidDpopProof,
        DenialReason::StepUp(_) => ErrorCode::InsufficientUserAuthentication,
        DenialReason::Impersonation | DenialReason::PresentActor => ErrorCode::InvalidRequest,
    }
}

fn commit_code(reason: CommitReason, profile: Profile) -> ErrorCode {
    match reason {
        CommitReason::Redeemed => profile.unacceptable,
        CommitReason::Died | CommitReason::Retired | CommitReason::Outranked | CommitReason::Budget | CommitReason::Expired => {
            profile.unacceptable
        }
        CommitReason::TooLarge | CommitReason::ClockRight | CommitReason::Kept => ErrorCode::InvalidRequest,
        CommitReason::Spent | CommitReason::Forgotten => ErrorCode::InvalidClient,
        CommitReason::Replayed => ErrorCode::InvalidDpopProof,
        CommitReason::Busy
        | CommitReason::Full(..)
        | CommitReason::Share(..)
        | CommitReason::Velocity(..)
        | CommitReason::Unavailable
        | CommitReason::ClockBehind
        | CommitReason::ClockDoubted => ErrorCode::TemporarilyUnavailable,
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
            Self::Admission(reason) => reason.fmt(f),
            Self::Authority(reason) => reason.fmt(f),
            Self::Binding(reason) => reason.fmt(f),
            Self::Denied(denial) => denial.fmt(f),
            Self::ApprovalNeeded(denial) => {
                denial.fmt(f)?;
                f.write_str("; policy would permit it with a person's approval, and this server does not ask for approvals")
            }
            Self::Mint(reason) => reason.fmt(f),
            Self::Rate(RateExceeded { per_second, seconds }) => {
                write!(f, "this client may ask {per_second} times a second; ask again in {seconds} s")
            }
            Self::Commit(reason) => reason.fmt(f),
            Self::TaskToken => f.write_str("token: the token of a task is not revoked; complete the task instead"),
        }
    }
}

impl fmt::Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Credential(reason) => reason.fmt(f),
            Self::Token(reason) => write!(f, "the access token: {reason}"),
            Self::OtherHop => f.write_str("the access token is another hop's"),
            Self::Commit(reason) => reason.fmt(f),
        }
    }
}

impl Error for AccessError {}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::ScopeEffect;
    use crate::commit::Capacity;
    use crate::oauth::IntentReason;
    use crate::trust::TrustReason;

    /// A reason of every kind that has a code of its own, and one of those that have the code of the rest.
    #[test]
    fn a_reason_has_the_code_of_its_stage() {
        use ErrorCode::*;
        use {CommitReason as Commit, MintReason as Mint, RequestReason as Request};
        let requests = [
            (Request::GrantUnsupported, UnsupportedGrantType),
            (Request::TargetCount, InvalidTarget),
            (Request::Intent(IntentReason::Several), InvalidAuthorizationDetails),
            (Request::Unsupported("x"), InvalidRequest),
        ];
        let requests = requests.map(|(reason, code)| (ExchangeError::Request(reason), code)).into_iter();
        let clients = [
            (ClientReason::KeysUnavailable(TrustReason::KeysUnavailable), TemporarilyUnavailable),
            (ClientReason::Several, InvalidRequest),
            (ClientReason::Repeated("x"), InvalidRequest),
            (ClientReason::SeveralAgents, InvalidClient),
        ];
        let clients = clients.map(|(reason, code)| (ExchangeError::Client(reason), code));
        let unavailable = TokenReason::Trust(TrustReason::KeysUnavailable.into());
        let tokens = [(unavailable, TemporarilyUnavailable), (TokenReason::Expired, InvalidRequest)];
        let tokens = tokens.map(|(reason, code)| (ExchangeError::Subject(reason), code));
        let commits = [
            (Commit::Died, InvalidRequest),
            (Commit::Retired, InvalidRequest),
            (Commit::Outranked, InvalidRequest),
            (Commit::Budget, InvalidRequest),
            (Commit::Expired, InvalidRequest),
            (Commit::TooLarge, InvalidRequest),
            (Commit::ClockRight, InvalidRequest),
            (Commit::Kept, InvalidRequest),
            (Commit::Spent, InvalidClient),
            (Commit::Replayed, InvalidDpopProof),
            (Commit::Busy, TemporarilyUnavailable),
            (Commit::Full(Capacity::Tasks, 9), TemporarilyUnavailable),
            (Commit::Share(Capacity::Tasks, 9), TemporarilyUnavailable),
            (Commit::Velocity(ScopeEffect::Irreversible, 20, 9), TemporarilyUnavailable),
            (Commit::Unavailable, TemporarilyUnavailable),
            (Commit::ClockBehind, TemporarilyUnavailable),
            (Commit::ClockDoubted, TemporarilyUnavailable),
        ];
        let commits = commits.map(|(reason, code)| (ExchangeError::Commit(reason), code));
        let mints = [
            (Mint::TooLarge, InvalidRequest),
            (Mint::NoKey, TemporarilyUnavailable),
            (Mint::Crypto, ServerError),
            (Mint::ReceiptForeign, ServerError),
        ];
        let mints = mints.map(|(reason, code)| (ExchangeError::Mint(reason), code));
        let others = [
            (ExchangeError::Form(FormReason::Slow), InvalidRequest),
            (ExchangeError::Proof(DpopReason::NonceMissing), UseDpopNonce),
            (ExchangeError::Proof(DpopReason::Repeated), InvalidDpopProof),
            (ExchangeError::Admission(AdmissionReason::Revoker), UnauthorizedClient),
            (ExchangeError::Admission(AdmissionReason::NoTask), InvalidRequest),
            (ExchangeError::Rate(RateExceeded { per_second: 1, seconds: 1 }), TemporarilyUnavailable),
            (ExchangeError::TaskToken, UnsupportedTokenType),
        ];
        for (reason, code) in requests.chain(clients).chain(tokens).chain(commits).chain(mints).chain(others) {
            assert_eq!(reason.code(Profile::TOKEN_EXCHANGE), code, "{reason:?}");
        }
    }

    #[test]
    fn every_code_is_listed_once_under_its_name() {
        let names: std::collections::BTreeSet<&str> = ErrorCode::NAMES.iter().map(|(name, _)| *name).collect();
        assert_eq!(names.len(), ErrorCode::NAMES.len());
        assert!(names.contains("invalid_request") && names.contains("server_error"));
    }
}
