//! The conditions of a policy one by one, and the values that would make a difference to them.

use std::collections::BTreeSet;

use cedar_policy::{Policy, PolicyId};
use serde_json::{Value, json};

use super::mentions::{operation, path};
use super::truth::Datum;
use super::{ParsedPolicy, unknown};

/// Every condition of a policy that has to hold by itself, as the policy writes it, and a policy that permits by it alone.
pub(in crate::policy) fn parts(policy: &Value) -> Vec<(String, ParsedPolicy)> {
    let mut wanted = Vec::new();
    for condition in policy.get("conditions").and_then(Value::as_array).into_iter().flatten() {
        let Some(body) = condition.get("body") else { continue };
        match condition.get("kind").is_some_and(|kind| kind == "unless") {
            true => wanted.push(json!({"!": {"arg": body}})),
            false => conjuncts(body, &mut wanted),
        }
    }
    let alone = |condition: Value| {
        let written = unknown::written(&condition);
        let policy: Policy = unknown::policy(condition)?.new_id(PolicyId::new(&written));
        Some((written, ParsedPolicy::new(&policy)))
    };
    wanted.into_iter().filter_map(alone).collect()
}

/// Each side of every `&&` by itself, but for what the other side guards: a tag that is read where it is there.
fn conjuncts(condition: &Value, into: &mut Vec<Value>) {
    match operation(condition) {
        Some(("&&", sides)) if !guards(condition) => {
            [sides.get("left"), sides.get("right")].into_iter().flatten().for_each(|side| conjuncts(side, into));
        }
        _ => into.push(condition.clone()),
    }
}

fn guards(condition: &Value) -> bool {
    let left = condition.pointer("/&&/left").and_then(operation).map(|(operator, _)| operator);
    let inner = condition.pointer("/&&/left/&&/right").and_then(operation).map(|(operator, _)| operator);
    matches!(left, Some("hasTag" | "has")) || matches!(inner, Some("hasTag" | "has"))
}

/// The values that a condition compares attributes of the context with, by the paths of those.
pub(in crate::policy) fn compared(expression: &Value, into: &mut BTreeSet<(String, Datum)>) {
    if let Some((operator, operand)) = operation(expression) {
        let sides = ["left", "right"].map(|side| operand.get(side));
        if let [Some(left), Some(right)] = sides {
            pairs(operator, left, right, into);
            pairs(operator, right, left, into);
        }
        if let ("like", Some(at), Some(pattern)) = (operator, operand.get("left").and_then(read), operand.get("pattern")) {
            let literal = |piece: &Value| piece.get("Literal").and_then(Value::as_str).map(str::to_owned);
            let text: String = pattern.as_array().into_iter().flatten().filter_map(literal).collect();
            into.insert((at, Datum::Text(text)));
        }
        if let ("isEmpty", Some(at)) = (operator, operand.get("left").or(operand.get("arg")).and_then(read)) {
            into.insert((at, Datum::Set(BTreeSet::new())));
        }
    }
    match expression {
        Value::Array(items) => items.iter().for_each(|inner| compared(inner, into)),
        Value::Object(members) => members.values().for_each(|inner| compared(inner, into)),
        _ => {}
    }
}

/// The values that one side suggests for the attribute that is the other.
fn pairs(operator: &str, attribute: &Value, other: &Value, into: &mut BTreeSet<(String, Datum)>) {
    let Some(at) = read(attribute) else { return };
    let mut add = |datum: Datum| {
        into.insert((at.clone(), datum));
    };
    match (operator, literals(other).as_slice()) {
        ("contains", [one]) if operation(other).is_some_and(|(name, _)| name == "Value") => {
            add(Datum::Set(BTreeSet::from([one.clone()])));
        }
        ("containsAny" | "containsAll", all) if !all.is_empty() => {
            add(Datum::Set(all.iter().cloned().collect()));
            add(Datum::Set(BTreeSet::new()));
        }
        (_, all) => {
            for datum in all {
                match datum {
                    Datum::Number(number) => {
                        [-1, 0, 1].into_iter().for_each(|by| add(Datum::Number(number.saturating_add(by))));
                    }
                    other => add(other.clone()),
                }
            }
        }
    }
}

/// The path of an attribute of the context, or of a tag: `context.subject.department`.
fn read(expression: &Value) -> Option<String> {
    match operation(expression)? {
        ("getTag", operand) => {
            let name = operand.get("right").and_then(|right| right.get("Value")).and_then(Value::as_str)?;
            path(operand.get("left")?)
                .filter(|path| path.starts_with("context.subject"))
                .map(|_| format!("context.subject.{name}"))
        }
        _ => path(expression).filter(|path| path.starts_with("context.")),
    }
}

fn literals(expression: &Value) -> Vec<Datum> {
    match operation(expression) {
        Some(("Value", Value::String(text))) => vec![Datum::Text(text.clone())],
        Some(("Value", Value::Number(number))) => number.as_i64().map(Datum::Number).into_iter().collect(),
        Some(("Set", Value::Array(items))) => items.iter().flat_map(literals).collect(),
        _ => Vec::new(),
    }
}
