//! The texts and entities that a policy names, each with what it is compared with: read from its JSON form, in the order in
//! which they are written.

use serde_json::Value;

use crate::diagnostic::SourceLocation;
use crate::policy::vocabulary::Domain;

/// A text or an entity in a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::policy) struct Mention {
    pub(in crate::policy) domain: Domain,
    pub(in crate::policy) text: MentionText,
    /// The number of equal texts before it in the policy.
    pub(in crate::policy) nth: usize,
    /// Where it stands.
    pub(in crate::policy) location: SourceLocation,
}

impl Mention {
    fn new(domain: Domain, text: MentionText, nth: usize) -> Self {
        Self { domain, text, nth, location: SourceLocation::default() }
    }
}

/// The form of a mention.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::policy) enum MentionText {
    /// A whole text.
    Literal(String),
    /// A pattern of `like`: the texts between its asterisks.
    Pattern(Vec<String>),
    /// The id of an entity of this type.
    Entity(String, String),
}

/// Every mention of the policy of this JSON form. Attributes of its principal are compared only where that `is_asked`.
pub(super) fn mentions(policy: &Value, is_asked: bool) -> Vec<Mention> {
    let mut reader = MentionReader { found: Vec::new(), texts: Vec::new(), is_asked };
    for part in ["principal", "resource"] {
        let Some(constraint) = policy.get(part) else { continue };
        [constraint.get("entity"), constraint.pointer("/in/entity")].into_iter().flatten().for_each(|it| reader.entity(it));
    }
    let conditions = policy.get("conditions").and_then(Value::as_array).into_iter().flatten();
    conditions.filter_map(|condition| condition.get("body")).for_each(|body| reader.read(body, None));
    reader.found
}

struct MentionReader {
    found: Vec<Mention>,
    texts: Vec<String>,
    is_asked: bool,
}

impl MentionReader {
    /// Reads an expression whose value is compared with something of the domain `against`, if any.
    fn read(&mut self, expression: &Value, against: Option<Domain>) {
        let Some((operator, operand)) = operation(expression) else { return };
        match operator {
            "Value" => self.value(operand, against),
            "Set" => operand.as_array().into_iter().flatten().for_each(|item| self.read(item, against)),
            "if-then-else" => {
                self.part(operand, "if", None);
                self.part(operand, "then", against);
                self.part(operand, "else", against);
            }
            "==" | "!=" | "contains" | "containsAll" | "containsAny" => {
                let both = ["left", "right"].map(|side| operand.get(side).and_then(|inner| self.domain(inner)));
                let [left, right] = both;
                self.part(operand, "left", left.or(right));
                self.part(operand, "right", left.or(right));
            }
            "hasTag" | "getTag" => {
                let set = operand.get("left").is_some_and(|left| path(left).is_some_and(|path| path.ends_with("sets")));
                let stated =
                    operand.get("left").is_some_and(|left| path(left).is_some_and(|path| path.starts_with("context.intent")));
                self.part(operand, "left", None);
                let of_subject = if set { Domain::Set } else { Domain::Attribute };
                self.part(operand, "right", (!stated).then_some(of_subject));
            }
            "like" => self.like(operand),
            _ => children(operand).into_iter().for_each(|inner| self.read(inner, None)),
        }
    }

    fn part(&mut self, operand: &Value, name: &str, against: Option<Domain>) {
        if let Some(inner) = operand.get(name) {
            self.read(inner, against);
        }
    }

    fn value(&mut self, value: &Value, against: Option<Domain>) {
        match (value, value.get("__entity")) {
            (_, Some(entity)) => self.entity(entity),
            (Value::String(text), _) => {
                let nth = self.texts.iter().filter(|before| *before == text).count();
                self.texts.push(text.clone());
                let text = MentionText::Literal(text.clone());
                self.found.extend(against.map(|domain| Mention::new(domain, text, nth)));
            }
            _ => {}
        }
    }

    fn like(&mut self, operand: &Value) {
        let Some(left) = operand.get("left") else { return };
        let pieces = operand.get("pattern").and_then(Value::as_array).into_iter().flatten();
        let mut texts = vec![String::new()];
        for piece in pieces {
            match (piece.get("Literal").and_then(Value::as_str), texts.last_mut()) {
                (Some(literal), Some(last)) => last.push_str(literal),
                _ => texts.push(String::new()),
            }
        }
        self.found.extend(self.domain(left).map(|domain| Mention::new(domain, MentionText::Pattern(texts), 0)));
        self.read(left, None);
    }

    fn entity(&mut self, entity: &Value) {
        let text = |name: &str| entity.get(name).and_then(Value::as_str).map(str::to_owned);
        let (Some(kind), Some(id)) = (text("type"), text("id")) else { return };
        let domain = Domain::of_entity(&kind);
        self.found.extend(domain.map(|domain| Mention::new(domain, MentionText::Entity(kind, id), 0)));
    }

    /// The domain of the texts that an expression comes to.
    fn domain(&self, expression: &Value) -> Option<Domain> {
        let (operator, operand) = operation(expression)?;
        match operator {
            "if-then-else" => ["then", "else"].iter().find_map(|name| self.domain(operand.get(*name)?)),
            "Set" => operand.as_array()?.iter().find_map(|item| self.domain(item)),
            "." => {
                path(expression).filter(|path| self.is_asked || !path.starts_with("principal")).and_then(|path| Domain::at(&path))
            }
            _ => None,
        }
    }
}

/// The operator of an expression with what stands below it.
pub(super) fn operation(expression: &Value) -> Option<(&str, &Value)> {
    let members = expression.as_object().filter(|members| members.len() == 1)?;
    members.iter().next().map(|(name, operand)| (name.as_str(), operand))
}

/// The path of an attribute below a variable: `context.subject.kind`.
pub(super) fn path(expression: &Value) -> Option<String> {
    match operation(expression)? {
        ("Var", name) => name.as_str().map(str::to_owned),
        (".", operand) => {
            let attribute = operand.get("attr")?.as_str()?;
            Some(format!("{}.{attribute}", path(operand.get("left")?)?))
        }
        _ => None,
    }
}

/// The expressions below an operator, in the order in which they are written.
fn children(operand: &Value) -> Vec<&Value> {
    match operand {
        Value::Array(items) => items.iter().collect(),
        Value::Object(members) if ["left", "right", "arg"].iter().any(|name| members.contains_key(*name)) => {
            ["left", "right", "arg", "in"].iter().filter_map(|name| members.get(*name)).collect()
        }
        Value::Object(members) => members.values().collect(),
        _ => Vec::new(),
    }
}
