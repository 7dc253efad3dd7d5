//! The folders that the settings name: trust rules, agents, APIs, policies.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::agent_file::AgentFile;
use super::build::Parts;
use super::desk::Desk;
use super::reader::{Located, Reader};
use super::tree::{Table, Value};
use super::trust_file::TrustFile;
use super::{
    Config, DEFAULTS, Diagnostics, PolicyText, Settings, api_file, certificate_login, cross, revocation, tls_file, toml,
};
use crate::catalog::Place;

/// Reads the folders and puts everything together. None when that cannot be; the complaints say why.
pub(super) fn read(desk: &Desk, settings: Settings) -> Option<Config> {
    let mut declared = BTreeSet::new();
    let rules = entries(desk, &settings.files.trust, "name", &mut declared, TrustFile::read);
    let agents = entries(desk, &settings.files.agents, "id", &mut declared, AgentFile::read);
    let apis = entries(desk, &settings.files.apis, "id", &mut declared, api_file::read);
    let policies = policies(desk, &settings.files.policies);
    cross::check(desk, &settings, &declared, &rules, &agents, &apis);
    let identity = tls_file::identity(desk, &settings);
    let client_crl = revocation::read(desk, &settings.tls.client_crl);
    let client_ca =
        settings.tls.client_ca.as_ref().zip(client_crl).and_then(|(file, lists)| certificate_login::roots(desk, file, lists));
    let authority = settings.tls.client_ca.as_ref().zip(client_ca.as_ref());
    let parts = Parts::new(desk, authority, &rules, &agents, &policies);
    let logins: BTreeMap<_, _> = agents.iter().map(|file| (file.agent.entry.id.clone(), file.logins.clone())).collect();
    let agents = agents.into_iter().map(|file| file.agent).collect();
    let catalog = cross::catalog(desk, &declared, &rules, agents, apis)?;
    Some(Config { settings, catalog, rules, logins, policies, warnings: Diagnostics::new(Vec::new()), identity, parts: parts? })
}

/// What `read` makes of each file in `folder`. The name that a file gives its entry at `key` is `declared` even where the rest
/// of it is wrong, so that nobody complains that there is no such thing.
fn entries<T>(
    desk: &Desk,
    folder: &Located<PathBuf>,
    key: &str,
    declared: &mut BTreeSet<String>,
    read: impl Fn(Reader<'_>) -> Option<T>,
) -> Vec<T> {
    let mut entries = Vec::new();
    for path in files(desk, folder, "toml") {
        let file = path.to_string_lossy();
        let place = Place { file: file.clone().into(), line: 1 };
        let Some(text) = desk.text(&path, &place) else { continue };
        let table = toml(desk, &file, &text);
        declared.extend([key, "trust_domain"].into_iter().filter_map(|key| name(&table, key)));
        entries.extend(read(Reader::new(desk, table, place)));
    }
    entries
}

fn name(table: &Table, key: &str) -> Option<String> {
    match &table.get(key)?.value {
        Value::Text(name) => Some(name.clone()),
        _ => None,
    }
}

fn policies(desk: &Desk, folder: &Located<PathBuf>) -> Vec<PolicyText> {
    let mut policies = Vec::new();
    for path in files(desk, folder, "cedar") {
        let file = path.to_string_lossy();
        let text = desk.text(&path, &Place { file: file.clone().into(), line: 1 });
        policies.extend(text.map(|text| PolicyText { file: file.into(), text }));
    }
    policies
}

fn files(desk: &Desk, folder: &Located<PathBuf>, extension: &'static str) -> Vec<PathBuf> {
    let may_be_missing = &*folder.place.file == DEFAULTS.0;
    desk.files(&folder.value, extension, &folder.place, may_be_missing)
}
