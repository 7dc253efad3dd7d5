//! `trust check`: who on Earth satisfies a rule. `trust forget`: whose bundles count anew.

pub(super) mod forget;
mod iam;

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Map, Value, json};

use super::output::{Failed, Outcome};
use crate::config;
use crate::trust::{Finding, Severity, example, findings};

/// The options of `trust check`.
#[derive(Args)]
pub(super) struct Options {
    /// A trust rule (TOML), or the trust policy of an AWS IAM role (JSON)
    file: PathBuf,
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

/// What was found out about a file.
#[derive(Default)]
struct Report {
    findings: Vec<Finding>,
    /// What would keep the rule from being loaded.
    complaints: Vec<String>,
    /// What is no mistake and may still surprise.
    doubts: Vec<String>,
    /// The claims of a token that is meant to pass.
    admits: Option<String>,
    /// The names of those that decide.
    decisive: Vec<String>,
}

/// Looks at one file. The answer is no where strangers may pass, or the rule would not be loaded.
pub(super) fn run(options: &Options) -> Outcome {
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

fn rule(path: &Path) -> Report {
    let (rule, complaints, doubts) = config::trust_rule(path);
    let [complaints, doubts] = [complaints, doubts].map(|list| list.iter().map(ToString::to_string).collect());
    match rule {
        Some(rule) => Report {
            findings: findings(&rule),
            complaints,
            doubts,
            admits: Some(example(&rule)),
            decisive: rule.require().iter().map(|requirement| first_step(requirement.claim())).collect(),
        },
        None => Report { complaints, doubts, ..Report::default() },
    }
}

/// The member of the claims that a name or JSON Pointer leads into.
fn first_step(claim: &str) -> String {
    let step = claim.strip_prefix('/').map_or(claim, |pointer| pointer.split('/').next().unwrap_or_default());
    step.replace("~1", "/").replace("~0", "~")
}

fn policy(path: &Path) -> Result<Report, Failed> {
    let text = std::fs::read_to_string(path).map_err(|error| Failed::new(format!("{}: {error}", path.display())))?;
    let findings = iam::findings(&text).map_err(|what| Failed::new(format!("{}: {what}", path.display())))?;
    Ok(Report { findings, ..Report::default() })
}

fn in_words(report: &Report) {
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
    let told = counts.map(|(count, what)| format!("{count} {what}{}", if count == 1 { "" } else { "s" }));
    say!("{}", told.join(", "));
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

fn in_json(report: &Report, safe: bool) {
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
