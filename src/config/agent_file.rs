//! An agent as written.

use super::fields::{line, take_entries};
use super::login_file::LoginFile;
use super::reader::TableReader;
use crate::catalog::{Agent, AgentKind, BoundTokens, Status};
use crate::diagnostic::Declared;
use crate::oauth::{ClientId, RuleName};

/// An agent and its ways to log in.
#[derive(Clone, Debug)]
pub(super) struct AgentFile {
    /// The agent, with the locations of its fields.
    pub(super) agent: Declared<Agent>,
    /// Its logins, in the order of the file.
    pub(super) logins: Vec<LoginFile>,
}

impl AgentFile {
    /// Reads the agent. None when anything needed is missing or wrong; the diagnostics say what.
    pub(super) fn read(mut reader: TableReader<'_>) -> Option<Self> {
        reader.need(&["id", "owner", "team", "kind"]);
        let mut locations = reader.locations();
        let id = reader.take_parsed("id", ClientId::parse);
        let owner = reader.take_parsed("owner", line);
        let team = reader.take_parsed("team", line);
        let kind = reader.take_choice("kind", &AgentKind::NAMES);
        let status = reader.take_choice("status", &Status::NAMES);
        let foreign_clients = take_entries(&mut reader, &mut locations, "foreign_clients", foreign_client);
        let bound = take_bound(&mut reader);
        let logins = take_entries(&mut reader, &mut locations, "login", LoginFile::read);
        reader.finish();
        let (id, owner, team, kind) = (id?.value, owner?.value, team?.value, kind?.value);
        let status = status.map_or(Status::Active, |status| status.value);
        let entry = Agent { id, owner, team, kind, status, foreign_clients, bound };
        Some(Self { agent: Declared { entry, locations }, logins })
    }
}

/// Named as in client metadata (RFC 9449 §5.2, RFC 8705 §3.4).
fn take_bound(reader: &mut TableReader<'_>) -> BoundTokens {
    let mut flag = |key| reader.take_boolean(key).is_some_and(|found| found.value);
    BoundTokens { dpop: flag("dpop_bound_access_tokens"), certificate: flag("tls_client_certificate_bound_access_tokens") }
}

fn foreign_client(mut reader: TableReader<'_>) -> Option<(RuleName, String)> {
    reader.need(&["trust", "client"]);
    let trust = reader.take_parsed("trust", RuleName::parse);
    let client = reader.take_parsed("client", line);
    reader.finish();
    Some((trust?.value, client?.value))
}
