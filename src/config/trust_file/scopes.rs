//! `[[map]]`: what the scopes of another authorization server mean here.

use crate::catalog::Place;
use crate::config::Diagnostic;
use crate::config::reader::{Located, Reader, all};
use crate::oauth::{Resource, Scope};
use crate::trust::{ScopeMap, TrustKind};

/// One `[[map]]`, checked as far as it can be alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeFile {
    /// What becomes what.
    pub map: ScopeMap,
    /// Where the target is written.
    pub place: Place,
}

/// Every `[[map]]` of a rule; none when anything is wrong in them.
pub(super) fn take(reader: &mut Reader<'_>, kind: Option<TrustKind>) -> Option<Vec<ScopeFile>> {
    if kind.is_some_and(|kind| kind != TrustKind::Oauth) {
        reader.refuse("map", "belongs to kind \"oauth\": only access tokens have scopes");
        return Some(Vec::new());
    }
    let (place, written) = (reader.place().clone(), reader.has("map"));
    let maps = all(reader.take_tables("map").into_iter().map(read))?;
    if kind.is_some() && !written {
        let sentence = "[[map]] is missing: a foreign access token may do here exactly what it says, which is nothing";
        reader.desk().complain(Diagnostic::new(place, sentence));
        return None;
    }
    Some(maps)
}

fn read(mut reader: Reader<'_>) -> Option<ScopeFile> {
    reader.need(&["from", "to"]);
    let from = reader.take_parsed("from", Scope::parse);
    let place = reader.place_of("to");
    let to = reader.take_table("to").and_then(target);
    reader.finish();
    let (Located { value: from, .. }, (api, to)) = (from?, to?);
    Some(ScopeFile { map: ScopeMap { from, api, to }, place })
}

fn target(mut reader: Reader<'_>) -> Option<(Resource, Scope)> {
    reader.need(&["api", "scope"]);
    let api = reader.take_parsed("api", Resource::parse);
    let scope = reader.take_parsed("scope", Scope::parse);
    reader.finish();
    Some((api?.value, scope?.value))
}
