//! An API as written.

use std::collections::BTreeMap;
use std::time::Duration;

use super::fields::{line, take_entries};
use super::reader::{TableReader, short, value};
use super::toml::{Node, TomlValue};
use crate::catalog::{
    Api, AuthorizationServer, ChainShown, ConstraintRequirement, Derive, Destination, ScopeEffect, ScopeInfo, StatusBits,
    StatusList,
};
use crate::diagnostic::{Declared, FieldLocations, Located};
use crate::jose::Algorithm;
use crate::oauth::{Audience, ClientId, Issuer, Resource, Scope};

/// Reads the API. None when anything needed is missing or wrong; the diagnostics say what.
pub(super) fn read(mut reader: TableReader<'_>) -> Option<Declared<Api>> {
    reader.need(&["id", "destination", "scopes"]);
    let mut locations = reader.locations();
    let id = reader.take_parsed("id", Resource::parse);
    let names = noted(&mut locations, "names", reader.take_each("names", Audience::parse), |position, _| position.to_string());
    let agent = reader.take_parsed("agent", ClientId::parse);
    let destination = reader.take_choice("destination", &Destination::NAMES);
    let default_scopes = reader.take_each("default_scopes", Scope::parse);
    let default_scopes = noted(&mut locations, "default_scopes", default_scopes, |_, scope| scope.to_string());
    let lifetime = reader.take_duration("lifetime", Duration::from_secs(1)..=Duration::from_hours(24));
    let signing_alg = reader.take_choice("signing_alg", &Api::SIGNING_ALGS);
    let typ = reader.take_choice("typ", &Api::TYPS.map(|typ| (typ, typ)));
    let chain = reader.take_choice("chain", &ChainShown::NAMES);
    let sender_constraint = reader.take_choice("sender_constraint", &ConstraintRequirement::NAMES);
    let group = reader.take_parsed("group", line);
    let scopes = reader.take_table("scopes").map(scopes);
    let derive = take_entries(&mut reader, &mut locations, "derive", derive);
    let status_list = take_status_list(&mut reader);
    let written = reader.has("authorization_server");
    let server = reader.take_table("authorization_server").and_then(|table| authorization_server(table, &mut locations));
    reader.finish();
    let entry = Api {
        id: id?.value,
        names,
        agent: value(agent),
        destination: destination?.value,
        default_scopes: default_scopes.into_iter().collect(),
        lifetime: value(lifetime),
        signing_alg: value(signing_alg).unwrap_or(Algorithm::ES256),
        typ: value(typ).unwrap_or("at+jwt").to_owned(),
        chain: value(chain).unwrap_or(ChainShown::Full),
        sender_constraint: value(sender_constraint).unwrap_or(ConstraintRequirement::Optional),
        group: value(group),
        scopes: scopes?,
        derive,
        status_list,
        // A server that was meant and could not be read must not make this an API of ours.
        authorization_server: if written { Some(server?) } else { None },
    };
    Some(Declared { entry, locations })
}

/// The accepted entries of an array, the location of each noted under the `name` of its position and value.
fn noted<T>(
    locations: &mut FieldLocations,
    key: &str,
    found: Option<Vec<Option<Located<T>>>>,
    name: impl Fn(usize, &T) -> String,
) -> Vec<T> {
    let mut kept = Vec::new();
    for Located { value, location } in found.unwrap_or_default().into_iter().flatten() {
        locations.note(format!("{key}/{}", name(kept.len(), &value)), location);
        kept.push(value);
    }
    kept
}

/// `true` stands for the table with nothing in it.
fn take_status_list(reader: &mut TableReader<'_>) -> Option<StatusList> {
    let node = reader.take("status_list")?;
    if let Node { value: TomlValue::Boolean(asked), .. } = node {
        return asked.then_some(StatusList::DEFAULT);
    }
    let mut table = reader.sub_table("status_list", node)?;
    let bits = table.take_integer("bits", 1..=2).map(|found| if found.value == 1 { StatusBits::One } else { StatusBits::Two });
    let ttl = table.take_duration("ttl", Duration::from_secs(1)..=Duration::from_hours(1));
    table.finish();
    let StatusList { bits: usual_bits, ttl: usual_ttl } = StatusList::DEFAULT;
    Some(StatusList { bits: bits.unwrap_or(usual_bits), ttl: value(ttl).unwrap_or(usual_ttl) })
}

/// Another authorization server, with the agents that are its clients.
fn authorization_server(mut reader: TableReader<'_>, locations: &mut FieldLocations) -> Option<AuthorizationServer> {
    reader.need(&["issuer", "clients"]);
    locations.note("authorization_server/issuer".to_owned(), reader.location_of("issuer"));
    let issuer = reader.take_parsed("issuer", Issuer::parse);
    let clients = reader.take_table("clients").and_then(|table| clients(table, locations));
    reader.finish();
    Some(AuthorizationServer { issuer: issuer?.value, clients: clients? })
}

/// Agents with the ids that they have as clients elsewhere.
fn clients(mut reader: TableReader<'_>, locations: &mut FieldLocations) -> Option<BTreeMap<ClientId, String>> {
    let mut clients = BTreeMap::new();
    for (name, Node { value, location }) in reader.take_rest() {
        let (agent, there) = match (ClientId::parse(&name), value) {
            (Ok(agent), TomlValue::Text(there)) if line(&there).is_ok() => (agent, there),
            _ => {
                let sentence = "`clients` must name agents, each with its client_id at that server: AGENT = \"CLIENT_ID\"";
                reader.error(location, sentence);
                return None;
            }
        };
        locations.note(format!("authorization_server/clients/{agent}"), location);
        clients.insert(agent, there);
    }
    Some(clients)
}

fn scopes(mut reader: TableReader<'_>) -> BTreeMap<Scope, ScopeInfo> {
    let entries = reader.take_rest();
    let mut scopes = BTreeMap::new();
    for (name, node) in entries {
        let scope = Scope::parse(&name);
        if scope.is_err() {
            let sentence =
                format!("scope \"{}\" must be one scope token: visible ASCII characters without '\"' and '\\'", short(&name));
            reader.error(node.location.clone(), sentence);
        }
        let info = reader.sub_table(&name, node).map(scope_info).unwrap_or_else(unknown_info);
        scope.ok().and_then(|scope| scopes.insert(scope, info));
    }
    scopes
}

fn scope_info(mut reader: TableReader<'_>) -> ScopeInfo {
    reader.need(&["effect"]);
    let data = reader.take_each("data", line).unwrap_or_default().into_iter().flatten().map(|found| found.value).collect();
    let effect = reader.take_choice("effect", &ScopeEffect::NAMES);
    reader.finish();
    effect.map_or_else(unknown_info, |effect| ScopeInfo { data, effect: effect.value })
}

/// Stands for a scope that has a mistake, so that it is not reported as absent as well.
fn unknown_info() -> ScopeInfo {
    ScopeInfo { data: Vec::new(), effect: ScopeEffect::Irreversible }
}

fn derive(mut reader: TableReader<'_>) -> Option<Derive> {
    reader.need(&["from", "to"]);
    let from = reader.take_table("from").and_then(|mut from| {
        from.need(&["api", "scope"]);
        let api = from.take_parsed("api", Resource::parse);
        let scope = from.take_parsed("scope", Scope::parse);
        from.finish();
        Some((api?.value, scope?.value))
    });
    let to = reader.take_parsed("to", Scope::parse);
    reader.finish();
    let (from_api, from_scope) = from?;
    Some(Derive { from_api, from_scope, to: to?.value })
}
