//! Claim rules of kind `spiffe`: JWT-SVIDs (SPIFFE JWT-SVID §2, §3).

use super::{SpiffeId, TrustDomain, TrustReason, oidc};
use crate::jose::{Compact, Object};

/// Refuses what is no JWT-SVID of a workload in `domain`.
pub(super) fn check(token: &Compact<'_>, claims: &Object, domain: &TrustDomain) -> Result<(), TrustReason> {
    if token.header_names().any(|name| !matches!(name, "alg" | "kid" | "typ")) {
        return Err(TrustReason::HeaderMember);
    }
    if token.typ().is_some_and(|typ| !matches!(typ, "JWT" | "JOSE")) {
        return Err(TrustReason::Typ);
    }
    let id = subject(claims).ok_or(TrustReason::SpiffeId)?;
    if id.trust_domain() != domain.as_str() || id.path().is_empty() {
        return Err(TrustReason::SpiffeId);
    }
    oidc::refuse_events(claims)
}

/// The SPIFFE ID in `sub`, if it is one.
pub(super) fn subject(claims: &Object) -> Option<SpiffeId> {
    claims.text("sub").ok().flatten().and_then(|sub| SpiffeId::parse(&sub).ok())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    fn checked(header: &str, claims: &str) -> Result<(), TrustReason> {
        let token = format!("{}.{}.AAAA", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let token = Compact::parse(&token).unwrap();
        check(&token, token.unverified_claims().unwrap(), &TrustDomain::parse("td.example").unwrap())
    }

    /// Negative test 38: SPIFFE JWT-SVID §2.
    #[test]
    fn the_header_has_alg_kid_and_typ_only() {
        let with = |header: &str| checked(header, r#"{"sub":"spiffe://td.example/a"}"#);
        assert_eq!(with(r#"{"alg":"ES256"}"#), Ok(()));
        assert_eq!(with(r#"{"alg":"ES256","kid":"k","typ":"JOSE"}"#), Ok(()));
        assert_eq!(with(r#"{"alg":"ES256","kid":"k","typ":"JWT","x":1}"#), Err(TrustReason::HeaderMember));
        assert_eq!(with(r#"{"alg":"ES256","cty":"JWT"}"#), Err(TrustReason::HeaderMember));
        assert_eq!(with(r#"{"alg":"ES256","typ":"at+jwt"}"#), Err(TrustReason::Typ));
    }

    /// Negative test 39: SPIFFE JWT-SVID §3.
    #[test]
    fn the_subject_is_a_workload_of_the_domain() {
        let with = |claims: &str| checked(r#"{"alg":"ES256"}"#, claims);
        assert_eq!(with(r#"{"sub":"spiffe://other.example/a"}"#), Err(TrustReason::SpiffeId));
        assert_eq!(with(r#"{"sub":"spiffe://td.example"}"#), Err(TrustReason::SpiffeId));
        assert_eq!(with(r#"{"sub":7}"#), Err(TrustReason::SpiffeId));
        assert_eq!(with(r#"{"sub":"spiffe://td.example/a","events":{}}"#), Err(TrustReason::Event));
    }
}
