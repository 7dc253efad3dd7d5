//! Commands and their output. Exit codes: 0 done, 1 the answer is no, 2 usage or configuration.

#[macro_use]
mod output;
mod proof_file;

mod admin;
mod agent;
mod archive;
mod archived;
mod audit;
mod backup;
mod check;
mod client_auth;
mod clock;
mod client_request;
mod configuration;
mod evidence;
mod find;
mod hold;
mod http_client;
mod iam_policy;
mod init;
mod keys;
mod ledger;
mod log;
mod policy_files;
mod policy_test;
mod policy;
mod quickstart;
mod replay;
mod restore;
mod revoke;
mod serve;
mod state;
mod task;
mod text;
mod token;
mod trust;
mod trust_add;
mod trust_inventory;
mod trust_report;
mod trust_try;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use output::CommandResult;

/// The text below the list of commands.
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
    /// Say what policies would decide
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Say who could satisfy a trust rule
    #[command(subcommand)]
    Trust(trust::TrustCommand),
    /// Make, rotate and list signing keys; make client secrets
    Keys(keys::Options),
    /// Exchange and inspect tokens
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Print a transaction as the tree of its hops
    Replay(replay::Options),
    /// Verify, prove and export the ledger
    #[command(subcommand)]
    Ledger(ledger::LedgerCommand),
    /// Put records that may be pruned later into an archive, and prove it
    Archive(archive::Options),
    /// Copy a data folder, while its server runs or while none does
    Backup(backup::Options),
    /// Go on with a backup, or with an older copy of the data
    Restore(restore::Options),
    /// Accept a configuration that would end something
    #[command(subcommand)]
    Config(configuration::ConfigCommand),
    /// Make the state anew from the records
    #[command(subcommand)]
    State(state::StateCommand),
    /// Say that the machine's clock is right, or is right again
    #[command(subcommand)]
    Clock(clock::ClockCommand),
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

/// Runs the command that the process was started with.
pub fn run() -> ExitCode {
    crate::http::install_provider();
    output::exit(match Arguments::parse().command {
        Command::Quickstart(options) => quickstart::run(&options),
        Command::Init(options) => init::run(&options),
        Command::Serve(options) => serve::run(&options),
        Command::Check(options) => check::run(&options),
        Command::Policy(command) => policy::run(&command),
        Command::Trust(command) => trust::run(&command),
        Command::Keys(options) => keys::run(&options),
        Command::Token(command) => token::run(&command),
        Command::Replay(options) => replay::run(&options),
        Command::Ledger(command) => ledger::run(&command),
        Command::Archive(options) => archive::run(&options),
        Command::Backup(options) => backup::run(&options),
        Command::Restore(options) => restore::run(&options),
        Command::Config(command) => configuration::run(&command),
        Command::State(command) => state::run(&command),
        Command::Clock(command) => clock::run(&command),
        Command::Agent(command) => agent::run(&command),
        Command::Task(command) => task::run(&command),
        Command::Revoke(options) => revoke::run(&options),
        Command::Completions { shell } => completions(shell),
    })
}

fn completions(shell: clap_complete::Shell) -> CommandResult {
    clap_complete::generate(shell, &mut Arguments::command(), "countersign", &mut std::io::stdout());
    Ok(true)
}
