//! The token that a request asks for, which every grant type says alike: its targets and its scopes (RFC 8707 §2, RFC 6749 §3.3).

use super::{Form, RequestReason, TARGETS_MAX};
use crate::oauth::{Audience, GrantType, Intent, Resource, Scopes, TokenType};

/// The type, the targets and the scopes of the token that is asked for.
#[derive(Debug)]
pub struct RequestedToken {
    token_type: TokenType,
    resources: Vec<Resource>,
    audiences: Vec<Audience>,
    scope: Option<Scopes>,
    scope_mode: ScopeMode,
    scopes_say_target: bool,
    intent: Option<Intent>,
}

/// The answer to a request for more scope than may be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScopeMode {
    /// Refuse, naming the scopes. The default.
    Exact,
    /// Give the permitted part and say so: `scope_mode=narrow`.
    Narrow,
}

/// Scopes of OpenID Connect Core §5.4 and §11.
const SIGN_IN: [&str; 3] = ["openid", "profile", "offline_access"];

impl RequestedToken {
    /// Reads the parameters that all grant types have in common. In a token exchange the scopes do not say where to: its clients
    /// can name a target, and none is guessed.
    ///
    /// # Errors
    /// The first that is malformed.
    pub(super) fn read(form: &Form, grant_type: GrantType, token_type: TokenType) -> Result<Self, RequestReason> {
        Ok(Self {
            token_type,
            resources: resources(form)?,
            audiences: audiences(form)?,
            scope: form.get("scope").map(Scopes::parse).transpose().map_err(RequestReason::Scope)?,
            scope_mode: scope_mode(form)?,
            scopes_say_target: grant_type != GrantType::TokenExchange,
            intent: intent(form)?,
        })
    }

    /// This, without the scopes that the on-behalf-of form adds to every request (`openid profile offline_access`): they ask for
    /// tokens that this server has not, and the answer's `scope` says what was given (RFC 6749 §3.3).
    pub(super) fn without_sign_in(self) -> Self {
        let asked = self.scope.map(|asked| asked.iter().filter(|scope| !SIGN_IN.contains(&scope.as_str())).cloned().collect());
        Self { scope: asked.filter(|asked: &Scopes| !asked.is_empty()), ..self }
    }

    /// The type of token to issue: an access token when the request does not say.
    pub fn token_type(&self) -> TokenType {
        self.token_type
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

    /// The scopes that may say which API is meant, where nothing else does.
    pub fn scope_for_target(&self) -> Option<&Scopes> {
        self.scope.as_ref().filter(|_| self.scopes_say_target)
    }

    /// The scopes asked for; none when the request leaves the choice to the API's defaults.
    pub fn scope(&self) -> Option<&Scopes> {
        self.scope.as_ref()
    }

    /// The intent, where the request says one.
    pub fn intent(&self) -> Option<&Intent> {
        self.intent.as_ref()
    }

    /// The parameter `scope_mode`: a request for too much is refused, or narrowed.
    pub fn scope_mode(&self) -> ScopeMode {
        self.scope_mode
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

fn intent(form: &Form) -> Result<Option<Intent>, RequestReason> {
    let parsed = form.get("authorization_details").map(Intent::parse).transpose().map_err(RequestReason::Intent)?;
    Ok(parsed.flatten())
}

fn scope_mode(form: &Form) -> Result<ScopeMode, RequestReason> {
    match form.get("scope_mode") {
        None | Some("exact") => Ok(ScopeMode::Exact),
        Some("narrow") => Ok(ScopeMode::Narrow),
        Some(_) => Err(RequestReason::Value("scope_mode", "exact or narrow")),
    }
}
