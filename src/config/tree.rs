//! Configuration as written: values that know their line. One shape for files, environment and merged layers.

use std::collections::BTreeMap;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Diagnostic;
use crate::catalog::Place;

/// A value and where it is written.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

/// A value of a file.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Text(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    Date,
    Array(Vec<Node>),
    Table(Table),
}

/// Keys in alphabetical order, each with its value. The place of a value is that of its key.
pub(super) type Table = BTreeMap<String, Node>;

impl Value {
    /// What it is, for sentences.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::Float(_) => "a fraction",
            Self::Boolean(_) => "a boolean",
            Self::Date => "a date",
            Self::Array(_) => "an array",
            Self::Table(_) => "a table",
        }
    }
}

/// Reads the TOML file `file`. What is legible is returned, with a complaint for each thing that is not.
pub(super) fn parse(file: &Arc<str>, text: &str) -> (Table, Vec<Diagnostic>) {
    let lines = Lines::new(file, text);
    let (table, errors) = DeTable::parse_recoverable(text);
    let complain = |error: &toml::de::Error| {
        let place = lines.place(error.span().map_or(0, |span| span.start));
        Diagnostic::new(place, format!("is not TOML: {}", one_line(error.message())))
    };
    (lines.table(table.get_ref()), errors.iter().map(complain).collect())
}

fn one_line(message: &str) -> String {
    message.split('\n').collect::<Vec<_>>().join(", ")
}

/// Where each line of a file begins.
struct Lines<'a> {
    file: &'a Arc<str>,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn new(file: &'a Arc<str>, text: &str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self { file, starts: std::iter::once(0).chain(ends.map(|(end, _)| end + 1)).collect() }
    }

    fn place(&self, offset: usize) -> Place {
        let line = self.starts.partition_point(|start| *start <= offset);
        Place { file: self.file.clone(), line: u32::try_from(line).unwrap_or(u32::MAX) }
    }

    /// The parser bounds how deep tables and arrays nest, and so does this.
    fn table(&self, table: &DeTable<'_>) -> Table {
        table.iter().map(|(key, value)| (key.get_ref().to_string(), self.entry(key, value))).collect()
    }

    fn entry<K>(&self, key: &Spanned<K>, value: &Spanned<DeValue<'_>>) -> Node {
        Node { place: self.place(key.span().start), value: self.value(value.get_ref()) }
    }

    fn value(&self, value: &DeValue<'_>) -> Value {
        match value {
            DeValue::String(text) => Value::Text(text.to_string()),
            DeValue::Integer(number) => integer(number.as_str(), number.radix()),
            DeValue::Float(number) => Value::Float(number.as_str().parse().unwrap_or(f64::NAN)),
            DeValue::Boolean(truth) => Value::Boolean(*truth),
            DeValue::Datetime(_) => Value::Date,
            DeValue::Array(items) => Value::Array(items.iter().map(|item| self.entry(item, item)).collect()),
            DeValue::Table(table) => Value::Table(self.table(table)),
        }
    }
}

/// An integer too large for 64 bits is as wrong as a fraction wherever an integer is wanted.
fn integer(digits: &str, radix: u32) -> Value {
    i64::from_str_radix(digits, radix).map_or(Value::Float(f64::NAN), Value::Integer)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests fail by panicking")]
    use super::*;

    #[test]
    fn every_value_knows_its_line() {
        let text = "a = 1_000\n\n[b]\nc = [\n  'x',\n  { d = true },\n]\n[[e]]\nf = 0x1F\n[[e]]\nf = 99999999999999999999\n";
        let (table, complaints) = parse(&"x.toml".into(), text);
        assert!(complaints.is_empty());
        assert_eq!((table["a"].place.line, &table["a"].value), (1, &Value::Integer(1000)));
        let Value::Table(b) = &table["b"].value else { panic!() };
        let Value::Array(c) = &b["c"].value else { panic!() };
        assert_eq!((b["c"].place.line, c[0].place.line, c[1].place.line), (4, 5, 6));
        let Value::Array(e) = &table["e"].value else { panic!() };
        let Value::Table(first) = &e[0].value else { panic!() };
        let Value::Table(second) = &e[1].value else { panic!() };
        assert_eq!((first["f"].place.line, &first["f"].value), (9, &Value::Integer(31)));
        assert_eq!(second["f"].value.kind(), "a fraction");
    }

    #[test]
    fn what_is_not_toml_is_told_with_its_line_and_the_rest_is_kept() {
        let (table, complaints) = parse(&"x.toml".into(), "a = 1\nb = \nc = 3\na = 2\n");
        assert!(complaints.iter().any(|complaint| complaint.place.line == 2), "{complaints:?}");
        assert!(complaints.iter().any(|complaint| complaint.place.line == 4), "{complaints:?}");
        assert_eq!(table["c"].value, Value::Integer(3));
    }

    #[test]
    fn deep_nesting_is_refused_not_followed() {
        for text in [format!("a = {}", "[".repeat(100_000)), format!("{}x = 1", "a.".repeat(100_000)), "a={b=".repeat(50_000)] {
            assert!(!parse(&"x.toml".into(), &text).1.is_empty());
        }
    }
}
