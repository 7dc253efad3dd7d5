//! The intent of a request: an object of type `intent` in its `authorization_details` (RFC 9396 §2).

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::details::{classes, purpose};
use crate::crypto::Digest;
use crate::json;

named! {
    /// The destination of data that is handed to an API; the later in this order is the farther.
    pub enum Destination {
        /// Stays with us.
        Internal = "internal",
        /// Goes to somebody we have an agreement with.
        Partner = "partner",
        /// Leaves.
        External = "external",
    }
}

/// An intent: what the client says that it wants to do with the token. It gives no authority; policy reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    text: String,
    action: Option<String>,
    purpose: Option<String>,
    data_classes: Vec<String>,
    destination: Option<Destination>,
    facts: Vec<(String, Fact)>,
}

/// A value inside an intent, as policies read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A text; every other value that is no whole number, and no object, stands as its canonical JSON.
    Text(String),
    /// A whole number.
    Number(i64),
}

/// Why `authorization_details` hold no intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntentReason {
    /// Not a JSON array of objects with a `type`, or JSON that has no canonical form.
    Malformed,
    /// An object of another type.
    Type,
    /// More than one object of the type.
    Several,
    /// Its canonical form is longer than [`Intent::BYTES_MAX`].
    Long,
    /// A member that is unknown, or of the wrong type.
    Members,
    /// A member with a value that it cannot have.
    Value(&'static str),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IntentObject<'a> {
    #[serde(rename = "type")]
    _type: Cow<'a, str>,
    action: Option<Cow<'a, str>>,
    purpose: Option<Cow<'a, str>>,
    data_classes: Option<Cow<'a, [String]>>,
    destination: Option<Cow<'a, str>>,
    #[serde(borrow)]
    parameters: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct TypedObject<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
}

impl Intent {
    /// The most bytes of its canonical form.
    pub const BYTES_MAX: usize = 4096;

    /// The name of its type.
    pub const TYPE: &str = "intent";

    /// Reads `authorization_details`: an array of one object of type `intent`, or of none.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn parse(details: &str) -> Result<Option<Self>, IntentReason> {
        let text = json::canonical(details).map_err(|_| IntentReason::Malformed)?;
        let objects: Vec<&RawValue> = json::read_checked(&text).map_err(|_| IntentReason::Malformed)?;
        for object in &objects {
            let typed: TypedObject<'_> = json::read_checked(object.get()).map_err(|_| IntentReason::Malformed)?;
            if typed.r#type != Self::TYPE {
                return Err(IntentReason::Type);
            }
        }
        match objects.as_slice() {
            [] => Ok(None),
            [_] if text.len() > Self::BYTES_MAX => Err(IntentReason::Long),
            [object] => Self::read(object.get(), &text).map(Some),
            _ => Err(IntentReason::Several),
        }
    }

    fn read(object: &str, text: &str) -> Result<Self, IntentReason> {
        let read: IntentObject<'_> = json::read_checked(object).map_err(|_| IntentReason::Members)?;
        let named = |name: &'static str, value: Option<Cow<'_, str>>| match value.map(purpose).transpose() {
            Ok(Some(value)) if value.is_empty() => Err(IntentReason::Value(name)),
            value => value.map_err(|_| IntentReason::Value(name)),
        };
        let destination = read.destination.map(|name| {
            let known = Destination::NAMES.iter().find(|(known, _)| *known == name);
            known.map(|(_, destination)| *destination).ok_or(IntentReason::Value("destination"))
        });
        let parameters = read.parameters.map(|parameters| parameters.get());
        if !parameters.is_none_or(|parameters| parameters.starts_with('{')) {
            return Err(IntentReason::Members);
        }
        let mut facts = Vec::new();
        add_facts("", object, &mut facts)?;
        Ok(Self {
            text: text.to_owned(),
            action: named("action", read.action)?,
            purpose: named("purpose", read.purpose)?,
            data_classes: read
                .data_classes
                .map(classes)
                .transpose()
                .map_err(|_| IntentReason::Value("data_classes"))?
                .unwrap_or_default(),
            destination: destination.transpose()?,
            facts,
        })
    }

    /// The `authorization_details`, a JSON array in canonical form (RFC 8785), as granted.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// SHA-256 of the canonical form.
    pub fn digest(&self) -> Digest {
        Digest::of(self.text.as_bytes())
    }

    /// The name of what is to be done.
    pub fn action(&self) -> Option<&str> {
        self.action.as_deref()
    }

    /// The purpose.
    pub fn purpose(&self) -> Option<&str> {
        self.purpose.as_deref()
    }

    /// The classes of data that will be touched, sorted; beside those that the API declares.
    pub fn data_classes(&self) -> &[String] {
        &self.data_classes
    }

    /// The destination of the data, where it is to go farther than to the API.
    pub fn destination(&self) -> Option<Destination> {
        self.destination
    }

    /// Every value in it that is no object, by its JSON Pointer without the first slash (RFC 6901): `parameters/rows`.
    pub fn facts(&self) -> &[(String, Fact)] {
        &self.facts
    }
}

/// Adds the values of `object`, which stands at the pointer `at`.
fn add_facts(at: &str, object: &str, facts: &mut Vec<(String, Fact)>) -> Result<(), IntentReason> {
    let members = json::Members::read(object).map_err(|_| IntentReason::Members)?;
    for (name, value) in members.iter() {
        let name = name.replace('~', "~0").replace('/', "~1");
        let pointer = if at.is_empty() { name } else { format!("{at}/{name}") };
        let text = value.get();
        match (json::string(text), text.parse()) {
            (Some(text), _) => facts.push((pointer, Fact::Text(text.into_owned()))),
            (None, Ok(number)) => facts.push((pointer, Fact::Number(number))),
            (None, Err(_)) if text.starts_with('{') => add_facts(&pointer, text, facts)?,
            (None, Err(_)) => facts.push((pointer, Fact::Text(text.to_owned()))),
        }
    }
    Ok(())
}

impl fmt::Display for IntentReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("authorization_details")?;
        match self {
            Self::Malformed => f.write_str(
                " must be a JSON array of objects, each with its type; no member twice, no number that a double does not hold",
            ),
            Self::Type => f.write_str(": the one type that is taken here is intent; one of type task goes to /tasks"),
            Self::Several => f.write_str(" must hold at most one object of type intent"),
            Self::Long => write!(f, " must have at most {} bytes in canonical form (RFC 8785)", Intent::BYTES_MAX),
            Self::Members => f.write_str(
                ": an intent has action, purpose, destination (texts), data_classes (a list of texts) and parameters (an object)",
            ),
            Self::Value("destination") => f.write_str(": destination must be internal, partner or external"),
            Self::Value("data_classes") => f.write_str(": data_classes must be at most 32 names of at most 64 characters"),
            Self::Value(name) => write!(f, ": {name} must have 1 to 128 printable ASCII characters"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    fn intent(members: &str) -> Result<Option<Intent>, IntentReason> {
        Intent::parse(&format!(r#"[{{"type":"intent"{members}}}]"#))
    }

    #[test]
    fn an_intent_is_read_in_one_form_however_it_is_written() {
        let text = r#" [ {"purpose":"report", "type":"intent","action":"contacts.export","destination":"partner",
            "data_classes":["pii","b","pii"], "parameters":{"rows":1e2,"to":{"a/b":"x","~":[1.50,-0]},"dry":false} } ] "#;
        let read = Intent::parse(text).unwrap().unwrap();
        let form = "[{\"action\":\"contacts.export\",\"data_classes\":[\"pii\",\"b\",\"pii\"],\"destination\":\"partner\",\
                    \"parameters\":{\"dry\":false,\"rows\":100,\"to\":{\"a/b\":\"x\",\"~\":[1.5,0]}},\"purpose\":\"report\",\
                    \"type\":\"intent\"}]";
        assert_eq!(read.as_str(), form);
        assert_eq!(Intent::parse(form).unwrap().unwrap(), read);
        assert_eq!((read.action(), read.purpose()), (Some("contacts.export"), Some("report")));
        assert_eq!(
            (read.data_classes(), read.destination()),
            (&["b".to_owned(), "pii".to_owned()][..], Some(Destination::Partner))
        );
        let fact = |name: &str| read.facts().iter().find(|(known, _)| known == name).map(|(_, fact)| fact.clone());
        assert_eq!(fact("parameters/rows"), Some(Fact::Number(100)));
        assert_eq!(fact("parameters/to/a~1b"), Some(Fact::Text("x".into())));
        assert_eq!(fact("parameters/to/~0"), Some(Fact::Text("[1.5,0]".into())));
        assert_eq!(fact("parameters/dry"), Some(Fact::Text("false".into())));
    }

    #[test]
    fn no_details_are_no_intent() {
        assert_eq!(Intent::parse("[]"), Ok(None));
        assert_eq!(Intent::parse(" [\n] "), Ok(None));
    }

    #[test]
    fn rfc_9396_refuses_what_is_unknown_or_out_of_range() {
        let long = format!(r#","parameters":{{"a":"{}"}}"#, "x".repeat(Intent::BYTES_MAX));
        let deep = format!(r#","parameters":{}1{}"#, r#"{"a":"#.repeat(31), "}".repeat(31));
        for (members, reason) in [
            (r#","action":"a","action":"a""#, IntentReason::Malformed),
            (r#","parameters":{"a":1e400}"#, IntentReason::Malformed),
            (r#","parameters":{"a":"\ud800"}"#, IntentReason::Malformed),
            (r#","parameters":{"a":9007199254740993}"#, IntentReason::Malformed),
            (&deep, IntentReason::Malformed),
            (&long, IntentReason::Long),
            (r#","locations":[]"#, IntentReason::Members),
            (r#","parameters":[]"#, IntentReason::Members),
            (r#","parameters":null"#, IntentReason::Members),
            (r#","action":1"#, IntentReason::Members),
            (r#","action":"""#, IntentReason::Value("action")),
            (r#","purpose":"a\nb""#, IntentReason::Value("purpose")),
            (r#","data_classes":[""]"#, IntentReason::Value("data_classes")),
            (r#","destination":"moon""#, IntentReason::Value("destination")),
        ] {
            assert_eq!(intent(members), Err(reason), "{}", members.get(..40).unwrap_or(members));
        }
        for text in ["", "{}", "null", "[1]", "[[]]", r#"[{}]"#, r#"[{"type":1}]"#, r#"["intent"]"#, r#"[{"type":"intent"}]]"#] {
            assert_eq!(Intent::parse(text), Err(IntentReason::Malformed), "{text}");
        }
        assert_eq!(Intent::parse(r#"[{"type":"task"}]"#), Err(IntentReason::Type));
        assert_eq!(Intent::parse(r#"[{"type":"intent"},{"type":"payment"}]"#), Err(IntentReason::Type));
        assert_eq!(Intent::parse(r#"[{"type":"intent"},{"type":"intent"}]"#), Err(IntentReason::Several));
    }
}
