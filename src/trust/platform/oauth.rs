//! Access tokens of another authorization server (RFC 9068).

use super::{Claims, PlatformReason, unless};

/// RFC 9068 §2.2: who and for which client. What only ID tokens have shows one that was given another `typ` (RFC 8725 §3.12).
pub(super) fn check(claims: Claims<'_>) -> Result<(), PlatformReason> {
    claims.need("sub")?;
    claims.need("client_id")?;
    unless(!claims.has("iat"), PlatformReason::Claim("iat"))?;
    unless(["at_hash", "c_hash", "nonce"].iter().any(|claim| claims.has(claim)), PlatformReason::IdToken)?;
    unless(claims.has("scope") && claims.at("scope").is_none(), PlatformReason::Claim("scope"))
}
