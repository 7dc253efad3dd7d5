//! Comparison of an answer with the expectation of a case.

mod shape;
#[cfg(test)]
mod tests;

use serde_json::Value;

use crate::answer::{Answer, member};
use crate::case::{Check, Expect, Op, Place};
use crate::inflate::{inflate, status};
use crate::jose::from_base64url;
use crate::request::Request;
use crate::values::{Missing, Values};

/// An expectation that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unmet {
    /// Line in the case file.
    pub(crate) line: usize,
    /// The expectation and what came instead.
    pub(crate) what: String,
}

/// Everything in `expect` that `answer` does not keep.
///
/// # Errors
/// When the value of an expectation cannot be told.
pub(crate) fn check(expect: &Expect, request: &Request, answer: &Answer, values: &Values<'_>) -> Result<Vec<Unmet>, Missing> {
    let mut unmet = Vec::new();
    if !expect.statuses.contains(&answer.status) {
        let wanted: Vec<String> = expect.statuses.iter().map(u16::to_string).collect();
        unmet.push(Unmet { line: expect.line, what: format!("status is {}, not {}", answer.status, wanted.join(" or ")) });
    }
    let broken = shape::broken(&expect.shape, request, answer);
    unmet.extend(broken.into_iter().map(|what| Unmet { line: expect.line, what }));
    for check in &expect.checks {
        let wanted = check.value.as_ref().map(|value| values.text(value)).transpose()?.unwrap_or_default();
        let place = match &check.place {
            Place::Status(index) => Some(values.text(index)?),
            _ => None,
        };
        if let Err(what) = one(check, place.as_deref(), &wanted, answer) {
            unmet.push(Unmet { line: check.line, what });
        }
    }
    Ok(unmet)
}

fn one(check: &Check, index: Option<&str>, wanted: &str, answer: &Answer) -> Result<(), String> {
    let found = look(&check.place, index, answer)?;
    let Some(found) = found else {
        return (check.op == Op::Absent).then_some(()).ok_or_else(|| "is not there".to_owned());
    };
    let holds = match check.op {
        Op::Present => true,
        Op::Absent => false,
        Op::Equal => same(&found, &meant(wanted)),
        Op::NotEqual => !same(&found, &meant(wanted)),
        Op::AtMost => number(&found)? <= number(&meant(wanted))?,
        Op::AtLeast => number(&found)? >= number(&meant(wanted))?,
        Op::Contains => contains(&found, wanted)?,
        Op::Lacks => !contains(&found, wanted)?,
        Op::Scopes => names(found.as_str().ok_or("is not a string")?) == names(wanted),
        Op::Is => is(&found, wanted),
    };
    holds.then_some(()).ok_or_else(|| format!("is {}, which is not: {} {wanted}", short(&found), sign(check.op)))
}

fn look(place: &Place, index: Option<&str>, answer: &Answer) -> Result<Option<Value>, String> {
    let token = || match &answer.token {
        Some(Ok(token)) => Ok(token),
        Some(Err(what)) => Err(what.clone()),
        None => Err("no access token was issued".to_owned()),
    };
    let at = |root: &Value, path: &[String]| member(root, path.iter().map(String::as_str)).cloned();
    match place {
        Place::Header(name) => Ok(answer.header(name).map(Value::from)),
        Place::Body(path) if path.is_empty() => Ok(Some(Value::from(answer.body.as_str()))),
        Place::Body(path) => Ok(at(answer.json.as_ref().ok_or("the body is not JSON")?, path)),
        Place::Claims(path) => Ok(at(&token()?.claims, path)),
        Place::Jose(path) => Ok(at(&token()?.header, path)),
        Place::Key(path) => Ok(at(&token()?.key, path)),
        Place::Payload => Ok(Some(Value::from(token()?.payload.as_str()))),
        Place::Status(_) => {
            let index = index.and_then(|index| index.parse().ok()).ok_or("the place in the list is no number")?;
            listed(&token()?.claims, index).map(|value| Some(Value::from(value)))
        }
    }
}

/// The value of a status list at `index` (draft-ietf-oauth-status-list-21 §8.3).
fn listed(claims: &Value, index: u64) -> Result<u8, String> {
    let list = claims.get("status_list").ok_or("it is no status list")?;
    let bits = list.get("bits").and_then(Value::as_u64).ok_or("it has no bits")?;
    let packed = list.get("lst").and_then(Value::as_str).ok_or("it has no lst")?;
    status(&inflate(&from_base64url(packed)?)?, bits, index)
}

/// A value that is valid JSON is JSON; anything else is a string.
fn meant(wanted: &str) -> Value {
    serde_json::from_str(wanted).unwrap_or_else(|_| Value::from(wanted))
}

/// Equality of JSON values, numbers by value.
fn same(left: &Value, right: &Value) -> bool {
    left == right || left.is_number() && right.is_number() && left.as_f64() == right.as_f64()
}

fn number(value: &Value) -> Result<f64, String> {
    value.as_f64().ok_or_else(|| format!("{} is not a number", short(value)))
}

fn contains(found: &Value, wanted: &str) -> Result<bool, String> {
    match found {
        Value::String(text) => Ok(text.contains(wanted)),
        Value::Array(items) => Ok(items.iter().any(|item| same(item, &meant(wanted)))),
        other => Err(format!("is {}, neither a string nor an array", short(other))),
    }
}

fn names(text: &str) -> Vec<&str> {
    let mut names: Vec<&str> = text.split(' ').collect();
    names.sort_unstable();
    names
}

fn is(found: &Value, kind: &str) -> bool {
    match kind {
        "string" => found.is_string(),
        "integer" => found.is_u64() || found.is_i64(),
        "number" => found.is_number(),
        "boolean" => found.is_boolean(),
        "array" => found.is_array(),
        _ => found.is_object(),
    }
}

fn sign(op: Op) -> &'static str {
    match op {
        Op::Equal => "==",
        Op::NotEqual => "!=",
        Op::AtMost => "<=",
        Op::AtLeast => ">=",
        Op::Present => "present",
        Op::Absent => "absent",
        Op::Contains => "contains",
        Op::Lacks => "lacks",
        Op::Scopes => "scopes",
        Op::Is => "is",
    }
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(300) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}
