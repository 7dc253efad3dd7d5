//! The search for the login by which policy would permit what it does not (RFC 9470).

use std::collections::BTreeSet;

use super::cedar::ParsedPolicy;
use super::cedar::parts::compared;
use super::cedar::truth::Datum;
use super::context::Attribute;
use super::login::StepUp;

/// As many values of each kind are tried for one denial.
const TRIED_MAX: usize = 8;

/// The logins that the policies of a set tell apart.
#[derive(Debug, Default)]
pub(super) struct LoginCandidates {
    acrs: Vec<String>,
    /// The greatest first.
    ages: Vec<i64>,
}

impl LoginCandidates {
    /// Those that some of the policies compare with.
    pub(super) fn of<'a>(policies: impl Iterator<Item = &'a ParsedPolicy>) -> Self {
        let reads = |policy: &&ParsedPolicy| policy.used.contains(Attribute::Acr) || policy.used.contains(Attribute::AuthAge);
        let mut values = BTreeSet::new();
        policies.filter(reads).for_each(|policy| compared(&policy.form(), &mut values));
        let mut candidates = Self::default();
        for (path, value) in values {
            match (path.as_str(), value) {
                ("context.acr", Datum::Text(acr)) if !acr.is_empty() => candidates.acrs.push(acr),
                ("context.auth_age", Datum::Number(age)) if (0..i64::MAX).contains(&age) => candidates.ages.push(age),
                _ => {}
            }
        }
        candidates.ages.reverse();
        candidates.acrs.truncate(TRIED_MAX);
        candidates.ages.truncate(TRIED_MAX);
        candidates
    }

    /// The login by which it is `granted`, given another context or none and another age or none; none where no login helps. The
    /// fresher is asked for first, as a person need not have another means for it.
    pub(super) fn step_up<'a>(&'a self, granted: impl Fn(Option<&'a str>, Option<i64>) -> bool) -> Option<StepUp> {
        // Where the freshest login does not help no older one does: that keeps most refusals to one question.
        let freshest = self.ages.last().copied();
        let helps = |acr| freshest.is_some_and(|age| granted(acr, Some(age)));
        let oldest = |acr: Option<&'a str>| self.ages.iter().copied().filter(|_| helps(acr)).find(|age| granted(acr, Some(*age)));
        if let Some(max_age) = oldest(None) {
            return Some(StepUp { acr_values: Vec::new(), max_age: Some(max_age) });
        }
        let stronger: Vec<&String> = self.acrs.iter().filter(|acr| granted(Some(acr), None)).collect();
        if !stronger.is_empty() {
            return Some(StepUp { acr_values: stronger.into_iter().cloned().collect(), max_age: None });
        }
        let both: Vec<(&String, i64)> = self.acrs.iter().filter_map(|acr| Some((acr, oldest(Some(acr))?))).collect();
        let max_age = both.iter().map(|(_, age)| *age).min()?;
        Some(StepUp { acr_values: both.into_iter().map(|(acr, _)| acr.clone()).collect(), max_age: Some(max_age) })
    }
}
