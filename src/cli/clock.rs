//! `clock`: an operator's word on the machine's clock.

use clap::Subcommand;
use serde_json::{Value, json};

use super::admin::{Admin, AdminOptions};
use super::output::{CommandResult, print};
use super::text::instant;

/// The sub-commands of `clock`.
#[derive(Subcommand)]
pub(super) enum ClockCommand {
    /// The clock is right as it is: a server that doubts it goes on, or the next start does
    Accept(AdminOptions),
}

/// Does what was asked.
pub(super) fn run(command: &ClockCommand) -> CommandResult {
    let ClockCommand::Accept(options) = command;
    let done = match Admin::accept_clock(options)? {
        Ok(done) => done,
        Err(why) => {
            print(options.json, &json!({ "ok": false, "reason": why }), format!("the clock is not accepted: {why}"));
            return Ok(false);
        }
    };
    let now = done.get("now").and_then(Value::as_i64).map(instant).unwrap_or_default();
    let words = match done.get("recorded") == Some(&Value::Bool(true)) {
        true => format!("accepted: it is {now}, and the server goes on"),
        false => format!("accepted: it is {now}; the next start, or the server when it can record again, goes on"),
    };
    print(options.json, &json!({ "ok": true, "done": done }), words);
    Ok(true)
}
