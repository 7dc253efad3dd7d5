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
    oidc::refuse_other_uses(claims)
}

/// The SPIFFE ID in `sub`, if it is one.
pub(super) fn subject(claims: &Object) -> Option<SpiffeId> {
    claims.text("sub").ok().flatten().and_then(|sub| SpiffeId::parse(&sub).ok())
}
