//! The layers of the settings: the built-in defaults, files in the order given, the environment. The `config` crate merges
//! them, key by key, the later winning; each value keeps the location that it came from.

use std::collections::BTreeMap;

use ::config::{Config, ConfigError, Environment, Map, Source, Value as Merged, ValueKind};

use super::toml::{Node, Table, TomlValue};
use crate::diagnostic::{Located, SourceLocation};

/// The beginning of our environment variables; `__` parts section from key.
const PREFIX: &str = "COUNTERSIGN";

/// Between file, line and column in the origin of a merged value.
const SEPARATOR: char = '\0';

/// The settings that environment variables make: `COUNTERSIGN__TOKENS__LIFETIME` is `lifetime` of `[tokens]`.
pub(super) fn environment(variables: &BTreeMap<String, String>) -> Result<Table, String> {
    let prefix = format!("{PREFIX}__");
    let legible = |name: &str| name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    let ours = variables.iter().filter(|(name, _)| name.starts_with(&prefix) && legible(name));
    let ours: Map<String, String> = ours.map(|(name, value)| (name.clone(), value.clone())).collect();
    let source = Environment::with_prefix(PREFIX).prefix_separator("__").separator("__").source(Some(ours));
    build(vec![Box::new(source)])
}

/// The layers as one, the later winning.
pub(super) fn merge(layers: &[Table]) -> Result<Table, String> {
    build(layers.iter().map(|layer| Box::new(Layer(layer.clone())) as Box<_>).collect())
}

fn build(sources: Vec<Box<dyn Source + Send + Sync>>) -> Result<Table, String> {
    let config = Config::builder().add_source(sources).build().map_err(|error| error.to_string())?;
    match config.cache.kind {
        ValueKind::Table(table) => Ok(written_table(table, PREFIX)),
        _ => Ok(Table::new()),
    }
}

#[derive(Clone, Debug)]
struct Layer(Table);

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    /// The crate reads the names of sections as paths such as `a.b[3]`; a name that is not a plain word is not handed to it.
    fn collect(&self) -> Result<Map<String, Merged>, ConfigError> {
        let plain = |key: &str| key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        Ok(self.0.iter().filter(|(key, _)| plain(key)).map(|(key, node)| (key.clone(), merged(node))).collect())
    }
}

fn merged(node: &Node) -> Merged {
    let SourceLocation { file, line, column } = &node.location;
    let origin = format!("{file}{SEPARATOR}{line}{SEPARATOR}{column}");
    let kind = match &node.value {
        TomlValue::Text(text) => ValueKind::String(text.clone()),
        TomlValue::Integer(number) => ValueKind::I64(*number),
        TomlValue::Float(number) => ValueKind::Float(*number),
        TomlValue::Boolean(truth) => ValueKind::Boolean(*truth),
        TomlValue::Date => ValueKind::Nil,
        TomlValue::Array(items) => ValueKind::Array(items.iter().map(merged).collect()),
        TomlValue::Table(table) => ValueKind::Table(table.iter().map(|(key, node)| (key.clone(), merged(node))).collect()),
    };
    Merged::new(Some(&origin), kind)
}

/// `path` is the name of the environment variable that would hold the table.
fn written_table(table: Map<String, Merged>, path: &str) -> Table {
    let entry = |(key, value): (String, Merged)| {
        let node = written(value, &format!("{path}__{}", key.to_uppercase()))?;
        Some((key, node))
    };
    table.into_iter().filter_map(entry).collect()
}

fn written(value: Merged, path: &str) -> Option<Node> {
    let location = value.origin().and_then(location).unwrap_or_else(|| SourceLocation::file(path));
    let value = match value.kind {
        ValueKind::Nil => return None,
        ValueKind::Boolean(truth) => TomlValue::Boolean(truth),
        ValueKind::I64(number) => TomlValue::Integer(number),
        ValueKind::I128(_) | ValueKind::U64(_) | ValueKind::U128(_) => TomlValue::Float(f64::NAN),
        ValueKind::Float(number) => TomlValue::Float(number),
        ValueKind::String(text) => TomlValue::Text(text),
        ValueKind::Table(table) => TomlValue::Table(written_table(table, path)),
        ValueKind::Array(items) => TomlValue::Array(items.into_iter().filter_map(|item| written(item, path)).collect()),
    };
    Some(Located { value, location })
}

fn location(origin: &str) -> Option<SourceLocation> {
    let mut parts = origin.split(SEPARATOR);
    let file = parts.next()?.into();
    let mut number = || parts.next()?.parse().ok();
    Some(SourceLocation { file, line: number()?, column: number()? })
}
