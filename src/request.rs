//! The request, parsed (RFC 8693 §2.1): which parameters, how often, in which combinations. Knows nothing of HTTP, keys, or
//! whether a token is genuine.

mod form;
mod task_request;
mod token_query;

use std::fmt;

pub use form::{Form, FormReason};
pub use task_request::TaskRequest;
pub use token_query::TokenQuery;

use crate::oauth::{Audience, DetailsReason, Resource, ScopeReason, Scopes, TargetReason, TokenType};

/// The `grant_type` of token exchange (RFC 8693 §2.1).
pub const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// A request to the token endpoint that names one grant and repeats no parameter that must not be (RFC 6749 §3.2). Made only by
/// [`TokenRequest::parse`].
#[derive(Debug)]
pub struct TokenRequest<'a> {
    form: &'a Form,
    grant_type: &'a str,
}

/// A well-formed token exchange request. Made only by [`ExchangeRequest::parse`].
#[derive(Debug)]
pub struct ExchangeRequest {
    subject: PresentedToken,
    actor: Option<PresentedToken>,
    requested_token_type: TokenType,
    resources: Vec<Resource>,
    audiences: Vec<Audience>,
    scope: Option<Scopes>,
    scope_mode: ScopeMode,
    impersonate: bool,
}

/// A token as presented, with its declared type.
#[derive(Debug)]
pub struct PresentedToken {
    text: String,
    declared: TokenType,
}

/// The answer to a request for more scope than may be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScopeMode {
    /// Refuse, naming the scopes. The default.
    Exact,
    /// Give the permitted part and say so: `scope_mode=narrow`.
    Narrow,
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
    /// Only access tokens are issued.
    RequestedTypeRefused,
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
    /// A parameter in the address of a request that has a body.
    InAddress(&'static str),
    /// A header about a client's certificate, from somebody who is no proxy of ours.
    Forwarded(&'static str),
    /// A header about a client's certificate that cannot be read (RFC 9440 §2).
    ForwardedMalformed(&'static str),
    /// `authorization_details` is understood but not honoured yet.
    Details,
    /// The details of a task.
    Task(DetailsReason),
}

/// The most `resource` and `audience` values one request may carry together.
const TARGETS_MAX: usize = 16;

/// Parameters that may come at most once; `resource` and `audience` are the two that may repeat (RFC 8693 §2.1).
const ONCE: [&str; 20] = [
    "grant_type",
    "subject_token",
    "subject_token_type",
    "actor_token",
    "actor_token_type",
    "requested_token_type",
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
    /// Reads a request to the token endpoint as far as all grants are alike.
    ///
    /// # Errors
    /// `Repeated` or `GrantMissing`.
    pub fn parse(form: &'a Form) -> Result<Self, RequestReason> {
        if let Some(repeated) = ONCE.iter().find(|name| form.all(name).nth(1).is_some()) {
            return Err(RequestReason::Repeated(repeated));
        }
        let grant_type = form.get("grant_type").ok_or(RequestReason::GrantMissing)?;
        Ok(Self { form, grant_type })
    }

    /// `grant_type`.
    pub fn grant_type(&self) -> &'a str {
        self.grant_type
    }
}

impl ExchangeRequest {
    /// Reads a token exchange request.
    ///
    /// # Errors
    /// `GrantUnsupported` for another grant; the first rule of RFC 8693 §2.1 that the request breaks.
    pub fn parse(request: &TokenRequest<'_>) -> Result<Self, RequestReason> {
        if request.grant_type != TOKEN_EXCHANGE {
            return Err(RequestReason::GrantUnsupported);
        }
        let form = request.form;
        unhonoured(form)?;
        Ok(Self {
            subject: required_token(form)?,
            actor: actor_token(form)?,
            requested_token_type: requested_token_type(form)?,
            resources: resources(form)?,
            audiences: audiences(form)?,
            scope: form.get("scope").map(Scopes::parse).transpose().map_err(RequestReason::Scope)?,
            scope_mode: scope_mode(form)?,
            impersonate: impersonate(form)?,
        })
    }

    /// On whose behalf: `subject_token`.
    pub fn subject(&self) -> &PresentedToken {
        &self.subject
    }

    /// Who acts, where the request says: `actor_token`.
    pub fn actor(&self) -> Option<&PresentedToken> {
        self.actor.as_ref()
    }

    /// The type of token to issue: an access token when the request does not say.
    pub fn requested_token_type(&self) -> TokenType {
        self.requested_token_type
    }

    /// Every `resource`, in order.
    pub fn resources(&self) -> &[Resource] {
        &self.resources
    }

    /// Every `audience`, in order.
    pub fn audiences(&self) -> &[Audience] {
        &self.audiences
    }

    /// True where a `resource` or `audience` says where to.
    pub fn names_target(&self) -> bool {
        !(self.resources.is_empty() && self.audiences.is_empty())
    }

    /// The scopes asked for; none when the request leaves the choice to the API's defaults.
    pub fn scope(&self) -> Option<&Scopes> {
        self.scope.as_ref()
    }

    /// The parameter `scope_mode`: a request for too much is refused, or narrowed.
    pub fn scope_mode(&self) -> ScopeMode {
        self.scope_mode
    }

    /// True when impersonation was asked for.
    pub fn impersonate(&self) -> bool {
        self.impersonate
    }
}

impl PresentedToken {
    /// The token, without the trailing white space that some clients send with a token file.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its type as declared by the client.
    pub fn declared(&self) -> TokenType {
        self.declared
    }
}

/// Nothing that we understand is silently dropped.
fn unhonoured(form: &Form) -> Result<(), RequestReason> {
    const LATER: [&str; 6] = [
        "completion_mode",
        "deferral_code",
        "request_context",
        "request_details",
        "actor_chain_profile",
        "actor_chain_step_proof",
    ];
    if form.get("authorization_details").is_some_and(|details| details.trim() != "[]") {
        return Err(RequestReason::Details);
    }
    LATER.iter().find(|name| form.get(name).is_some()).map_or(Ok(()), |name| Err(RequestReason::Unsupported(name)))
}

fn required_token(form: &Form) -> Result<PresentedToken, RequestReason> {
    let text = token_text(form, "subject_token").ok_or(RequestReason::Missing("subject_token"))?;
    let declared = form.get("subject_token_type").ok_or(RequestReason::Missing("subject_token_type"))?;
    Ok(PresentedToken { text, declared: accepted_type("subject_token_type", declared)? })
}

fn actor_token(form: &Form) -> Result<Option<PresentedToken>, RequestReason> {
    match (token_text(form, "actor_token"), form.get("actor_token_type")) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err(RequestReason::ActorTypeAlone),
        (Some(_), None) => Err(RequestReason::Missing("actor_token_type")),
        (Some(text), Some(declared)) => Ok(Some(PresentedToken { text, declared: accepted_type("actor_token_type", declared)? })),
    }
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

fn requested_token_type(form: &Form) -> Result<TokenType, RequestReason> {
    let Some(text) = form.get("requested_token_type") else { return Ok(TokenType::AccessToken) };
    match TokenType::parse(text).map_err(|_| RequestReason::TypeMalformed("requested_token_type"))? {
        TokenType::AccessToken => Ok(TokenType::AccessToken),
        _ => Err(RequestReason::RequestedTypeRefused),
    }
}

fn resources(form: &Form) -> Result<Vec<Resource>, RequestReason> {
    if form.all("resource").count() + form.all("audience").count() > TARGETS_MAX {
        return Err(RequestReason::TargetCount);
    }
    form.all("resource").map(|text| Resource::parse(text).map_err(|reason| RequestReason::Target("resource", reason))).collect()
}

fn audiences(form: &Form) -> Result<Vec<Audience>, RequestReason> {
    form.all("audience").map(|text| Audience::parse(text).map_err(|reason| RequestReason::Target("audience", reason))).collect()
}

fn scope_mode(form: &Form) -> Result<ScopeMode, RequestReason> {
    match form.get("scope_mode") {
        None | Some("exact") => Ok(ScopeMode::Exact),
        Some("narrow") => Ok(ScopeMode::Narrow),
        Some(_) => Err(RequestReason::Value("scope_mode", "exact or narrow")),
    }
}

fn impersonate(form: &Form) -> Result<bool, RequestReason> {
    match form.get("impersonate") {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(RequestReason::Value("impersonate", "true or false")),
    }
}

impl fmt::Display for RequestReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GrantMissing => write!(f, "grant_type is required: {TOKEN_EXCHANGE}"),
            Self::GrantUnsupported => write!(f, "grant_type is not served here; use {TOKEN_EXCHANGE}"),
            Self::Repeated(name) => write!(f, "{name} must not be repeated"),
            Self::Missing(name) => write!(f, "{name} is required"),
            Self::ActorTypeAlone => f.write_str("actor_token_type must not be sent without actor_token"),
            Self::TypeMalformed(name) => write!(f, "{name} must be a token type URI, such as {}", TokenType::Jwt),
            Self::TypeRefused(name, known) => write!(
                f,
                "{name}: {known} is not accepted here; use access_token for a token of this server, id_token or jwt for others"
            ),
            Self::RequestedTypeRefused => write!(f, "requested_token_type: only {} is issued", TokenType::AccessToken),
            Self::Target(name, reason) => write!(f, "{name} {reason}"),
            Self::TargetCount => write!(f, "resource and audience: at most {TARGETS_MAX} targets in one request"),
            Self::Scope(reason) => write!(f, "scope {reason}"),
            Self::Value(name, allowed) => write!(f, "{name} must be {allowed}"),
            Self::Unsupported(name) => write!(f, "{name} is not supported by this server; leave it out"),
            Self::InAddress(name) => write!(f, "{name} belongs into the body of the request, not into its address"),
            Self::Forwarded(name) => write!(
                f,
                "{name}: such headers are taken only from a proxy that a [[proxy]] of the configuration names by addresses and \
                 that proves itself by its secret_hash or certificate_file; leave them out, or have them removed"
            ),
            Self::ForwardedMalformed(name) => write!(f, "{name} must be certificates as byte sequences by RFC 9440, 9 at most"),
            Self::Details => f.write_str("authorization_details is not supported at the token endpoint yet; leave it out"),
            Self::Task(reason) => reason.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests;
