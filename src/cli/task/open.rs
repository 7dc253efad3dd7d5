//! `task open`: opening a task, or a child of one, as any client does.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::cli::ask::{Asking, Wanted};
use crate::cli::inspect::instant;
use crate::cli::output::Outcome;
use crate::oauth::Clock;
use crate::store::SystemClock;

/// The options of `task open`.
#[derive(Args)]
pub(in crate::cli) struct Options {
    #[command(flatten)]
    asking: Asking,
    /// An API by its URI and what may be done there, as `https://crm.example=contacts.read contacts.list`; once per API
    #[arg(long, required = true, value_name = "API=SCOPES", value_parser = authority)]
    authority: Vec<Authority>,
    /// What the task is for
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
    #[arg(long)]
    holder: Option<String>,
}

/// One `authorization_details` of type `task` (RFC 9396 §2); what is left out, the server decides.
#[derive(Serialize)]
struct Details<'a> {
    r#type: &'static str,
    authority: &'a [Authority],
    #[serde(skip_serializing_if = "Option::is_none")]
    purpose: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    data_classes: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    budget: Option<Budget>,
    #[serde(skip_serializing_if = "Option::is_none")]
    heartbeat: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    holder: Option<&'a str>,
}

#[derive(Clone, Serialize)]
struct Authority {
    api: String,
    scopes: Vec<String>,
}

#[derive(Serialize)]
struct Budget {
    exchanges: u64,
}

#[derive(Deserialize)]
struct Opened {
    task: String,
    task_token: String,
    expires_in: i64,
    txn: String,
}

/// Opens a task and prints its token.
pub(super) fn run(options: &Options) -> Outcome {
    options.asking.run(Wanted::Task, vec![("authorization_details", details(options)?)], opened)
}

fn details(options: &Options) -> serde_json::Result<String> {
    serde_json::to_string(&[Details {
        r#type: "task",
        authority: &options.authority,
        purpose: options.purpose.as_deref(),
        data_classes: &options.data_class,
        expires_in: options.expires_in,
        budget: options.budget.map(|exchanges| Budget { exchanges }),
        heartbeat: options.heartbeat,
        holder: options.holder.as_deref(),
    }])
}

/// A scope may hold `=`, so the first one is what ends the API.
fn authority(text: &str) -> Result<Authority, &'static str> {
    let (api, scopes) = text.split_once('=').ok_or("an API, =, and its scopes are needed")?;
    let scopes: Vec<String> = scopes.split_ascii_whitespace().map(str::to_owned).collect();
    match api.is_empty() || scopes.is_empty() {
        true => Err("an API, =, and at least one of its scopes are needed"),
        false => Ok(Authority { api: api.to_owned(), scopes }),
    }
}

/// The token goes to standard output, alone, and the words about it elsewhere.
fn opened(opened: &Opened) {
    say!("{}", opened.task_token);
    let until = instant(SystemClock.now().seconds().saturating_add(opened.expires_in));
    let Opened { task, expires_in, txn, .. } = opened;
    eprintln!("task {task} ends at {until}, in {expires_in} s, transaction {txn}; its token is on standard output");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use std::time::Duration;

    use clap::Parser;

    use super::*;
    use crate::oauth::{ClientId, Resource, Scopes};
    use crate::request::TaskSpec;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn parsed(more: &[&str]) -> Result<Options, clap::error::ErrorKind> {
        let line = ["open", "--subject-token", "file"].iter().chain(more);
        Line::try_parse_from(line).map(|line| line.options).map_err(|error| error.kind())
    }

    fn wanted(more: &[&str]) -> TaskSpec {
        TaskSpec::parse(&details(&parsed(more).unwrap()).unwrap()).unwrap()
    }

    fn pair(api: &str, scopes: &str) -> (Resource, Scopes) {
        (Resource::parse(api).unwrap(), Scopes::parse(scopes).unwrap())
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
