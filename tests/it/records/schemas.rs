//! The JSON Schema of each kind of record: what a server writes is valid by it, it says what `docs/records.md` says, and refuses
//! what the reader of records refuses.

use std::collections::BTreeSet;
use std::process::Command;

use countersign::ledger::Record;
use countersign::ledger::record::Kind;
use serde_json::{Value, json};

use super::SCHEMA;
use crate::support::schema::complaints;

/// The schema of a kind, as the command prints it.
fn printed(kind: &str) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_countersign")).args(["ledger", "schema", kind]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Every record is valid by the schema of its kind.
pub fn valid(records: &[Value]) {
    for record in records {
        let schema = Kind::parse(record["kind"].as_str().unwrap()).unwrap().json_schema();
        let complaints = complaints(&serde_json::from_str(schema).unwrap(), record);
        assert!(complaints.is_empty(), "{complaints:#?}\n{record}");
    }
}

/// The examples of the document.
fn examples() -> Vec<Value> {
    SCHEMA.lines().filter(|line| line.starts_with('{')).map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_examples_of_every_kind_are_valid_and_nothing_that_no_reader_takes_is() {
    let examples = examples();
    valid(&examples);
    let kinds: BTreeSet<String> = examples.iter().map(|example| example["kind"].as_str().unwrap().to_owned()).collect();
    assert_eq!(kinds, Kind::ALL.into_iter().map(|kind| kind.name().to_owned()).collect());
    let (mut refused, mut narrower) = (0, Vec::new());
    for example in &examples {
        let schema = printed(example["kind"].as_str().unwrap());
        for changed in changed(example) {
            let bytes = serde_jcs::to_vec(&changed).unwrap();
            let (read, valid) = (Record::parse(&bytes).is_ok(), complaints(&schema, &changed).is_empty());
            // A schema cannot say all that a reader asks. Only of who took a configuration up does it ask more.
            if !valid && read && (example["kind"] != "configuration" || changed["by"] == example["by"]) {
                narrower.push(changed.to_string());
            }
            refused += usize::from(!valid);
        }
        let mut stranger = example.clone();
        stranger["stranger"] = json!(1);
        assert_eq!(complaints(&schema, &stranger).len(), 1, "{stranger}");
        for name in schema["required"].as_array().unwrap() {
            let mut without = example.clone();
            without.as_object_mut().unwrap().remove(name.as_str().unwrap());
            assert!(!complaints(&schema, &without).is_empty(), "{name}: {without}");
            assert!(Record::parse(&serde_jcs::to_vec(&without).unwrap()).is_err(), "{name} is not required: {without}");
        }
    }
    assert!(narrower.is_empty(), "the schemas refuse what is read: {narrower:#?}");
    assert!(refused > 200, "{refused}");
}

/// A record with one member, at any depth, replaced by values of every type, or left out.
fn changed(example: &Value) -> Vec<Value> {
    let mut places = Vec::new();
    pointers(example, String::new(), &mut places);
    let mut all = Vec::new();
    for place in places {
        for other in
            [json!(-1), json!(0), json!(1), json!(""), json!("x y"), json!([]), json!({}), json!(null), json!(true), json!([1])]
        {
            let mut changed = example.clone();
            *changed.pointer_mut(&place).unwrap() = other;
            all.push(changed);
        }
        let (parent, name) = place.rsplit_once('/').unwrap();
        let mut without = example.clone();
        if let Some(members) = without.pointer_mut(parent).and_then(Value::as_object_mut) {
            members.remove(name);
            all.push(without);
        }
    }
    all
}

fn pointers(value: &Value, at: String, found: &mut Vec<String>) {
    let below: Vec<(String, &Value)> = match value {
        Value::Object(members) => members.iter().map(|(name, value)| (format!("{at}/{name}"), value)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(number, value)| (format!("{at}/{number}"), value)).collect(),
        _ => Vec::new(),
    };
    for (place, value) in below {
        found.push(place.clone());
        pointers(value, place, found);
    }
}

#[test]
fn a_schema_names_the_members_that_the_document_names() {
    for (kind, documented) in super::documented().top {
        let schema = printed(&kind);
        let named: BTreeSet<String> = schema["properties"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(named, documented, "{kind}");
    }
    let unknown = Command::new(env!("CARGO_BIN_EXE_countersign")).args(["ledger", "schema", "hopp"]).output().unwrap();
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("did you mean hop?"), "{unknown:?}");
}
