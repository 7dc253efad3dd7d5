//! Where what is not known would help the caller. No value is worst in both directions: a `forbid` that looks for `"low"` does
//! not find it in an `acr` that is not known, and a `permit` of all but `"low"` takes it. So policies are read for such places.

use std::collections::BTreeSet;

use cedar_policy::{Authorizer, Context, Decision, Entities, EntityUid, Policy, PolicySet, Request};
use serde_json::{Value, json};

use crate::policy::context::{Attribute, UsedAttributes};

/// An attribute that can be unknown.
struct Unknown {
    attribute: Attribute,
    /// Its name in a sentence.
    name: &'static str,
    /// The expression that reads it; of a tag, the one that asks whether it is there.
    expression: Expression,
    /// What it is then, as an expression.
    value: Value,
    /// A condition by values that count.
    example: &'static str,
    /// The condition that it is not known.
    named: &'static str,
}

/// An expression by which policies read what can be unknown.
enum Expression {
    /// An attribute, by its path below `context`.
    Attribute(&'static [&'static str]),
    /// `hasTag` of an attribute.
    Tag(&'static [&'static str]),
}

/// Whether a condition comes to what is wanted of it where the attribute is not known.
#[derive(Clone)]
struct Consequence {
    /// True where it does, false where it does not; none where other things decide.
    told: Option<bool>,
    /// The places that make it so.
    places: BTreeSet<String>,
}

/// What anything else may be in a place that compares it with what is not known.
fn known() -> [Value; 5] {
    [json!("known"), json!(1), json!(true), json!(false), json!(["known"])].map(literal)
}

/// Every attribute that can be unknown: the subject's token need not tell it, a running copy need not be attested, and a token of
/// this server is vouched for by no trust rule.
fn unknown() -> [Unknown; 9] {
    use Expression::{Attribute as At, Tag};
    let row = |attribute, name, expression, value: Value, [example, named]: [&'static str; 2]| Unknown {
        attribute,
        name,
        expression,
        value: literal(value),
        example,
        named,
    };
    let acr = [r#"context.acr == "high""#, r#"context.acr == """#];
    let amr = [r#"context.amr.contains("hwk")"#, "context.amr.isEmpty()"];
    let age = ["context.auth_age <= 300", "context.auth_age == 9223372036854775807"];
    let instance = [r#"context.instance like "blue-*""#, r#"context.instance == """#];
    let trust = [r#"context.trust == "staff""#, r#"context.trust == """#];
    let tag = [
        r#"context.subject.hasTag("role") && context.subject.getTag("role") == "staff""#,
        r#"unless { !context.subject.hasTag("role") }"#,
    ];
    let set = [
        r#"context.subject.sets.hasTag("groups") && context.subject.sets.getTag("groups").contains("staff")"#,
        r#"unless { !context.subject.sets.hasTag("groups") }"#,
    ];
    let stated = [
        r#"context.intent.hasTag("action") && context.intent.getTag("action") == "export""#,
        r#"unless { !context.intent.hasTag("action") }"#,
    ];
    let number = [
        r#"context.intent.numbers.hasTag("parameters/rows") && context.intent.numbers.getTag("parameters/rows") <= 100"#,
        r#"unless { !context.intent.numbers.hasTag("parameters/rows") }"#,
    ];
    [
        row(Attribute::Intent, "a text of context.intent", Tag(&["intent"]), json!(false), stated),
        row(Attribute::Intent, "a number of context.intent", Tag(&["intent", "numbers"]), json!(false), number),
        row(Attribute::Acr, "context.acr", At(&["acr"]), json!(""), acr),
        row(Attribute::Amr, "context.amr", At(&["amr"]), json!([]), amr),
        row(Attribute::AuthAge, "context.auth_age", At(&["auth_age"]), json!(i64::MAX), age),
        row(Attribute::Instance, "context.instance", At(&["instance"]), json!(""), instance),
        row(Attribute::Trust, "context.trust", At(&["trust"]), json!(""), trust),
        row(Attribute::Subject, "a tag of context.subject", Tag(&["subject"]), json!(false), tag),
        row(Attribute::Subject, "a set of context.subject", Tag(&["subject", "sets"]), json!(false), set),
    ]
}

/// A sentence on every place in a policy, in its JSON form, at which something that is not known would help the caller, though
/// the policy does not say so.
pub(super) fn sentences(policy: &Value, permits: bool, used: UsedAttributes) -> Vec<String> {
    let used = unknown().into_iter().filter(|unknown| used.contains(unknown.attribute));
    let of = |unknown: Unknown| {
        let places = unknown.places(policy, permits);
        places.iter().map(|place| unknown.sentence(place, permits)).collect::<Vec<_>>()
    };
    used.flat_map(of).collect()
}

impl Unknown {
    fn sentence(&self, place: &str, permits: bool) -> String {
        let (name, when) = (self.name, if permits { "when" } else { "unless" });
        let Self { example, named, .. } = self;
        format!(
            "where {name} is not known, {place}, in the caller's favour; say which values count ({when} {example}), \
             or by name what is to be where it is not known ({named})"
        )
    }

    /// The places of a policy that help the caller: by which a `permit` applies, or a `forbid` does not.
    fn places(&self, policy: &Value, permits: bool) -> BTreeSet<String> {
        let conditions = policy.get("conditions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let read = |condition: &Value| {
            let unless = condition.get("kind").is_some_and(|kind| kind == "unless");
            self.part(condition, "/body", permits != unless)
        };
        let join = if permits { Consequence::both } else { Consequence::either };
        conditions.iter().map(read).fold(Consequence::always(permits), join).places
    }

    /// Reads a condition that is wanted to hold, or not to.
    fn read(&self, condition: &Value, wanted: bool) -> Consequence {
        let part = |path, wanted| self.part(condition, path, wanted);
        match (operator(condition), wanted) {
            (Some("&&"), true) => part("/&&/left", true).both(part("/&&/right", true)),
            (Some("&&"), false) => part("/&&/left", false).either(part("/&&/right", false)),
            (Some("||"), true) => part("/||/left", true).either(part("/||/right", true)),
            (Some("||"), false) => part("/||/left", false).both(part("/||/right", false)),
            (Some("!"), _) if self.asks_for_none(condition) => part("/!/arg", !wanted).by_name(),
            (Some("!"), _) => part("/!/arg", !wanted),
            (Some("if-then-else"), _) => {
                let branch = |taken, path| part("/if-then-else/if", taken).both(part(path, wanted));
                branch(true, "/if-then-else/then").either(branch(false, "/if-then-else/else"))
            }
            _ => self.place(condition, wanted),
        }
    }

    fn part(&self, whole: &Value, path: &str, wanted: bool) -> Consequence {
        whole.pointer(path).map_or_else(|| Consequence::always(wanted), |inner| self.read(inner, wanted))
    }

    /// Reads what has no conditions in it, by asking the engine.
    fn place(&self, condition: &Value, wanted: bool) -> Consequence {
        let concerned = any(condition, &|inner| self.is(inner).then_some(true));
        let others = any(condition, &|inner| if self.is(inner) { Some(false) } else { refers(inner).then_some(true) });
        let outcomes: BTreeSet<bool> = match (others, concerned) {
            (true, false) => BTreeSet::new(),
            (true, true) => known().iter().filter_map(|other| evaluated(self.put(condition, other))).collect(),
            (false, _) => evaluated(self.put(condition, &self.value)).into_iter().collect(),
        };
        let told = if others { None } else { outcomes.first().map(|outcome| *outcome == wanted) };
        let helps = concerned && outcomes.contains(&wanted) && !self.named_in(condition);
        let words = if wanted { "holds" } else { "does not hold" };
        let places = helps.then(|| format!("{} {words}", written(condition))).into_iter().collect();
        Consequence { told, places }
    }

    /// True where a place speaks of what is not known by name: `context.acr != ""`, `context.amr.isEmpty()`.
    fn named_in(&self, condition: &Value) -> bool {
        any(condition, &|inner| (*inner == self.value || operator(inner) == Some("isEmpty")).then_some(true))
    }

    /// True where a policy asks by name whether a tag is not there. That it is there, each that reads it must ask.
    fn asks_for_none(&self, denial: &Value) -> bool {
        matches!(self.expression, Expression::Tag(_)) && denial.pointer("/!/arg").is_some_and(|inner| self.is(inner))
    }

    /// True for the attribute itself.
    fn is(&self, expression: &Value) -> bool {
        match self.expression {
            Expression::Attribute(path) => *expression == at(path),
            Expression::Tag(path) => expression.pointer("/hasTag/left") == Some(&at(path)),
        }
    }

    /// The expression without anything to look up.
    fn put(&self, expression: &Value, other: &Value) -> Value {
        match expression {
            this if self.is(this) => self.value.clone(),
            this if refers(this) => other.clone(),
            Value::Object(members) => members
                .iter()
                .map(|(name, inner)| (name.clone(), self.put(inner, other)))
                .collect::<serde_json::Map<_, _>>()
                .into(),
            Value::Array(items) => items.iter().map(|inner| self.put(inner, other)).collect(),
            end => end.clone(),
        }
    }
}

impl Consequence {
    /// Of what says nothing, and so always holds.
    fn always(wanted: bool) -> Self {
        Self { told: Some(wanted), places: BTreeSet::new() }
    }

    /// Both are needed: one that is not so where the attribute is unknown guards the other.
    fn both(self, other: Self) -> Self {
        match (self.told, other.told) {
            (Some(false), _) | (_, Some(false)) => Self { told: Some(false), places: BTreeSet::new() },
            (Some(true), Some(true)) => self.with(other, Some(true)),
            _ => self.with(other, None),
        }
    }

    /// One is enough: one that is so by name, or always, leaves nothing to the other.
    fn either(self, other: Self) -> Self {
        match (self.told, other.told) {
            (Some(true), _) if self.places.is_empty() => self,
            (_, Some(true)) if other.places.is_empty() => other,
            (Some(true), _) | (_, Some(true)) => self.with(other, Some(true)),
            (Some(false), Some(false)) => self.with(other, Some(false)),
            _ => self.with(other, None),
        }
    }

    /// What the policy itself says of what is not known.
    fn by_name(self) -> Self {
        Self { places: BTreeSet::new(), ..self }
    }

    fn with(mut self, other: Self, told: Option<bool>) -> Self {
        self.places.extend(other.places);
        Self { told, places: self.places }
    }
}

/// The expression of an attribute below `context`.
fn at(path: &[&str]) -> Value {
    path.iter().fold(json!({"Var": "context"}), |left, attr| json!({".": {"left": left, "attr": attr}}))
}

fn literal(value: Value) -> Value {
    match value {
        Value::Array(items) => json!({"Set": items.into_iter().map(literal).collect::<Vec<_>>()}),
        value => json!({"Value": value}),
    }
}

fn operator(expression: &Value) -> Option<&str> {
    expression.as_object().filter(|members| members.len() == 1)?.keys().next().map(String::as_str)
}

/// True for what a request decides.
fn refers(expression: &Value) -> bool {
    operator(expression).is_some_and(|name| [".", "Var", "getTag"].contains(&name))
}

/// Whether `test` says so of any part that it does not settle otherwise.
fn any(expression: &Value, test: &impl Fn(&Value) -> Option<bool>) -> bool {
    test(expression).unwrap_or_else(|| match expression {
        Value::Object(members) => members.values().any(|inner| any(inner, test)),
        Value::Array(items) => items.iter().any(|inner| any(inner, test)),
        _ => false,
    })
}

/// The policy with this condition alone.
pub(super) fn policy(condition: Value) -> Option<Policy> {
    let all = || json!({"op": "All"});
    let conditions = json!([{"kind": "when", "body": condition}]);
    let policy = json!({"effect": "permit", "principal": all(), "action": all(), "resource": all(), "conditions": conditions});
    Policy::from_json(None, policy).ok()
}

/// The condition as a policy has it.
pub(super) fn written(condition: &Value) -> String {
    let text = policy(condition.clone()).map(|policy| policy.to_string()).unwrap_or_default();
    let inner = text.split_once('{').and_then(|(_, rest)| rest.rsplit_once('}')).map_or("", |(inner, _)| inner);
    inner.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What a condition that looks nothing up comes to; none where it raises an error.
fn evaluated(condition: Value) -> Option<bool> {
    let set = PolicySet::from_policies([policy(condition)?]).ok()?;
    let nobody: EntityUid = r#"Team::"""#.parse().ok()?;
    let asked = Request::new(nobody.clone(), nobody.clone(), nobody, Context::empty(), None).ok()?;
    let response = Authorizer::new().is_authorized(&asked, &set, &Entities::empty());
    response.diagnostics().errors().next().is_none().then(|| response.decision() == Decision::Allow)
}
