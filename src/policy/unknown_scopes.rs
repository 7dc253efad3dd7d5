//! The scopes of a request that no target declares: words of whoever asks. Records and logs tell how many there are; only the
//! answer says which, bounded, as the caller's own.

use std::fmt;

use crate::oauth::{Resource, Scope};

/// The scopes asked for that no target declares. `Display` and `Debug` tell how many there are; `{:#}`, which only the answer
/// uses, names them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct UnknownScopes {
    count: usize,
    /// The first of them, cut, in the order of their names.
    words: Vec<String>,
    /// The target, where there is one.
    target: Option<Resource>,
    hint: Option<ScopeHint>,
}

/// The reason for which scopes that no API declares are asked for again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ScopeHint {
    /// A scope of OpenID Connect, which many clients add by themselves.
    OpenId(&'static str),
    /// Scopes that stand between commas.
    Commas,
}

/// As many are named; the others are counted.
const NAMED_MAX: usize = 4;

/// Characters of each that are told. No scope that somebody chose is longer, but a token is that was pasted here.
const SHOWN_MAX: usize = 48;

/// OpenID Connect Core §5.4, §11.
const OF_OPENID: [&str; 6] = ["offline_access", "openid", "profile", "email", "address", "phone"];

impl UnknownScopes {
    /// Those of `scopes` asked for on `target`, which is none where several targets were named.
    pub(super) fn new(scopes: &[&Scope], target: Option<&Resource>) -> Self {
        let words = scopes.iter().take(NAMED_MAX).map(|scope| shown(scope.as_str())).collect();
        Self { count: scopes.len(), words, target: target.cloned(), hint: ScopeHint::of(scopes) }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }
}

/// A scope is visible ASCII without the quote and the backslash (RFC 6749 §3.3), so that it can stand in a description as it is.
fn shown(scope: &str) -> String {
    match scope.get(..SHOWN_MAX) {
        Some(start) if scope.len() > SHOWN_MAX => format!("{}... ({} characters)", start.get(..8).unwrap_or(start), scope.len()),
        _ => scope.to_owned(),
    }
}

impl ScopeHint {
    fn of(unknown: &[&Scope]) -> Option<Self> {
        let known = OF_OPENID.into_iter().find(|word| unknown.iter().any(|scope| scope.as_str() == *word));
        let commas = unknown.iter().any(|scope| scope.as_str().contains(',')).then_some(Self::Commas);
        known.map(Self::OpenId).or(commas)
    }
}

impl fmt::Display for UnknownScopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            Some(target) => write!(f, "{target} does not know")?,
            None => f.write_str("the targets do not know")?,
        }
        match (f.alternate(), self.count.saturating_sub(self.words.len())) {
            (true, 0) => write!(f, " {}", self.words.join(" "))?,
            (true, more) => write!(f, " {} and {more} more", self.words.join(" "))?,
            (false, _) => write!(f, " {} of the scopes", self.count)?,
        }
        self.hint.map_or(Ok(()), |hint| hint.fmt(f))
    }
}

impl fmt::Debug for UnknownScopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UnknownScopes({})", self.count)
    }
}

impl fmt::Display for ScopeHint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OpenId(word) => write!(f, " ({word}: no refresh token or ID token is issued here)"),
            Self::Commas => f.write_str(" (blanks stand between scopes, not commas)"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;
    use crate::oauth::Scopes;

    fn unknown(text: &str, target: Option<&str>) -> UnknownScopes {
        let scopes = Scopes::parse(text).unwrap();
        let target = target.map(|target| Resource::parse(target).unwrap());
        UnknownScopes::new(&scopes.iter().collect::<Vec<_>>(), target.as_ref())
    }

    #[test]
    fn the_answer_alone_names_them() {
        let one = unknown("contact.read", Some("https://crm.example"));
        assert_eq!(format!("{one:#}"), "https://crm.example does not know contact.read");
        assert_eq!(format!("{one}"), "https://crm.example does not know 1 of the scopes");
        assert_eq!(format!("{one:?} {one:#?}"), "UnknownScopes(1) UnknownScopes(1)");
    }

    #[test]
    fn they_are_bounded() {
        let token = "eyJhbGciOiJub25lIn0.".to_owned() + &"s".repeat(200);
        assert_eq!(format!("{:#}", unknown(&token, None)), "the targets do not know eyJhbGci... (220 characters)");
        let many: Vec<String> = (10..30).map(|n| format!("{n}-{}", "s".repeat(45))).collect();
        let told = format!("{:#}", unknown(&many.join(" "), None));
        assert!(told.ends_with(" and 16 more") && told.len() < 250, "{told}");
    }

    #[test]
    fn what_many_clients_add_by_themselves_is_told() {
        let told = format!("{:#}", unknown("openid", None));
        assert_eq!(told, "the targets do not know openid (openid: no refresh token or ID token is issued here)");
        assert!(unknown("a,b", None).to_string().ends_with(" (blanks stand between scopes, not commas)"));
    }
}
