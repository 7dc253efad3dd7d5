//! Public keys as written: inline, or in a file beside.

use std::path::PathBuf;

use serde_json::{Map, Number, Value as Json};

use super::Diagnostic;
use super::desk::Desk;
use super::reader::{Located, Reader};
use super::tree::{Node, Table, Value};
use crate::catalog::Place;
use crate::jose::{KeyReason, KeySet, KeyUse};

/// A key set with its text, for what it says beside keys.
pub(super) struct Jwks {
    pub(super) json: String,
    pub(super) set: KeySet,
    pub(super) place: Place,
}

/// The `jwks` or `jwks_file` of `reader`; none when neither is there, or it is wrong.
pub(super) fn take_jwks(reader: &mut Reader<'_>) -> Option<KeySet> {
    take_jwks_text(reader).map(|jwks| jwks.set)
}

/// The same with its text.
pub(super) fn take_jwks_text(reader: &mut Reader<'_>) -> Option<Jwks> {
    let inline = reader.take("jwks");
    let file = reader.take_path("jwks_file");
    let (json, place) = match (inline, file) {
        (Some(node), Some(_)) => {
            reader.desk().complain(Diagnostic::new(node.place, "only one of `jwks` and `jwks_file` can be given"));
            return None;
        }
        (Some(node), None) => self::inline(reader.desk(), node)?,
        (None, Some(path)) => text(reader.desk(), &path)?,
        (None, None) => return None,
    };
    let set = parse(reader.desk(), &json, place.clone(), KeyUse::Signature)?;
    Some(Jwks { json, set, place })
}

fn text(desk: &Desk, path: &Located<PathBuf>) -> Option<(String, Place)> {
    let json = desk.text(&path.value, &path.place)?;
    Some((json, Place { file: path.value.to_string_lossy().into(), line: 1 }))
}

fn inline(desk: &Desk, node: Node) -> Option<(String, Place)> {
    match node.value {
        Value::Text(json) => Some((json, node.place)),
        Value::Table(table) => Some((Json::Object(object(table)).to_string(), node.place)),
        other => {
            let sentence = format!("`jwks` must be a table, or a string of JSON, not {}", other.kind());
            desk.complain(Diagnostic::new(node.place, sentence));
            None
        }
    }
}

fn parse(desk: &Desk, json: &str, place: Place, key_use: KeyUse) -> Option<KeySet> {
    if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(json) {
        let below = u32::try_from(error.line().saturating_sub(1)).unwrap_or(0);
        desk.complain(Diagnostic::new(Place { line: place.line.saturating_add(below), ..place }, "is not JSON"));
        return None;
    }
    match KeySet::parse(json.as_bytes(), key_use) {
        Ok(set) => {
            warn_of_skipped(desk, &set, &place, true);
            Some(set)
        }
        Err(reason) => {
            desk.complain(Diagnostic::new(place, format!("the key set {reason}")));
            None
        }
    }
}

/// Tells what of a key set is left out, and that nothing is left where `alone`. A bundle has keys for other uses by design.
pub(super) fn warn_of_skipped(desk: &Desk, set: &KeySet, place: &Place, alone: bool) {
    let by_design = |reason: &KeyReason| set.key_use() == KeyUse::JwtSvid && *reason == KeyReason::Use;
    for (position, reason) in set.skipped().iter().filter(|(_, reason)| !by_design(reason)) {
        desk.warn(Diagnostic::new(place.clone(), format!("key {} of the set is left out, because it {reason}", position + 1)));
    }
    if set.is_empty() && alone {
        desk.warn(Diagnostic::new(place.clone(), "the key set has no usable key, so nothing is accepted under it"));
    }
}

fn object(table: Table) -> Map<String, Json> {
    table.into_iter().map(|(key, node)| (key, json(node.value))).collect()
}

fn json(value: Value) -> Json {
    match value {
        Value::Text(text) => Json::String(text),
        Value::Integer(number) => Json::Number(number.into()),
        Value::Float(number) => Number::from_f64(number).map_or(Json::Null, Json::Number),
        Value::Boolean(truth) => Json::Bool(truth),
        Value::Date => Json::Null,
        Value::Array(items) => Json::Array(items.into_iter().map(|item| json(item.value)).collect()),
        Value::Table(table) => Json::Object(object(table)),
    }
}
