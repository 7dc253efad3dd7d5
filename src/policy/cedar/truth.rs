//! What the conditions of a policy come to where only some of what they read is given: true, false, or decided by the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use super::mentions::{operation, path};

/// A value that is given.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::policy) enum Datum {
    Flag(bool),
    Number(i64),
    Text(String),
    Set(BTreeSet<Datum>),
}

impl Datum {
    /// The text that it is.
    pub(in crate::policy) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// As a policy writes it.
impl fmt::Display for Datum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => flag.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Set(members) => {
                let members: Vec<String> = members.iter().map(ToString::to_string).collect();
                write!(f, "[{}]", members.join(", "))
            }
        }
    }
}

/// Values by the paths at which policies read them; `action` is one too.
pub(in crate::policy) type GivenValues = BTreeMap<&'static str, Datum>;

/// Whether all conditions of a policy, in its JSON form, hold; none where something decides that is not given.
pub(in crate::policy) fn holds(policy: &Value, given: &GivenValues) -> Option<bool> {
    let conditions = policy.get("conditions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut all = Some(true);
    for condition in conditions {
        let unless = condition.get("kind").is_some_and(|kind| kind == "unless");
        let one = condition.get("body").and_then(|body| flag(body, given)).map(|holds| holds != unless);
        match one {
            Some(false) => return Some(false),
            Some(true) => {}
            None => all = None,
        }
    }
    all
}

/// The numbers that stand in an expression.
pub(in crate::policy) fn numbers(expression: &Value) -> BTreeSet<i64> {
    match expression {
        Value::Number(number) => number.as_i64().into_iter().collect(),
        Value::Array(items) => items.iter().flat_map(numbers).collect(),
        Value::Object(members) => members.values().flat_map(numbers).collect(),
        _ => BTreeSet::new(),
    }
}

/// True where an expression reads the attribute at `wanted`.
pub(in crate::policy) fn reads(expression: &Value, wanted: &str) -> bool {
    if path(expression).is_some_and(|path| path == wanted) {
        return true;
    }
    match expression {
        Value::Array(items) => items.iter().any(|inner| reads(inner, wanted)),
        Value::Object(members) => members.values().any(|inner| reads(inner, wanted)),
        _ => false,
    }
}

fn flag(expression: &Value, given: &GivenValues) -> Option<bool> {
    match value(expression, given)? {
        Datum::Flag(flag) => Some(flag),
        _ => None,
    }
}

fn value(expression: &Value, given: &GivenValues) -> Option<Datum> {
    let (operator, operand) = operation(expression)?;
    let side = |name: &str| operand.get(name).and_then(|inner| value(inner, given));
    let told = |name: &str| operand.get(name).and_then(|inner| flag(inner, given));
    match operator {
        "Value" => literal(operand),
        "Set" => operand.as_array()?.iter().map(|item| value(item, given)).collect::<Option<_>>().map(Datum::Set),
        "Var" | "." => path(expression).and_then(|path| given.get(path.as_str()).cloned()),
        "&&" => both(told("left"), told("right")).map(Datum::Flag),
        "||" => both(told("left").map(|it| !it), told("right").map(|it| !it)).map(|neither| Datum::Flag(!neither)),
        "!" => told("arg").map(|it| Datum::Flag(!it)),
        "if-then-else" => match told("if") {
            Some(true) => side("then"),
            Some(false) => side("else"),
            None => side("then").filter(|then| side("else").as_ref() == Some(then)),
        },
        "==" => Some(Datum::Flag(side("left")? == side("right")?)),
        "!=" => Some(Datum::Flag(side("left")? != side("right")?)),
        "in" => within(&side("left")?, &side("right")?),
        "contains" | "containsAny" | "containsAll" | "isEmpty" => {
            of_sets(operator, &side("left").or(side("arg"))?, side("right"))
        }
        "<" | "<=" | ">" | ">=" => compared(operator, &side("left")?, &side("right")?),
        _ => None,
    }
}

/// That both hold: false as soon as one does not.
fn both(one: Option<bool>, other: Option<bool>) -> Option<bool> {
    match (one, other) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

/// Entities stand as texts, written as Cedar writes them.
fn literal(value: &Value) -> Option<Datum> {
    match value {
        Value::Bool(flag) => Some(Datum::Flag(*flag)),
        Value::Number(number) => number.as_i64().map(Datum::Number),
        Value::String(text) => Some(Datum::Text(text.clone())),
        _ => {
            let entity = value.get("__entity")?;
            let [kind, id] = ["type", "id"].map(|name| entity.get(name).and_then(Value::as_str));
            Some(Datum::Text(format!("{}::{:?}", kind?, id?)))
        }
    }
}

fn within(one: &Datum, other: &Datum) -> Option<Datum> {
    Some(Datum::Flag(match other {
        Datum::Set(set) => set.contains(one),
        other => one == other,
    }))
}

fn of_sets(operator: &str, left: &Datum, right: Option<Datum>) -> Option<Datum> {
    let Datum::Set(left) = left else { return None };
    Some(Datum::Flag(match (operator, right) {
        ("isEmpty", _) => left.is_empty(),
        ("contains", Some(right)) => left.contains(&right),
        ("containsAny", Some(Datum::Set(right))) => !left.is_disjoint(&right),
        ("containsAll", Some(Datum::Set(right))) => left.is_superset(&right),
        _ => return None,
    }))
}

fn compared(operator: &str, left: &Datum, right: &Datum) -> Option<Datum> {
    let (Datum::Number(left), Datum::Number(right)) = (left, right) else { return None };
    Some(Datum::Flag(match operator {
        "<" => left < right,
        "<=" => left <= right,
        ">" => left > right,
        _ => left >= right,
    }))
}
