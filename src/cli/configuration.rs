//! `config`: configurations that wait for an operator.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::admin::{Admin, AdminOptions};
use super::output::{CommandResult, Failure};

/// The sub-commands of `config`.
#[derive(Subcommand)]
pub(super) enum ConfigCommand {
    /// Accept the configuration on disk although it ends something, at once, and only as it is now
    Accept(AcceptOptions),
}

/// The options of `config accept`.
#[derive(Args)]
pub(super) struct AcceptOptions {
    #[command(flatten)]
    admin: AdminOptions,
    /// Say that you know what ends
    #[arg(long)]
    yes: bool,
}

/// Does what was asked.
pub(super) fn run(command: &ConfigCommand) -> CommandResult {
    let ConfigCommand::Accept(options) = command;
    Admin::run(&options.admin, async |admin| accept(admin, options).await)
}

async fn accept(admin: &Admin, options: &AcceptOptions) -> CommandResult {
    let json = options.admin.json;
    let waits = match admin.configuration().await? {
        Ok(answer) => answer.get("waits").cloned().unwrap_or_default(),
        Err(why) => return Ok(refused(&why, json)),
    };
    if waits.is_null() {
        return Ok(refused("no configuration waits to be accepted", json));
    }
    if text(&waits, "state") == "unusable" {
        return Ok(refused("the configuration on disk cannot be used; the log and `countersign check` say why", json));
    }
    if !json {
        lines(&waits, "comes").for_each(|line| say!("comes into force: {line}"));
        lines(&waits, "ends").for_each(|line| say!("ends: {line}"));
    }
    if !options.yes {
        return Err(Failure::new("what ends here cannot be brought back; say --yes to accept it"));
    }
    let digest = text(&waits, "digest");
    let done = match admin.accept_configuration(digest).await? {
        Ok(done) => done,
        Err(why) => return Ok(refused(&why, json)),
    };
    let in_force = done.get("in_force") == Some(&Value::Bool(true));
    match (json, in_force) {
        (true, _) => say!("{}", json!({ "ok": in_force, "done": done, "waits": waits })),
        (false, true) => say!("accepted: configuration {digest} is in force"),
        (false, false) => say!("accepted, but not in force yet: the log says why"),
    }
    Ok(in_force)
}

fn text<'a>(waits: &'a Value, member: &str) -> &'a str {
    waits.get(member).and_then(Value::as_str).unwrap_or_default()
}

fn lines<'a>(waits: &'a Value, member: &str) -> impl Iterator<Item = &'a str> {
    waits.get(member).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

fn refused(why: &str, json: bool) -> bool {
    match json {
        true => say!("{}", json!({ "ok": false, "reason": why })),
        false => say!("{why}"),
    }
    false
}
