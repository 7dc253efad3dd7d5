//! `ledger`: evidence, offline.

mod export;
mod local;
mod prove;
mod source;
mod verify;

use clap::Subcommand;

use super::output::Outcome;
pub(super) use export::export;
pub(super) use local::{LocalLog, Proved};
pub(super) use source::Source;
pub(super) use verify::{Finding, examine};

/// The sub-commands of `ledger`.
#[derive(Subcommand)]
pub(super) enum LedgerCommand {
    /// Verify a whole log from nothing but its files: every hash, tile, checkpoint and record
    Verify(verify::Options),
    /// Print the proof that a hop is in the ledger (C2SP tlog-proof), with its record
    Prove(prove::Options),
    /// Copy the log into a folder that any web server can serve (C2SP tlog-tiles)
    Export(export::Options),
}

/// Does what was asked.
pub(super) fn run(command: &LedgerCommand) -> Outcome {
    match command {
        LedgerCommand::Verify(options) => verify::run(options),
        LedgerCommand::Prove(options) => prove::run(options),
        LedgerCommand::Export(options) => export::run(options),
    }
}
