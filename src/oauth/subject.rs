//! On whose behalf: the `sub` of what we issue.

use std::fmt;
use std::sync::Arc;

use super::{ClientId, ForeignName};

/// The name of a trust rule: 1 to 63 characters of `a`–`z`, `0`–`9`, `-`, `_`, `.`, beginning with a letter or digit.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleName(Arc<str>);

/// Why a string is not the name of a trust rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleNameReason;

impl RuleName {
    /// Checks `text` and keeps it unchanged.
    ///
    /// # Errors
    /// When a character or the length is outside what the type says.
    pub fn parse(text: &str) -> Result<Self, RuleNameReason> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
        let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        let fits = begins && text.len() <= 63 && text.bytes().all(allowed);
        fits.then(|| Self(text.into())).ok_or(RuleNameReason)
    }

    /// The name as configured.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for RuleNameReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("must have 1 to 63 characters of a-z, 0-9, '-', '_', '.', beginning with a letter or digit")
    }
}

/// The party a token is about. It never changes along a chain. An agent that acts for itself stands as its id; everybody else
/// stands as `<trust rule>:<id>`, so that two issuers can never speak of the same subject (RFC 9068 §5).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subject {
    text: Arc<str>,
    rule: Option<RuleName>,
}

impl Subject {
    /// An agent acting for itself.
    pub fn agent(id: &ClientId) -> Self {
        Self { text: id.as_str().into(), rule: None }
    }

    /// A user or other party that the trust rule `rule` vouched for under `id`.
    pub fn foreign(rule: &RuleName, id: &ForeignName) -> Self {
        Self::of_sealed(rule.clone(), id.as_str())
    }

    /// A party as it was sealed into a token of ours. Nothing is checked: it must come from where only this server writes.
    pub fn of_sealed(rule: RuleName, id: &str) -> Self {
        Self { text: format!("{rule}:{id}").into(), rule: Some(rule) }
    }

    /// The `sub` claim.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The trust rule that vouched for the subject; none for an agent.
    pub fn rule(&self) -> Option<&RuleName> {
        self.rule.as_ref()
    }

    /// The id under the rule that vouched for it; the agent's id for an agent.
    pub fn id(&self) -> &str {
        let skip = self.rule.as_ref().map_or(0, |rule| rule.as_str().len() + 1);
        self.text.get(skip..).unwrap_or_default()
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
