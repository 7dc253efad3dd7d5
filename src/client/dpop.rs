//! DPoP proofs at this server's own endpoints: every check of RFC 9449 §4.3; the single use is left to
//! the commit.

mod nonce;
mod reason;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

pub use nonce::Nonces;
pub(super) use nonce::Worth;
pub use reason::DpopReason;

use super::DpopProof;
use crate::crypto::Digest;
use crate::jose::{Algorithm, EmbeddedKeyJws, Object, ProofKeys};
use crate::oauth::{CLOCK_SKEW, JTI_BYTES_MAX, ShareKey, SingleUse, SingleUseKind, Time};

/// By which a proof may be signed, as published (RFC 9449 §5.1). Each verifies in well under 100 µs.
pub const PROOF_ALGORITHMS: [Algorithm; 4] = [Algorithm::ES256, Algorithm::EdDSA, Algorithm::PS256, Algorithm::RS256];

const HTU_BYTES_MAX: usize = 2048;

/// The rules that proofs are held to.
#[derive(Clone, Debug)]
pub struct DpopRules {
    /// The addresses that this server's endpoints stand below: the issuer identifier, and where else they are served, without a
    /// slash at the end.
    pub bases: Vec<String>,
    /// How old a proof may be by its `iat`: for so long its `jti` is remembered.
    pub age_max: Duration,
    /// The keys that proofs brought along lately.
    pub known: Arc<ProofKeys>,
    /// The maker and knower of nonces.
    pub nonces: Nonces,
    /// True when a proof must carry a nonce of ours (RFC 9449 §8).
    pub nonce_required: bool,
}

/// The endpoint of this server that was asked, and how: a proof is for it and for no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint<'a> {
    /// The HTTP method of the request.
    pub method: &'static str,
    /// Its path below the issuer identifier, in the one spelling by which it is known here.
    pub path: &'a str,
}

impl<'a> Endpoint<'a> {
    /// An endpoint that is asked by GET.
    pub const fn get(path: &'a str) -> Self {
        Self { method: "GET", path }
    }

    /// An endpoint that is asked by POST.
    pub const fn post(path: &'a str) -> Self {
        Self { method: "POST", path }
    }
}

/// Checks the proof in `header` at `endpoint`: every check of RFC 9449 §4.3 but the single use. Where the request shows an access
/// `token` of this server, the proof must be for that one too (check 12).
///
/// # Errors
/// The first check that it fails.
pub(super) fn prove(
    header: &str,
    endpoint: Endpoint<'_>,
    token: Option<&str>,
    rules: &DpopRules,
    now: Time,
) -> Result<DpopProof, DpopReason> {
    let proof = EmbeddedKeyJws::parse(header).map_err(DpopReason::Proof)?;
    if !proof.typ_is("dpop+jwt") {
        return Err(DpopReason::Typ);
    }
    let verified = proof.verify(&PROOF_ALGORITHMS, &rules.known).map_err(DpopReason::Proof)?;
    let (claims, key) = (verified.claims(), verified.key());
    let jti = jti(claims)?;
    if required(claims, "htm")? != endpoint.method {
        return Err(DpopReason::Htm(endpoint.method));
    }
    check_htu(&required(claims, "htu")?, endpoint.path, rules)?;
    if let Some(token) = token
        && required(claims, "ath")? != Digest::of(token.as_bytes()).to_string()
    {
        return Err(DpopReason::Ath);
    }
    let (issued, expires) = current_until(claims, rules, now)?;
    // The path has one spelling and no zero byte, so it has one digest for each `jti`, and the parts cannot run together.
    let digest = Digest::of_parts(&[b"dpop\0", &key.0, endpoint.path.as_bytes(), b"\0", jti.as_bytes()]);
    let single_use = SingleUse { digest: digest.0, expires, issued, kind: SingleUseKind::Proof, share: ShareKey::NOBODY };
    Ok(DpopProof { key, evidence: proof.digest(), single_use })
}

fn required<'a>(claims: &'a Object, name: &'static str) -> Result<Cow<'a, str>, DpopReason> {
    claims.text(name).map_err(|_| DpopReason::ClaimType(name))?.ok_or(DpopReason::ClaimMissing(name))
}

fn jti(claims: &Object) -> Result<Cow<'_, str>, DpopReason> {
    let jti = required(claims, "jti")?;
    if (1..=JTI_BYTES_MAX).contains(&jti.len()) { Ok(jti) } else { Err(DpopReason::JtiLength) }
}

/// The time at which the proof was made, and that from which it is no longer accepted, if it is now. A nonce of ours says better
/// than a clock of the client's when the proof was made (RFC 9449 §4.3, check 11), so then `iat` need only be there.
fn current_until(claims: &Object, rules: &DpopRules, now: Time) -> Result<(Time, Time), DpopReason> {
    let made = claims.date("iat").map_err(|_| DpopReason::ClaimType("iat"))?.ok_or(DpopReason::ClaimMissing("iat"))?;
    let nonce = claims.text("nonce").map_err(|_| DpopReason::ClaimType("nonce"))?;
    match nonce.as_deref().map(|nonce| rules.nonces.worth(nonce, now)) {
        Some(Worth::Until(expires)) => return Ok((made.min(now), expires)),
        // Its `iat` must not begin to count when the nonce is over: by then the `jti` may be forgotten.
        Some(Worth::Over) => return Err(DpopReason::NonceStale),
        Some(Worth::Nothing) if rules.nonce_required => return Err(DpopReason::NonceStale),
        None if rules.nonce_required => return Err(DpopReason::NonceMissing),
        Some(Worth::Nothing) | None => {}
    }
    let expires = made.plus(rules.age_max);
    if made > now.plus(CLOCK_SKEW) {
        return Err(DpopReason::Ahead);
    }
    if expires <= now { Err(DpopReason::Old) } else { Ok((made.min(now), expires)) }
}

/// The address that was asked, as configured and never as a header says, without query and fragment (RFC 9449 §4.3, check 9).
fn check_htu(htu: &str, path: &str, rules: &DpopRules) -> Result<(), DpopReason> {
    if !has_one_spelling(path) {
        return Err(DpopReason::Htu);
    }
    let as_written = |base: &String| htu.strip_prefix(base.as_str()) == Some(path);
    if rules.bases.iter().any(as_written) {
        return Ok(());
    }
    let asked = normal(htu).ok_or(DpopReason::Htu)?;
    let same = |base: &String| normal(&format!("{base}{path}")).is_some_and(|ours| ours == asked);
    if rules.bases.iter().any(same) { Ok(()) } else { Err(DpopReason::Htu) }
}

/// True of a path that normalisation leaves as it is, and every path of ours is one. The escapes and dot segments of others give
/// one address many paths, and a proof would count once at each.
fn has_one_spelling(path: &str) -> bool {
    path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-_".contains(&byte))
}

/// Syntax-based and scheme-based normalisation (RFC 3986 §6.2.2, §6.2.3), without query and fragment. None for what is no
/// absolute http URL of visible ASCII characters, or names a user.
fn normal(htu: &str) -> Option<String> {
    let visible = htu.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if htu.len() > HTU_BYTES_MAX || !visible || !has_authority(htu) {
        return None;
    }
    // Case of scheme and host, default port and dot segments.
    let url = Url::parse(htu).ok()?;
    let plain = url.username().is_empty() && url.password().is_none();
    let (host, port) = (url.host_str().filter(|_| plain)?, url.port_or_known_default()?);
    Some(format!("{}://{host}:{port}{}", url.scheme(), unescaped(url.path())?))
}

/// The parser below would make one of `https:host` too.
fn has_authority(htu: &str) -> bool {
    let after = |scheme: &str| htu.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    (after("https://") && htu.get(8..9) != Some("/")) || (after("http://") && htu.get(7..8) != Some("/"))
}

/// RFC 3986 §6.2.2.2: escapes of unreserved characters are undone, the others have capital digits.
fn unescaped(path: &str) -> Option<String> {
    let mut parts = path.split('%');
    let mut text = parts.next()?.to_owned();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        let byte = u8::from_str_radix(digits, 16).ok()?;
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push('%');
            text.push_str(&digits.to_ascii_uppercase());
        }
        text.push_str(rest);
    }
    Some(text)
}

#[cfg(test)]
mod tests;
