//! An API that validates our tokens with a library, as APIs do: josekit over OpenSSL, not our own verification.

use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

use josekit::jwk::JwkSet;
use josekit::jws::{ES256, JwsVerifier};
use josekit::jwt::{self, JwtPayload, JwtPayloadValidator};

use crate::oauth::Time;

/// An API, with the issuer's published keys and its own name.
pub struct Validator {
    keys: JwkSet,
    issuer: String,
    audience: String,
}

/// Why the API turns a token away.
#[derive(Debug)]
pub struct ApiReason(String);

impl Validator {
    /// An API called `audience` that trusts `issuer` with the keys in `jwks`, as fetched from its `jwks_uri`.
    ///
    /// # Errors
    /// When `jwks` is no JWK set.
    pub fn new(issuer: &str, audience: &str, jwks: &[u8]) -> Result<Self, ApiReason> {
        let keys = JwkSet::from_bytes(jwks).map_err(|error| ApiReason(error.to_string()))?;
        Ok(Self { keys, issuer: issuer.to_owned(), audience: audience.to_owned() })
    }

    /// The claims of an access token that is good for this API at `now` (RFC 9068 §4).
    ///
    /// # Errors
    /// When signature, `typ`, `iss`, `aud` or times are not right.
    pub fn validate(&self, token: &str, now: Time) -> Result<JwtPayload, ApiReason> {
        let mut rules = JwtPayloadValidator::new();
        rules.set_audience(&self.audience);
        self.opened(token, "at+jwt", rules, now)
    }

    /// The claims of the status list at `address` that is good at `now` (draft-ietf-oauth-status-list-21 §8.3).
    ///
    /// # Errors
    /// When signature, `typ`, `iss`, `sub` or times are not right.
    pub fn status_list(&self, list: &str, address: &str, now: Time) -> Result<JwtPayload, ApiReason> {
        let mut rules = JwtPayloadValidator::new();
        rules.set_subject(address);
        self.opened(list, "statuslist+jwt", rules, now)
    }

    fn opened(&self, token: &str, typ: &str, mut rules: JwtPayloadValidator, now: Time) -> Result<JwtPayload, ApiReason> {
        let failed = |error: josekit::JoseError| ApiReason(error.to_string());
        let header = jwt::decode_header(token).map_err(failed)?;
        let text = |name| header.claim(name).and_then(|value| value.as_str()).unwrap_or_default();
        if !text("typ").eq_ignore_ascii_case(typ) {
            return Err(ApiReason(format!("typ is not {typ}")));
        }
        let key = self.keys.get(text("kid")).first().copied();
        let key = key.ok_or_else(|| ApiReason("no such key is published".to_owned()))?;
        let verifier: Box<dyn JwsVerifier> = Box::new(ES256.verifier_from_jwk(key).map_err(failed)?);
        let (claims, _) = jwt::decode_with_verifier(token, &*verifier).map_err(failed)?;
        rules.set_issuer(&self.issuer);
        rules.set_base_time(UNIX_EPOCH + Duration::from_secs(now.seconds().unsigned_abs()));
        rules.validate(&claims).map_err(failed)?;
        Ok(claims)
    }
}

impl fmt::Display for ApiReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ApiReason {}
