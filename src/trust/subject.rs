//! How a rule reads the subject out of a token.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use super::TrustReason;
use crate::jose::{Object, string};

const ID_BYTES_MAX: usize = 2048;

/// What kind of party a rule vouches for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SubjectKind {
    /// A person.
    User,
    /// A workload.
    Workload,
}

/// How a rule's file says it: templates are text with claims in braces, such as `{sub}` or `{/kubernetes.io/serviceaccount/uid}`.
#[derive(Clone, Debug)]
pub struct SubjectParts {
    /// Who is meant.
    pub kind: SubjectKind,
    /// The template of the subject's id.
    pub id: String,
    /// The template of the instance, where the token names one.
    pub instance: Option<String>,
    /// Names of attributes, and the claims that they are taken from.
    pub attributes: BTreeMap<String, String>,
}

/// How a rule reads the subject out of a token.
#[derive(Clone, Debug)]
pub(super) struct SubjectMapping {
    pub(super) kind: SubjectKind,
    id: Template,
    instance: Option<Template>,
    attributes: BTreeMap<String, String>,
}

/// Why a template makes no sense.
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
    pub(super) fn new(parts: SubjectParts) -> Result<Self, TemplateReason> {
        let instance = parts.instance.as_deref().map(Template::parse).transpose()?;
        Ok(Self { kind: parts.kind, id: Template::parse(&parts.id)?, instance, attributes: parts.attributes })
    }

    pub(super) fn id(&self, claims: &Object) -> Result<String, TrustReason> {
        self.id.fill(claims).ok_or(TrustReason::SubjectId)
    }

    pub(super) fn instance(&self, claims: &Object) -> Result<Option<String>, TrustReason> {
        self.instance.as_ref().map(|template| template.fill(claims).ok_or(TrustReason::Instance)).transpose()
    }

    /// An absent claim leaves its attribute out; one that is no scalar refuses the token.
    pub(super) fn attributes(&self, claims: &Object) -> Result<BTreeMap<String, String>, TrustReason> {
        let found = self.attributes.iter().filter_map(|(name, claim)| Some((name, claims.find(claim)?)));
        found.map(|(name, value)| Ok((name.clone(), scalar(value).ok_or(TrustReason::Attribute)?))).collect()
    }
}

/// Text with claims in it.
#[derive(Clone, Debug)]
struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Claim(String),
}

impl Template {
    fn parse(text: &str) -> Result<Self, TemplateReason> {
        let (mut pieces, mut rest) = (Vec::new(), text);
        while let Some((before, after)) = rest.split_once('{') {
            let (claim, after) = after.split_once('}').ok_or(TemplateReason::Braces)?;
            pieces.extend((!before.is_empty()).then(|| Piece::Text(before.to_owned())));
            pieces.push(Piece::Claim(claim.to_owned()));
            rest = after;
        }
        pieces.extend((!rest.is_empty()).then(|| Piece::Text(rest.to_owned())));
        Self(pieces).checked()
    }

    fn checked(self) -> Result<Self, TemplateReason> {
        let is_claim = |piece: &Piece| matches!(piece, Piece::Claim(_));
        let stray = |piece: &Piece| match piece {
            Piece::Text(text) => text.contains('}'),
            Piece::Claim(claim) => claim.is_empty() || claim == "/" || claim.contains('{'),
        };
        if self.0.iter().any(stray) {
            return Err(TemplateReason::Braces);
        }
        if !self.0.iter().any(is_claim) {
            return Err(TemplateReason::Constant);
        }
        let adjacent = self.0.iter().zip(self.0.iter().skip(1)).any(|(one, next)| is_claim(one) && is_claim(next));
        if adjacent { Err(TemplateReason::Adjacent) } else { Ok(self) }
    }

    /// The text with the claims filled in; none when a claim is absent, empty, no string or integer, or could blur where one
    /// claim ends and the next begins.
    fn fill(&self, claims: &Object) -> Option<String> {
        let several = self.0.iter().filter(|piece| matches!(piece, Piece::Claim(_))).count() > 1;
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
        (filled.len() <= ID_BYTES_MAX).then_some(filled)
    }

    fn separators(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| if let Piece::Text(text) = piece { Some(text.as_str()) } else { None })
    }
}

/// A string, or an integer as it is written.
fn identifier(value: &str) -> Option<Cow<'_, str>> {
    let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
    let text = if is_number { Some(Cow::Borrowed(value)) } else { string(value) };
    text.filter(|text| !text.is_empty() && !text.chars().any(char::is_control))
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
        Template::parse(template).unwrap().fill(&Object::parse(claims).unwrap())
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
        for claims in ["{}", r#"{"a":""}"#, r#"{"a":null}"#, r#"{"a":true}"#, r#"{"a":["x"]}"#, r#"{"a":1.5}"#, r#"{"a":"x\ny"}"#]
        {
            assert_eq!(fill("{a}", claims), None, "{claims}");
        }
        let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(ID_BYTES_MAX + 1));
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
