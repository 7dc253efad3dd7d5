//! The annotations of policies: what a permit adds to the grants that it has a part in, and what they say to people.

use std::collections::BTreeMap;
use std::time::Duration;

use ::time::OffsetDateTime;
use ::time::format_description::well_known::Rfc3339;

use crate::diagnostic::nearest;
use crate::oauth::Time;

/// The annotations of one policy by name.
pub(super) type Annotations = BTreeMap<String, String>;

/// Every annotation that has a meaning, and the policies that it belongs on.
const KNOWN: [(&str, AnnotationPlace); 12] = [
    ("allow_bypass", AnnotationPlace::Forbid),
    ("allow_unknown", AnnotationPlace::Permit),
    ("approval", AnnotationPlace::Permit),
    ("chain", AnnotationPlace::Permit),
    ("description", AnnotationPlace::Any),
    ("exception", AnnotationPlace::Permit),
    ("expires", AnnotationPlace::Permit),
    ("id", AnnotationPlace::Any),
    ("lifetime", AnnotationPlace::Permit),
    ("owner", AnnotationPlace::Any),
    ("reason", AnnotationPlace::Permit),
    ("sender_constraint", AnnotationPlace::Permit),
];

/// The annotations that make a documented exception, all of them together.
const OF_EXCEPTIONS: [&str; 4] = ["exception", "owner", "reason", "expires"];

const DAY_SECONDS: i64 = 86_400;

/// The policies that an annotation belongs on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum AnnotationPlace {
    Any,
    Permit,
    Forbid,
}

named! {
    /// The persons who have to approve what a permit permits.
    pub enum ApproverCount {
        /// One person.
        One = "person",
        /// Two persons, neither of them the other.
        Two = "two-persons",
    }
}

/// The terms that a permit adds to every grant that it has a part in. The strictest of several counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PermitTerms {
    /// The longest lifetime of a token, or of a task.
    pub(super) lifetime: Option<Duration>,
    /// The token must be bound to a key.
    pub(super) is_bound: bool,
    /// The token shows the outermost actor only.
    pub(super) shows_current: bool,
    /// The persons who must have approved.
    pub(super) approval: Option<ApproverCount>,
    /// The exception that it is, where it is one.
    pub(super) exception: Option<PolicyException>,
}

/// A permit that is an exception: it says from what, who answers for it and why, and stops counting by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyException {
    /// The rule that it is an exception from, in the words of its author.
    pub from: String,
    /// The person who answers for it.
    pub owner: String,
    /// The reason for it.
    pub reason: String,
    /// The instant at which it stops counting.
    pub expires: Time,
}

impl PermitTerms {
    /// The terms that the annotations of a policy set, and every mistake in them.
    pub(super) fn of(annotations: &Annotations, permits: bool) -> (Self, Vec<String>) {
        let mut mistakes: Vec<String> = annotations.iter().filter_map(|(name, value)| misplaced(name, value, permits)).collect();
        if !permits {
            return (Self::default(), mistakes);
        }
        let value = |name: &str| annotations.get(name).map(String::as_str);
        let lifetime = value("lifetime").map(|text| span(text).ok_or(WANTED_SPAN));
        let bound = value("sender_constraint").map(|text| only(text, "required", "@sender_constraint must be \"required\""));
        let current = value("chain").map(|text| only(text, "current", "@chain must be \"current\""));
        let approval = value("approval").map(|text| approvers(text).ok_or("@approval must be \"person\" or \"two-persons\""));
        let exception = exception(annotations);
        let wrong = [lifetime.and_then(Result::err), bound.and_then(Result::err), current.and_then(Result::err)];
        let wrong = wrong.into_iter().chain([approval.and_then(Result::err)]).flatten().map(str::to_owned);
        mistakes.extend(wrong.chain(exception.as_ref().err().cloned()));
        let terms = Self {
            lifetime: lifetime.and_then(Result::ok),
            is_bound: bound.is_some(),
            shows_current: current.is_some(),
            approval: approval.and_then(Result::ok),
            exception: exception.ok().flatten(),
        };
        (terms, mistakes)
    }

    /// The strictest of both, as what several permits have a part in is held to each.
    #[must_use]
    pub(super) fn and(self, other: &Self) -> Self {
        Self {
            lifetime: self.lifetime.into_iter().chain(other.lifetime).min(),
            is_bound: self.is_bound || other.is_bound,
            shows_current: self.shows_current || other.shows_current,
            approval: self.approval.max(other.approval),
            exception: None,
        }
    }

    /// True where it adds nothing.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// True where the permit does not count at `now` any more.
    pub(super) fn is_over(&self, now: Time) -> bool {
        self.exception.as_ref().is_some_and(|exception| exception.expires <= now)
    }
}

const WANTED_SPAN: &str = "@lifetime must be a number and s, m, h or d, such as \"2m\", and not 0";

/// The mistake of an annotation that has no meaning here, stands on the wrong kind of policy, or is empty.
fn misplaced(name: &str, value: &str, permits: bool) -> Option<String> {
    let Some((_, bearer)) = KNOWN.iter().find(|(known, _)| *known == name) else {
        let known = KNOWN.map(|(known, _)| known);
        let near = nearest(name, known).map(|near| format!("; did you mean @{near}?"));
        let near = near.unwrap_or_else(|| format!("; known are @{}", known.join(", @")));
        return Some(format!("@{name} has no meaning here{near}"));
    };
    match bearer {
        AnnotationPlace::Permit if !permits && name == "lifetime" => {
            Some("@lifetime belongs on a permit; a forbid issues nothing".to_owned())
        }
        AnnotationPlace::Permit if !permits && name == "allow_unknown" => {
            Some("@allow_unknown belongs on a permit; a forbid that names nothing forbids nothing".to_owned())
        }
        AnnotationPlace::Permit if !permits => Some(format!("@{name} belongs on a permit")),
        AnnotationPlace::Forbid if permits => Some(format!("@{name} belongs on a forbid")),
        _ if value.trim().is_empty() && name != "id" => Some(format!("@{name} must say something")),
        _ => None,
    }
}

fn only(text: &str, wanted: &str, mistake: &'static str) -> Result<(), &'static str> {
    if text == wanted { Ok(()) } else { Err(mistake) }
}

fn approvers(text: &str) -> Option<ApproverCount> {
    ApproverCount::NAMES.iter().find(|(name, _)| *name == text).map(|(_, count)| *count)
}

/// The exception that the annotations document, if any.
fn exception(annotations: &Annotations) -> Result<Option<PolicyException>, String> {
    // An owner alone says who answers for the policy.
    if OF_EXCEPTIONS.iter().filter(|name| **name != "owner").all(|name| !annotations.contains_key(*name)) {
        return Ok(None);
    }
    let value = |name: &str| {
        let absent = || format!("an exception has @{} together; @{name} is missing", OF_EXCEPTIONS.join(", @"));
        annotations.get(name).cloned().ok_or_else(absent)
    };
    let (from, owner, reason) = (value("exception")?, value("owner")?, value("reason")?);
    let expires = instant(&value("expires")?)
        .ok_or("@expires must be the last day of the exception, such as \"2027-01-31\", or an instant in RFC 3339")?;
    Ok(Some(PolicyException { from, owner, reason, expires }))
}

/// An instant in RFC 3339; of a day alone its end in UTC.
fn instant(text: &str) -> Option<Time> {
    let seconds = |text: &str| OffsetDateTime::parse(text, &Rfc3339).ok().map(OffsetDateTime::unix_timestamp);
    let end = || seconds(&format!("{text}T00:00:00Z"))?.checked_add(DAY_SECONDS);
    seconds(text).or_else(end).map(Time::from_seconds)
}

/// A span of time: a whole number followed by `s`, `m`, `h` or `d`.
fn span(text: &str) -> Option<Duration> {
    let units = [('s', 1), ('m', 60), ('h', 3600), ('d', 86_400)];
    let (number, unit) = units.iter().find_map(|(letter, unit)| Some((text.strip_suffix(*letter)?, *unit)))?;
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = digits.then(|| number.parse::<u64>().ok())??.checked_mul(unit)?;
    (seconds > 0).then(|| Duration::from_secs(seconds))
}
