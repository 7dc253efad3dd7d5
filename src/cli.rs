//! Commands and their output. Exit codes: 0 done, 1 the answer is no, 2 usage or configuration.

/// Prints a line. Whoever reads may have gone, as `head` does; that is no failure of the command.
macro_rules! say {
    ($($words:tt)*) => { $crate::cli::output::say(format_args!($($words)*)) };
}

mod agent;
mod ask;
mod check;
mod desk;
mod exchange;
mod init;
mod inspect;
mod keys;
mod launch;
mod ledger;
mod login;
mod output;
mod proof;
mod quickstart;
mod replay;
mod revoke;
mod serve;
mod trust;
mod task;
mod wire;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use output::Outcome;

/// What stands below the list of commands.
const AFTER_HELP: &str = "Begin with: countersign quickstart\nExit codes: 0 done, 1 the answer is no, 2 usage or configuration";

/// An OAuth 2.0 authorization server for one job: RFC 8693 token exchange for agents and workloads.
#[derive(Parser)]
#[command(version, about, propagate_version = true, after_help = AFTER_HELP)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show the main job end to end on an embedded default; nothing to prepare
    Quickstart(quickstart::Options),
    /// Write a first configuration of your own: an issuer, an agent, an API and a policy
    Init(init::Options),
    /// Run the server; it takes up changed files by itself, and at once on SIGHUP
    Serve(serve::Options),
    /// Validate the whole configuration and print every complaint
    Check(check::Options),
    /// Say who could satisfy a trust rule
    #[command(subcommand)]
    Trust(TrustCommand),
    /// Make, rotate and list signing keys; make client secrets
    Keys(keys::Options),
    /// Exchange and inspect tokens
    #[command(subcommand)]
    Token(TokenCommand),
    /// Print a transaction as the tree of its hops
    Replay(replay::Options),
    /// Verify, prove and export the ledger
    #[command(subcommand)]
    Ledger(ledger::LedgerCommand),
    /// List agents, and suspend, resume or retire one
    #[command(subcommand)]
    Agent(agent::AgentCommand),
    /// Open, list and end tasks
    #[command(subcommand)]
    Task(task::TaskCommand),
    /// End something, and with it every token that came from it
    Revoke(revoke::Options),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[derive(Subcommand)]
enum TrustCommand {
    /// Say who satisfies a trust rule or an AWS IAM role trust policy, each finding with a token that would pass
    Check(trust::Options),
    /// Forget the newest bundle of a trust domain whose publisher counts anew (spiffe_sequence)
    Forget(trust::forget::Forget),
}

#[derive(Subcommand)]
enum TokenCommand {
    /// Ask a server for a token exchange (RFC 8693)
    Exchange(Box<exchange::Options>),
    /// Explain a token in words; nothing is verified
    Inspect(inspect::Options),
}

/// Runs the command that the process was started with.
pub fn run() -> ExitCode {
    crate::http::install_provider();
    let outcome = match Arguments::parse().command {
        Command::Quickstart(options) => quickstart::run(&options),
        Command::Init(options) => init::run(&options),
        Command::Serve(options) => serve::run(&options),
        Command::Check(options) => check::run(&options),
        Command::Trust(TrustCommand::Check(options)) => trust::run(&options),
        Command::Trust(TrustCommand::Forget(options)) => trust::forget::run(&options),
        Command::Keys(options) => keys::run(&options),
        Command::Token(TokenCommand::Exchange(options)) => exchange::run(&options),
        Command::Token(TokenCommand::Inspect(options)) => inspect::run(&options),
        Command::Replay(options) => replay::run(&options),
        Command::Ledger(command) => ledger::run(&command),
        Command::Agent(command) => agent::run(&command),
        Command::Task(command) => task::run(&command),
        Command::Revoke(options) => revoke::run(&options),
        Command::Completions { shell } => completions(shell),
    };
    output::exit(outcome)
}

fn completions(shell: clap_complete::Shell) -> Outcome {
    clap_complete::generate(shell, &mut Arguments::command(), "countersign", &mut std::io::stdout());
    Ok(true)
}
