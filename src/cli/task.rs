//! `task`: opening one, those that are under way, and ending one.

mod open;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::desk::{Admin, Asking, items, text};
use super::inspect::instant;
use super::output::{Failed, Outcome};

/// The sub-commands of `task`.
#[derive(Subcommand)]
pub(super) enum TaskCommand {
    /// Ask a server to open a task; a task token as the subject token opens a child
    Open(Box<open::Options>),
    /// Every task that is remembered, the newest first
    List(Asking),
    /// End a task, and with it its children and everything issued in them
    Complete(Complete),
}

/// The options of `task complete`.
#[derive(Args)]
pub(super) struct Complete {
    /// The task
    id: String,
    /// Why, for the record; nothing personal
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    asking: Asking,
}

/// Does what was asked.
pub(super) fn run(command: &TaskCommand) -> Outcome {
    match command {
        TaskCommand::Open(options) => open::run(options),
        TaskCommand::List(options) => list(options),
        TaskCommand::Complete(options) => complete(options),
    }
}

fn list(options: &Asking) -> Outcome {
    let told = Admin::at(&options.place, async |desk| desk.tasks().await)?.map_err(Failed::new)?;
    let tasks = items(&told, "/tasks");
    if options.json {
        say!("{}", json!({ "tasks": tasks }));
        return Ok(true);
    }
    for task in tasks {
        let number = |pointer: &str| task.pointer(pointer).and_then(Value::as_i64).unwrap_or_default();
        let (id, status, holder) = (text(task, "/id"), text(task, "/status"), text(task, "/holder"));
        let (left, budget, until) = (number("/left"), number("/budget"), instant(number("/deadline")));
        say!("{id}  {status:9}  {holder}, {left} of {budget} exchanges left, until {until}: {}", text(task, "/purpose"));
    }
    if tasks.is_empty() {
        say!("no task is remembered");
    }
    Ok(true)
}

/// Answers no when there is no such task, or it could not be recorded.
fn complete(options: &Complete) -> Outcome {
    let reason = options.reason.as_deref().or(Some("completed by an operator"));
    let told = Admin::at(&options.asking.place, async |desk| desk.end("task", &options.id, None, reason).await)?;
    match (&told, options.asking.json) {
        (Ok(_), true) => say!("{}", json!({ "ok": true, "task": options.id, "done": "completed" })),
        (Err(why), true) => say!("{}", json!({ "ok": false, "task": options.id, "reason": why })),
        (Ok(_), false) => say!("task {} is completed: nothing that came from it is accepted here any more", options.id),
        (Err(why), false) => say!("task {} is not completed: {why}", options.id),
    }
    Ok(told.is_ok())
}
