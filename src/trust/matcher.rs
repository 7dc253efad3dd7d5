//! Typed matchers of claims. No regular expressions, no patterns inside values; an absent claim never matches.

use std::fmt;

use serde_json::value::RawValue;

use crate::jose::Object;
use crate::json::{self, string};

/// The value that one claim must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Matcher {
    /// Exactly this value, of this type.
    Is(Literal),
    /// Exactly one of these values.
    OneOf(Vec<Literal>),
    /// A string that goes on, after this prefix, with at least one whole segment. The prefix ends in `/`.
    Prefix(String),
    /// There, whatever it is, but not `null`.
    Present,
    /// A list with one of these values in it, or one of them itself, as issuers write a list of one.
    Contains(Vec<Literal>),
}

/// A JSON scalar. The string `true` is not the boolean, and `"7"` is not the number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Literal {
    /// A string.
    Text(String),
    /// A boolean.
    Bool(bool),
    /// An integer, written without fraction or exponent.
    Number(i64),
}

/// A claim and what it must be. A name that begins with `/` is a JSON Pointer (RFC 6901).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    claim: String,
    matcher: Matcher,
}

/// Why a requirement makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatcherReason {
    /// The claim has no name.
    Claim,
    /// A list of alternatives without any.
    Nothing,
    /// A prefix that does not end in `/`, or is nothing else.
    Prefix,
    /// A value that looks like a pattern: it would be compared literally and never match what was meant.
    Wildcard,
}

impl Requirement {
    /// A requirement on the claim called `claim`.
    ///
    /// # Errors
    /// See [`MatcherReason`].
    pub fn new(claim: &str, matcher: Matcher) -> Result<Self, MatcherReason> {
        if claim.is_empty() || claim == "/" {
            return Err(MatcherReason::Claim);
        }
        matcher.check()?;
        Ok(Self { claim: claim.to_owned(), matcher })
    }

    /// A requirement that is known to make sense.
    pub(super) fn of(claim: &str, matcher: Matcher) -> Self {
        Self { claim: claim.to_owned(), matcher }
    }

    /// True when `claims` meet it.
    pub fn holds(&self, claims: &Object) -> bool {
        claims.find(&self.claim).is_some_and(|value| self.matcher.holds(value))
    }

    /// The name of the claim.
    pub fn claim(&self) -> &str {
        &self.claim
    }

    /// The matcher in words, as far as they go without the claim's name.
    pub(super) fn condition(&self) -> String {
        self.matcher.to_string()
    }

    /// The value that it must have.
    pub fn matcher(&self) -> &Matcher {
        &self.matcher
    }
}

impl Matcher {
    fn holds(&self, value: &str) -> bool {
        match self {
            Self::Is(literal) => literal.is(value),
            Self::OneOf(literals) => literals.iter().any(|literal| literal.is(value)),
            Self::Prefix(prefix) => string(value).is_some_and(|text| goes_on(&text, prefix)),
            Self::Present => value != "null",
            Self::Contains(literals) => {
                let any = |value: &str| literals.iter().any(|literal| literal.is(value));
                let items = value.starts_with('[').then(|| json::read_checked::<Vec<&RawValue>>(value).unwrap_or_default());
                items.map_or_else(|| any(value), |items| items.iter().any(|item| any(item.get())))
            }
        }
    }

    fn check(&self) -> Result<(), MatcherReason> {
        match self {
            Self::Is(literal) => literal.check(),
            Self::OneOf(literals) | Self::Contains(literals) if literals.is_empty() => Err(MatcherReason::Nothing),
            Self::OneOf(literals) | Self::Contains(literals) => literals.iter().try_for_each(Literal::check),
            Self::Prefix(prefix) if prefix.contains('*') => Err(MatcherReason::Wildcard),
            Self::Prefix(prefix) if prefix.trim_end_matches('/').is_empty() || !prefix.ends_with('/') => {
                Err(MatcherReason::Prefix)
            }
            Self::Prefix(_) | Self::Present => Ok(()),
        }
    }
}

impl Literal {
    fn is(&self, value: &str) -> bool {
        match self {
            Self::Text(wanted) => string(value).is_some_and(|text| text == *wanted),
            Self::Bool(wanted) => value == if *wanted { "true" } else { "false" },
            Self::Number(wanted) => value.parse() == Ok(*wanted),
        }
    }

    fn check(&self) -> Result<(), MatcherReason> {
        match self {
            Self::Text(text) if text.contains('*') => Err(MatcherReason::Wildcard),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.claim, self.matcher)
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Is(literal) => write!(f, "is {literal}"),
            Self::OneOf(literals) => write!(f, "is one of {}", listed(literals)),
            Self::Contains(literals) => write!(f, "contains {}", listed(literals).replace(", ", " or ")),
            Self::Prefix(prefix) => write!(f, "begins with {prefix:?}"),
            Self::Present => f.write_str("is there"),
        }
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Bool(value) => value.fmt(f),
            Self::Number(value) => value.fmt(f),
        }
    }
}

fn listed(literals: &[Literal]) -> String {
    literals.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn goes_on(text: &str, prefix: &str) -> bool {
    let mut rest = text.strip_prefix(prefix).into_iter().flat_map(|rest| rest.split('/')).peekable();
    rest.peek().is_some() && rest.all(|segment| !matches!(segment, "" | "." | ".."))
}

impl fmt::Display for MatcherReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Claim => "must name a claim, or point to one with a JSON Pointer such as /kubernetes.io/namespace",
            Self::Nothing => "must list at least one value",
            Self::Prefix => "must end in '/', because a prefix matches whole segments",
            Self::Wildcard => "has a '*', but values are compared exactly; use { prefix = \"a/\" } or list the values",
        })
    }
}

impl std::error::Error for MatcherReason {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    fn holds(matcher: Matcher, claims: &str) -> bool {
        Requirement::new("c", matcher).unwrap().holds(&Object::parse(claims).unwrap())
    }

    fn text(text: &str) -> Literal {
        Literal::Text(text.into())
    }

    #[test]
    fn values_are_compared_with_their_type() {
        assert!(holds(Matcher::Is(text("a/b")), r#"{"c":"a\/b"}"#));
        assert!(holds(Matcher::Is(Literal::Bool(true)), r#"{"c":true}"#));
        assert!(holds(Matcher::Is(Literal::Number(7)), r#"{"c":7}"#));
        assert!(holds(Matcher::OneOf(vec![text("a"), Literal::Number(7)]), r#"{"c":7}"#));
        for (literal, claims) in [
            (text("a"), r#"{"c":"A"}"#),
            (text("a"), r#"{"c":["a"]}"#),
            (text("a"), r#"{"d":"a"}"#),
            (text("a"), r#"{"c":null}"#),
            (text("true"), r#"{"c":true}"#),
            (Literal::Bool(true), r#"{"c":"true"}"#),
            (Literal::Bool(false), r#"{"c":null}"#),
            (Literal::Bool(false), "{}"),
            (Literal::Number(7), r#"{"c":"7"}"#),
            (Literal::Number(7), r#"{"c":7.5}"#),
        ] {
            assert!(!holds(Matcher::Is(literal.clone()), claims), "{literal:?} {claims}");
        }
    }

    #[test]
    fn presence_needs_a_value() {
        assert!(holds(Matcher::Present, r#"{"c":false}"#));
        assert!(!holds(Matcher::Present, r#"{"c":null}"#));
        assert!(!holds(Matcher::Present, "{}"));
    }

    #[test]
    fn prefixes_match_whole_segments() {
        let with = |value: &str| holds(Matcher::Prefix("org/app/".into()), &format!(r#"{{"c":"{value}"}}"#));
        assert!(with("org/app/x") && with("org/app/x/y"));
        for value in
            ["org/app", "org/app/", "org/application/x", "org/app/../x", "org/app/./x", "org/app//x", "/org/app/x", "ORG/APP/x"]
        {
            assert!(!with(value), "{value}");
        }
        assert!(!holds(Matcher::Prefix("a/".into()), r#"{"c":["a/b"]}"#));
    }

    #[test]
    fn what_cannot_mean_anything_is_refused() {
        for (claim, matcher, reason) in [
            ("", Matcher::Present, MatcherReason::Claim),
            ("/", Matcher::Present, MatcherReason::Claim),
            ("c", Matcher::OneOf(Vec::new()), MatcherReason::Nothing),
            ("c", Matcher::Prefix("a".into()), MatcherReason::Prefix),
            ("c", Matcher::Prefix("/".into()), MatcherReason::Prefix),
            ("c", Matcher::Prefix(String::new()), MatcherReason::Prefix),
            ("c", Matcher::Prefix("a*/".into()), MatcherReason::Wildcard),
            ("c", Matcher::Is(text("repo:org/*")), MatcherReason::Wildcard),
            ("c", Matcher::OneOf(vec![text("a"), text("*")]), MatcherReason::Wildcard),
        ] {
            assert_eq!(Requirement::new(claim, matcher), Err(reason));
        }
    }

    #[test]
    fn a_pointer_reaches_into_nested_claims() {
        let claims = Object::parse(r#"{"kubernetes.io":{"serviceaccount":{"uid":"u"}}}"#).unwrap();
        let uid = Requirement::new("/kubernetes.io/serviceaccount/uid", Matcher::Is(text("u"))).unwrap();
        assert!(uid.holds(&claims));
        let absent = Requirement::new("/kubernetes.io/pod/uid", Matcher::Present).unwrap();
        assert!(!absent.holds(&claims));
    }
}
