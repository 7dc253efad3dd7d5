//! `ledger prove`

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::local::{LocalLog, Proved};
use crate::cli::launch::with_causes;
use crate::cli::output::{Failed, Outcome};
use crate::commit::contract::Select;
use crate::oauth::Jti;
use crate::store;

/// The options of `ledger prove`.
#[derive(Args)]
pub(in crate::cli) struct Options {
    /// The hop: the `jti` of its token
    jti: String,
    /// The server's data folder
    #[arg(long, default_value = "data")]
    data: PathBuf,
    /// A verifier key (vkey) to believe instead of those beside the log; may repeat
    #[arg(long)]
    key: Vec<String>,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// Prints the proof. Answers no when there is no such hop, or no checkpoint that covers it yet.
pub(super) fn run(options: &Options) -> Outcome {
    let jti = Jti::parse(&options.jti).map_err(|_| Failed::new("the hop must be a UUID, the jti of a token"))?;
    let named = |reason| Failed::new(format!("{}: {}", options.data.display(), with_causes(&reason)));
    let reader = store::reader(&options.data).map_err(named)?;
    let found = reader.records(Select::Jti(jti), 0, 1).map_err(named)?;
    let Some(stored) = found.into_iter().next() else {
        eprintln!("no hop {jti} is recorded in {}", options.data.display());
        return Ok(false);
    };
    let log = LocalLog::open(&options.data, &options.key)?;
    match log.proves(stored.index, &stored.record) {
        Proved::Yes(_) => {}
        Proved::NotYet => {
            eprintln!("record {} is not in a published checkpoint yet; the server publishes one shortly", stored.index);
            return Ok(false);
        }
        Proved::No => {
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
