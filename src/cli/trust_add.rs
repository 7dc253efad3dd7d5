//! `trust add`: a trust rule for an issuer, by what it publishes and by a token of it.

mod toml;

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::output::{CommandResult, Failure};
use super::trust_report::{RuleReport, report_of};
use super::trust_try;
use crate::config;
use crate::files::{self, Access};
use crate::http::block_on;
use crate::jose::{Compact, Object};
use crate::keys::{RefreshReason, survey};
use crate::net::Fetcher;
use crate::oauth::{Issuer, RuleName};
use crate::trust::{RuleDraft, TrustKind, TrustRule};

/// The options of `trust add`.
#[derive(Args)]
pub(super) struct AddOptions {
    /// The issuer, as the `iss` of its tokens names it; also by the address of its discovery document. For a SPIFFE trust domain
    /// spiffe://DOMAIN
    url: String,
    /// A file with a token of it, or - for standard input: the rule admits exactly whom it is about
    #[arg(long, value_name = "FILE")]
    token: Option<PathBuf>,
    /// What the rule is called; without it, after the kind and the host
    #[arg(long)]
    name: Option<String>,
    /// Whom its tokens are for: this server's issuer identifier, or the client of an ID token. Without it, whom the sample is for
    #[arg(long)]
    audience: Option<String>,
    /// A file with its keys, instead of asking the issuer; for a SPIFFE trust domain, its bundle
    #[arg(long, value_name = "FILE")]
    jwks: Option<PathBuf>,
    /// A host beside the issuer's own on which its keys are; may repeat
    #[arg(long)]
    host: Vec<String>,
    /// The file to write, which must not be there yet; without it, the rule is printed
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print the rule and what was found as JSON
    #[arg(long)]
    json: bool,
}

/// A rule that was written, and what is to be said about it.
pub(super) struct WrittenRule {
    draft: RuleDraft,
    text: String,
    report: RuleReport,
    tried: Option<Value>,
}

/// Writes a rule. The answer is no where it would not be loaded, admits strangers, or does not accept the sample.
pub(super) fn run(options: &AddOptions) -> CommandResult {
    refuse_to_overwrite(options.out.as_deref())?;
    let sample = options.token.as_deref().map(trust_try::read).transpose()?;
    let sample = sample.as_deref();
    let issuer = issuer(&options.url);
    let (issuer, metadata) = if options.jwks.is_some() { (issuer, None) } else { look(&issuer, &options.host)? };
    let written = written(options, &issuer, metadata.as_ref(), sample)?;
    if let Some(out) = &options.out {
        let failed = |error| Failure::new(format!("{}: {error}", out.display()));
        files::create(out, written.text.as_bytes(), Access::Everybody).map_err(failed)?;
    }
    let good = written.is_good();
    match options.json {
        true => say!("{}", written.in_json(options.out.as_deref(), good)),
        false => written.say(options.out.as_deref()),
    }
    Ok(good)
}

fn refuse_to_overwrite(out: Option<&Path>) -> Result<(), Failure> {
    match out.filter(|out| out.symlink_metadata().is_ok()) {
        Some(out) => {
            Err(Failure::new(format!("{} is there already, and nothing is overwritten: name another file", out.display())))
        }
        None => Ok(()),
    }
}

/// The issuer that an address means.
fn issuer(url: &str) -> String {
    url.strip_suffix("/.well-known/openid-configuration").unwrap_or(url).to_owned()
}

/// What the issuer publishes, and its own name: that may differ from what was typed by its last slash alone.
fn look(named: &str, hosts: &[String]) -> Result<(String, Option<Object>), Failure> {
    if named.starts_with("spiffe://") {
        return Err(Failure::new("a SPIFFE trust domain is known by its bundle: name the file of it with --jwks"));
    }
    let usual = TrustKind::ALL.iter().filter(|(_, kind)| kind.default_issuer() == Some(named));
    let hosts: Vec<String> =
        usual.flat_map(|(_, kind)| kind.default_hosts()).map(ToString::to_string).chain(hosts.iter().cloned()).collect();
    let ask = |named: &str| -> Result<Result<Object, RefreshReason>, Failure> {
        let issuer = Issuer::parse(named).map_err(|reason| Failure::new(format!("the issuer {reason}")))?;
        Ok(block_on(survey(&issuer, &hosts, &Fetcher::new())).map(|found| found.metadata))
    };
    match ask(named)? {
        Err(RefreshReason::OtherIssuer(own)) if own.trim_end_matches('/') == named.trim_end_matches('/') => {
            let found = ask(&own)?.map_err(|reason| unreachable(&own, &reason))?;
            Ok((own, Some(found)))
        }
        Err(reason) => Err(unreachable(named, &reason)),
        Ok(found) => Ok((named.to_owned(), Some(found))),
    }
}

fn unreachable(issuer: &str, reason: &RefreshReason) -> Failure {
    let help = match reason {
        RefreshReason::Host(_) => "; here: --host, or --jwks with a file of its keys",
        _ => "; --jwks takes a file of its keys instead",
    };
    Failure::new(format!("{issuer}: {reason}{help}"))
}

fn written(options: &AddOptions, issuer: &str, metadata: Option<&Object>, sample: Option<&str>) -> Result<WrittenRule, Failure> {
    let token = sample.map(Compact::parse).transpose().map_err(|reason| Failure::new(reason.to_string()))?;
    require_same_issuer(issuer, token.as_ref())?;
    let draft = RuleDraft::new(issuer, metadata, token.as_ref(), options.audience.as_deref());
    let name = match &options.name {
        Some(name) => name.clone(),
        None => usual_name(&draft, issuer),
    };
    RuleName::parse(&name).map_err(|reason| Failure::new(format!("the name {reason}")))?;
    let keys = toml::RuleKeyPlaces { jwks: options.jwks.as_deref(), hosts: &options.host };
    let place = options.out.clone().unwrap_or_else(|| PathBuf::from(format!("{name}.toml")));
    let text = toml::rule(&draft, &name, issuer, &keys);
    let (rule, complaints, doubts) = config::trust_rule_text(&place, text.clone());
    let tried = rule.as_ref().zip(sample).map(|(rule, sample)| tried(rule, sample)).transpose()?;
    Ok(WrittenRule { draft, text, report: report_of(rule, &complaints, &doubts), tried })
}

fn tried(rule: &TrustRule, sample: &str) -> Result<Value, Failure> {
    trust_try::under_rule(rule.clone(), sample)
}

/// A sample of another issuer would make a rule that never applies.
fn require_same_issuer(issuer: &str, token: Option<&Compact<'_>>) -> Result<(), Failure> {
    let Some(claims) = token.and_then(|token| token.unverified_claims().ok()) else { return Ok(()) };
    match claims.text("iss").ok().flatten() {
        Some(named) if *named != *issuer && !issuer.starts_with("spiffe://") => {
            Err(Failure::new(format!("the token is of another issuer: its iss is {named:?}, and not {issuer:?} to the letter")))
        }
        _ => Ok(()),
    }
}

/// Named after the kind, and the host of the issuer where customers of the platform have their own.
fn usual_name(draft: &RuleDraft, issuer: &str) -> String {
    let host = issuer.split_once("://").map_or(issuer, |(_, rest)| rest).split(['/', ':']).next().unwrap_or_default();
    let host: String = host.chars().map(|one| if one.is_ascii_alphanumeric() { one.to_ascii_lowercase() } else { '-' }).collect();
    let kind = draft.kind.name();
    let name = if draft.kind.default_issuer() == Some(issuer) { kind.to_owned() } else { format!("{kind}-{host}") };
    name.chars().take(60).collect::<String>().trim_end_matches('-').to_owned()
}

impl WrittenRule {
    fn is_good(&self) -> bool {
        let accepted = self.tried.as_ref().is_some_and(|tried| tried.pointer("/ok") == Some(&Value::Bool(true)));
        self.draft.complete && self.report.is_safe() && accepted
    }

    /// The rule, and what is to be said about it: behind it as comments where both go to the same place.
    fn say(&self, out: Option<&Path>) {
        if out.is_none() {
            say!("{}", self.text.trim_end());
        }
        let lines = self.words(out);
        let mark = if out.is_none() { "# " } else { "" };
        lines.iter().for_each(|line| say!("{}", format!("{mark}{line}").trim_end()));
    }

    fn words(&self, out: Option<&Path>) -> Vec<String> {
        let mut lines = vec![match out {
            Some(out) => format!("written: {}, of kind {}: {}", out.display(), self.draft.kind, self.draft.known_by),
            None => format!("of kind {}: {}", self.draft.kind, self.draft.known_by),
        }];
        lines.extend(self.report.lines());
        lines.extend(self.tried.iter().flat_map(|tried| trust_try::in_words(tried, false, false)));
        lines.push("what to do next:".to_owned());
        lines.extend(self.next(out).iter().map(|step| format!("  {step}")));
        lines
    }

    /// The steps that are left.
    fn next(&self, out: Option<&Path>) -> Vec<String> {
        let draft = &self.draft;
        let mut steps = Vec::new();
        if draft.audiences.is_empty() {
            steps
                .push("say in audiences whom its tokens are for: this server's issuer identifier, or --audience here".to_owned());
        }
        if !draft.complete {
            steps.push("the rule admits nobody yet: say in require who is meant, and take out enabled = false;".to_owned());
            steps.push("or do this again with --token FILE, a token of whoever is meant".to_owned());
        }
        if draft.kind == TrustKind::Oauth {
            steps.push(
                "say in [[map]] what its scopes mean here: before that no configuration with the rule is loaded".to_owned(),
            );
        }
        steps.extend(draft.client.iter().map(|client| {
            format!("list the client in the file of the agent that may present its tokens: foreign_clients, {client:?}")
        }));
        if draft.client.is_none() {
            steps
                .push("let an agent log in with it ([[login]], method = \"workload_jwt\"), or name one in presenters".to_owned());
        }
        let file = out.map_or_else(|| "FILE".to_owned(), |out| out.display().to_string());
        steps.push(format!("put it into the folder of the trust rules, and: countersign trust try TOKEN --file {file}"));
        steps
    }

    fn in_json(&self, out: Option<&Path>, good: bool) -> Value {
        json!({
            "ok": good, "file": out, "rule": self.text, "kind": self.draft.kind.name(), "known_by": self.draft.known_by,
            "complete": self.draft.complete, "check": self.report.json(), "tried": self.tried, "next": self.next(out),
        })
    }
}
