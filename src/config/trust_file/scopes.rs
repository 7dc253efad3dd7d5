//! `[[map]]`: what the scopes of another authorization server mean here.

use crate::config::reader::{TableReader, all};
use crate::diagnostic::Located;
use crate::oauth::{Resource, Scope};
use crate::trust::{ScopeMap, TrustKind};

/// Every `[[map]]` of a rule; none when anything is wrong in them.
pub(super) fn take(reader: &mut TableReader<'_>, kind: Option<TrustKind>) -> Option<Vec<Located<ScopeMap>>> {
    if kind.is_some_and(|kind| kind != TrustKind::Oauth) {
        reader.refuse("map", "belongs to kind \"oauth\": only access tokens have scopes");
        return Some(Vec::new());
    }
    let (location, written) = (reader.location().clone(), reader.has("map"));
    let maps = all(reader.take_tables("map").into_iter().map(read))?;
    if kind.is_some() && !written {
        let sentence = "[[map]] is missing: a foreign access token may do here exactly what it says, which is nothing";
        reader.error(location, sentence);
        return None;
    }
    Some(maps)
}

fn read(mut reader: TableReader<'_>) -> Option<Located<ScopeMap>> {
    reader.need(&["from", "to"]);
    let from = reader.take_parsed("from", Scope::parse);
    let location = reader.location_of("to");
    let to = reader.take_table("to").and_then(target);
    reader.finish();
    let (Located { value: from, .. }, (api, to)) = (from?, to?);
    Some(Located { value: ScopeMap { from, api, to }, location })
}

fn target(mut reader: TableReader<'_>) -> Option<(Resource, Scope)> {
    reader.need(&["api", "scope"]);
    let api = reader.take_parsed("api", Resource::parse);
    let scope = reader.take_parsed("scope", Scope::parse);
    reader.finish();
    Some((api?.value, scope?.value))
}
