//! SPIFFE IDs and trust domains (SPIFFE-ID §2), and the patterns that match them.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

const ID_BYTES_MAX: usize = 2048;
const DOMAIN_BYTES_MAX: usize = 255;
const SCHEME: &str = "spiffe://";

/// A SPIFFE ID, kept byte for byte; two are the same when their bytes are.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpiffeId {
    text: Arc<str>,
    path_at: usize,
}

/// The name of a trust domain: lower case, without scheme.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrustDomain(Arc<str>);

/// One SPIFFE ID, or with `/*` at its end all IDs below it, at any depth but not itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SpiffePattern {
    id: SpiffeId,
    below: bool,
}

/// Why a string is not a SPIFFE ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpiffeIdReason {
    /// Longer than 2,048 bytes.
    Long,
    /// Does not begin with `spiffe://` in lower case.
    Scheme,
    /// The trust domain is empty, longer than 255 bytes, or has other characters than `a`–`z`, `0`–`9`, `.`, `-`, `_`.
    TrustDomain,
    /// A path segment is empty, `.`, `..`, or has other characters than letters, digits, `.`, `-`, `_`.
    Path,
}

impl SpiffeId {
    /// Checks `text` and keeps it unchanged.
    ///
    /// # Errors
    /// The first rule of SPIFFE-ID §2 that it breaks.
    pub fn parse(text: &str) -> Result<Self, SpiffeIdReason> {
        if text.len() > ID_BYTES_MAX {
            return Err(SpiffeIdReason::Long);
        }
        let rest = text.strip_prefix(SCHEME).ok_or(SpiffeIdReason::Scheme)?;
        let (domain, path) = rest.split_once('/').map_or((rest, None), |(domain, path)| (domain, Some(path)));
        TrustDomain::check(domain)?;
        match path.is_none_or(|path| path.split('/').all(is_segment)) {
            true => Ok(Self { text: text.into(), path_at: SCHEME.len() + domain.len() }),
            false => Err(SpiffeIdReason::Path),
        }
    }

    /// The whole ID.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The name of its trust domain.
    pub fn trust_domain(&self) -> &str {
        self.text.get(SCHEME.len()..self.path_at).unwrap_or_default()
    }

    /// Its path with the leading slash; empty for the trust domain itself.
    pub fn path(&self) -> &str {
        self.text.get(self.path_at..).unwrap_or_default()
    }
}

impl SpiffeId {
    /// Every [`SpiffePattern`] that matches this ID, as displayed: itself, and each path above it followed by `/*`
    /// (draft-ietf-oauth-spiffe-client-auth §4.1).
    pub fn patterns(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let (text, path_at) = (self.as_str(), self.path_at);
        let above = text.rmatch_indices('/').map(|(at, _)| at).take_while(move |at| *at >= path_at);
        let below = above.filter_map(|at| text.get(..at)).map(|parent| Cow::Owned(format!("{parent}/*")));
        std::iter::once(Cow::Borrowed(text)).chain(below)
    }
}

impl TrustDomain {
    /// Checks a trust domain's name, with or without `spiffe://` before it.
    ///
    /// # Errors
    /// `TrustDomain` when it breaks SPIFFE-ID §2.1.
    pub fn parse(text: &str) -> Result<Self, SpiffeIdReason> {
        let name = text.strip_prefix(SCHEME).unwrap_or(text);
        Self::check(name)?;
        Ok(Self(name.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn check(name: &str) -> Result<(), SpiffeIdReason> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte);
        let fits = !name.is_empty() && name.len() <= DOMAIN_BYTES_MAX && name.bytes().all(allowed);
        if fits { Ok(()) } else { Err(SpiffeIdReason::TrustDomain) }
    }
}

impl SpiffePattern {
    /// Reads a SPIFFE ID or one that ends in `/*`.
    ///
    /// # Errors
    /// As [`SpiffeId::parse`] for what stands before `/*`; a `*` anywhere else is a `Path` error.
    pub fn parse(text: &str) -> Result<Self, SpiffeIdReason> {
        let (id, below) = text.strip_suffix("/*").map_or((text, false), |id| (id, true));
        Ok(Self { id: SpiffeId::parse(id)?, below })
    }

    /// True when `id` is the one named, or lies below it where the pattern ends in `/*`.
    pub fn matches(&self, id: &SpiffeId) -> bool {
        match self.below {
            true => id.as_str().strip_prefix(self.id.as_str()).is_some_and(|rest| rest.starts_with('/')),
            false => *id == self.id,
        }
    }

    /// The trust domain that every match belongs to.
    pub fn trust_domain(&self) -> &str {
        self.id.trust_domain()
    }

    /// The one ID that matches, unless the pattern ends in `/*`.
    pub fn exact(&self) -> Option<&SpiffeId> {
        (!self.below).then_some(&self.id)
    }
}

fn is_segment(segment: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    !segment.is_empty() && segment != "." && segment != ".." && segment.bytes().all(allowed)
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for SpiffePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.id, if self.below { "/*" } else { "" })
    }
}

impl fmt::Display for SpiffeIdReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Long => "must have at most 2048 bytes",
            Self::Scheme => "must begin with spiffe:// in lower case",
            Self::TrustDomain => "must have a trust domain of 1 to 255 characters of a-z, 0-9, '.', '-', '_'",
            Self::Path => "must have a path of non-empty segments of letters, digits, '.', '-', '_', none of them '.' or '..'",
        })
    }
}

impl std::error::Error for SpiffeIdReason {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_spiffe_id_2_allows() {
        let id = SpiffeId::parse("spiffe://acme.example/ns/prod/sa/Web_1.2-3").unwrap();
        assert_eq!((id.trust_domain(), id.path()), ("acme.example", "/ns/prod/sa/Web_1.2-3"));
        let root = SpiffeId::parse("spiffe://a_b-c.1").unwrap();
        assert_eq!((root.trust_domain(), root.path()), ("a_b-c.1", ""));
        assert!(SpiffeId::parse(&format!("spiffe://td/{}", "a".repeat(ID_BYTES_MAX - 12))).is_ok());
        assert!(SpiffeId::parse(&format!("spiffe://{}/a", "a".repeat(255))).is_ok());
    }

    /// Negative test 38.
    #[test]
    fn refuses_everything_else() {
        let long = format!("spiffe://td/{}", "a".repeat(ID_BYTES_MAX - 11));
        let domain = format!("spiffe://{}/a", "a".repeat(256));
        for (text, reason) in [
            (long.as_str(), SpiffeIdReason::Long),
            ("", SpiffeIdReason::Scheme),
            ("https://td/a", SpiffeIdReason::Scheme),
            ("SPIFFE://td/a", SpiffeIdReason::Scheme),
            ("spiffe:/td/a", SpiffeIdReason::Scheme),
            ("spiffe://", SpiffeIdReason::TrustDomain),
            ("spiffe:///a", SpiffeIdReason::TrustDomain),
            ("spiffe://TD/a", SpiffeIdReason::TrustDomain),
            ("spiffe://td:443/a", SpiffeIdReason::TrustDomain),
            ("spiffe://user@td/a", SpiffeIdReason::TrustDomain),
            ("spiffe://t%64/a", SpiffeIdReason::TrustDomain),
            ("spiffe://td?x", SpiffeIdReason::TrustDomain),
            (domain.as_str(), SpiffeIdReason::TrustDomain),
            ("spiffe://td/", SpiffeIdReason::Path),
            ("spiffe://td/a/", SpiffeIdReason::Path),
            ("spiffe://td//a", SpiffeIdReason::Path),
            ("spiffe://td/a/../b", SpiffeIdReason::Path),
            ("spiffe://td/./b", SpiffeIdReason::Path),
            ("spiffe://td/%41", SpiffeIdReason::Path),
            ("spiffe://td/a?b", SpiffeIdReason::Path),
            ("spiffe://td/a#b", SpiffeIdReason::Path),
            ("spiffe://td/\u{e9}", SpiffeIdReason::Path),
            ("spiffe://td/a b", SpiffeIdReason::Path),
            ("spiffe://td/*", SpiffeIdReason::Path),
        ] {
            assert_eq!(SpiffeId::parse(text), Err(reason), "{text}");
        }
    }

    /// Negative test 32.
    #[test]
    fn patterns_match_whole_segments() {
        let matches = |pattern: &str, id: &str| SpiffePattern::parse(pattern).unwrap().matches(&SpiffeId::parse(id).unwrap());
        assert!(matches("spiffe://td/workloads/*", "spiffe://td/workloads/a"));
        assert!(matches("spiffe://td/workloads/*", "spiffe://td/workloads/a/b"));
        assert!(!matches("spiffe://td/workloads/*", "spiffe://td/workloads"));
        assert!(!matches("spiffe://td/workloads/*", "spiffe://td/workloadsX"));
        assert!(!matches("spiffe://td/workloads/*", "spiffe://td.evil/workloads/a"));
        assert!(matches("spiffe://td/*", "spiffe://td/a"));
        assert!(!matches("spiffe://td/*", "spiffe://tdx/a"));
        assert!(matches("spiffe://td/a", "spiffe://td/a"));
        assert!(!matches("spiffe://td/a", "spiffe://td/a/b"));
        for wrong in ["spiffe://td/a*", "spiffe://td/*/b", "*", "spiffe://*/a", "spiffe://td/**"] {
            assert!(SpiffePattern::parse(wrong).is_err(), "{wrong}");
        }
    }

    fn found(pattern: &str, id: &SpiffeId) -> bool {
        id.patterns().any(|text| text == SpiffePattern::parse(pattern).unwrap().to_string())
    }

    #[test]
    fn patterns_are_the_id_and_every_path_above_it() {
        let id = SpiffeId::parse("spiffe://acme.example/workloads/a").unwrap();
        let all: Vec<_> = id.patterns().collect();
        assert_eq!(all, ["spiffe://acme.example/workloads/a", "spiffe://acme.example/workloads/*", "spiffe://acme.example/*"]);
    }

    /// Negative test 32.
    #[test]
    fn a_star_stands_for_whole_segments_below() {
        let found = |path: &str| {
            let id = SpiffeId::parse(&format!("spiffe://acme.example{path}")).unwrap();
            found("spiffe://acme.example/workloads/*", &id)
        };
        assert!(found("/workloads/a") && found("/workloads/a/b"));
        assert!(
            !found("/workloadsX") && !found("/workloads") && !found("/workloadsX/a") && !found("/x/workloads/a") && !found("")
        );
    }

    proptest! {
        #[test]
        fn the_index_finds_what_the_pattern_matches(pattern in "spiffe://t(/[ab]){0,2}(/\\*)?", id in "spiffe://t(/[ab]){0,3}") {
            let id = SpiffeId::parse(&id).unwrap();
            prop_assert_eq!(found(&pattern, &id), SpiffePattern::parse(&pattern).unwrap().matches(&id));
        }
    }
}
