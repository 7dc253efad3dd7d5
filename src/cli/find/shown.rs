//! Records that were found: for people in 80 columns, as JSON on lines, as CSV.

use std::fmt::Write;

use serde_json::Value;

use crate::cli::text::{instant, items, plain};
use crate::ledger::record::Kind;

/// A line for people has no more characters.
const COLUMNS: usize = 80;

/// The columns of CSV.
const NAMES: [&str; 17] = [
    "index", "at", "kind", "outcome", "agent", "actor", "subject", "api", "scope", "error", "error_id", "reason", "policies",
    "task", "txn", "jti", "parent",
];

/// The way in which records are printed.
pub(super) enum RecordShape {
    Words,
    Json,
    Csv,
}

impl RecordShape {
    /// Prints what stands before the first record.
    pub(super) fn begin(&self) {
        if let Self::Csv = self {
            say!("{}\r", NAMES.join(","));
        }
    }

    /// Prints a record that was found.
    pub(super) fn show(&self, found: &Value) {
        match self {
            Self::Words => words(found).iter().for_each(|line| say!("{line}")),
            Self::Json => say!("{found}"),
            Self::Csv => say!("{}\r", row(found)),
        }
    }
}

/// A record in a few lines.
fn words(found: &Value) -> Vec<String> {
    let (index, record) = (field(found, "/index"), found.pointer("/record").cloned().unwrap_or_default());
    let kind = field(&record, "/kind");
    let outcome = outcome(&kind).map(|outcome| format!(", {outcome}")).unwrap_or_default();
    let mut lines = vec![format!("{index}  {}  {kind}{outcome}", at(&record))];
    let mut add = |text: String| lines.extend(folded(&text));
    match kind.as_str() {
        "hop" => add(format!(
            "{} for {} at {}: {}",
            field(&record, "/actor"),
            subject(found),
            field(&record, "/audience"),
            field(&record, "/scope")
        )),
        "task" => add(format!("{} for {}, held by {}", field(&record, "/client"), subject(found), field(&record, "/holder"))),
        "refusal" => {
            add(format!("{} at {}: {}", field(&record, "/agent"), field(&record, "/audience"), field(&record, "/error")));
            add(field(&record, "/reason"));
            add(format!("error_id {}", field(&record, "/error_id")));
        }
        "death" | "suspension" | "resumption" | "retirement" => {
            add(format!("{}, by {}: {}", things(&record), field(&record, "/by"), field(&record, "/reason")));
        }
        _ => {}
    }
    for (name, pointer) in [("policy", "/policies"), ("task", "/task"), ("txn", "/txn"), ("jti", "/jti")] {
        if let Some(value) = record.pointer(pointer) {
            add(format!("{name} {}", plain(value)));
        }
    }
    lines
}

/// The lines of a text, each indented; a word that is longer than a line is cut nowhere.
fn folded(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= COLUMNS => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) => lines.push(format!("      {word}")),
            None => lines.push(format!("    {word}")),
        }
    }
    lines
}

/// A record as a line of CSV. What a table program would take for a formula begins with an apostrophe.
fn row(found: &Value) -> String {
    let record = found.pointer("/record").cloned().unwrap_or_default();
    let kind = field(&record, "/kind");
    let first = |pointers: &[&str]| pointers.iter().find_map(|pointer| record.pointer(pointer)).map(plain).unwrap_or_default();
    let values = [
        field(found, "/index"),
        at(&record),
        kind.clone(),
        outcome(&kind).unwrap_or_default().to_owned(),
        first(&["/client", "/agent", "/by"]),
        first(&["/actor", "/holder"]),
        found.pointer("/disclosed/subject").or(record.pointer("/subject")).map(plain).unwrap_or_default(),
        first(&["/audience"]),
        first(&["/scope", "/requested"]),
        first(&["/error"]),
        first(&["/error_id"]),
        first(&["/reason"]),
        first(&["/policies"]),
        first(&["/task"]),
        first(&["/txn"]),
        first(&["/jti"]),
        first(&["/parent"]),
    ];
    let mut line = String::new();
    for (number, value) in values.iter().enumerate() {
        let comma = if number > 0 { "," } else { "" };
        let formula = if value.starts_with(['=', '+', '-', '@', '\t']) { "'" } else { "" };
        let _never_fails = match value.contains([',', '"', '\n', '\r', '\'']) || !formula.is_empty() {
            true => write!(line, "{comma}\"{formula}{}\"", value.replace('"', "\"\"")),
            false => write!(line, "{comma}{value}"),
        };
    }
    line
}

fn outcome(kind: &str) -> Option<&'static str> {
    Kind::parse(kind)?.outcome()
}

fn subject(found: &Value) -> String {
    let shown = found.pointer("/disclosed/subject").or(found.pointer("/record/subject"));
    shown.map_or_else(|| "a person (sealed; --disclose)".to_owned(), plain)
}

fn things(record: &Value) -> String {
    let all = items(record, "/ends").iter().chain(items(record, "/things"));
    let named = all.map(|thing| match thing.pointer("/name") {
        Some(name) => format!("{} {}", field(thing, "/of"), plain(name)),
        None => format!("a {}", field(thing, "/of")),
    });
    named.collect::<Vec<_>>().join(", ")
}

fn at(record: &Value) -> String {
    let millis = record.pointer("/at").and_then(Value::as_i64);
    millis.map_or_else(|| "-".to_owned(), |millis| instant(millis.div_euclid(1000)))
}

fn field(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).map_or_else(|| "-".to_owned(), plain)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(error_id: &str) -> Value {
        json!({"index": 1_234_567, "record": {"kind": "refusal", "at": 1_700_000_000_000_i64, "agent": "researcher",
            "audience": ["https://crm.example"], "error": "invalid_scope", "error_id": error_id, "txn": "x".repeat(36),
            "reason": "scope asks for too much, and \"contacts.export\" may not be given; ask for less, or narrow it"}})
    }

    #[test]
    fn people_read_eighty_columns() {
        let lines = words(&refusal("f3a1"));
        assert!(lines.iter().all(|line| line.chars().count() <= COLUMNS), "{lines:#?}");
        assert_eq!(lines.first().map(String::as_str), Some("1234567  2023-11-14T22:13:20Z  refusal, refused"));
        assert!(lines.iter().any(|line| line.contains("error_id f3a1")));
    }

    #[test]
    fn a_row_has_every_column_quoted_where_it_must_be_and_no_formula() {
        let line = row(&refusal("f3a1"));
        assert!(line.contains("\"scope asks for too much, and \"\"contacts.export\"\" may"), "{line}");
        let found = refusal("=1+1");
        assert!(row(&found).contains(",\"'=1+1\","), "{}", row(&found));
        let plain = json!({"index": 1, "record": {"kind": "state", "at": 0}});
        assert_eq!(row(&plain).split(',').count(), NAMES.len());
    }
}
