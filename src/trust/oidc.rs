//! Claim rules of kind `oidc`: ID tokens (OpenID Connect Core §2) and attestations that are named by `iss`.

use super::TrustReason;
use crate::jose::{Compact, Object};

/// Refuses what is signed by the same issuer but says something else (RFC 8725 §3.11, §3.12): access tokens of another server,
/// logout tokens and security events, and every explicitly typed JWT.
pub(super) fn check(token: &Compact<'_>, claims: &Object) -> Result<(), TrustReason> {
    if token.typ().is_some() && !token.typ_is("jwt") {
        return Err(TrustReason::Typ);
    }
    if claims.has("scope") || claims.has("scp") {
        return Err(TrustReason::AccessToken);
    }
    // Registered claims keep their type (RFC 7519 §4.1): the number 7 is not the subject "7".
    for claim in ["sub", "azp", "jti"] {
        claims.text(claim)?;
    }
    refuse_events(claims)
}

/// The other way round: access tokens and nothing else (RFC 9068 §4).
pub(super) fn check_access_token(token: &Compact<'_>, claims: &Object) -> Result<(), TrustReason> {
    if !token.typ_is("at+jwt") {
        return Err(TrustReason::Typ);
    }
    for claim in ["sub", "azp", "jti", "client_id"] {
        claims.text(claim)?;
    }
    refuse_events(claims)
}

/// What no kind of rule accepts (RFC 8417 §2.2).
pub(super) fn refuse_events(claims: &Object) -> Result<(), TrustReason> {
    if claims.has("events") { Err(TrustReason::Event) } else { Ok(()) }
}
