//! `ledger find`: the records that somebody asks for, by what they say.

mod shown;

use std::io::{IsTerminal, stdout};
use std::path::PathBuf;

use clap::Args;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::http_client::HttpClient;
use super::log::records_of;
use super::output::{CommandResult, Failure};
use super::text::items;
use super::trust_try;
use crate::admin::{self, FIND_PAGE, FIND_PAGE_MAX, FindQuery, SubjectFinder};
use crate::crypto::Digest;
use crate::http::block_on;
use crate::oauth::Clock;
use crate::server::DataFolder;
use crate::store::{self, KeyFiles, SystemClock};
use shown::RecordShape;

/// The options of `ledger find`. Each record that is found meets all of them.
#[derive(Args)]
pub(super) struct FindOptions {
    #[command(flatten)]
    wanted: WantedRecords,
    #[command(flatten)]
    place: FindPlace,
    /// How many records at most
    #[arg(long, default_value_t = FIND_PAGE as u64, value_parser = clap::value_parser!(u64).range(1..=FIND_PAGE_MAX as u64))]
    limit: u64,
    /// Only records after this index, as a page names it at its end
    #[arg(long, value_name = "INDEX")]
    after: Option<u64>,
    /// All that there are, as they come
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    /// Disclose what is personal in them
    #[arg(long)]
    disclose: bool,
    /// Print each record as JSON, one on a line
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print them as CSV (RFC 4180), with a line of names
    #[arg(long)]
    csv: bool,
    /// Make the index anew first
    #[arg(long, conflicts_with = "socket")]
    rebuild: bool,
    /// Compare the index with one that is made anew, and say what differs; finds nothing
    #[arg(long, conflicts_with_all = ["socket", "rebuild"])]
    compare: bool,
}

/// What the records must be found by.
#[derive(Args)]
struct WantedRecords {
    /// The subject, by its name as `<trust rule>:<id>`, or an agent that is one; takes the keys
    #[arg(long)]
    subject: Option<String>,
    /// An agent that acts, or acted before in the chain
    #[arg(long)]
    actor: Option<String>,
    /// An agent in any role
    #[arg(long)]
    agent: Option<String>,
    /// A running copy of an agent
    #[arg(long)]
    instance: Option<String>,
    /// An API, by its id
    #[arg(long)]
    api: Option<String>,
    /// A scope that was granted, or asked for
    #[arg(long)]
    scope: Option<String>,
    /// A class of data
    #[arg(long)]
    data_class: Option<String>,
    /// A policy that decided, by its id
    #[arg(long)]
    policy: Option<String>,
    /// A trust rule
    #[arg(long)]
    rule: Option<String>,
    /// A task
    #[arg(long)]
    task: Option<String>,
    /// A transaction
    #[arg(long)]
    txn: Option<String>,
    /// A token, by its jti; and what was exchanged for it, or was refused
    #[arg(long)]
    jti: Option<String>,
    /// The reference that the answer to a refused request carried
    #[arg(long)]
    error_id: Option<String>,
    /// The OAuth error code of a refusal
    #[arg(long)]
    error: Option<String>,
    /// The kind of record
    #[arg(long)]
    kind: Option<String>,
    /// granted, refused, withheld, ended, suspended or resumed
    #[arg(long)]
    outcome: Option<String>,
    /// The file that holds a token (- for stdin): its record, and those of everything that came of it
    #[arg(long, value_name = "FILE")]
    token: Option<PathBuf>,
    /// From this instant on, as 2026-12-01T08:00:00Z
    #[arg(long, value_name = "TIME", value_parser = instant)]
    since: Option<i64>,
    /// Before this instant
    #[arg(long, value_name = "TIME", value_parser = instant)]
    until: Option<i64>,
}

/// Where the records lie.
#[derive(Args)]
struct FindPlace {
    /// The server's data folder
    #[arg(long, default_value = "data")]
    data: PathBuf,
    /// Ask the server by its socket (DATA/ops.sock) instead of reading its data folder
    #[arg(long, value_name = "FILE", conflicts_with = "keys")]
    socket: Option<PathBuf>,
    /// The key folder instead of the one that the data folder was last served with
    #[arg(long)]
    keys: Option<PathBuf>,
}

impl WantedRecords {
    /// The parameters of the question. A token is only ever told by its digest.
    fn parameters(&self) -> Result<Vec<(String, String)>, Failure> {
        let token = self.token.as_deref().map(trust_try::read).transpose()?;
        let values = [
            ("actor", &self.actor),
            ("agent", &self.agent),
            ("api", &self.api),
            ("data_class", &self.data_class),
            ("error", &self.error),
            ("error_id", &self.error_id),
            ("instance", &self.instance),
            ("jti", &self.jti),
            ("kind", &self.kind),
            ("outcome", &self.outcome),
            ("policy", &self.policy),
            ("rule", &self.rule),
            ("scope", &self.scope),
            ("subject", &self.subject),
            ("task", &self.task),
            ("txn", &self.txn),
        ];
        let values = values.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)));
        let times = [("since", self.since), ("until", self.until)];
        let times = times.into_iter().filter_map(|(name, at)| Some((name.to_owned(), at?.to_string())));
        let token = token.map(|token| ("token_digest".to_owned(), Digest::of(token.as_bytes()).to_string()));
        Ok(values.chain(times).chain(token).collect())
    }
}

/// Prints what is found, and says where the next page begins. Answers no when there is nothing, or the index is not the records'.
pub(super) fn run(options: &FindOptions) -> CommandResult {
    if options.compare {
        return compare(&options.place.data);
    }
    if options.rebuild {
        let failed = |reason| Failure::at(&options.place.data, &reason);
        store::find_index(&options.place.data).map_err(failed)?.clear().map_err(failed)?;
    }
    let shape = match (options.json, options.csv) {
        (true, _) => RecordShape::Json,
        (_, true) => RecordShape::Csv,
        _ => RecordShape::Words,
    };
    let (wanted, mut after, mut count) = (options.wanted.parameters()?, options.after, 0);
    shape.begin();
    loop {
        let page = page(options, &wanted, after)?;
        let records = items(&page, "/records");
        records.iter().for_each(|found| shape.show(found));
        count += records.len();
        let next = page.pointer("/next").and_then(Value::as_u64);
        match (options.all, next) {
            (true, Some(next)) => after = Some(next),
            _ => {
                tell_rest(&shape, &page, next, count);
                return Ok(count > 0);
            }
        }
    }
}

/// What is left, and what is pruned: to people only, beside the records.
fn tell_rest(shape: &RecordShape, page: &Value, next: Option<u64>, count: usize) {
    let first = page.pointer("/first").and_then(Value::as_u64).unwrap_or(0);
    let mut told = Vec::new();
    if count == 0 {
        told.push("no such record".to_owned());
    }
    if let Some(next) = next {
        told.push(format!("there are more: --after {next}"));
    }
    if first > 0 {
        told.push(format!("the records before {first} are pruned; an archive has them"));
    }
    for line in told {
        match shape {
            RecordShape::Words if stdout().is_terminal() || count == 0 => say!("{line}"),
            _ => eprintln!("{line}"),
        }
    }
}

fn page(options: &FindOptions, wanted: &[(String, String)], after: Option<u64>) -> Result<Value, Failure> {
    let limit = if options.all { FIND_PAGE_MAX as u64 } else { options.limit };
    let paging = [("limit", Some(limit)), ("after", after)];
    let paging = paging.into_iter().filter_map(|(name, number)| Some((name.to_owned(), number?.to_string())));
    let parameters: Vec<(String, String)> = wanted.iter().cloned().chain(paging).collect();
    let parameters: Vec<(&str, &str)> = parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    match &options.place.socket {
        Some(socket) => asked(socket, &parameters, options.disclose),
        None => read(options, &parameters),
    }
}

/// By the server.
fn asked(socket: &std::path::Path, parameters: &[(&str, &str)], disclose: bool) -> Result<Value, Failure> {
    let client = HttpClient::of_socket(socket)?;
    let form = [parameters, if disclose { &[("disclose", "true")] } else { &[] }].concat();
    let reply = block_on(client.post_form("http://ops/ops/ledger/find", &form, None, None))?;
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    match (reply.status, body.get("error").and_then(Value::as_str)) {
        (200, _) => Ok(body),
        (_, Some(why)) => Err(Failure::new(why)),
        (status, None) => Err(Failure::new(format!("the server answered {status}; is it of another version?"))),
    }
}

/// From the data folder, with or without a server on it. Keys are read only where what is personal is asked for.
fn read(options: &FindOptions, parameters: &[(&str, &str)]) -> Result<Value, Failure> {
    let data = &options.place.data;
    let query = FindQuery::parse(parameters.iter().copied())?;
    let records = records_of(data)?;
    let keys = match options.disclose || query.subject.is_some() || options.place.keys.is_some() {
        true => {
            let folder = DataFolder { data: data.clone(), config: Vec::new(), keys: options.place.keys.clone() };
            let keys = KeyFiles::open(&folder.key_folder()?, SystemClock.now())?;
            Some((keys.root()?, keys.pseudonyms()?))
        }
        false => None,
    };
    let finder = keys.as_ref().map(|(root, pseudonyms)| SubjectFinder { root, pseudonyms });
    let mut index = store::find_index(data).map_err(|reason| Failure::at(data, &reason))?;
    let found = admin::find(&mut *index, &*records, &query, finder.as_ref())?;
    let told = found.told(&*records, keys.as_ref().filter(|_| options.disclose).map(|(root, _)| root))?;
    Ok(serde_json::to_value(told)?)
}

/// Answers no where the index is not the records'.
fn compare(data: &std::path::Path) -> CommandResult {
    let failed = |reason| Failure::at(data, &reason);
    let records = records_of(data)?;
    admin::index_records(&mut *store::find_index(data).map_err(failed)?, &*records)?;
    let differs = store::compare_index(data, |anew| admin::index_records(anew, &*records).map_err(Failure::from));
    match differs? {
        Some(what) => say!("NOT IN ORDER: {what}; --rebuild makes the index anew"),
        None => {
            say!("in order: the index is the one that follows from the records");
            return Ok(true);
        }
    }
    Ok(false)
}

/// RFC 3339, as milliseconds since 1970.
pub(super) fn instant(text: &str) -> Result<i64, String> {
    let read = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| "an instant is written as 2026-12-01T08:00:00Z".to_owned())?;
    i64::try_from(read.unix_timestamp_nanos() / 1_000_000).map_err(|_| "an instant is of the years 1970 to 9999".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::record::Field;

    #[test]
    fn every_field_that_can_be_asked_for_has_an_option() {
        let command = <FindOptions as clap::Args>::augment_args(clap::Command::new("find"));
        let options: Vec<String> = command.get_arguments().map(|option| option.get_id().to_string()).collect();
        for (name, _) in Field::ASKED {
            assert!(options.iter().any(|option| option == name), "{name}");
        }
    }
}
