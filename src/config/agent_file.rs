//! An agent as written.

use super::login_file::LoginFile;
use super::reader::Reader;
use crate::catalog::{Agent, AgentKind, BoundTokens, Filed, Places, Status};
use crate::oauth::{ClientId, RuleName};

/// An agent and its ways to log in.
#[derive(Clone, Debug)]
pub struct AgentFile {
    /// The agent, with the places of its fields.
    pub agent: Filed<Agent>,
    /// How it logs in, in the order of the file.
    pub logins: Vec<LoginFile>,
}

impl AgentFile {
    /// Reads the agent. None when anything needed is missing or wrong; the complaints say what.
    pub(super) fn read(mut reader: Reader<'_>) -> Option<Self> {
        reader.need(&["id", "owner", "team", "kind"]);
        let mut places = reader.places();
        let id = reader.take_parsed("id", ClientId::parse);
        let owner = reader.take_parsed("owner", line);
        let team = reader.take_parsed("team", line);
        let kind = reader.take_choice("kind", &AgentKind::NAMES);
        let status = reader.take_choice("status", &Status::NAMES);
        let foreign_clients = take_entries(&mut reader, &mut places, "foreign_clients", foreign_client);
        let bound = take_bound(&mut reader);
        let logins = take_entries(&mut reader, &mut places, "login", LoginFile::read);
        reader.finish();
        let (id, owner, team, kind) = (id?.value, owner?.value, team?.value, kind?.value);
        let status = status.map_or(Status::Active, |status| status.value);
        let entry = Agent { id, owner, team, kind, status, foreign_clients, bound };
        Some(Self { agent: Filed { entry, places }, logins })
    }
}

/// Text for people and policies, on one line.
pub(super) fn line(text: &str) -> Result<String, &'static str> {
    let fits = !text.trim().is_empty() && text.len() <= 255 && !text.chars().any(char::is_control);
    if fits { Ok(text.to_owned()) } else { Err("must have 1 to 255 bytes without control characters") }
}

/// What `read` makes of each table of the array at `key`, the places of those that it accepts noted by their new positions.
pub(super) fn take_entries<T>(
    reader: &mut Reader<'_>,
    places: &mut Places,
    key: &'static str,
    read: impl Fn(Reader<'_>) -> Option<T>,
) -> Vec<T> {
    let mut entries = Vec::new();
    for entry in reader.take_tables(key) {
        let part = entry.places();
        if let Some(entry) = read(entry) {
            places.graft(&format!("{key}/{}", entries.len()), &part);
            entries.push(entry);
        }
    }
    entries
}

/// Under the names of client metadata (RFC 9449 §5.2, RFC 8705 §3.4).
fn take_bound(reader: &mut Reader<'_>) -> BoundTokens {
    let mut flag = |key| reader.take_boolean(key).is_some_and(|found| found.value);
    BoundTokens { dpop: flag("dpop_bound_access_tokens"), certificate: flag("tls_client_certificate_bound_access_tokens") }
}

fn foreign_client(mut reader: Reader<'_>) -> Option<(RuleName, String)> {
    reader.need(&["trust", "client"]);
    let trust = reader.take_parsed("trust", RuleName::parse);
    let client = reader.take_parsed("client", line);
    reader.finish();
    Some((trust?.value, client?.value))
}
