//! `[subject]`, how a token's claims name the party that it is about, and `[[map]]`, the meaning of the scopes of another
//! authorization server here.

use std::collections::BTreeMap;

use crate::config::matcher_file::claim;
use crate::config::reader::{TableReader, all, short};
use crate::config::toml::TomlValue;
use crate::oauth::{Resource, Scope};
use crate::trust::{SET, ScopeMap, SubjectKind, SubjectMapping, Template, TrustKind};

/// The subject of a rule of that kind. A platform's are workloads, by what it never gives to somebody else.
pub(super) fn take_subject(rule: &mut TableReader<'_>, kind: Option<TrustKind>) -> Option<SubjectMapping> {
    let platform = kind.is_some_and(TrustKind::is_platform);
    let default_id = kind.unwrap_or(TrustKind::Oidc).default_id();
    if platform && !rule.has("subject") {
        return SubjectMapping::workload(default_id).ok();
    }
    subject(rule.take_table("subject")?, platform, default_id)
}

fn subject(mut reader: TableReader<'_>, platform: bool, default_id: &str) -> Option<SubjectMapping> {
    let kind = if platform && !reader.has("kind") {
        Some(SubjectKind::Workload)
    } else {
        reader.need(&["kind"]);
        let kinds = [("user", SubjectKind::User), ("workload", SubjectKind::Workload)];
        reader.take_choice("kind", &kinds).map(|kind| kind.value)
    };
    let id = match reader.has("id") {
        true => reader.take_parsed("id", Template::parse).map(|id| id.value),
        false => Template::parse(default_id).ok(),
    };
    let instance = reader.take_parsed("instance", Template::parse);
    let attributes = reader.take_table("attributes").map(attributes).unwrap_or_default();
    if let (Some(instance), Some(SubjectKind::User)) = (&instance, kind) {
        let sentence = "`instance` is for workloads; a person has none";
        reader.error(instance.location.clone(), sentence);
    }
    reader.finish();
    Some(SubjectMapping { kind: kind?, id: id?, instance: instance.map(|found| found.value), attributes })
}

fn attributes(mut reader: TableReader<'_>) -> BTreeMap<String, String> {
    let mut attributes = BTreeMap::new();
    for (name, node) in reader.take_rest() {
        let TomlValue::Text(text) = &node.value else {
            let sentence = format!("attribute `{}` must name a claim, not {}", short(&name), node.value.kind());
            reader.error(node.location, sentence);
            continue;
        };
        let twin = name.strip_suffix(SET).map_or_else(|| format!("{name}{SET}"), str::to_owned);
        if twin.is_empty() || attributes.contains_key(&twin) {
            let sentence = format!("attribute `{}` must have a name, and be a set (`name[]`) or a text, not both", short(&name));
            reader.error(node.location, sentence);
            continue;
        }
        match claim(text) {
            Ok(claim) => drop(attributes.insert(name, claim)),
            Err(reason) => {
                let sentence = format!("the claim of attribute `{}` {reason}", short(&name));
                reader.error(node.location, sentence);
            }
        }
    }
    attributes
}

/// Every `[[map]]` of a rule; none when anything is wrong in them.
pub(super) fn take_scopes(reader: &mut TableReader<'_>, kind: Option<TrustKind>) -> Option<Vec<ScopeMap>> {
    if kind.is_some_and(|kind| kind != TrustKind::Oauth) {
        reader.refuse("map", "belongs to kind \"oauth\": only access tokens have scopes");
        return Some(Vec::new());
    }
    let (location, written) = (reader.location().clone(), reader.has("map"));
    let maps = all(reader.take_tables("map").into_iter().map(scope))?;
    if kind.is_some() && !written {
        let sentence = "[[map]] is missing: a foreign access token may do here exactly what it says, which is nothing";
        reader.error(location, sentence);
        return None;
    }
    Some(maps)
}

fn scope(mut reader: TableReader<'_>) -> Option<ScopeMap> {
    reader.need(&["from", "to"]);
    let from = reader.take_parsed("from", Scope::parse);
    let to = reader.take_table("to").and_then(target);
    reader.finish();
    let (api, to) = to?;
    Some(ScopeMap { from: from?.value, api, to })
}

fn target(mut reader: TableReader<'_>) -> Option<(Resource, Scope)> {
    reader.need(&["api", "scope"]);
    let api = reader.take_parsed("api", Resource::parse);
    let scope = reader.take_parsed("scope", Scope::parse);
    reader.finish();
    Some((api?.value, scope?.value))
}
