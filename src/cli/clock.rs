//! `clock`: an operator's word on the machine's clock.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::admin::{Admin, AdminOptions};
use super::output::{CommandResult, print};
use super::text::instant;

/// The sub-commands of `clock`.
#[derive(Subcommand)]
pub(super) enum ClockCommand {
    /// The clock is right as it is: a server that doubts it goes on, or the next start does
    Accept(AdminOptions),
    /// The clock was ahead and is right now: end everything of before, so that things are issued again
    Correct(CorrectOptions),
}

/// The options of `clock correct`.
#[derive(Args)]
pub(super) struct CorrectOptions {
    #[command(flatten)]
    admin: AdminOptions,
    /// Why, for the record; nothing personal
    #[arg(long)]
    reason: Option<String>,
}

/// Does what was asked.
pub(super) fn run(command: &ClockCommand) -> CommandResult {
    match command {
        ClockCommand::Accept(options) => accept(options),
        ClockCommand::Correct(options) => correct(options),
    }
}

fn accept(options: &AdminOptions) -> CommandResult {
    let done = match Admin::accept_clock(options)? {
        Ok(done) => done,
        Err(why) => return Ok(refused(options, &format!("the clock is not accepted: {why}"), &why)),
    };
    let now = moment(&done);
    let words = match done.get("recorded") == Some(&Value::Bool(true)) {
        true => format!("accepted: it is {now}, and the server goes on"),
        false => format!("accepted: it is {now}; the next start, or the server when it can record again, goes on"),
    };
    print(options.json, &json!({ "ok": true, "done": done }), words);
    Ok(true)
}

fn correct(CorrectOptions { admin: options, reason }: &CorrectOptions) -> CommandResult {
    let done = match Admin::run(options, async |admin| admin.correct_clock(options, reason.as_deref()).await)? {
        Ok(done) => done,
        Err(why) => return Ok(refused(options, &format!("nothing was corrected: {why}"), &why)),
    };
    let (number, ahead) = (done.get("epoch").cloned().unwrap_or_default(), done.get("ahead").cloned().unwrap_or_default());
    let words = format!(
        "corrected: it is {}, and epoch {number} begins; the newest record was {ahead} s ahead\n\
         every token and task of before has ended; assertions, proofs and attestations count if they were issued more than a \
         minute after this\n\
         APIs that do not ask take a token of before until its exp, which is as far ahead as the clock was: where one was \
         issued by the wrong clock, countersign keys rotate signing, and countersign keys revoke the key of before",
        moment(&done),
    );
    print(options.json, &json!({ "ok": true, "done": done }), words);
    Ok(true)
}

fn moment(done: &Value) -> String {
    done.get("now").and_then(Value::as_i64).map(instant).unwrap_or_default()
}

fn refused(options: &AdminOptions, words: &str, why: &str) -> bool {
    print(options.json, &json!({ "ok": false, "reason": why }), words.to_owned());
    false
}
