//! Public keys as written: inline, or in a file beside.

use std::path::PathBuf;

use serde::Deserialize;
use serde_json::{Map, Number, Value as Json};

use super::load::LoadContext;
use super::reader::TableReader;
use super::toml::{Node, Table, TomlValue};
use crate::diagnostic::{Located, SourceLocation};
use crate::jose::{KeySet, KeyUse};

/// A key set (RFC 7517 §5) with those members of its keys that tell more than the key.
pub(super) struct Jwks {
    pub(super) set: KeySet,
    pub(super) members: Vec<JwkMembers>,
    pub(super) location: SourceLocation,
}

/// Members of one key: of any type, so that one that is written wrongly hides no other.
#[derive(Default, Deserialize)]
pub(super) struct JwkMembers {
    pub(super) kid: Option<Json>,
    pub(super) exp: Option<Json>,
    pub(super) x5c: Option<Json>,
}

/// The key set of `jwks` or `jwks_file`; none when neither is there, or it is wrong.
pub(super) fn take_jwks(reader: &mut TableReader<'_>) -> Option<Jwks> {
    let inline = reader.take("jwks");
    let file = reader.take_path("jwks_file");
    let (json, location) = match (inline, file) {
        (Some(node), Some(_)) => {
            reader.error(node.location, "only one of `jwks` and `jwks_file` can be given");
            return None;
        }
        (Some(node), None) => self::inline(reader, node)?,
        (None, Some(path)) => text(reader.context(), &path)?,
        (None, None) => return None,
    };
    let set = parse(reader.context(), &json, &location, KeyUse::Signature)?;
    Some(Jwks { set, members: members(&json), location })
}

fn text(context: &LoadContext, path: &Located<PathBuf>) -> Option<(String, SourceLocation)> {
    let json = context.text(&path.value, &path.location)?;
    Some((json, SourceLocation::line(path.value.to_string_lossy(), 1)))
}

fn inline(reader: &TableReader<'_>, node: Node) -> Option<(String, SourceLocation)> {
    match node.value {
        TomlValue::Text(json) => Some((json, node.location)),
        TomlValue::Table(table) => Some((Json::Object(object(table)).to_string(), node.location)),
        other => {
            reader.error(node.location, format!("`jwks` must be a table, or a string of JSON, not {}", other.kind()));
            None
        }
    }
}

fn parse(context: &LoadContext, json: &str, location: &SourceLocation, key_use: KeyUse) -> Option<KeySet> {
    let json = json.trim_start_matches('\u{feff}');
    if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(json) {
        let below = u32::try_from(error.line().saturating_sub(1)).unwrap_or(0);
        context.error(SourceLocation::line(location.file.clone(), location.line.saturating_add(below)), "is not JSON");
        return None;
    }
    match KeySet::parse(json.as_bytes(), key_use) {
        Ok(set) => {
            warn_of_skipped(context, &set, location, true);
            Some(set)
        }
        Err(reason) => {
            context.error(location.clone(), format!("the key set {reason}"));
            None
        }
    }
}

fn members(json: &str) -> Vec<JwkMembers> {
    #[derive(Deserialize)]
    struct JwkSet {
        #[serde(default)]
        keys: Vec<Json>,
    }
    let set: Option<JwkSet> = serde_json::from_str(json.trim_start_matches('\u{feff}')).ok();
    let keys = set.map(|set| set.keys).unwrap_or_default();
    keys.into_iter().map(|key| serde_json::from_value(key).unwrap_or_default()).collect()
}

/// Warns of each key of a set that is left out, and of a set without any where it is needed `alone`. A bundle has keys for other
/// uses by design.
pub(super) fn warn_of_skipped(context: &LoadContext, set: &KeySet, location: &SourceLocation, alone: bool) {
    for key in set.left_out().iter().filter(|key| !key.is_by_design(set.key_use())) {
        context.warn(location.clone(), format!("a key of the set is left out: {key}"));
    }
    if set.is_empty() && alone {
        context.warn(location.clone(), "the key set has no usable key, so nothing is accepted under it");
    }
}

fn object(table: Table) -> Map<String, Json> {
    table.into_iter().map(|(key, node)| (key, json(node.value))).collect()
}

fn json(value: TomlValue) -> Json {
    match value {
        TomlValue::Text(text) => Json::String(text),
        TomlValue::Integer(number) => Json::Number(number.into()),
        TomlValue::Float(number) => Number::from_f64(number).map_or(Json::Null, Json::Number),
        TomlValue::Boolean(truth) => Json::Bool(truth),
        TomlValue::Date => Json::Null,
        TomlValue::Array(items) => Json::Array(items.into_iter().map(|item| json(item.value)).collect()),
        TomlValue::Table(table) => Json::Object(object(table)),
    }
}
