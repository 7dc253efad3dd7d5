//! The report on a trust rule: who could satisfy it, and what is wrong with its file.

use serde_json::{Map, Value, json};

use crate::diagnostic::Diagnostics;
use crate::trust::{Finding, Severity, TrustRule, example, findings};

/// The findings about a file.
#[derive(Default)]
pub(super) struct RuleReport {
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

/// The report on a rule, if it makes sense, with the mistakes and warnings that reading it brought.
pub(super) fn report_of(rule: Option<TrustRule>, complaints: &Diagnostics, doubts: &Diagnostics) -> RuleReport {
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

impl RuleReport {
    /// A report that has these findings alone.
    pub(super) fn of_findings(findings: Vec<Finding>) -> Self {
        Self { findings, ..Self::default() }
    }

    /// True where no stranger passes, and the rule would be loaded.
    pub(super) fn is_safe(&self) -> bool {
        self.complaints.is_empty() && self.findings.iter().all(|finding| finding.severity < Severity::Danger)
    }

    /// The report as people read it.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.complaints.iter().map(|complaint| format!("error: {complaint}")).collect();
        lines.extend(self.doubts.iter().map(|doubt| format!("warning: {doubt}")));
        if let Some(token) = &self.admits {
            let short = in_short(token, &self.decisive);
            lines.push(format!("the rule is meant for tokens such as {short} (--json shows all of it)"));
        }
        for finding in &self.findings {
            lines.push(format!("{}: {} [{}]", word(finding.severity), finding.sentence, finding.code));
            lines.push(match self.admits.as_ref().map(|admits| difference(admits, &finding.token)) {
                None => format!("    a token that would pass: {}", finding.token),
                Some(changes) if changes.is_empty() => "    that very token would pass, from whoever can get it".to_owned(),
                Some(changes) => format!("    the same token would pass with {}", Value::Object(changes)),
            });
        }
        lines.push(self.counts());
        lines
    }

    fn counts(&self) -> String {
        let count = |severity| self.findings.iter().filter(|finding| finding.severity == severity).count();
        let counts = [
            (self.complaints.len(), "error"),
            (count(Severity::Danger), "danger"),
            (count(Severity::Warning) + self.doubts.len(), "warning"),
            (count(Severity::Note), "note"),
        ];
        counts.map(|(count, what)| format!("{count} {what}{}", if count == 1 { "" } else { "s" })).join(", ")
    }

    /// The report for programs, with whole tokens.
    pub(super) fn json(&self) -> Value {
        let token = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
        let finding = |finding: &Finding| {
            let severity = word(finding.severity);
            json!({"severity": severity, "code": finding.code, "message": finding.sentence, "token": token(&finding.token)})
        };
        let findings: Vec<Value> = self.findings.iter().map(finding).collect();
        let (complaints, doubts) = (&self.complaints, &self.doubts);
        let mut out = json!({"ok": self.is_safe(), "findings": findings, "complaints": complaints, "warnings": doubts});
        if let (Some(admits), Some(members)) = (&self.admits, out.as_object_mut()) {
            members.insert("admits".to_owned(), token(admits));
        }
        out
    }
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

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Danger => "danger",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}
