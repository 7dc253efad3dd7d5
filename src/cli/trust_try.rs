//! `trust try`: which rules look at a token, what each check finds and wants, whom it would log in and what it would mean.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde_json::{Value, json};
use tracing_subscriber::filter::LevelFilter;

use super::admin::{Admin, AdminOptions, FolderOptions};
use super::output::{CommandResult, Failure};
use super::text::{items, text};
use crate::admin::{TrialGround, try_token};
use crate::config::{self, Sources};
use crate::files;
use crate::http::block_on;
use crate::jose::{COMPACT_BYTES_MAX, Compact};
use crate::net::Fetcher;
use crate::oauth::{Clock, RuleName};
use crate::server::stand_in_keys;
use crate::store::SystemClock;
use crate::trust::{TrustRule, TrustStore};

/// The options of `trust try`.
#[derive(Args)]
pub(super) struct TryOptions {
    /// The file with the token, or - for standard input; a token on the command line would be seen by everybody on the machine
    token: PathBuf,
    /// Look at this rule only, whichever issuer the token names
    #[arg(long)]
    rule: Option<String>,
    /// Look at this file's rule only, which need not be in any configuration yet
    #[arg(long, value_name = "FILE", conflicts_with_all = ["rule", "config", "data", "keys"])]
    file: Option<PathBuf>,
    /// Ask the server that runs on this data folder, by its rules, keys and records; on the folder itself where none runs.
    /// Without it the configuration is read and nobody is asked
    #[arg(long)]
    data: Option<PathBuf>,
    /// A settings file, as of serve; may repeat
    #[arg(long)]
    config: Vec<PathBuf>,
    /// The key folder of the server instead of the one that the data folder was last served with
    #[arg(long, requires = "data")]
    keys: Option<PathBuf>,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// How often keys that are on their way are waited for, three seconds at most each time; a fetch takes five.
const LOOKS: usize = 20;

/// Looks at one token. The answer is no where not exactly one rule accepts it, or what it vouches for was ended.
pub(super) fn run(options: &TryOptions) -> CommandResult {
    let text = read(&options.token)?;
    tell_warnings();
    let rule = options.rule.as_deref().map(RuleName::parse).transpose();
    let rule = rule.map_err(|reason| Failure::new(format!("the rule {reason}")))?;
    let (tried, waits) = match (&options.data, &options.file) {
        (Some(data), _) => asked(options, data, &text, rule.as_ref())?,
        (None, Some(file)) => (under_file(file, &text)?, false),
        (None, None) => (configured(options, &text, rule.as_ref())?, false),
    };
    match options.json {
        true => say!("{tried}"),
        false => in_words(&tried, options.file.is_none(), waits).iter().for_each(|line| say!("{line}")),
    }
    Ok(tried.pointer("/ok") == Some(&Value::Bool(true)))
}

/// Has told on the error output what a server would log: why keys cannot be fetched, and which claims cannot be read.
fn tell_warnings() {
    let told = tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(LevelFilter::WARN);
    let _told_already = told.with_target(false).without_time().with_ansi(false).try_init();
}

/// The token in a file, which is one.
pub(super) fn read(path: &Path) -> Result<String, Failure> {
    let place = if path.as_os_str() == "-" { Path::new("/dev/stdin") } else { path };
    let failed = |error| Failure::new(format!("{}: {error}", path.display()));
    let text = files::read_argument(place, 2 * COMPACT_BYTES_MAX as u64).map_err(failed)?.trim().to_owned();
    match Compact::parse(&text) {
        Ok(_) => Ok(text),
        Err(reason) => Err(Failure::new(format!("{}: {reason}", path.display()))),
    }
}

/// By the server on the data folder, or on the folder; and whether a changed configuration waits there.
fn asked(options: &TryOptions, data: &Path, text: &str, rule: Option<&RuleName>) -> Result<(Value, bool), Failure> {
    let folder = FolderOptions::new(data.to_owned(), options.config.clone(), options.keys.clone());
    let admin = AdminOptions { folder, json: options.json };
    let answer = Admin::run(&admin, async |admin| admin.try_token(text, rule).await)?.map_err(Failure::new)?;
    let tried = answer.pointer("/tried").cloned().unwrap_or_default();
    Ok((tried, answer.pointer("/waits") == Some(&Value::Bool(true))))
}

/// By the configuration: keys that its rules have from the network are fetched for it.
fn configured(options: &TryOptions, text: &str, rule: Option<&RuleName>) -> Result<Value, Failure> {
    let loaded = Sources::new(options.config.clone()).load().config;
    let complained = |complaints| Failure::new(format!("the configuration is not one; see `countersign check`: {complaints}"));
    let deployment = config::deployment(loaded.map_err(complained)?, stand_in_keys()?, None).map_err(complained)?;
    let token = Compact::parse(text).map_err(|reason| Failure::new(reason.to_string()))?;
    Ok(block_on(tried(TrialGround::of(&deployment, None), &token, rule)))
}

/// By the rule of one file alone.
fn under_file(file: &Path, text: &str) -> Result<Value, Failure> {
    match config::trust_rule(file) {
        (Some(rule), _, _) => under_rule(rule, text),
        (None, complaints, _) => Err(Failure::new(complaints.to_string())),
    }
}

/// By one rule alone.
pub(super) fn under_rule(rule: TrustRule, text: &str) -> Result<Value, Failure> {
    let token = Compact::parse(text).map_err(|reason| Failure::new(reason.to_string()))?;
    let name = rule.name().clone();
    let trust = TrustStore::new(vec![rule], None).map_err(|reason| Failure::new(reason.to_string()))?;
    Ok(block_on(tried(TrialGround { trust: &trust, deployment: None, state: None }, &token, Some(&name))))
}

/// Tries the token with keys that are fetched for it, and waits for those that are on their way.
async fn tried(ground: TrialGround<'_>, token: &Compact<'_>, rule: Option<&RuleName>) -> Value {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    if let Some(variable) = config::proxy_variable().filter(|_| ground.trust.rules().any(|rule| rule.fetches_directly())) {
        tracing::warn!(variable, "the proxy of the environment is not used to fetch keys; `proxy` in [keys] of a trust rule is");
    }
    ground.trust.keep_fresh(&Fetcher::new(), &clock);
    let mut trial = try_token(ground, token, rule, clock.now()).await;
    for _ in 0..LOOKS {
        let names = trial.rules.iter().filter_map(|rule| RuleName::parse(&rule.rule).ok());
        let mut states = names.filter_map(|name| ground.trust.key_state(&name, clock.now()));
        if !states.any(|state| !state.usable && state.failures == 0) {
            break;
        }
        trial = try_token(ground, token, rule, clock.now()).await;
    }
    json!(trial)
}

/// The lines that tell it; `with_agents` where agents were looked at.
pub(super) fn in_words(tried: &Value, with_agents: bool, waits: bool) -> Vec<String> {
    let mut lines: Vec<String> = items(tried, "/rules").iter().flat_map(|rule| rule_in_words(rule, with_agents)).collect();
    lines.extend(tried.pointer("/found").and_then(Value::as_str).map(|found| format!("no rule looks at the token: {found}")));
    if items(tried, "/rules").iter().filter(|rule| rule.pointer("/accepted/subject").is_some()).count() > 1 {
        lines.push("more than one rule accepts the token, so none counts".to_owned());
    }
    if waits {
        lines.push("a changed configuration waits and was not asked; see countersign config accept".to_owned());
    }
    lines
}

fn rule_in_words(rule: &Value, with_agents: bool) -> Vec<String> {
    let accepted = rule.pointer("/accepted").filter(|accepted| accepted.is_object());
    let verdict = if accepted.is_some() { "accepts" } else { "refuses" };
    let mut lines = vec![format!("rule {} ({}) {verdict} the token", text(rule, "/rule"), text(rule, "/kind"))];
    for check in items(rule, "/checks") {
        let (name, found, wanted) = (text(check, "/check"), text(check, "/found"), text(check, "/wanted"));
        match check.pointer("/reason").and_then(Value::as_str) {
            None => lines.push(format!("  ok  {name}: {found}")),
            Some(reason) => {
                lines.push(format!("  NO  {name}: {found}"));
                lines.push(format!("      wanted: {wanted}"));
                lines.push(format!("      {reason}"));
            }
        }
    }
    lines.extend(accepted.into_iter().flat_map(|meant| meaning_in_words(meant, with_agents)));
    lines
}

fn meaning_in_words(meant: &Value, with_agents: bool) -> Vec<String> {
    let each = |pointer: &str| items(meant, pointer).iter().filter_map(Value::as_str).collect::<Vec<_>>();
    let mut lines = vec![format!("  subject     {} ({})", text(meant, "/subject"), text(meant, "/subject_kind"))];
    let one = |pointer: &str| meant.pointer(pointer).and_then(Value::as_str);
    lines.extend(one("/instance").map(|instance| format!("  instance    {instance}")));
    for attribute in items(meant, "/attributes") {
        lines.push(format!("  attribute   {} = {}", text(attribute, "/0"), text(attribute, "/1")));
    }
    lines.extend(each("/scopes").iter().map(|scope| format!("  scope       {scope}")));
    if meant.pointer("/scopes").is_some_and(Value::is_array) && each("/scopes").is_empty() {
        lines.push("  scope       none: no [[map]] of the rule names one of its scopes, so it gives nothing".to_owned());
    }
    lines.extend(one("/client").map(|client| format!("  client      {client}")));
    if with_agents {
        lines.extend(agents_in_words(meant, &each("/agents"), &each("/presenters")));
    }
    lines
}

fn agents_in_words(meant: &Value, agents: &[&str], presenters: &[&str]) -> Vec<String> {
    let person = text(meant, "/subject_kind") == "user";
    let logs_in = match agents {
        [] if person => "nobody: a person's token logs in no agent".to_owned(),
        [] => "nobody: no [[login]] of an agent's file with this rule fits it".to_owned(),
        [agent] => (*agent).to_owned(),
        several => format!("{}: client_id says which", several.join(" or ")),
    };
    let presented = match presenters {
        [] if person => "nobody: no agent's foreign_clients lists the client that obtained it".to_owned(),
        [] if agents.is_empty() => "nobody: the rule's presenters name no agent".to_owned(),
        [] => "whoever logs in with it".to_owned(),
        several => several.join(" or "),
    };
    vec![format!("  logs in     {logs_in}"), format!("  presented   by {presented}")]
}
