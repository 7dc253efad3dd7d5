//! The folders that the settings name: trust rules, agents, APIs, policies.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::agent_file::AgentFile;
use super::build::{Config, StageInputs};
use super::load::LoadContext;
use super::policy_folder::{files, policies};
use super::reader::TableReader;
use super::settings::Settings;
use super::toml::{Table, TomlValue};
use super::trust_file::TrustFile;
use super::validate::Validation;
use super::{api_file, certificate_file, tls_file};
use crate::diagnostic::{Diagnostics, Located, NameKind, SourceLocation};
use crate::policy::NamesBySort;

/// Reads the folders and puts everything together; `recorded` are the names of before. None when that cannot be; the
/// diagnostics say why.
pub(super) fn read(context: &LoadContext, settings: Settings, recorded: NamesBySort) -> Option<Config> {
    let mut declared = BTreeSet::new();
    let rule_names = [("name", NameKind::TrustRule), ("trust_domain", NameKind::TrustDomain)];
    let rules = entries(context, &settings.files.trust, &rule_names, &mut declared, TrustFile::read);
    let agents = entries(context, &settings.files.agents, &[("id", NameKind::Agent)], &mut declared, AgentFile::read);
    let apis = entries(context, &settings.files.apis, &[("id", NameKind::Api)], &mut declared, api_file::read);
    let policies = policies(context, &settings.files.policies);
    let everything =
        Validation { context, settings: &settings, rules: &rules, agents: &agents, apis: &apis, declared: &declared };
    let catalog = everything.run();
    let identity = tls_file::identity(context, &settings.tls);
    let client_crl = certificate_file::lists(context, &settings.tls.client_crl);
    let client_ca =
        settings.tls.client_ca.as_ref().zip(client_crl).and_then(|(file, lists)| certificate_file::roots(context, file, lists));
    let authority = settings.tls.client_ca.as_ref().zip(client_ca.as_ref());
    let inputs = StageInputs::new(context, authority, &rules, &agents, &policies);
    let logins: BTreeMap<_, _> = agents.into_iter().map(|file| (file.agent.entry.id, file.logins)).collect();
    let (catalog, inputs) = (catalog?, inputs?);
    inputs.compare_policies(context, &settings, &catalog, recorded);
    Some(Config { settings, catalog, rules, logins, policies, warnings: Diagnostics::default(), identity, inputs })
}

/// The entries of the files in `folder`. The names that a file gives its entry at `keys` are `declared` even if the rest of it
/// is wrong, so that they are not reported as absent as well.
fn entries<T>(
    context: &LoadContext,
    folder: &Located<PathBuf>,
    keys: &[(&str, NameKind)],
    declared: &mut BTreeSet<(NameKind, String)>,
    read: impl Fn(TableReader<'_>) -> Option<T>,
) -> Vec<T> {
    let mut entries = Vec::new();
    for path in files(context, folder, "toml") {
        let file = path.to_string_lossy();
        let location = SourceLocation::line(file.as_ref(), 1);
        let Some(text) = context.text(&path, &location) else { continue };
        let table = context.toml(&file, &text);
        declared.extend(keys.iter().filter_map(|(key, kind)| Some((*kind, name(&table, key)?))));
        entries.extend(read(TableReader::new(context, table, location)));
    }
    entries
}

fn name(table: &Table, key: &str) -> Option<String> {
    match &table.get(key)?.value {
        TomlValue::Text(name) => Some(name.clone()),
        _ => None,
    }
}
