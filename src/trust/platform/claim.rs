//! The claims of a platform as far as they are known, and as the checks of the platforms read them.

use std::borrow::Cow;

use crate::jose::Object;
use crate::json::string;
use crate::trust::{Matcher, PlatformReason, Requirement};

/// The claims of a foreign token as the checks of its platform read them, beside what its trust rule says of issuer and claims.
#[derive(Clone, Copy)]
pub(in crate::trust) struct PlatformClaims<'a> {
    claims: &'a Object,
    issuer: &'a str,
    require: &'a [Requirement],
}

/// The JSON type that the platform writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A string.
    Text,
    /// An integer.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// A list, which no matcher equals.
    List,
    /// An object; matchers reach into it by JSON Pointer.
    Object,
}

/// How far a claim identifies whom a token is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// Given once and never to somebody else: it identifies.
    Id,
    /// Can be given up, and then be taken by somebody else.
    Name,
    /// Says where, when or how something ran. It narrows but identifies nobody.
    Context,
    /// Chosen freely by whoever asks for the token: it proves nothing.
    Chosen,
}

/// One claim of a platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimFact {
    /// Its name, or a JSON Pointer.
    pub path: &'static str,
    /// Its type.
    pub shape: Shape,
    /// How far it identifies.
    pub nature: Nature,
    /// An example of it, as JSON.
    pub example: &'static str,
}

impl Shape {
    /// The type as sentences name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "a string",
            Self::Integer => "an integer",
            Self::Boolean => "true or false",
            Self::List => "a list",
            Self::Object => "an object",
        }
    }
}

impl ClaimFact {
    pub(super) const fn id(path: &'static str, example: &'static str) -> Self {
        Self { path, shape: Shape::Text, nature: Nature::Id, example }
    }

    pub(super) const fn name(path: &'static str, example: &'static str) -> Self {
        Self { path, shape: Shape::Text, nature: Nature::Name, example }
    }

    pub(super) const fn context(path: &'static str, example: &'static str) -> Self {
        Self { path, shape: Shape::Text, nature: Nature::Context, example }
    }

    pub(super) const fn of(self, shape: Shape) -> Self {
        Self { shape, ..self }
    }

    pub(super) const fn chosen(path: &'static str, example: &'static str) -> Self {
        Self { path, shape: Shape::Object, nature: Nature::Chosen, example }
    }

    /// True for a `path` that names it or lies in it.
    pub fn covers(&self, path: &str) -> bool {
        let pointer = |name: &str| if name.starts_with('/') { name.to_owned() } else { format!("/{name}") };
        let (whole, asked) = (pointer(self.path), pointer(path));
        let inside = || self.shape == Shape::Object && asked.strip_prefix(&whole).is_some_and(|rest| rest.starts_with('/'));
        asked == whole || inside()
    }
}

impl<'a> PlatformClaims<'a> {
    pub(in crate::trust) fn new(claims: &'a Object, issuer: &'a str, require: &'a [Requirement]) -> Self {
        Self { claims, issuer, require }
    }

    /// All claims of the token.
    pub(in crate::trust) fn all(self) -> &'a Object {
        self.claims
    }

    /// The issuer of the rule.
    pub(super) fn issuer(self) -> &'a str {
        self.issuer
    }

    /// True when the rule says which values `claim` may have, and so has thought of it.
    pub(super) fn pinned(self, claim: &str) -> bool {
        let exact = |requirement: &Requirement| matches!(requirement.matcher(), Matcher::Is(_) | Matcher::OneOf(_));
        self.require.iter().any(|requirement| requirement.claim() == claim && exact(requirement))
    }

    /// The string at `path`, a name or a JSON Pointer.
    pub(in crate::trust) fn at(self, path: &str) -> Option<Cow<'a, str>> {
        self.claims.find(path).and_then(string)
    }

    /// The string at `path`, which the platform may leave out. One of another type is not taken for none.
    pub(super) fn told(self, path: &'static str) -> Result<Option<Cow<'a, str>>, PlatformReason> {
        if !self.has(path) {
            return Ok(None);
        }
        self.at(path).map(Some).ok_or(PlatformReason::Claim(path))
    }

    /// The string that the platform always writes there.
    pub(in crate::trust) fn need(self, path: &'static str) -> Result<Cow<'a, str>, PlatformReason> {
        self.at(path).filter(|text| !text.is_empty()).ok_or(PlatformReason::Claim(path))
    }

    /// True when there is anything but null.
    pub(in crate::trust) fn has(self, path: &str) -> bool {
        self.claims.find(path).is_some_and(|value| value != "null")
    }

    pub(super) fn is_true(self, path: &str) -> bool {
        self.claims.find(path).is_some_and(|value| value == "true")
    }

    pub(in crate::trust) fn audiences(self) -> Vec<Cow<'a, str>> {
        self.claims.strings("aud").ok().flatten().unwrap_or_default()
    }
}

/// Refuses with `reason` when `broken`.
pub(in crate::trust) fn refuse_if(broken: bool, reason: PlatformReason) -> Result<(), PlatformReason> {
    if broken { Err(reason) } else { Ok(()) }
}

/// True for a decimal number as platforms write ids.
pub(super) fn is_number(text: &str) -> bool {
    !text.is_empty() && text.len() <= 32 && text.bytes().all(|byte| byte.is_ascii_digit())
}
