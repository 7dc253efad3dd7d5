//! The request, parsed (RFC 8693 §2.1): which parameters, how often, in which combinations. Knows nothing of HTTP, keys, or
//! whether a token is genuine.

mod form;
mod requested_token;
mod exchange_request;
mod task_request;
mod token_query;
mod evaluation_request;

use std::fmt;

pub use evaluation_request::{AskedEvaluation, EvaluationRequest};
pub use exchange_request::ExchangeRequest;
pub use form::{Form, FormReason};
pub use requested_token::{RequestedToken, ScopeMode};
pub use task_request::TaskRequest;
pub use token_query::TokenQuery;

use crate::oauth::{DetailsReason, GrantType, IntentReason, ScopeReason, TargetReason, TokenType};

/// A request to the token endpoint that names one grant type and repeats no parameter that must not be (RFC 6749 §3.2). Made
/// only by [`TokenRequest::parse`].
#[derive(Debug)]
pub struct TokenRequest<'a> {
    form: &'a Form,
    grant_type: GrantType,
}

/// A token as presented, with its declared type.
#[derive(Debug)]
pub struct PresentedToken {
    text: String,
    declared: TokenType,
}

/// Why a request is malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestReason {
    /// `grant_type` is missing.
    GrantMissing,
    /// `grant_type` names a grant that is not served.
    GrantUnsupported,
    /// A parameter that may come once came more often (RFC 6749 §3.2).
    Repeated(&'static str),
    /// A required parameter is missing or empty.
    Missing(&'static str),
    /// `actor_token_type` without `actor_token` (RFC 8693 §2.1).
    ActorTypeAlone,
    /// A token type that is not a URI.
    TypeMalformed(&'static str),
    /// A token type that is known, or well-formed, but not accepted here.
    TypeRefused(&'static str, TokenType),
    /// Only access tokens and identity assertion grants are issued.
    RequestedTypeRefused,
    /// A parameter that does not go with a request for an identity assertion grant.
    HandedOverBy(&'static str),
    /// `resource` or `audience` malformed.
    Target(&'static str, TargetReason),
    /// More targets than one request may name.
    TargetCount,
    /// `scope` malformed.
    Scope(ScopeReason),
    /// A parameter with a closed set of values has another.
    Value(&'static str, &'static str),
    /// A parameter we understand but do not honour yet; silence would be a lie.
    Unsupported(&'static str),
    /// A parameter of another grant type than the one that is asked for.
    OtherGrant(&'static str, GrantType),
    /// A parameter in the address of a request that has a body.
    InAddress(&'static str),
    /// A header about a client's certificate, from somebody who is no proxy of ours.
    Forwarded(&'static str),
    /// A header about a client's certificate that cannot be read (RFC 9440 §2).
    ForwardedMalformed(&'static str),
    /// The `authorization_details` of a request for a token.
    Intent(IntentReason),
    /// The body is no JSON object of the form that is asked for, or is sent as something else.
    Json,
    /// The details of a task.
    Task(DetailsReason),
}

/// The most `resource` and `audience` values one request may carry together.
const TARGETS_MAX: usize = 16;

/// Parameters that may come at most once; `resource` and `audience` are the two that may repeat (RFC 8693 §2.1).
const ONCE: [&str; 22] = [
    "grant_type",
    "subject_token",
    "subject_token_type",
    "actor_token",
    "actor_token_type",
    "requested_token_type",
    "assertion",
    "requested_token_use",
    "scope",
    "scope_mode",
    "impersonate",
    "authorization_details",
    "client_id",
    "client_secret",
    "client_assertion",
    "client_assertion_type",
    "completion_mode",
    "deferral_code",
    "request_context",
    "request_details",
    "actor_chain_profile",
    "actor_chain_step_proof",
];

/// The other parameters of the endpoints that take forms.
const OTHERS: [&str; 4] = ["resource", "audience", "token", "token_type_hint"];

/// Refuses a parameter in the address of a request whose parameters stand in its body, where it would be passed over.
///
/// # Errors
/// `InAddress` for one that is known.
pub fn refuse_in_address(query: &Form) -> Result<(), RequestReason> {
    let known = ONCE.iter().chain(&OTHERS).find(|name| query.get(name).is_some());
    known.map_or(Ok(()), |name| Err(RequestReason::InAddress(name)))
}

impl<'a> TokenRequest<'a> {
    /// Reads a request to the token endpoint as far as all grant types are alike.
    ///
    /// # Errors
    /// `Repeated`, `GrantMissing` or `GrantUnsupported`.
    pub fn parse(form: &'a Form) -> Result<Self, RequestReason> {
        if let Some(repeated) = ONCE.iter().find(|name| form.all(name).nth(1).is_some()) {
            return Err(RequestReason::Repeated(repeated));
        }
        let named = form.get("grant_type").ok_or(RequestReason::GrantMissing)?;
        let known = GrantType::NAMES.iter().find(|(name, _)| *name == named);
        let (_, grant_type) = known.ok_or(RequestReason::GrantUnsupported)?;
        Ok(Self { form, grant_type: *grant_type })
    }

    /// `grant_type`.
    pub fn grant_type(&self) -> GrantType {
        self.grant_type
    }
}

impl PresentedToken {
    /// A JWT in a parameter that has no type beside it.
    fn jwt(form: &Form, name: &'static str) -> Result<Self, RequestReason> {
        let text = token_text(form, name).ok_or(RequestReason::Missing(name))?;
        Ok(Self { text, declared: TokenType::Jwt })
    }

    /// An attestation that was the login of a client, as the token that it trades for itself.
    pub fn attestation(text: &str) -> Self {
        Self { text: text.to_owned(), declared: TokenType::Jwt }
    }

    /// The token, without the trailing white space that some clients send with a token file.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its type as declared by the client.
    pub fn declared(&self) -> TokenType {
        self.declared
    }
}

fn required_token(form: &Form) -> Result<PresentedToken, RequestReason> {
    let text = token_text(form, "subject_token").ok_or(RequestReason::Missing("subject_token"))?;
    let declared = form.get("subject_token_type").ok_or(RequestReason::Missing("subject_token_type"))?;
    Ok(PresentedToken { text, declared: accepted_type("subject_token_type", declared)? })
}

fn token_text(form: &Form, name: &str) -> Option<String> {
    form.get(name).map(|text| text.trim_end_matches([' ', '\t', '\r', '\n']).to_owned()).filter(|text| !text.is_empty())
}

fn accepted_type(parameter: &'static str, text: &str) -> Result<TokenType, RequestReason> {
    let declared = TokenType::parse(text).map_err(|_| RequestReason::TypeMalformed(parameter))?;
    match declared {
        TokenType::AccessToken | TokenType::IdToken | TokenType::Jwt => Ok(declared),
        refused => Err(RequestReason::TypeRefused(parameter, refused)),
    }
}

impl fmt::Display for RequestReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GrantMissing => write!(f, "grant_type is required: {}", grant_types()),
            Self::GrantUnsupported => write!(f, "grant_type is not served here; use {}", grant_types()),
            Self::Repeated(name) => write!(f, "{name} must not be repeated"),
            Self::Missing(name) => write!(f, "{name} is required"),
            Self::ActorTypeAlone => f.write_str("actor_token_type must not be sent without actor_token"),
            Self::TypeMalformed(name) => write!(f, "{name} must be a token type URI, such as {}", TokenType::Jwt),
            Self::TypeRefused(name, known) => write!(
                f,
                "{name}: {known} is not accepted here; use access_token for a token of this server, id_token or jwt for others"
            ),
            Self::RequestedTypeRefused => {
                write!(f, "requested_token_type: only {} and {} are issued", TokenType::AccessToken, TokenType::IdJag)
            }
            Self::HandedOverBy(name) => {
                write!(
                    f,
                    "{name} does not go with requested_token_type {}; leave it out: the client itself acts, and says no more",
                    TokenType::IdJag
                )
            }
            Self::Target(name, reason) => write!(f, "{name} {reason}"),
            Self::TargetCount => {
                write!(f, "resource and audience: at most {} targets in one request", TARGETS_MAX)
            }
            Self::Scope(reason) => write!(f, "scope {reason}"),
            Self::Value(name, allowed) => write!(f, "{name} must be {allowed}"),
            Self::OtherGrant(name, grant) => {
                write!(f, "{name} is no parameter of grant_type {}; leave it out, or ask by its own grant_type", grant.as_str())
            }
            Self::Unsupported(name) => write!(f, "{name} is not supported by this server; leave it out"),
            Self::InAddress(name) => write!(f, "{name} belongs into the body of the request, not into its address"),
            Self::Forwarded(name) => write!(
                f,
                "{name}: such headers are taken only from a proxy that a [[proxy]] of the configuration names by addresses and \
                 that proves itself by its secret_hash or certificate_file; leave them out, or have them removed"
            ),
            Self::ForwardedMalformed(name) => write!(f, "{name} must be certificates as byte sequences by RFC 9440, 9 at most"),
            Self::Intent(reason) => reason.fmt(f),
            Self::Json => {
                f.write_str("the body must be a JSON object in the form of an access evaluation, sent as application/json")
            }
            Self::Task(reason) => reason.fmt(f),
        }
    }
}

/// The grant types that are served, for sentences.
fn grant_types() -> String {
    GrantType::NAMES.map(|(name, _)| name).join(", ")
}

#[cfg(test)]
mod tests;
