//! `ledger`: evidence, offline.

use std::io::{IsTerminal, Write, stderr};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use super::admin::AdminOptions;
use super::archived::{archived_records, elsewhere};
use super::audit::{AuditOutcome, examine};
use super::find::{self, FindOptions};
use super::hold::{self, HoldOptions};
use super::log::{Inclusion, LocalLog, LogSource, export, records_of};
use super::output::{CommandResult, Failure, print};
use super::proof_file;
use crate::commit::contract::Select;
use crate::diagnostic::nearest;
use crate::files::Access;
use crate::ledger::record::Kind;
use crate::oauth::Jti;

/// The sub-commands of `ledger`.
#[derive(Subcommand)]
pub(super) enum LedgerCommand {
    /// Find records by who, what, when and how it ended; by a token that leaked, or the reference of a refusal
    Find(Box<FindOptions>),
    /// Verify a whole log from nothing but its files: every hash, tile, checkpoint and record; or one proof by itself
    Verify(VerifyOptions),
    /// Print the proof that a hop is in the ledger (C2SP tlog-proof), with its record
    Prove(ProveOptions),
    /// Print the JSON Schema of a kind of record
    Schema {
        /// The kind: hop, task, refusal and so on
        kind: String,
    },
    /// Copy the log into a folder that any web server can serve (C2SP tlog-tiles)
    Export(ExportOptions),
    /// Keep everything of a transaction, however old it gets
    Hold(HoldOptions),
    /// Keep a transaction no longer than others
    Release(HoldOptions),
    /// List the transactions that are held
    Holds(AdminOptions),
}

/// The options of `ledger verify`.
#[derive(Args)]
pub(super) struct VerifyOptions {
    /// A server's data folder, the folder of a log, the URL below which a log is served, or the file of one proof (- for stdin)
    place: String,
    /// A verifier key (vkey) of the log, from somebody you trust; may repeat. Without it those beside the log are believed, which
    /// shows that the log agrees with itself, but not whose it is
    #[arg(long)]
    key: Vec<String>,
    /// The folder of an archive that has what was pruned of a data folder: both are verified together; may repeat
    #[arg(long)]
    archive: Vec<PathBuf>,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// The options of `ledger prove`.
#[derive(Args)]
pub(super) struct ProveOptions {
    /// The hop: the `jti` of its token
    jti: String,
    /// The server's data folder
    #[arg(long, default_value = "data")]
    data: PathBuf,
    /// A verifier key (vkey) to believe instead of those beside the log; may repeat
    #[arg(long)]
    key: Vec<String>,
    /// The folder of an archive that has what was pruned; may repeat
    #[arg(long)]
    archive: Vec<PathBuf>,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// The options of `ledger export`.
#[derive(Args)]
pub(super) struct ExportOptions {
    /// A new or empty folder
    dir: PathBuf,
    /// The server's data folder
    #[arg(long, default_value = "data")]
    data: PathBuf,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// Does what was asked.
pub(super) fn run(command: &LedgerCommand) -> CommandResult {
    match command {
        LedgerCommand::Find(options) => find::run(options),
        LedgerCommand::Verify(options) => verify(options),
        LedgerCommand::Prove(options) => prove(options),
        LedgerCommand::Schema { kind } => schema(kind),
        LedgerCommand::Export(options) => export_log(options),
        LedgerCommand::Hold(options) => hold::hold(options),
        LedgerCommand::Release(options) => hold::release(options),
        LedgerCommand::Holds(options) => hold::holds(options),
    }
}

/// Prints the schema of a kind.
fn schema(name: &str) -> CommandResult {
    let names = || Kind::ALL.into_iter().map(Kind::name);
    let Some(kind) = Kind::parse(name) else {
        let meant = nearest(name, names()).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
        let all = names().collect::<Vec<_>>().join(", ");
        return Err(Failure::new(format!("there is no kind of record {name:?}, but {all}{meant}")));
    };
    print!("{}", kind.json_schema());
    Ok(true)
}

/// Verifies and says what was found. Answers no when anything is not in order.
fn verify(options: &VerifyOptions) -> CommandResult {
    if proof_file::is_proof(&options.place) {
        return match options.archive.is_empty() {
            true => proof_file::verify(&options.place, &options.key, options.json),
            false => Err(Failure::new("an archive goes with a folder, not with one proof")),
        };
    }
    let shown = stderr().is_terminal() && !options.json;
    let watch = |at, of| {
        if shown {
            progress(at, of)
        }
    };
    let archived = archives(options, watch)?;
    let outcome = match archived {
        Some(unsound) => unsound,
        None => examine(&LogSource::open(&options.place)?.with_archives(&options.archive)?, &options.key, watch)?,
    };
    if shown {
        eprint!("\r\x1b[K");
    }
    let sound = matches!(outcome, AuditOutcome::Sound(_));
    match options.json {
        true => say!("{}", outcome.json()),
        false => {
            say!("{outcome}");
            if sound && options.key.is_empty() {
                say!("the verifier keys were those beside the log; with --key VKEY it is also shown whose log it is");
            }
        }
    }
    Ok(sound)
}

/// Each archive is verified by itself first: what is wrong with one is said of it.
fn archives(options: &VerifyOptions, watch: impl Fn(u64, u64)) -> Result<Option<AuditOutcome>, Failure> {
    for archive in &options.archive {
        let place = archive.to_str().ok_or_else(|| Failure::new("the path of the archive is not UTF-8"))?;
        if let AuditOutcome::Unsound(what) = examine(&LogSource::open(place)?, &options.key, &watch)? {
            return Ok(Some(AuditOutcome::Unsound(format!("in {place}: {what}"))));
        }
    }
    Ok(None)
}

fn progress(at: u64, of: u64) {
    eprint!("\r{at} of {of} entries verified\x1b[K");
    let _unseen = stderr().flush();
}

/// Prints the proof. Answers no when there is no such hop, or no checkpoint that covers it yet.
fn prove(options: &ProveOptions) -> CommandResult {
    let jti = Jti::parse(&options.jti).map_err(|_| Failure::new("the hop must be a UUID, the jti of a token"))?;
    let failed = |reason| Failure::at(&options.data, &reason);
    let reader = records_of(&options.data)?;
    let (mut found, first) = (reader.records(Select::Jti(jti), 0, 1).map_err(failed)?, reader.first().map_err(failed)?);
    if found.is_empty() {
        found = archived_records(&options.data, &options.archive, first, |record| record.jti() == Some(jti))?;
    }
    let Some(stored) = found.into_iter().next() else {
        eprintln!("no hop {jti} is recorded in {}{}", options.data.display(), elsewhere(first, &options.archive));
        return Ok(false);
    };
    let log = LocalLog::open(&options.data, &options.key)?.with_archives(&options.archive);
    match log.inclusion(&mut log.nodes(), stored.index, &stored.record) {
        Inclusion::Yes(_) => {}
        Inclusion::NotYet => {
            eprintln!("record {} is not in a published checkpoint yet; the server publishes one shortly", stored.index);
            return Ok(false);
        }
        Inclusion::No => {
            eprintln!("record {} is not the one that was signed, or a tile was changed: verify the ledger", stored.index);
            return Ok(false);
        }
    }
    let (head, index) = (log.head().clone(), stored.index);
    let proof = log.proof(index, stored.record)?.to_string();
    match options.json {
        true => say!(
            "{}",
            json!({"jti": jti.to_string(), "index": index, "origin": head.origin().as_str(), "size": head.size(), "proof": proof})
        ),
        false => print!("{proof}"),
    }
    Ok(true)
}

/// Copies the log, and says where it is.
fn export_log(options: &ExportOptions) -> CommandResult {
    let log = LocalLog::open(&options.data, &[])?;
    let first = records_of(&options.data)?.first().map_err(|reason| Failure::at(&options.data, &reason))?;
    let files = export(&log, first, &options.dir, Access::Everybody)?;
    let (dir, head) = (options.dir.display(), log.head());
    let (origin, size) = (head.origin(), head.size());
    let words = format!(
        "{size} entries of {origin} in {files} files are in {dir}\nverify them:  countersign ledger verify {dir} --key VKEY"
    );
    print(options.json, &json!({"dir": dir.to_string(), "origin": origin.as_str(), "size": size, "files": files}), words);
    Ok(true)
}
