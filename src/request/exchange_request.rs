//! A request for a token by each grant type: which parameters it has, and which of another grant type it refuses by name.

use super::{Form, PresentedToken, RequestReason, RequestedToken, TokenRequest, accepted_type, required_token, token_text};
use crate::oauth::{AskedMode, GrantType, TokenType};

/// A well-formed request for a token: on whose behalf, who acts, and which token. Made only by [`ExchangeRequest::parse`].
#[derive(Debug)]
pub struct ExchangeRequest {
    grant_type: GrantType,
    subject: Option<PresentedToken>,
    actor: Option<PresentedToken>,
    mode: AskedMode,
    wanted: RequestedToken,
}

/// Parameters that belong to one grant type, which is named beside them.
const OWN: [(&str, GrantType); 8] = [
    ("subject_token", GrantType::TokenExchange),
    ("subject_token_type", GrantType::TokenExchange),
    ("actor_token", GrantType::TokenExchange),
    ("actor_token_type", GrantType::TokenExchange),
    ("requested_token_type", GrantType::TokenExchange),
    ("impersonate", GrantType::TokenExchange),
    ("assertion", GrantType::JwtBearer),
    ("requested_token_use", GrantType::JwtBearer),
];

/// Parameters that are understood and not honoured yet.
const LATER: [&str; 6] =
    ["completion_mode", "deferral_code", "request_context", "request_details", "actor_chain_profile", "actor_chain_step_proof"];

impl ExchangeRequest {
    /// Reads a request by the rules of its grant type (RFC 8693 §2.1, RFC 6749 §4.4.2, RFC 7523 §2.1).
    ///
    /// # Errors
    /// The first rule that the request breaks.
    pub fn parse(request: &TokenRequest<'_>) -> Result<Self, RequestReason> {
        let (form, grant_type) = (request.form, request.grant_type);
        unhonoured(form, grant_type)?;
        let (subject, actor) = match grant_type {
            GrantType::TokenExchange => (Some(required_token(form)?), actor_token(form)?),
            GrantType::ClientCredentials => (None, None),
            GrantType::JwtBearer => (Some(PresentedToken::jwt(form, "assertion")?), None),
        };
        let (token_type, mode) = (requested_token_type(form)?, mode(form)?);
        if token_type == TokenType::IdJag && (actor.is_some() || mode == AskedMode::Impersonation) {
            return Err(RequestReason::HandedOverBy(if actor.is_some() { "actor_token" } else { "impersonate" }));
        }
        let wanted = RequestedToken::read(form, grant_type, token_type)?;
        if token_type == TokenType::IdJag && wanted.intent().is_some() {
            return Err(RequestReason::HandedOverBy("authorization_details"));
        }
        let wanted = if mode == AskedMode::OnBehalfOf { wanted.without_sign_in() } else { wanted };
        Ok(Self { grant_type, subject, actor, mode, wanted })
    }

    /// `grant_type`.
    pub fn grant_type(&self) -> GrantType {
        self.grant_type
    }

    /// On whose behalf: `subject_token` or `assertion`. Without one the client asks for itself.
    pub fn subject(&self) -> Option<&PresentedToken> {
        self.subject.as_ref()
    }

    /// Who acts, where the request says: `actor_token`.
    pub fn actor(&self) -> Option<&PresentedToken> {
        self.actor.as_ref()
    }

    /// The mode that was asked for: by `impersonate`, or by `requested_token_use`.
    pub fn mode(&self) -> AskedMode {
        self.mode
    }

    /// The token that is asked for.
    pub fn wanted(&self) -> &RequestedToken {
        &self.wanted
    }
}

/// Nothing that we understand is silently dropped.
fn unhonoured(form: &Form, grant_type: GrantType) -> Result<(), RequestReason> {
    if let Some(name) = LATER.iter().find(|name| form.get(name).is_some()) {
        return Err(RequestReason::Unsupported(name));
    }
    let foreign = OWN.iter().find(|(name, of)| *of != grant_type && form.get(name).is_some());
    foreign.map_or(Ok(()), |(name, _)| Err(RequestReason::OtherGrant(name, grant_type)))
}

fn actor_token(form: &Form) -> Result<Option<PresentedToken>, RequestReason> {
    match (token_text(form, "actor_token"), form.get("actor_token_type")) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err(RequestReason::ActorTypeAlone),
        (Some(_), None) => Err(RequestReason::Missing("actor_token_type")),
        (Some(text), Some(declared)) => Ok(Some(PresentedToken { text, declared: accepted_type("actor_token_type", declared)? })),
    }
}

fn requested_token_type(form: &Form) -> Result<TokenType, RequestReason> {
    let Some(text) = form.get("requested_token_type") else { return Ok(TokenType::AccessToken) };
    match TokenType::parse(text).map_err(|_| RequestReason::TypeMalformed("requested_token_type"))? {
        asked @ (TokenType::AccessToken | TokenType::IdJag) => Ok(asked),
        _ => Err(RequestReason::RequestedTypeRefused),
    }
}

/// Each parameter belongs to one grant type, so that no request has both.
fn mode(form: &Form) -> Result<AskedMode, RequestReason> {
    match (form.get("impersonate"), form.get("requested_token_use")) {
        (None | Some("false"), None) => Ok(AskedMode::Any),
        (Some("true"), None) => Ok(AskedMode::Impersonation),
        (_, Some("on_behalf_of")) => Ok(AskedMode::OnBehalfOf),
        (_, Some(_)) => Err(RequestReason::Value("requested_token_use", "on_behalf_of")),
        (Some(_), None) => Err(RequestReason::Value("impersonate", "true or false")),
    }
}
