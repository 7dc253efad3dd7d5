//! `policy`: what policies would decide, asked beforehand.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::admin::{Admin, AdminOptions, FolderOptions};
use super::output::{CommandResult, Failure, print};
use super::policy_files::{configuration, request, sources};
use super::policy_test;
use super::text::{instant, items, text};
use crate::admin;
use crate::config::Config;
use crate::diagnostic::Diagnostic;
use crate::oauth::{Clock, Time};
use crate::policy::PolicyException;
use crate::store::SystemClock;

const DAY_SECONDS: u64 = 86_400;

/// The sub-commands of `policy`.
#[derive(Subcommand)]
pub(super) enum PolicyCommand {
    /// Compare every name in the policies with what there is, and list the exceptions that live
    Check(PolicyCheckOptions),
    /// Say what would be decided about a request, by which policies, and what was missing
    Explain(ExplainOptions),
    /// Decide on the requests of a folder and compare with what each expects
    Test(policy_test::Options),
}

/// The options of `policy check`.
#[derive(Args)]
pub(super) struct PolicyCheckOptions {
    /// A settings file, over conf/default.toml; may repeat, later ones win
    #[arg(long)]
    config: Vec<PathBuf>,
    /// The data folder of a server, which knows the names of before
    #[arg(long)]
    data: Option<PathBuf>,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// The options of `policy explain`.
#[derive(Args)]
pub(super) struct ExplainOptions {
    /// The file of the request, as docs/policy.md describes it
    request: PathBuf,
    /// A settings file, over conf/default.toml; may repeat, later ones win
    #[arg(long)]
    config: Vec<PathBuf>,
    /// The data folder of a server: asks what is in force there, by its socket where it runs
    #[arg(long)]
    data: Option<PathBuf>,
    /// The key folder of the server instead of the one that the data folder was last served with
    #[arg(long)]
    keys: Option<PathBuf>,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// Does what was asked.
pub(super) fn run(command: &PolicyCommand) -> CommandResult {
    match command {
        PolicyCommand::Check(options) => check(options),
        PolicyCommand::Explain(options) => explain(options),
        PolicyCommand::Test(options) => policy_test::run(options),
    }
}

fn check(options: &PolicyCheckOptions) -> CommandResult {
    let config = match sources(&options.config, options.data.as_deref())?.load().config {
        Ok(config) => config,
        Err(complaints) => {
            let list: Value = serde_json::from_str(&complaints.to_json()).unwrap_or_default();
            print(options.json, &json!({ "ok": false, "complaints": list }), &complaints);
            return Ok(false);
        }
    };
    let (policies, now) = (config.policy_set(), SystemClock.now());
    let files: Vec<&str> = config.policies.iter().map(|file| &*file.file).collect();
    let of_policies = |warning: &&Diagnostic| files.contains(&&*warning.location.file) || is_below(&config, warning);
    let warnings: Vec<&Diagnostic> = config.warnings.iter().filter(of_policies).collect();
    let exceptions = policies.exceptions(now);
    let listed: Vec<Value> = exceptions.iter().map(|(id, exception)| listed(id, exception, now)).collect();
    let mut words = String::new();
    for warning in &warnings {
        let _infallible = writeln!(words, "warning: {warning}");
    }
    for exception in &listed {
        let [id, owner, from, reason, expires] =
            ["/policy", "/owner", "/exception", "/reason", "/expires"].map(|it| text(exception, it));
        let days = exception.get("days_left").and_then(Value::as_u64).unwrap_or_default();
        let _infallible = writeln!(words, "exception {id} from {from}: {reason} ({owner}), until {expires}, {days} days left");
    }
    let _infallible = write!(words, "{} policies in {} files; {} exceptions live", policies.len(), files.len(), listed.len());
    let data = json!({ "ok": true, "policies": policies.len(), "digest": policies.digest().to_string(),
        "warnings": warnings, "exceptions": listed });
    print(options.json, &data, words);
    Ok(true)
}

/// True for what lies in the folder of the policies, or is about all of them.
fn is_below(config: &Config, warning: &Diagnostic) -> bool {
    let file = Path::new(&*warning.location.file);
    file == Path::new("policies") || file.starts_with(&config.settings.files.policies.value)
}

fn listed(id: &str, exception: &PolicyException, now: Time) -> Value {
    let PolicyException { from, owner, reason, expires } = exception;
    let days = expires.since(now).as_secs() / DAY_SECONDS;
    json!({ "policy": id, "exception": from, "owner": owner, "reason": reason,
        "expires": instant(expires.seconds()), "days_left": days })
}

fn explain(options: &ExplainOptions) -> CommandResult {
    let request = request(&options.request)?;
    let answer = match &options.data {
        Some(data) => {
            let folder = FolderOptions::new(data.clone(), options.config.clone(), options.keys.clone());
            let of_server = AdminOptions { folder, json: options.json };
            Admin::run(&of_server, async |admin| admin.explain_policy(&request).await)?
        }
        None => {
            let config = configuration(&options.config)?;
            let explained = admin::explain_policy(config.policy_set(), &config.catalog, &request, SystemClock.now());
            explained.map(|explained| json!(explained)).map_err(|reason| reason.to_string())
        }
    };
    let explained = answer.map_err(|why| Failure::new(format!("{}: {why}", options.request.display())))?;
    print(options.json, &explained, words(&explained));
    Ok(text(&explained, "/decision") == "permit")
}

/// The answer for people.
fn words(explained: &Value) -> String {
    let mut words = String::new();
    for scope in items(explained, "/scopes") {
        let [name, decision] = ["/scope", "/decision"].map(|member| text(scope, member));
        let policies = list(scope, "policies");
        let by = match (policies.is_empty(), decision == "permit") {
            (true, _) => "no policy permits it".to_owned(),
            (false, true) => format!("by {}", policies.join(", ")),
            (false, false) => format!("{} stood in the way", policies.join(", ")),
        };
        let _infallible = writeln!(words, "{name}: {decision}, {by}");
        for unmet in items(scope, "/unmet") {
            let conditions = list(unmet, "conditions").join("; ");
            let _infallible = writeln!(words, "  {} would permit, but this does not hold: {conditions}", text(unmet, "/policy"));
        }
        let nearest = list(scope, "nearest");
        if !nearest.is_empty() {
            let _infallible = writeln!(words, "  permitted with {}", nearest.join(" and "));
        }
    }
    let not_given = list(explained, "not_given");
    if !not_given.is_empty() {
        let _infallible = writeln!(words, "the policies read what the request does not give: {}", not_given.join(", "));
    }
    let _infallible = write!(words, "{}", text(explained, "/decision"));
    words
}

fn list<'a>(of: &'a Value, member: &str) -> Vec<&'a str> {
    of.get(member).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}
