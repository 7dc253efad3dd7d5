//! `trust check`: who could satisfy a trust rule. `trust forget`: a trust domain's publisher counts its bundles anew.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::iam_policy;
use super::output::{CommandResult, Failure, print};
use super::trust_try;
use crate::config;
use crate::files;
use crate::oauth::TrustDomain;
use crate::store::SequenceFile;
use crate::trust::{Finding, Severity, example, findings};

/// No trust policy of a role is longer.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The sub-commands of `trust`.
#[derive(Subcommand)]
pub(super) enum TrustCommand {
    /// Say who satisfies a trust rule or an AWS IAM role trust policy, each finding with a token that would pass
    Check(CheckOptions),
    /// Say which rules look at a token, what each check finds, and whom it would log in
    Try(trust_try::TryOptions),
    /// Forget the newest bundle of a trust domain whose publisher counts anew (spiffe_sequence)
    Forget(ForgetOptions),
}

/// The options of `trust check`.
#[derive(Args)]
pub(super) struct CheckOptions {
    /// A trust rule (TOML), or the trust policy of an AWS IAM role (JSON)
    file: PathBuf,
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

/// The options of `trust forget`.
#[derive(Args)]
pub(super) struct ForgetOptions {
    /// The trust domain
    domain: String,
    /// The server's data folder
    #[arg(long, default_value = "data")]
    data: PathBuf,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// The findings about a file.
#[derive(Default)]
struct RuleReport {
    findings: Vec<Finding>,
    /// Mistakes that keep the rule from being loaded.
    complaints: Vec<String>,
    /// Warnings about what is no mistake and may still surprise.
    doubts: Vec<String>,
    /// The claims of a token that is meant to pass.
    admits: Option<String>,
    /// The names of those that decide.
    decisive: Vec<String>,
}

/// Does what was asked.
pub(super) fn run(command: &TrustCommand) -> CommandResult {
    match command {
        TrustCommand::Check(options) => check(options),
        TrustCommand::Try(options) => trust_try::run(options),
        TrustCommand::Forget(options) => forget(options),
    }
}

/// Looks at one file. The answer is no where strangers may pass, or the rule would not be loaded.
fn check(options: &CheckOptions) -> CommandResult {
    let report = match options.file.extension().is_some_and(|extension| extension == "json") {
        true => policy(&options.file)?,
        false => rule(&options.file),
    };
    let safe = report.complaints.is_empty() && report.findings.iter().all(|finding| finding.severity < Severity::Danger);
    if options.json {
        in_json(&report, safe)
    } else {
        in_words(&report)
    }
    Ok(safe)
}

fn rule(path: &Path) -> RuleReport {
    let (rule, complaints, doubts) = config::trust_rule(path);
    let [complaints, doubts] = [complaints, doubts].map(|list| list.iter().map(ToString::to_string).collect());
    match rule {
        Some(rule) => RuleReport {
            findings: findings(&rule),
            complaints,
            doubts,
            admits: Some(example(&rule)),
            decisive: rule.require().iter().map(|requirement| first_step(requirement.claim())).collect(),
        },
        None => RuleReport { complaints, doubts, ..RuleReport::default() },
    }
}

/// The member of the claims that a name or JSON Pointer leads into.
fn first_step(claim: &str) -> String {
    let step = claim.strip_prefix('/').map_or(claim, |pointer| pointer.split('/').next().unwrap_or_default());
    step.replace("~1", "/").replace("~0", "~")
}

fn policy(path: &Path) -> Result<RuleReport, Failure> {
    let text = files::read_text(path, FILE_BYTES_MAX).map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
    let findings = iam_policy::findings(&text).map_err(|what| Failure::new(format!("{}: {what}", path.display())))?;
    Ok(RuleReport { findings, ..RuleReport::default() })
}

fn in_words(report: &RuleReport) {
    report.complaints.iter().for_each(|complaint| say!("error: {complaint}"));
    report.doubts.iter().for_each(|doubt| say!("warning: {doubt}"));
    if let Some(token) = &report.admits {
        say!("the rule is meant for tokens such as {} (--json shows all of it)", in_short(token, &report.decisive));
    }
    for finding in &report.findings {
        say!("{}: {} [{}]", word(finding.severity), finding.sentence, finding.code);
        match report.admits.as_ref().map(|admits| difference(admits, &finding.token)) {
            None => say!("    a token that would pass: {}", finding.token),
            Some(changes) if changes.is_empty() => say!("    that very token would pass, from whoever can get it"),
            Some(changes) => say!("    the same token would pass with {}", Value::Object(changes)),
        }
    }
    let count = |severity| report.findings.iter().filter(|finding| finding.severity == severity).count();
    let counts = [
        (report.complaints.len(), "error"),
        (count(Severity::Danger), "danger"),
        (count(Severity::Warning) + report.doubts.len(), "warning"),
        (count(Severity::Note), "note"),
    ];
    let words = counts.map(|(count, what)| format!("{count} {what}{}", if count == 1 { "" } else { "s" }));
    say!("{}", words.join(", "));
}

/// Who issued it, for whom, about whom, and what the rule decides by.
fn in_short(token: &str, decisive: &[String]) -> Value {
    let mut claims: Map<String, Value> = serde_json::from_str(token).unwrap_or_default();
    claims.retain(|name, _| ["iss", "aud", "sub", "dns"].contains(&name.as_str()) || decisive.contains(name));
    Value::Object(claims)
}

/// The claims of `other` that `token` does not have, or has otherwise.
fn difference(token: &str, other: &str) -> Map<String, Value> {
    let read = |text: &str| serde_json::from_str::<Map<String, Value>>(text).unwrap_or_default();
    let (token, mut other) = (read(token), read(other));
    other.retain(|name, value| token.get(name) != Some(value));
    other
}

fn in_json(report: &RuleReport, safe: bool) {
    let token = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    let finding = |finding: &Finding| {
        let severity = word(finding.severity);
        json!({"severity": severity, "code": finding.code, "message": finding.sentence, "token": token(&finding.token)})
    };
    let findings: Vec<Value> = report.findings.iter().map(finding).collect();
    let mut out = json!({"ok": safe, "findings": findings, "complaints": report.complaints, "warnings": report.doubts});
    if let (Some(admits), Some(members)) = (&report.admits, out.as_object_mut()) {
        members.insert("admits".to_owned(), token(admits));
    }
    say!("{out}");
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Danger => "danger",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}

/// Forgets the highest version of the domain's bundles. A running server hears of it when it next gets an older one. The answer
/// is no when nothing was known.
fn forget(options: &ForgetOptions) -> CommandResult {
    let domain = TrustDomain::parse(&options.domain).map_err(|reason| Failure::new(format!("the trust domain {reason}")))?;
    if !options.data.is_dir() {
        return Err(Failure::new(format!("{} is no data folder", options.data.display())));
    }
    let file = SequenceFile::new(&options.data);
    let known = file.forget(&domain).map_err(|error| Failure::new(format!("{}: {error}", file.path().display())))?;
    let words = match known {
        Some(highest) => format!("{domain}: the next bundle counts whatever its spiffe_sequence is; the highest was {highest}"),
        None => format!("{domain}: no spiffe_sequence is known"),
    };
    print(options.json, &json!({"ok": known.is_some(), "trust_domain": domain.as_str(), "forgotten": known}), words);
    Ok(known.is_some())
}
