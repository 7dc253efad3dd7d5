//! A token under each rule that looks at it, check by check, for people who look for what is wrong: what each check finds and
//! what it wants. A verdict is made by [`TrustStore::verify`](super::TrustStore::verify) alone.

mod words;

use std::sync::Arc;

use super::confirmation::foreign_confirmation;
use super::found::{Seen, visible};
use super::verify::{check_audience, check_dates, check_enabled, check_instance, check_platform, check_type};
use super::{TrustReason, TrustRule, VerifiedAssertion};
use crate::jose::{Compact, Object};
use crate::keys::KeyMaterial;
use crate::oauth::Time;
use words::RuleWants;

/// A token as one rule sees it.
#[derive(Debug)]
pub struct Trial {
    /// The rule.
    pub rule: Arc<TrustRule>,
    /// Every check in its order, also those behind one that fails.
    pub checks: Vec<TrialCheck>,
    /// The token as the rule reads it, where it accepts it.
    pub accepted: Option<VerifiedAssertion>,
}

/// One check of a token. Its texts are for whoever holds the token: they repeat what it says, with every character visible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrialCheck {
    /// Its name: a claim, or a word or two.
    pub name: String,
    /// The finding in the token.
    pub found: String,
    /// The rule's wish, in words.
    pub wanted: String,
    /// Why it fails.
    pub refused: Option<TrustReason>,
}

/// The checks of `token` under `rule`, whose keys are those of `material`.
pub(super) fn checks(
    rule: &Arc<TrustRule>,
    token: &Compact<'_>,
    claims: &Object,
    material: Option<&KeyMaterial>,
    now: Time,
) -> Vec<TrialCheck> {
    let keys = material.map(|material| &*material.keys);
    let seen = Seen { rule, token, claims, keys, now };
    let wanted = RuleWants { rule, keys };
    let signature = || {
        let keys = keys.ok_or(TrustReason::KeysUnavailable)?;
        token.verify_in(keys, rule.algorithms()).map(drop).map_err(TrustReason::from)
    };
    let check = |name: &str, found: String, wanted: String, outcome: Result<(), TrustReason>| TrialCheck {
        name: name.to_owned(),
        found,
        wanted,
        refused: outcome.err(),
    };
    let kind = check_platform(rule, token, claims).map_err(TrustReason::Platform);
    let typ = check_type(rule, token, claims);
    let cnf = foreign_confirmation(claims).map(drop).map_err(TrustReason::Confirmation);
    let subject = rule.subject().id(claims).map(drop).ok_or(TrustReason::SubjectId);
    let mut checks = vec![
        check("in force", words::enabled(rule), "enabled".to_owned(), check_enabled(rule)),
        check("typ", seen.typ(&typ), wanted.typ(), typ),
        check("kind", seen.of_kind(&kind), wanted.of_kind(), kind),
        check("exp, iat, nbf", seen.dates(), wanted.dates(), check_dates(claims, now, rule.lifetime_max()).map(drop)),
        check("signature", seen.signature(), wanted.signature(), signature()),
        check("aud", seen.audiences(), wanted.audiences(), check_audience(rule, claims)),
        check("cnf", claims.raw("cnf").map_or("absent".to_owned(), visible), wanted.confirmation(), cnf),
    ];
    checks.extend(rule.require().iter().map(|one| {
        let found = claims.find(one.claim()).map_or("absent".to_owned(), visible);
        let outcome = if one.holds(claims) { Ok(()) } else { Err(TrustReason::Requirement) };
        check(&format!("require {}", visible(one.claim())), found, one.condition(), outcome)
    }));
    checks.push(check("subject", seen.subject(), rule.subject().id.to_string(), subject));
    checks.push(check("instance", seen.instance(), wanted.instance(), check_instance(rule, claims).map(drop)));
    checks
}
