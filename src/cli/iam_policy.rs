//! The trust policy of an AWS IAM role: which tokens of an OIDC provider may assume it (IAM User Guide: "Create a role for OpenID
//! Connect federation").

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::trust::{Finding, Severity};

const ACTION: &str = "sts:AssumeRoleWithWebIdentity";

#[derive(Deserialize)]
struct Policy {
    #[serde(rename = "Statement")]
    statement: OneOrMany<Statement>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Statement {
    effect: String,
    #[serde(default)]
    principal: Value,
    #[serde(default)]
    action: Value,
    #[serde(default)]
    condition: BTreeMap<String, BTreeMap<String, Value>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

/// Everything that is to be said about the policy, the worst first.
///
/// # Errors
/// A sentence, when it is no trust policy or says nothing about OIDC.
pub(super) fn findings(text: &str) -> Result<Vec<Finding>, String> {
    let json: Value = serde_json::from_str(text).map_err(|error| format!("is not JSON: {error}"))?;
    let policy: Policy = serde_json::from_value(json).map_err(|error| format!("is no IAM policy: {error}"))?;
    let statements = match policy.statement {
        OneOrMany::One(statement) => vec![statement],
        OneOrMany::Many(statements) => statements,
    };
    let admits = |statement: &&Statement| statement.effect == "Allow" && statement.is_federation();
    let mut found: Vec<Finding> = Vec::new();
    let mut providers = 0;
    for statement in statements.iter().filter(admits) {
        for provider in statement.providers() {
            providers += 1;
            found.extend(ProviderStatement { statement, provider: &provider }.findings());
        }
    }
    if providers == 0 {
        return Err(format!("allows {ACTION} to no OIDC provider; there is nothing to check"));
    }
    found.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    Ok(found)
}

impl Statement {
    fn is_federation(&self) -> bool {
        let named = texts(&self.action);
        named.iter().any(|action| action == ACTION || action == "sts:*" || action == "*")
    }

    /// Hosts and paths of the providers, without the ARN in front.
    fn providers(&self) -> Vec<String> {
        let federated = self.principal.get("Federated").map(texts).unwrap_or_default();
        let name = |arn: &String| arn.split_once(":oidc-provider/").map_or(arn.clone(), |(_, name)| name.to_owned());
        if self.principal == "*" { vec!["*".to_owned()] } else { federated.iter().map(name).collect() }
    }
}

/// One statement as it concerns one provider.
struct ProviderStatement<'a> {
    statement: &'a Statement,
    provider: &'a str,
}

impl ProviderStatement<'_> {
    fn findings(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        if self.provider == "*" {
            found.push(self.finding(Severity::Danger, "any-provider", "every OIDC provider of the account may vouch", &[]));
        }
        let github = self.provider.contains("token.actions.githubusercontent.com");
        found.extend(self.operators());
        found.extend(self.audience());
        let subs = self.accepted("sub");
        if subs.is_empty() {
            let sentence = "nothing is required of sub, so everybody who can get a token of the provider passes";
            let stranger = if github { "repo:stranger/anything:ref:refs/heads/main" } else { "anybody" };
            found.push(self.finding(Severity::Danger, "missing-sub", sentence, &[("sub", stranger)]));
        }
        subs.iter().for_each(|pattern| found.extend(self.pattern(pattern, github)));
        let by_id = ["repository_id", "repository_owner_id"].iter().any(|claim| !self.accepted(claim).is_empty());
        if github && !subs.is_empty() && !by_id && !subs.iter().all(|sub| sub.matches('@').count() == 2) {
            let sentence = "the policy decides by names of repositories: whoever registers one that was given up gets the \
                            same sub; use the form with ids, repo:OWNER@OWNER-ID/REPO@REPO-ID:...";
            found.push(self.finding(Severity::Danger, "recyclable-name", sentence, &[]));
        }
        if github && self.accepted("job_workflow_ref").is_empty() {
            let sentence = "any workflow of the repository passes, also one added tomorrow; compare job_workflow_ref as well";
            let other = ("job_workflow_ref", "acme/app/.github/workflows/added-tomorrow.yml@refs/heads/main");
            found.push(self.finding(Severity::Warning, "any-workflow", sentence, &[other]));
        }
        found
    }

    /// The values that the conditions compare one claim of the provider with.
    fn accepted(&self, claim: &str) -> Vec<String> {
        let key = format!("{}:{claim}", self.provider).to_ascii_lowercase();
        let blocks = self.statement.condition.values().flatten();
        blocks.filter(|(name, _)| name.to_ascii_lowercase() == key).flat_map(|(_, values)| texts(values)).collect()
    }

    /// Comparisons that hold for tokens that say nothing, or something else.
    fn operators(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        for (operator, block) in &self.statement.condition {
            let names = block.keys().cloned().collect::<Vec<_>>().join(", ");
            let why = match operator.as_str() {
                operator if operator.ends_with("IfExists") => "holds for every token without that claim",
                operator if operator.starts_with("ForAllValues:") => {
                    "holds for every token without that claim, because all of nothing match"
                }
                operator if operator.contains("Not") => "holds for everything but what is named",
                "Null" => "asks whether there is such a claim, and not what it is",
                _ => continue,
            };
            found.push(self.finding(Severity::Danger, "weak-operator", format!("{operator} on {names} {why}"), &[]));
        }
        let variables =
            self.statement.condition.values().flat_map(|block| block.values().flat_map(texts)).any(|value| value.contains("${"));
        if variables {
            let sentence = "a value with a policy variable is filled in from the very token that it is compared with";
            found.push(self.finding(Severity::Danger, "tautology", sentence, &[]));
        }
        found
    }

    fn audience(&self) -> Option<Finding> {
        let audiences = self.accepted("aud");
        if audiences.is_empty() {
            let sentence = "nothing is required of aud, so a token that was sent to any other server passes here";
            return Some(self.finding(
                Severity::Danger,
                "missing-audience",
                sentence,
                &[("aud", "https://somebody-else.example")],
            ));
        }
        let wide = audiences.iter().any(|audience| audience.contains('*'));
        let sentence = "aud is compared with a pattern, so tokens for other servers pass";
        wide.then(|| self.finding(Severity::Danger, "wildcard-audience", sentence, &[("aud", "https://somebody-else.example")]))
    }

    fn pattern(&self, pattern: &str, github: bool) -> Vec<Finding> {
        let mut found = Vec::new();
        let finding =
            |severity, code, sentence: String, sub: String| self.finding(severity, code, sentence, &[("sub", sub.as_str())]);
        if pattern.contains(['*', '?']) {
            let (severity, what) = width(pattern, github);
            let sentence = format!("sub may be anything like {pattern}: {what}");
            found.push(finding(severity, "wildcard", sentence, filled(pattern, github)));
        }
        if github && pattern.ends_with(":pull_request") {
            let sentence = "pull requests pass: their code may be a stranger's";
            found.push(finding(Severity::Danger, "pull-request", sentence.to_owned(), filled(pattern, github)));
        }
        found
    }

    fn finding(&self, severity: Severity, code: &'static str, sentence: impl Into<String>, changes: &[(&str, &str)]) -> Finding {
        let mut claims = Map::new();
        put(&mut claims, "iss", format!("https://{}", self.provider));
        for claim in ["aud", "sub"] {
            if let Some(value) = self.accepted(claim).first() {
                put(&mut claims, claim, filled(value, self.provider.contains("githubusercontent")));
            }
        }
        changes.iter().for_each(|(name, value)| put(&mut claims, name, (*value).to_owned()));
        Finding { severity, code, sentence: sentence.into(), token: Value::Object(claims).to_string() }
    }
}

/// How far a pattern reaches.
fn width(pattern: &str, github: bool) -> (Severity, &'static str) {
    let named = pattern.strip_prefix("repo:").unwrap_or(pattern);
    let owner = named.split('/').next().unwrap_or_default();
    match github {
        true if owner.contains(['*', '?']) => (Severity::Danger, "repositories of strangers whose name fits"),
        true if named.split(':').next().unwrap_or_default().contains(['*', '?']) => {
            (Severity::Danger, "every repository whose name fits, also one made tomorrow, on any branch that fits")
        }
        true => (Severity::Danger, "any branch, tag, environment or pull request that fits"),
        false => (Severity::Danger, "whatever fits"),
    }
}

/// A text that the pattern matches.
fn filled(pattern: &str, github: bool) -> String {
    let filling = |before: &str| match before.matches(['/', ':']).count() {
        _ if !github => "anything",
        0 => "repo:stranger/anything:ref:refs/heads/main",
        1 => "-stranger/anything:ref:refs/heads/main",
        2 => "-anything:pull_request",
        _ => "pull_request",
    };
    let mut text = String::new();
    for character in pattern.chars() {
        match character {
            '*' => {
                let piece = filling(&text);
                let joint = text.ends_with(['/', ':']);
                text.push_str(if joint { piece.trim_start_matches('-') } else { piece });
            }
            '?' => text.push('x'),
            other => text.push(other),
        }
    }
    text
}

fn put(claims: &mut Map<String, Value>, name: &str, value: String) {
    claims.insert(name.to_owned(), value.into());
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(items) => items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]
    use super::*;

    fn policy(condition: &str) -> Vec<Finding> {
        let principal = r#"{"Federated":"arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"}"#;
        let statement = format!(r#"{{"Effect":"Allow","Principal":{principal},"Action":"{ACTION}","Condition":{condition}}}"#);
        findings(&format!(r#"{{"Version":"2012-10-17","Statement":[{statement}]}}"#)).unwrap()
    }

    fn codes(condition: &str) -> Vec<&'static str> {
        policy(condition).iter().map(|finding| finding.code).collect()
    }

    fn claim(name: &str) -> String {
        format!("token.actions.githubusercontent.com:{name}")
    }

    /// IAM's own matching: `*` is any run of characters, `?` is one.
    fn like(pattern: &str, text: &str) -> bool {
        let (mut pattern_rest, mut text_rest) = (pattern.chars(), text.chars());
        match (pattern_rest.next(), text_rest.next()) {
            (None, None) => true,
            (Some('*'), one) => like(pattern_rest.as_str(), text) || (one.is_some() && like(pattern, text_rest.as_str())),
            (Some('?'), Some(_)) => like(pattern_rest.as_str(), text_rest.as_str()),
            (Some(one), Some(other)) => one == other && like(pattern_rest.as_str(), text_rest.as_str()),
            _ => false,
        }
    }

    /// Attacks 29 to 31.
    #[test]
    fn what_was_exploited_is_found() {
        let aud = format!(r#""{}":"sts.amazonaws.com""#, claim("aud"));
        let sub = |operator: &str, value: &str| {
            format!(r#"{{"StringEquals":{{{aud}}},"{operator}":{{"{}":"{value}"}}}}"#, claim("sub"))
        };
        assert!(codes(&format!(r#"{{"StringEquals":{{{aud}}}}}"#)).contains(&"missing-sub"));
        assert!(codes("{}").contains(&"missing-audience"));
        for (operator, value, code) in [
            ("StringLike", "repo:acme/*", "wildcard"),
            ("StringLike", "repo:acme*", "wildcard"),
            ("StringLike", "repo:acme/app:*", "wildcard"),
            ("StringEquals", "repo:acme/app:pull_request", "pull-request"),
            ("StringEquals", "repo:acme/app:ref:refs/heads/main", "recyclable-name"),
            ("StringEqualsIfExists", "repo:acme/app:ref:refs/heads/main", "weak-operator"),
            ("ForAllValues:StringLike", "repo:acme/app:*", "weak-operator"),
            ("StringNotEquals", "repo:acme/app:pull_request", "weak-operator"),
            ("StringLike", "${token.actions.githubusercontent.com:sub}", "tautology"),
        ] {
            assert!(codes(&sub(operator, value)).contains(&code), "{operator} {value}: {:?}", codes(&sub(operator, value)));
        }
        let good = format!(
            r#"{{"StringEquals":{{{aud},"{}":"repo:acme@65/app@74:ref:refs/heads/main","{}":"acme/app/.github/workflows/d.yml@refs/heads/main"}}}}"#,
            claim("sub"),
            claim("job_workflow_ref")
        );
        assert_eq!(codes(&good), [""; 0]);
    }

    #[test]
    fn an_example_matches_its_pattern() {
        for pattern in [
            "*",
            "repo:*",
            "repo:acme*",
            "repo:acme/*",
            "repo:acme/app*",
            "repo:acme/app:*",
            "repo:acme/app:ref:refs/heads/*",
            "repo:a?me/app:ref:*",
        ] {
            assert!(like(pattern, &filled(pattern, true)), "{pattern}: {}", filled(pattern, true));
        }
        assert_eq!(filled("repo:acme*", true), "repo:acme-stranger/anything:ref:refs/heads/main");
    }

    #[test]
    fn what_is_no_policy_is_told() {
        assert!(findings("[]").unwrap_err().contains("is no IAM policy"));
        assert!(
            findings(r#"{"Statement":{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}}"#)
                .is_err()
        );
    }
}
