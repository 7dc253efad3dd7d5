//! The difference that a configuration makes: whom it brings into force, whom it ends, and whether that is so much that somebody
//! has to accept it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::commit::contract::ConfiguredPrincipal;
use crate::config::Succession;
use crate::oauth::{ClientId, Resource, RuleName};

/// Fewer things than these are no share of their kind.
const SHARE_LEAST: usize = 3;

/// An agent, trust rule or API, which is revoked once although several terms of it may be gone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Principal<'a> {
    Rule(&'a RuleName),
    Agent(&'a ClientId),
    Api(&'a Resource),
}

/// Those of which `now` has no longer everything that was in force `before`.
pub(super) fn ended<'a>(
    before: &'a BTreeSet<ConfiguredPrincipal>,
    now: &BTreeSet<ConfiguredPrincipal>,
) -> BTreeSet<Principal<'a>> {
    before.iter().filter(|known| !now.contains(*known)).map(Principal::of).collect()
}

/// The difference between what was in force `before` and what is `now`. It has to be accepted where it ends everything of a kind,
/// or more than `percent` of it and at least three.
pub(super) fn succession(
    before: &BTreeSet<ConfiguredPrincipal>,
    now: &BTreeSet<ConfiguredPrincipal>,
    percent: u32,
) -> Succession {
    let [were, are] = [before, now].map(|set| set.iter().map(Principal::of).collect::<BTreeSet<_>>());
    let ended = ended(before, now);
    let mut kinds: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for principal in &were {
        let (all, gone) = kinds.entry(principal.kind()).or_default();
        *all += 1;
        *gone += usize::from(ended.contains(principal));
    }
    let words = |principal: &Principal<'_>| match are.contains(principal) {
        true => format!("{principal} (another one by that name)"),
        false => format!("{principal} (not in force any more)"),
    };
    Succession {
        comes: are.difference(&were).map(ToString::to_string).collect(),
        ends: ended.iter().map(words).collect(),
        needs_acceptance: kinds.values().any(|(all, gone)| is_too_much(*gone, *all, percent)),
    }
}

fn is_too_much(gone: usize, all: usize, percent: u32) -> bool {
    gone > 0 && (gone == all || (gone >= SHARE_LEAST && gone * 100 > all * percent as usize))
}

impl<'a> Principal<'a> {
    fn of(known: &'a ConfiguredPrincipal) -> Self {
        match known {
            ConfiguredPrincipal::Agent(id) => Self::Agent(id),
            ConfiguredPrincipal::Rule(name) | ConfiguredPrincipal::Issuer(name, _) => Self::Rule(name),
            ConfiguredPrincipal::Api(id) | ConfiguredPrincipal::ApiTerm(id, _) => Self::Api(id),
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Self::Rule(_) => "trust rule",
            Self::Agent(_) => "agent",
            Self::Api(_) => "API",
        }
    }
}

impl fmt::Display for Principal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind();
        match self {
            Self::Rule(name) => write!(f, "{kind} {name}"),
            Self::Agent(id) => write!(f, "{kind} {id}"),
            Self::Api(id) => write!(f, "{kind} {id}"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use crate::crypto::Digest;

    /// Every number of things that end, of up to twelve, against the rule in words.
    #[test]
    fn all_of_a_kind_and_more_than_a_share_have_to_be_accepted() {
        for all in 1..=12 {
            for gone in 0..=all {
                let wanted = gone == all || (gone >= 3 && gone * 4 > all);
                assert_eq!(is_too_much(gone, all, 25), wanted && gone > 0, "{gone} of {all}");
            }
        }
        assert!(!is_too_much(0, 0, 25) && !is_too_much(11, 12, 100) && is_too_much(12, 12, 100) && is_too_much(3, 12, 0));
    }

    #[test]
    fn a_rule_of_another_issuer_is_another_one_and_one_beside_it_is_none_of_its_kind() {
        let rule = |name: &str, issuer: &[u8]| {
            let name = RuleName::parse(name).unwrap();
            [ConfiguredPrincipal::Rule(name.clone()), ConfiguredPrincipal::Issuer(name, Digest::of(issuer))]
        };
        let agent = |id: &str| ConfiguredPrincipal::Agent(ClientId::parse(id).unwrap());
        let before = BTreeSet::from_iter(rule("idp", b"a").into_iter().chain([agent("x"), agent("y")]));
        let slip = BTreeSet::from_iter(rule("idp", b"a/").into_iter().chain([agent("x"), agent("z")]));
        let found = succession(&before, &slip, 25);
        assert_eq!(found.comes, ["agent z"]);
        assert_eq!(found.ends, ["trust rule idp (another one by that name)", "agent y (not in force any more)"]);
        assert!(found.needs_acceptance, "the only rule");
        let beside: BTreeSet<_> = before.iter().cloned().chain(rule("other", b"b")).collect();
        assert!(succession(&before, &beside, 25).ends.is_empty());
        let one_of_two: BTreeSet<_> = before.iter().filter(|known| **known != agent("y")).cloned().collect();
        assert!(!succession(&before, &one_of_two, 25).needs_acceptance);
        assert_eq!(succession(&BTreeSet::new(), &before, 25).ends, Vec::<String>::new());
    }
}
