//! How a rule reads the subject out of a token.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::jose::Object;
use crate::json::{kind_of, string, strings};
use crate::oauth::ForeignName;

/// The end of the name of an attribute that is a set.
pub const SET: &str = "[]";

/// A larger set is not told: it would stand in every token that descends from this one.
const SET_MEMBERS_MAX: usize = 128;
const SET_BYTES_MAX: usize = 4096;

/// The kind of party that a rule vouches for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SubjectKind {
    /// A person.
    User,
    /// A workload.
    Workload,
}

/// How a rule reads the subject out of a token.
#[derive(Clone, Debug)]
pub struct SubjectMapping {
    /// The kind of party that its tokens are about.
    pub kind: SubjectKind,
    /// The subject's id.
    pub id: Template,
    /// The instance, where the token names one.
    pub instance: Option<Template>,
    /// Names of attributes, and the claims that they are taken from. One whose name ends in [`SET`] is a set.
    pub attributes: BTreeMap<String, String>,
}

/// Text with claims in braces, such as `{sub}` or `{/kubernetes.io/serviceaccount/uid}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Claim(String),
}

/// Why a text is no template. `Display` completes a sentence about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TemplateReason {
    /// No claim in it: every token would name the same subject.
    Constant,
    /// A brace without its partner, or an empty pair.
    Braces,
    /// Two claims with nothing between them: different pairs could read the same.
    Adjacent,
}

impl SubjectMapping {
    /// A workload by the template `id` alone.
    ///
    /// # Errors
    /// See [`TemplateReason`].
    pub fn workload(id: &str) -> Result<Self, TemplateReason> {
        let (instance, attributes) = (None, BTreeMap::new());
        Ok(Self { kind: SubjectKind::Workload, id: Template::parse(id)?, instance, attributes })
    }

    /// The subject's id; none when a claim of it is absent or unusable.
    pub(super) fn id(&self, claims: &Object) -> Option<ForeignName> {
        self.id.fill(claims)
    }

    /// The instance, where the rule reads one; none inside when a claim of it is absent or unusable.
    pub(super) fn instance(&self, claims: &Object) -> Option<Option<ForeignName>> {
        self.instance.as_ref().map(|template| template.fill(claims))
    }

    /// The attributes that the claims tell, and those whose claim cannot be read as what it was mapped to. One that is absent or
    /// null is neither. Of a set (`name[]`) each member is told.
    pub(super) fn attributes(&self, claims: &Object) -> (Vec<(String, String)>, Vec<&str>) {
        let (mut told, mut unread) = (Vec::new(), Vec::new());
        for (name, claim) in &self.attributes {
            let Some(value) = claims.find(claim).filter(|value| *value != "null") else { continue };
            let values = if name.ends_with(SET) { members(value) } else { scalar(value).map(|value| vec![value]) };
            match values {
                Some(values) => told.extend(values.into_iter().map(|value| (name.clone(), value))),
                None => unread.push(claim.as_str()),
            }
        }
        (told, unread)
    }
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// See [`TemplateReason`].
    pub fn parse(text: &str) -> Result<Self, TemplateReason> {
        let mut parts = text.split('{');
        let first = parts.next().filter(|literal| !literal.contains('}')).ok_or(TemplateReason::Braces)?;
        let mut pieces: Vec<Piece> = literal(first).collect();
        for part in parts {
            let (claim, text) = part.split_once('}').ok_or(TemplateReason::Braces)?;
            if !is_claim(claim) || text.contains('}') {
                return Err(TemplateReason::Braces);
            }
            if matches!(pieces.last(), Some(Piece::Claim(_))) {
                return Err(TemplateReason::Adjacent);
            }
            pieces.push(Piece::Claim(claim.to_owned()));
            pieces.extend(literal(text));
        }
        let template = Self(pieces);
        if template.claims().next().is_none() { Err(TemplateReason::Constant) } else { Ok(template) }
    }

    /// The claims that it takes.
    pub(super) fn claims(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| if let Piece::Claim(claim) = piece { Some(claim.as_str()) } else { None })
    }

    /// The text with the claims filled in; none when a claim is absent, empty, no string or integer, or could blur where one
    /// claim ends and the next begins, and when the whole is no name.
    fn fill(&self, claims: &Object) -> Option<ForeignName> {
        let several = self.claims().nth(1).is_some();
        let mut filled = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                Piece::Claim(claim) => {
                    let value = identifier(claims.find(claim)?)?;
                    if several && self.separators().any(|text| value.contains(text)) {
                        return None;
                    }
                    filled.push_str(&value);
                }
            }
        }
        ForeignName::parse(filled).ok()
    }

    /// Why these claims do not fill it, for the log; none where they do.
    pub(super) fn unfilled(&self, claims: &Object) -> Option<String> {
        let several = self.claims().nth(1).is_some();
        let fault = |claim: &str| {
            let Some(raw) = claims.find(claim) else { return Some(format!("{claim} is absent")) };
            let Some(value) = identifier(raw) else { return Some(format!("{claim} is {}, empty or no name", kind_of(raw))) };
            let separator = self.separators().find(|text| several && value.contains(text))?;
            Some(format!("{claim} has {separator:?} inside, which stands between two claims of the template"))
        };
        let filled = || self.fill(claims).is_some();
        self.claims().find_map(fault).or_else(|| (!filled()).then(|| "the whole is no name, or longer than one".to_owned()))
    }

    fn separators(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| if let Piece::Text(text) = piece { Some(text.as_str()) } else { None })
    }
}

fn literal(text: &str) -> impl Iterator<Item = Piece> {
    Some(text).filter(|text| !text.is_empty()).map(|text| Piece::Text(text.to_owned())).into_iter()
}

/// A name, or a JSON Pointer whose escapes are right (RFC 6901 §3).
fn is_claim(claim: &str) -> bool {
    let escapes_well = claim.split('~').skip(1).all(|after| after.starts_with(['0', '1']));
    !claim.is_empty() && claim != "/" && (!claim.starts_with('/') || escapes_well)
}

/// A string, or an integer as it is written.
fn identifier(value: &str) -> Option<Cow<'_, str>> {
    let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
    let text = if is_number { Some(Cow::Borrowed(value)) } else { string(value) };
    text.filter(|text| !text.is_empty())
}

/// The members of a list of texts, or of a text alone, as issuers write a list of one; each once. What is too long for a token is
/// none.
fn members(value: &str) -> Option<Vec<String>> {
    let members: BTreeSet<String> = strings(value)?.into_iter().map(Cow::into_owned).collect();
    let bytes: usize = members.iter().map(String::len).sum();
    (members.len() <= SET_MEMBERS_MAX && bytes <= SET_BYTES_MAX).then(|| members.into_iter().collect())
}

fn scalar(value: &str) -> Option<String> {
    match value {
        raw if raw.starts_with('"') => string(raw).map(Cow::into_owned),
        raw if raw.starts_with(['{', '[']) || raw == "null" => None,
        raw => Some(raw.to_owned()),
    }
}

impl SubjectKind {
    /// As it is written in a rule's file and in policies.
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Workload => "workload",
        }
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|piece| match piece {
            Piece::Text(text) => f.write_str(text),
            Piece::Claim(claim) => write!(f, "{{{claim}}}"),
        })
    }
}

impl fmt::Display for SubjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for TemplateReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Constant => "must contain a claim in braces, such as {sub}",
            Self::Braces => "must have braces in pairs around the name of a claim",
            Self::Adjacent => "must have text between two claims, so that different values cannot read the same",
        })
    }
}

impl std::error::Error for TemplateReason {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    fn fill(template: &str, claims: &str) -> Option<String> {
        Template::parse(template).unwrap().fill(&Object::parse(claims).unwrap()).map(ForeignName::into_string)
    }

    #[test]
    fn templates_take_strings_and_integers() {
        assert_eq!(fill("{sub}", r#"{"sub":"al ice"}"#).unwrap(), "al ice");
        assert_eq!(fill("{/k8s/uid}", r#"{"k8s":{"uid":"u"}}"#).unwrap(), "u");
        assert_eq!(fill("org-{id}", r#"{"id":42}"#).unwrap(), "org-42");
        assert_eq!(fill("{a}:{b}", r#"{"a":"x","b":"y"}"#).unwrap(), "x:y");
    }

    #[test]
    fn a_claim_that_is_missing_or_no_identifier_fills_nothing() {
        for claims in [
            "{}",
            r#"{"a":""}"#,
            r#"{"a":null}"#,
            r#"{"a":true}"#,
            r#"{"a":["x"]}"#,
            r#"{"a":1.5}"#,
            r#"{"a":"x\ny"}"#,
            r#"{"a":"x\u202ey"}"#,
        ] {
            assert_eq!(fill("{a}", claims), None, "{claims}");
        }
        let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(2049));
        assert_eq!(fill("{a}", &long), None);
    }

    #[test]
    fn two_claims_cannot_blur_into_each_other() {
        assert_eq!(fill("{a}:{b}", r#"{"a":"x:y","b":"z"}"#), None);
        assert_eq!(fill("{a}:{b}", r#"{"a":"x","b":"y:z"}"#), None);
        assert_eq!(fill("td:{a}", r#"{"a":"td:x"}"#).unwrap(), "td:td:x");
    }

    #[test]
    fn templates_that_cannot_tell_subjects_apart_are_refused() {
        for (template, reason) in [
            ("", TemplateReason::Constant),
            ("everybody", TemplateReason::Constant),
            ("{sub", TemplateReason::Braces),
            ("sub}", TemplateReason::Braces),
            ("{}", TemplateReason::Braces),
            ("{{sub}}", TemplateReason::Braces),
            ("{a}{b}", TemplateReason::Adjacent),
        ] {
            assert_eq!(Template::parse(template).unwrap_err(), reason, "{template}");
        }
    }
}
