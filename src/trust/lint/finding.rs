//! One finding about a rule, and the rule as the checks read it.

use super::example::Example;
use crate::trust::platform::Nature;
use crate::trust::{Literal, Matcher, Requirement, TrustRule, claim_of};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Good to know.
    Note,
    /// Parties may pass whom few would expect.
    Warning,
    /// Strangers may pass.
    Danger,
}

/// One thing that a rule admits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Its name in `--json`.
    pub code: &'static str,
    /// The danger and its remedy: lower case, no full stop.
    pub sentence: String,
    /// The claims of a token that would pass, as JSON.
    pub token: String,
}

/// A rule that is looked at.
pub(super) struct Lint<'a> {
    pub(super) rule: &'a TrustRule,
}

impl<'a> Lint<'a> {
    pub(super) fn of(rule: &'a TrustRule) -> Self {
        Self { rule }
    }

    /// A finding with the example token of the rule, in which `changes` replace the claims at their paths.
    pub(super) fn finding(
        &self,
        severity: Severity,
        code: &'static str,
        sentence: impl Into<String>,
        changes: &[(&str, &str)],
    ) -> Finding {
        let mut token = Example::of(self.rule);
        changes.iter().for_each(|(path, value)| token.change(path, value));
        Finding { severity, code, sentence: sentence.into(), token: token.json() }
    }

    pub(super) fn requirements(&self) -> impl Iterator<Item = &Requirement> {
        self.rule.require().iter()
    }

    /// True when the rule says anything about one of `claims` beyond their presence.
    pub(super) fn bounds(&self, claims: &[&str]) -> bool {
        self.requirements().any(|one| claims.contains(&one.claim()) && !matches!(one.matcher(), Matcher::Present))
    }

    /// The texts that `claim` may be, where the rule lists them.
    pub(super) fn values(&self, claim: &str) -> Vec<&str> {
        let listed = self.requirements().filter(|one| one.claim() == claim).flat_map(|one| match one.matcher() {
            Matcher::Is(literal) => std::slice::from_ref(literal),
            Matcher::OneOf(literals) => literals.as_slice(),
            Matcher::Prefix(_) | Matcher::Present | Matcher::Contains(_) => &[],
        });
        listed.filter_map(|literal| if let Literal::Text(text) = literal { Some(text.as_str()) } else { None }).collect()
    }

    /// How far the claims identify that the rule bounds.
    pub(super) fn natures(&self) -> impl Iterator<Item = Nature> + '_ {
        let bounding = self.requirements().filter(|one| !matches!(one.matcher(), Matcher::Present));
        bounding.filter_map(|one| claim_of(self.rule.kind(), one.claim())).map(|fact| fact.nature)
    }
}
