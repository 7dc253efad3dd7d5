//! Configuration as written: values that know their location. One shape for files, environment and merged layers.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::diagnostic::{Diagnostic, Located, SourceText};

/// A value of a file and its location.
pub(super) type Node = Located<TomlValue>;

/// Keys in alphabetical order, each with its value. The location of a value is that of its key.
pub(super) type Table = BTreeMap<String, Node>;

/// A value of a file.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum TomlValue {
    Text(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    Date,
    Array(Vec<Node>),
    Table(Table),
}

impl TomlValue {
    /// Its type, for sentences.
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

/// The legible part of a TOML text, and a mistake for each thing that is not.
pub(super) fn parse(source: &SourceText<'_>) -> (Table, Vec<Diagnostic>) {
    let (parsed, errors) = DeTable::parse_recoverable(source.text);
    let told = |error: &toml::de::Error| {
        let location = source.location(error.span().map_or(0, |span| span.start));
        Diagnostic::new(location, format!("is not TOML: {}", error.message().replace('\n', ", ")))
    };
    (table(source, parsed.get_ref()), errors.iter().map(told).collect())
}

/// The parser bounds how deep tables and arrays nest, and so does this.
fn table(source: &SourceText<'_>, table: &DeTable<'_>) -> Table {
    table.iter().map(|(key, value)| (key.get_ref().to_string(), node(source, key, value))).collect()
}

fn node<K>(source: &SourceText<'_>, key: &Spanned<K>, value: &Spanned<DeValue<'_>>) -> Node {
    Located { value: self::value(source, value.get_ref()), location: source.location(key.span().start) }
}

fn value(source: &SourceText<'_>, value: &DeValue<'_>) -> TomlValue {
    match value {
        DeValue::String(text) => TomlValue::Text(text.to_string()),
        DeValue::Integer(number) => integer(number.as_str(), number.radix()),
        DeValue::Float(number) => TomlValue::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(truth) => TomlValue::Boolean(*truth),
        DeValue::Datetime(_) => TomlValue::Date,
        DeValue::Array(items) => TomlValue::Array(items.iter().map(|item| node(source, item, item)).collect()),
        DeValue::Table(inner) => TomlValue::Table(table(source, inner)),
    }
}

/// An integer too large for 64 bits is as wrong as a fraction wherever an integer is wanted.
fn integer(digits: &str, radix: u32) -> TomlValue {
    i64::from_str_radix(digits, radix).map_or(TomlValue::Float(f64::NAN), TomlValue::Integer)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests fail by panicking")]
    use super::*;

    fn parse(text: &str) -> (Table, Vec<Diagnostic>) {
        super::parse(&SourceText::new("x.toml", text))
    }

    #[test]
    fn every_value_knows_its_line() {
        let text = "a = 1_000\n\n[b]\nc = [\n  'x',\n  { d = true },\n]\n[[e]]\nf = 0x1F\n[[e]]\nf = 99999999999999999999\n";
        let (table, errors) = parse(text);
        assert!(errors.is_empty());
        assert_eq!((table["a"].location.line, &table["a"].value), (1, &TomlValue::Integer(1000)));
        let TomlValue::Table(b) = &table["b"].value else { panic!() };
        let TomlValue::Array(c) = &b["c"].value else { panic!() };
        assert_eq!((b["c"].location.line, c[0].location.line, c[1].location.line), (4, 5, 6));
        let TomlValue::Array(e) = &table["e"].value else { panic!() };
        let TomlValue::Table(first) = &e[0].value else { panic!() };
        let TomlValue::Table(second) = &e[1].value else { panic!() };
        assert_eq!((first["f"].location.line, &first["f"].value), (9, &TomlValue::Integer(31)));
        assert_eq!(second["f"].value.kind(), "a fraction");
    }

    #[test]
    fn what_is_not_toml_is_told_with_its_line_and_the_rest_is_kept() {
        let (table, errors) = parse("a = 1\nb = \nc = 3\na = 2\n");
        assert!(errors.iter().any(|error| error.location.line == 2), "{errors:?}");
        assert!(errors.iter().any(|error| error.location.line == 4), "{errors:?}");
        assert_eq!(table["c"].value, TomlValue::Integer(3));
    }

    #[test]
    fn deep_nesting_is_refused_not_followed() {
        for text in [format!("a = {}", "[".repeat(100_000)), format!("{}x = 1", "a.".repeat(100_000)), "a={b=".repeat(50_000)] {
            assert!(!parse(&text).1.is_empty());
        }
    }
}
