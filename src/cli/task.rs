//! `task`: opening one or a child of one as any client does, listing those under way, and ending one.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Value, json};

use super::admin::{Admin, AdminOptions, caveats};
use super::client_request::{ClientRequest, Wanted};
use super::output::{CommandResult, Failure, print};
use super::text::{instant, items, text};
use crate::admin::TASK_PAGE_MAX;
use crate::oauth::{ClientId, Clock, Resource, Scope, Scopes, ScopesOnApi, TaskSpec};
use crate::store::SystemClock;

/// The sub-commands of `task`.
#[derive(Subcommand)]
pub(super) enum TaskCommand {
    /// Ask a server to open a task; a task token as the subject token opens a child
    Open(Box<OpenOptions>),
    /// The tasks that are remembered, the newest first
    List(ListOptions),
    /// End a task, and with it its children and everything issued in them
    Complete(CompleteOptions),
}

/// The options of `task open`.
#[derive(Args)]
pub(super) struct OpenOptions {
    #[command(flatten)]
    request: ClientRequest,
    /// An API by its URI and what may be done there, as `https://crm.example=contacts.read contacts.list`; once per API
    #[arg(long, required = true, value_name = "API=SCOPES", value_parser = authority)]
    authority: Vec<ScopesOnApi>,
    /// The purpose of the task
    #[arg(long)]
    purpose: Option<String>,
    /// A class of data that it may touch; may repeat. Without any, those of what may be done
    #[arg(long)]
    data_class: Vec<String>,
    /// How many seconds it may take; without it, as long as tasks usually do on that server
    #[arg(long, value_name = "SECONDS")]
    expires_in: Option<u64>,
    /// How many exchanges may be made in it; without it, the usual number, and for a child at most half of what is left
    #[arg(long, value_name = "EXCHANGES")]
    budget: Option<u64>,
    /// End it when its holder is silent for so many seconds and it is not suspended
    #[arg(long, value_name = "SECONDS")]
    heartbeat: Option<u64>,
    /// The agent that works on it, if not this one
    #[arg(long, value_parser = holder)]
    holder: Option<ClientId>,
}

/// The options of `task list`.
#[derive(Args)]
pub(super) struct ListOptions {
    /// Only those opened before this one, as a list names it at its end
    #[arg(long, value_name = "ID")]
    after: Option<String>,
    /// How many at most
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=TASK_PAGE_MAX as u64))]
    limit: u64,
    /// All that there are, as they come; with --json a line for each page
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    #[command(flatten)]
    admin: AdminOptions,
}

/// The options of `task complete`.
#[derive(Args)]
pub(super) struct CompleteOptions {
    /// The task
    id: String,
    /// Why, for the record; nothing personal
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    admin: AdminOptions,
}

/// Does what was asked.
pub(super) fn run(command: &TaskCommand) -> CommandResult {
    match command {
        TaskCommand::Open(options) => open(options),
        TaskCommand::List(options) => list(options),
        TaskCommand::Complete(options) => complete(options),
    }
}

/// Prints a page as soon as it is there, and with `--all` those after it.
fn list(options: &ListOptions) -> CommandResult {
    let limit = if options.all { TASK_PAGE_MAX } else { usize::try_from(options.limit).unwrap_or(TASK_PAGE_MAX) };
    Admin::run(&options.admin, async |admin| {
        let mut after = options.after.clone();
        loop {
            let page = admin.tasks(after.as_deref(), limit).await?.map_err(Failure::new)?;
            let next = page.pointer("/next").and_then(Value::as_str).map(str::to_owned);
            match options.admin.json {
                true => say!("{page}"),
                false => show(&page, after.is_none(), next.as_deref().filter(|_| !options.all)),
            }
            if next.is_none() || !options.all {
                return Ok(true);
            }
            after = next;
        }
    })
}

/// The tasks of a page, a line each, and how to go on where there are more that are not asked for.
fn show(page: &Value, is_first: bool, next: Option<&str>) {
    let tasks = items(page, "/tasks");
    for task in tasks {
        let number = |pointer: &str| task.pointer(pointer).and_then(Value::as_i64).unwrap_or_default();
        let (id, status, holder) = (text(task, "/id"), text(task, "/status"), text(task, "/holder"));
        let (left, budget, until) = (number("/left"), number("/budget"), instant(number("/deadline")));
        say!("{id}  {status:9}  {holder}, {left} of {budget} exchanges left, until {until}: {}", text(task, "/purpose"));
    }
    if is_first && tasks.is_empty() {
        say!("no task is remembered");
    }
    if let Some(next) = next {
        say!("there are more: --after {next}, or --all");
    }
}

/// Answers no when there is no such task, or it could not be recorded.
fn complete(options: &CompleteOptions) -> CommandResult {
    let reason = options.reason.as_deref().or(Some("completed by an operator"));
    let answer = Admin::run(&options.admin, async |admin| admin.end("task", &options.id, None, reason).await)?;
    let (id, json) = (&options.id, options.admin.json);
    let answer = answer.and_then(|done| match caveats(&done) {
        said if said.is_empty() => Ok(done),
        said => Err(said.join("; ")),
    });
    match &answer {
        Ok(_) => {
            let words = format!("task {id} is completed: nothing that came from it is accepted here any more");
            print(json, &json!({ "ok": true, "task": id, "done": "completed" }), words);
        }
        Err(why) => {
            let words = format!("task {id} is not completed: {why}");
            print(json, &json!({ "ok": false, "task": id, "reason": why }), words);
        }
    }
    Ok(answer.is_ok())
}

/// The members of the answer that are printed.
#[derive(Deserialize)]
struct TaskResponse {
    task: String,
    task_token: String,
    expires_in: i64,
    txn: String,
}

/// Opens a task and prints its token.
fn open(options: &OpenOptions) -> CommandResult {
    options.request.run(Wanted::Task, vec![("authorization_details", details(options)?)], opened)
}

/// The `authorization_details` that the options make; the server decides what they leave out.
fn details(options: &OpenOptions) -> serde_json::Result<String> {
    let spec = TaskSpec {
        authority: options.authority.clone(),
        purpose: options.purpose.clone(),
        data_classes: Some(options.data_class.clone()).filter(|classes| !classes.is_empty()),
        expires_in: options.expires_in.map(Duration::from_secs),
        exchanges: options.budget,
        heartbeat: options.heartbeat.map(Duration::from_secs),
        holder: options.holder.clone(),
    };
    spec.to_json()
}

/// A scope may hold `=`, so the first one is what ends the API.
fn authority(text: &str) -> Result<ScopesOnApi, String> {
    let (api, scopes) = text.split_once('=').ok_or("an API, =, and its scopes are needed")?;
    let scopes = scopes.split_ascii_whitespace().map(Scope::parse);
    let scopes: Scopes = scopes.collect::<Result<_, _>>().map_err(|reason| format!("the scopes {reason}"))?;
    match api.is_empty() || scopes.is_empty() {
        true => Err("an API, =, and at least one of its scopes are needed".to_owned()),
        false => Ok(ScopesOnApi { api: Resource::parse(api).map_err(|reason| format!("the API {reason}"))?, scopes }),
    }
}

fn holder(text: &str) -> Result<ClientId, String> {
    ClientId::parse(text).map_err(|reason| format!("the id of an agent {reason}"))
}

/// The token goes to standard output, alone, and the words about it elsewhere.
fn opened(opened: &TaskResponse) {
    say!("{}", opened.task_token);
    let until = instant(SystemClock.now().seconds().saturating_add(opened.expires_in));
    let TaskResponse { task, expires_in, txn, .. } = opened;
    eprintln!("task {task} ends at {until}, in {expires_in} s, transaction {txn}; its token is on standard output");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: OpenOptions,
    }

    fn parsed(more: &[&str]) -> Result<OpenOptions, clap::error::ErrorKind> {
        let line = ["open", "--subject-token", "file"].iter().chain(more);
        Line::try_parse_from(line).map(|line| line.options).map_err(|error| error.kind())
    }

    fn wanted(more: &[&str]) -> TaskSpec {
        TaskSpec::parse(&details(&parsed(more).unwrap()).unwrap()).unwrap()
    }

    fn pair(api: &str, scopes: &str) -> ScopesOnApi {
        ScopesOnApi { api: Resource::parse(api).unwrap(), scopes: Scopes::parse(scopes).unwrap() }
    }

    #[test]
    fn the_server_reads_what_the_options_say() {
        let task = wanted(&[
            "--authority=https://crm.example=contacts.read  contacts.list",
            "--authority=https://mail.example=a=b",
            "--purpose=account review",
            "--data-class=pii",
            "--data-class=b",
            "--expires-in=60",
            "--budget=3",
            "--heartbeat=5",
            "--holder=x",
        ]);
        let pairs = [pair("https://crm.example", "contacts.read contacts.list"), pair("https://mail.example", "a=b")];
        assert_eq!(task.authority, pairs);
        assert_eq!((task.purpose.as_deref(), task.exchanges), (Some("account review"), Some(3)));
        assert_eq!(task.data_classes.unwrap(), ["b", "pii"]);
        assert_eq!((task.expires_in, task.heartbeat), (Some(Duration::from_secs(60)), Some(Duration::from_secs(5))));
        assert_eq!(task.holder, Some(ClientId::parse("x").unwrap()));
    }

    #[test]
    fn what_the_options_leave_out_the_server_decides() {
        let task = wanted(&["--authority", "https://crm.example=a"]);
        assert_eq!(task.authority, [pair("https://crm.example", "a")]);
        assert_eq!((task.purpose, task.data_classes, task.expires_in, task.exchanges), (None, None, None, None));
        assert_eq!((task.heartbeat, task.holder), (None, None));
    }

    #[test]
    fn an_authority_that_names_no_api_or_no_scope_is_a_mistake_of_usage() {
        use clap::error::ErrorKind::{MissingRequiredArgument, ValueValidation};
        assert_eq!(parsed(&[]).err(), Some(MissingRequiredArgument));
        for text in ["", "https://crm.example", "https://crm.example=", "https://crm.example= ", "=a"] {
            assert_eq!(parsed(&[&format!("--authority={text}")]).err(), Some(ValueValidation), "{text}");
        }
        assert_eq!(parsed(&["--authority=https://crm.example=a", "--budget=many"]).err(), Some(ValueValidation));
    }
}
