//! `ledger hold`, `release` and `holds`: what is kept however old it is.

use clap::Args;
use serde_json::{Value, json};

use super::admin::{Admin, AdminAnswer, AdminOptions};
use super::output::{CommandResult, Failure, print};
use super::text::instant;
use crate::oauth::Txn;

/// The options of `ledger hold` and `ledger release`.
#[derive(Args)]
pub(super) struct HoldOptions {
    /// The transaction: the `txn` of any of its tokens
    txn: String,
    /// Why, for the record; nothing personal
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    admin: AdminOptions,
}

/// Holds a transaction.
pub(super) fn hold(options: &HoldOptions) -> CommandResult {
    let words = |txn: &str| format!("held: everything of transaction {txn} is kept until countersign ledger release");
    change(options, true, words)
}

/// Releases it.
pub(super) fn release(options: &HoldOptions) -> CommandResult {
    change(options, false, |txn| format!("released: transaction {txn} is kept no longer than others"))
}

fn change(options: &HoldOptions, holds: bool, words: impl Fn(&str) -> String) -> CommandResult {
    let HoldOptions { txn, reason, admin } = options;
    let parsed = Txn::parse(txn).map_err(|_| Failure::new("the transaction must be a UUID, the txn of a token"))?;
    let done = Admin::run(admin, async |asked| asked.hold(parsed, holds, reason.as_deref()).await)?;
    answered(admin, done, |_| words(txn))
}

/// Prints every transaction that is held.
pub(super) fn holds(options: &AdminOptions) -> CommandResult {
    let done = Admin::run(options, async |admin| admin.holds().await)?;
    answered(options, done, |done| {
        let held = done.get("holds").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let text = |hold: &Value, name: &str| hold.get(name).and_then(Value::as_str).unwrap_or("-").to_owned();
        let since = |hold: &Value| hold.get("since").and_then(Value::as_i64).map(instant).unwrap_or_default();
        let line = |hold: &Value| {
            format!("{}  since {}, by {}: {}", text(hold, "txn"), since(hold), text(hold, "by"), text(hold, "reason"))
        };
        if held.is_empty() { "no transaction is held".to_owned() } else { held.iter().map(line).collect::<Vec<_>>().join("\n") }
    })
}

fn answered(options: &AdminOptions, done: AdminAnswer, words: impl Fn(&Value) -> String) -> CommandResult {
    match done {
        Ok(done) => {
            print(options.json, &json!({ "ok": true, "done": done }), words(&done));
            Ok(true)
        }
        Err(why) => {
            print(options.json, &json!({ "ok": false, "reason": why }), format!("nothing was done: {why}"));
            Ok(false)
        }
    }
}
