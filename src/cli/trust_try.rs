//! `trust try`: which rules look at a token, what each finds, and whom it would log in.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde_json::{Value, json};

use super::output::{CommandResult, Failure};
use crate::config::{self, Sources};
use crate::deployment::Deployment;
use crate::files;
use crate::jose::{COMPACT_BYTES_MAX, Compact};
use crate::net::Fetcher;
use crate::oauth::{Clock, RuleName, Subject};
use crate::server::stand_in_keys;
use crate::store::SystemClock;
use crate::trust::{Trial, TrialCheck, TrustRefusal, VerifiedAssertion};

/// The options of `trust try`.
#[derive(Args)]
pub(super) struct TryOptions {
    /// The file with the token, or - for standard input; a token on the command line would be seen by everybody on the machine
    token: PathBuf,
    /// Look at this rule only, whichever issuer the token names
    #[arg(long)]
    rule: Option<String>,
    /// A settings file, as of serve; may repeat
    #[arg(long)]
    config: Vec<PathBuf>,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// Looks at one token, with the keys that the rules name: those from the network are fetched for it. The answer is no where
/// not exactly one rule accepts it.
pub(super) fn run(options: &TryOptions) -> CommandResult {
    let path = if options.token.as_os_str() == "-" { "/dev/stdin".into() } else { options.token.clone() };
    let failed = |error| Failure::new(format!("{}: {error}", options.token.display()));
    let text = files::read_argument(&path, 2 * COMPACT_BYTES_MAX as u64).map_err(failed)?;
    let token = Compact::parse(text.trim()).map_err(|reason| Failure::new(format!("{}: {reason}", options.token.display())))?;
    let rule = options.rule.as_deref().map(RuleName::parse).transpose();
    let rule = rule.map_err(|reason| Failure::new(format!("the rule {reason}")))?;
    let loaded = Sources::new(options.config.clone()).load().config;
    let complained = |complaints| Failure::new(format!("the configuration is not one; see `countersign check`: {complaints}"));
    let deployment = config::deployment(loaded.map_err(complained)?, stand_in_keys()?, None).map_err(complained)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(error.to_string()))?;
    let tried = runtime.block_on(async {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        deployment.trust.keep_fresh(&Fetcher::new(), &clock);
        deployment.trust.trials(&token, rule.as_ref(), clock.now()).await
    });
    let ok = matches!(&tried, Ok(trials) if trials.iter().filter(|trial| trial.accepted.is_some()).count() == 1);
    match options.json {
        true => say!("{}", in_json(&tried, &deployment, ok)),
        false => in_words(&tried, &deployment),
    }
    Ok(ok)
}

fn in_words(tried: &Result<Vec<Trial>, TrustRefusal>, deployment: &Deployment) {
    match tried {
        Err(refused) => say!("no rule looks at the token: {}", told(refused)),
        Ok(trials) => trials.iter().for_each(|trial| one_in_words(trial, deployment)),
    }
}

fn one_in_words(trial: &Trial, deployment: &Deployment) {
    let verdict = if trial.accepted.is_some() { "accepts" } else { "refuses" };
    say!("rule {} ({}) {verdict} the token", trial.rule.name(), trial.rule.kind());
    for TrialCheck { name, refused } in &trial.checks {
        match refused {
            None => say!("  ok  {name}"),
            Some(refused) => say!("  NO  {name}: {}", told(refused)),
        }
    }
    let Some(assertion) = &trial.accepted else { return };
    let meant = meaning(assertion, deployment);
    say!("  subject     {}", meant.subject);
    meant.instance.iter().for_each(|instance| say!("  instance    {instance}"));
    meant.attributes.iter().for_each(|(name, value)| say!("  attribute   {name} = {value}"));
    meant.scopes.iter().for_each(|scope| say!("  scope       {scope}"));
    match meant.agents.as_slice() {
        [] => say!("  logs in     nobody: no [[login]] of an agent's file with this rule fits it"),
        agents => say!("  logs in     {}", agents.join(" or ")),
    }
}

/// The meaning of a token that is accepted.
struct Meaning {
    subject: String,
    instance: Option<String>,
    attributes: Vec<(String, String)>,
    scopes: Vec<String>,
    agents: Vec<String>,
}

fn meaning(assertion: &VerifiedAssertion, deployment: &Deployment) -> Meaning {
    let rule = assertion.rule();
    let named = rule.access_tokens().and_then(|form| form.scopes(assertion.claims())).unwrap_or_default();
    let mapped = rule.scopes().iter().filter(|map| named.iter().any(|name| name == map.from.as_str()));
    Meaning {
        subject: Subject::foreign(rule.name(), assertion.id()).to_string(),
        instance: assertion.instance().map(str::to_owned),
        attributes: assertion.attributes().to_vec(),
        scopes: mapped.map(|map| format!("{} is {} of {}", map.from, map.to, map.api)).collect(),
        agents: deployment.logins.agents_of(assertion).into_iter().map(ToString::to_string).collect(),
    }
}

/// Why a check fails, and what was found.
fn told(refused: &TrustRefusal) -> String {
    refused.found().map_or_else(|| refused.to_string(), |found| format!("{refused} ({found})"))
}

fn in_json(tried: &Result<Vec<Trial>, TrustRefusal>, deployment: &Deployment, ok: bool) -> Value {
    let check = |check: &TrialCheck| {
        let found = check.refused.as_ref().map(told);
        json!({"check": check.name, "ok": found.is_none(), "found": found})
    };
    let trial = |trial: &Trial| {
        let meant = trial.accepted.as_ref().map(|assertion| {
            let meant = meaning(assertion, deployment);
            json!({
                "subject": meant.subject, "instance": meant.instance, "attributes": meant.attributes, "scopes": meant.scopes,
                "agents": meant.agents,
            })
        });
        let checks: Vec<Value> = trial.checks.iter().map(check).collect();
        json!({"rule": trial.rule.name().as_str(), "kind": trial.rule.kind().name(), "checks": checks, "accepted": meant})
    };
    match tried {
        Ok(trials) => json!({"ok": ok, "rules": trials.iter().map(trial).collect::<Vec<_>>()}),
        Err(refused) => json!({"ok": ok, "rules": [], "found": told(refused)}),
    }
}
