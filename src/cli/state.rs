//! `state`: the state that follows from the records.

use std::io::{IsTerminal, Write, stderr};

use clap::{Args, Subcommand};
use serde_json::json;

use super::admin::FolderOptions;
use super::output::CommandResult;
use crate::server::rebuild_state;

/// Records between two words on how far it is.
const PROGRESS: u64 = 50_000;

/// The sub-commands of `state`.
#[derive(Subcommand)]
pub(super) enum StateCommand {
    /// Make the state anew from the records, where a start says that the two differ; no server may run meanwhile
    Rebuild(RebuildOptions),
}

/// The options of `state rebuild`.
#[derive(Args)]
pub(super) struct RebuildOptions {
    #[command(flatten)]
    folder: FolderOptions,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// Does what was asked.
pub(super) fn run(command: &StateCommand) -> CommandResult {
    let StateCommand::Rebuild(options) = command;
    let shown = stderr().is_terminal() && !options.json;
    let rebuilt = rebuild_state(&options.folder.folder(), |at, of| {
        if shown && at.is_multiple_of(PROGRESS) {
            eprint!("\r{at} of {of} records read\x1b[K");
            let _unseen = stderr().flush();
        }
    })?;
    if shown {
        eprint!("\r\x1b[K");
    }
    if options.json {
        let (records, entries) = (rebuilt.records, rebuilt.entries);
        say!("{}", json!({"records": records, "entries": entries, "differences": rebuilt.differences, "lost": rebuilt.lost}));
        return Ok(true);
    }
    rebuilt.differences.iter().for_each(|difference| say!("mended: {difference}"));
    say!("the state was made anew from {} records: {} entries", rebuilt.records, rebuilt.entries);
    if rebuilt.lost {
        say!("single-use values, heartbeats and places in status lists were not what was written, and are given up:");
        say!("a new epoch begins: every token and task of before has ended, and assertions, proofs and attestations count if");
        say!("they are issued more than a minute later; no status list shows a token of before, so who asks one refuses it");
    }
    Ok(true)
}
