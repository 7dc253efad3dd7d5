//! Access tokens of another authorization server: what tells them from its other tokens, and where their scopes and their
//! client stand. RFC 9068 came late; `docs/trust.md` says where each provider documents what it writes.

use std::borrow::Cow;
use std::time::Duration;

use url::Url;

use super::{Literal, Matcher, Requirement};
use crate::jose::{Compact, Object};
use crate::json::{string, strings};

/// The form of a server's access tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessTokenForm {
    /// The `typ` that they may have, without `application/`; an empty one for tokens without any.
    pub types: Vec<String>,
    /// Requirements that each of them meets, and none of the server's other tokens.
    pub marks: Vec<Requirement>,
    /// Claims that only its ID tokens have.
    pub foreign: Vec<String>,
    /// The claim with the scopes: a text of names between blanks, or a list of names.
    pub scope: String,
    /// The claims that name the client that obtained a token. One of them is there, and all that are say the same.
    pub client: Vec<String>,
    /// True where the client is the audience of a token without `aud`.
    pub client_is_audience: bool,
}

/// A provider whose access tokens have a form of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// Auth0: both of its token profiles.
    Auth0,
    /// Amazon Cognito user pools.
    Cognito,
    /// Duende IdentityServer.
    Duende,
    /// Microsoft Entra ID: delegated tokens of both versions.
    Entra,
    /// Keycloak.
    Keycloak,
    /// Okta's custom authorization servers.
    Okta,
    /// PingOne, and PingFederate as it comes.
    Ping,
}

/// Claims that an ID token has and an access token never (OpenID Connect Core §2, §3.3.2.11).
const OF_ID_TOKENS: [&str; 3] = ["at_hash", "c_hash", "nonce"];

impl Provider {
    /// All of them, by the names that rules call them.
    pub const ALL: [(&'static str, Self); 7] = [
        ("auth0", Self::Auth0),
        ("cognito", Self::Cognito),
        ("duende", Self::Duende),
        ("entra", Self::Entra),
        ("keycloak", Self::Keycloak),
        ("okta", Self::Okta),
        ("ping", Self::Ping),
    ];

    /// The provider that an issuer can only be: by a host that is its own, or by the path of Keycloak's realms.
    pub fn of_issuer(issuer: &str) -> Option<Self> {
        let url = Url::parse(issuer).ok()?;
        let host = url.host_str()?;
        let below = |domains: &[&str]| domains.iter().any(|domain| host.ends_with(domain));
        match host {
            "login.microsoftonline.com" | "login.microsoftonline.us" | "sts.windows.net" => Some(Self::Entra),
            _ if below(&[".okta.com", ".oktapreview.com", ".okta-emea.com"]) => Some(Self::Okta),
            _ if below(&[".auth0.com"]) => Some(Self::Auth0),
            _ if host.starts_with("cognito-idp.") && below(&[".amazonaws.com"]) => Some(Self::Cognito),
            _ if host.starts_with("auth.pingone.") => Some(Self::Ping),
            _ if url.path().contains("/realms/") => Some(Self::Keycloak),
            _ => None,
        }
    }

    /// How long its tokens live as it comes, where that is more than an hour.
    pub(crate) fn lifetime(self) -> Option<Duration> {
        match self {
            // A day for access tokens, ten hours for ID tokens.
            Self::Auth0 => Some(Duration::from_hours(24)),
            // Up to ninety minutes, dated five minutes back.
            Self::Entra => Some(Duration::from_hours(2)),
            _ => None,
        }
    }

    /// The form of its access tokens.
    pub fn access_tokens(self) -> AccessTokenForm {
        let form = |types: &[&str], scope: &str, client: &[&str]| AccessTokenForm {
            types: owned(types),
            scope: scope.to_owned(),
            client: owned(client),
            ..AccessTokenForm::default()
        };
        let with = |form: AccessTokenForm, marks: Vec<Requirement>| AccessTokenForm { marks, ..form };
        match self {
            Self::Auth0 => with(form(&["JWT", "at+jwt"], "scope", &["azp", "client_id"]), vec![there("scope")]),
            Self::Cognito => AccessTokenForm {
                client_is_audience: true,
                ..with(form(&["", "JWT"], "scope", &["client_id"]), vec![is("token_use", &["access"])])
            },
            Self::Duende => form(&["at+jwt"], "scope", &["client_id"]),
            Self::Entra => with(form(&["JWT"], "scp", &["azp", "appid"]), vec![there("scp"), is("ver", &["1.0", "2.0"])]),
            // Its access tokens had the nonce of the ID token for years.
            Self::Keycloak => AccessTokenForm {
                foreign: owned(&["at_hash", "c_hash"]),
                ..with(form(&["JWT", "at+jwt"], "scope", &["azp", "client_id"]), vec![is("typ", &["Bearer", "DPoP"])])
            },
            Self::Okta => with(form(&["", "JWT", "at+jwt"], "scp", &["cid"]), vec![there("cid"), there("scp")]),
            Self::Ping => with(form(&["", "JWT", "at+jwt"], "scope", &["client_id"]), vec![there("client_id"), there("scope")]),
        }
    }
}

impl Default for AccessTokenForm {
    /// That of RFC 9068 §2.
    fn default() -> Self {
        Self {
            types: owned(&["at+jwt"]),
            marks: Vec::new(),
            foreign: owned(&OF_ID_TOKENS),
            scope: "scope".to_owned(),
            client: owned(&["client_id"]),
            client_is_audience: false,
        }
    }
}

impl AccessTokenForm {
    /// True where nothing but claims can tell its tokens from other JWTs of the server.
    pub(super) fn needs_marks(&self) -> bool {
        self.types.iter().any(|typ| typ.is_empty() || typ.eq_ignore_ascii_case("JWT"))
    }

    /// True for a token whose `typ` is one of the form's.
    pub(super) fn has_type_of(&self, token: &Compact<'_>) -> bool {
        self.types.iter().any(|typ| if typ.is_empty() { token.typ().is_none() } else { token.typ_is(typ) })
    }

    /// The client that obtained the token; none where none is named, or the claims name several.
    pub(crate) fn client<'a>(&self, claims: &'a Object) -> Option<Cow<'a, str>> {
        let mut named = self.client.iter().filter_map(|claim| claims.find(claim)).filter(|value| *value != "null");
        let first = named.next()?;
        let client = string(first).filter(|client| !client.is_empty())?;
        named.all(|other| other == first).then_some(client)
    }

    /// The names of its scopes; none inside where the claim is neither a text nor a list of texts.
    pub(crate) fn scopes(&self, claims: &Object) -> Option<Vec<String>> {
        match claims.find(&self.scope) {
            None => Some(Vec::new()),
            Some(text) if text.starts_with('"') => {
                Some(string(text)?.split(' ').filter(|name| !name.is_empty()).map(str::to_owned).collect())
            }
            Some(list) => Some(strings(list)?.into_iter().map(Cow::into_owned).collect()),
        }
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn there(claim: &str) -> Requirement {
    Requirement::of(claim, Matcher::Present)
}

fn is(claim: &str, values: &[&str]) -> Requirement {
    Requirement::of(claim, Matcher::OneOf(values.iter().map(|value| Literal::Text((*value).to_owned())).collect()))
}

#[cfg(test)]
mod tests;
