//! `spiffe_jwt`: a JWT-SVID as client assertion (draft-ietf-oauth-spiffe-client-auth §3.1).

use std::borrow::Cow;
use std::fmt;

use super::authenticate::{Proof, Room};
use super::{AssertionReason, ClientReason, attestation};
use crate::jose::Compact;
use crate::trust::TrustKind;

/// Proves a client by a JWT-SVID. They are cached and reused, so no single use is demanded.
///
/// # Errors
/// Why it is no acceptable JWT-SVID, that its `aud` is not the issuer identifier alone, or that it logs in no agent or several.
pub(super) async fn prove(room: &Room<'_>, jws: &Compact<'_>) -> Result<Proof, ClientReason> {
    let vouched = attestation::vouch(room, jws).await?;
    if vouched.rule().kind() != TrustKind::Spiffe {
        return Err(ClientReason::JwtAsSvid);
    }
    match vouched.audiences() {
        [one] if one == room.audience.issuer.as_str() => attestation::login(room, &vouched),
        _ => Err(AssertionReason::Audience.into()),
    }
}

/// Whether a subject claims to be a SPIFFE ID; whether it is a good one is for the trust rules to say.
pub(super) fn is_spiffe_id(sub: &str) -> bool {
    sub.get(..9).is_some_and(|scheme| scheme.eq_ignore_ascii_case("spiffe://"))
}

/// Which workloads of a trust domain a login is for: one SPIFFE ID, or with `/*` at its end all below a path, compared by whole
/// segments (draft-ietf-oauth-spiffe-client-auth §4.1).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SpiffePattern(Box<str>);

/// Why a text is no such pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpiffePatternReason {
    /// Longer than 2,048 bytes.
    Length,
    /// Does not begin with `spiffe://`.
    Scheme,
    /// The trust domain is empty, longer than 255 bytes, or has a character outside `a`–`z`, `0`–`9`, `.`, `-`, `_`.
    TrustDomain,
    /// No path: that would be the trust domain itself.
    Path,
    /// A path segment is empty, `.` or `..`, or has a character outside letters, digits, `.`, `-`, `_`.
    Segment,
}

impl SpiffePattern {
    /// Checks `text` and keeps it unchanged.
    ///
    /// # Errors
    /// The first rule of SPIFFE-ID §2 that it breaks.
    pub fn parse(text: &str) -> Result<Self, SpiffePatternReason> {
        if text.len() > 2048 {
            return Err(SpiffePatternReason::Length);
        }
        let rest = text.strip_prefix("spiffe://").ok_or(SpiffePatternReason::Scheme)?;
        let (domain, path) = rest.split_once('/').unwrap_or((rest, ""));
        if domain.is_empty() || domain.len() > 255 || !domain.bytes().all(in_trust_domain) {
            return Err(SpiffePatternReason::TrustDomain);
        }
        let path = path.strip_suffix("/*").unwrap_or(if path == "*" { "all" } else { path });
        match path.split('/').find(|segment| !is_segment(segment)) {
            None => Ok(Self(text.into())),
            Some(_) if path.is_empty() => Err(SpiffePatternReason::Path),
            Some(_) => Err(SpiffePatternReason::Segment),
        }
    }

    /// The pattern as configured.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Every pattern that the SPIFFE ID `id` satisfies: itself, and each path above it followed by `/*`.
    pub(super) fn matching(id: &str) -> impl Iterator<Item = Cow<'_, str>> {
        let path = id.get(9..).and_then(|rest| rest.find('/')).map_or(id.len(), |at| at + 9);
        let above = id.rmatch_indices('/').map(|(at, _)| at).take_while(move |at| *at >= path);
        let below = above.filter_map(|at| id.get(..at)).map(|parent| Cow::Owned(format!("{parent}/*")));
        std::iter::once(Cow::Borrowed(id)).chain(below)
    }
}

fn in_trust_domain(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte)
}

fn is_segment(segment: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    !matches!(segment, "" | "." | "..") && segment.bytes().all(allowed)
}

impl fmt::Display for SpiffePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for SpiffePatternReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Length => "must have at most 2048 bytes",
            Self::Scheme => "must begin with spiffe://",
            Self::TrustDomain => "must name a trust domain in a-z, 0-9, '.', '-', '_' after spiffe://",
            Self::Path => "must have a path; end it in /* for every workload below it",
            Self::Segment => "must have path segments of letters, digits, '.', '-', '_'; only a last segment may be *",
        })
    }
}

impl std::error::Error for SpiffePatternReason {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    fn matches(pattern: &str, id: &str) -> bool {
        let pattern = SpiffePattern::parse(pattern).unwrap();
        SpiffePattern::matching(id).any(|text| *text == *pattern.as_str())
    }

    #[test]
    fn a_star_stands_for_whole_segments_below() {
        let pattern = "spiffe://acme.example/workloads/*";
        assert!(matches(pattern, "spiffe://acme.example/workloads/a"));
        assert!(matches(pattern, "spiffe://acme.example/workloads/a/b"));
        for other in ["/workloadsX", "/workloads", "/workloadsX/a", "/other/workloads/a", "/Workloads/a", ""] {
            assert!(!matches(pattern, &format!("spiffe://acme.example{other}")), "{other}");
        }
        assert!(!matches(pattern, "spiffe://other.example/workloads/a"));
        assert!(matches("spiffe://acme.example/*", "spiffe://acme.example/a"));
        assert!(!matches("spiffe://acme.example/*", "spiffe://acme.example"));
        assert!(!matches("spiffe://acme.example/*", "spiffe://acme.example.evil/a"));
    }

    #[test]
    fn without_a_star_it_is_one_spiffe_id() {
        assert!(matches("spiffe://acme.example/a", "spiffe://acme.example/a"));
        for other in ["/a/b", "/b", "/A", "/aa", "/a/"] {
            assert!(!matches("spiffe://acme.example/a", &format!("spiffe://acme.example{other}")), "{other}");
        }
    }

    #[test]
    fn patterns_are_spiffe_ids_or_paths_with_a_star() {
        use SpiffePatternReason as Reason;
        let longest = format!("spiffe://a/{}", "b".repeat(2037));
        for good in ["spiffe://a/b", "spiffe://a.b-c_1/A.z-_/9", "spiffe://a/b/*", "spiffe://a/*", &longest] {
            assert!(SpiffePattern::parse(good).is_ok(), "{good}");
        }
        for (bad, reason) in [
            ("https://a/b", Reason::Scheme),
            ("SPIFFE://a/b", Reason::Scheme),
            ("spiffe:///b", Reason::TrustDomain),
            ("spiffe://A/b", Reason::TrustDomain),
            ("spiffe://a:1/b", Reason::TrustDomain),
            ("spiffe://u@a/b", Reason::TrustDomain),
            ("spiffe://a%41/b", Reason::TrustDomain),
            ("spiffe://*/b", Reason::TrustDomain),
            ("spiffe://a", Reason::Path),
            ("spiffe://a/", Reason::Path),
            ("spiffe://a/b/", Reason::Segment),
            ("spiffe://a//b", Reason::Segment),
            ("spiffe://a/../b", Reason::Segment),
            ("spiffe://a/./*", Reason::Segment),
            ("spiffe://a/*/b", Reason::Segment),
            ("spiffe://a/b*", Reason::Segment),
            ("spiffe://a/b/**", Reason::Segment),
            ("spiffe://a//*", Reason::Segment),
            ("spiffe://a/b?c", Reason::Segment),
            (&format!("{longest}b"), Reason::Length),
        ] {
            assert_eq!(SpiffePattern::parse(bad), Err(reason), "{bad}");
        }
    }
}
