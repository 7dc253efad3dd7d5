//! A token under each rule that looks at it, check by check, for people who look for what is wrong. A verdict is made by
//! [`TrustStore::verify`] alone.

use std::sync::Arc;

use super::confirmation::foreign_confirmation;
use super::found::Seen;
use super::verify::{check_audience, check_dates, check_enabled, check_platform, check_requirements, check_type};
use super::{TrustReason, TrustRefusal, TrustRule, VerifiedAssertion};
use crate::jose::{Compact, Object};
use crate::keys::KeyMaterial;
use crate::oauth::Time;

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

/// One check of a token.
#[derive(Debug)]
pub struct TrialCheck {
    /// Its name, in a word or two.
    pub name: &'static str,
    /// Why it fails, with what was found.
    pub refused: Option<TrustRefusal>,
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
    let seen = |reason| TrustRefusal::of(reason, &Seen { rule, token, claims, keys, now });
    let signature = || {
        let keys = keys.ok_or(TrustReason::KeysUnavailable)?;
        token.verify_in(keys, rule.algorithms()).map(drop).map_err(TrustReason::from)
    };
    let subject = || rule.subject().id(claims).map(drop).ok_or(TrustReason::SubjectId);
    let instance = || match rule.subject().instance(claims) {
        Some(None) => Err(TrustReason::Instance),
        _ => Ok(()),
    };
    let outcomes = [
        ("in force", check_enabled(rule)),
        ("typ", check_type(rule, token, claims)),
        ("claims of the kind", check_platform(rule, token, claims).map_err(TrustReason::Platform)),
        ("exp, iat, nbf", check_dates(claims, now, rule.lifetime_max()).map(drop)),
        ("signature", signature()),
        ("aud", check_audience(rule, claims)),
        ("cnf", foreign_confirmation(claims).map(drop).map_err(TrustReason::Confirmation)),
        ("require", check_requirements(rule, claims)),
        ("subject", subject()),
        ("instance", instance()),
    ];
    outcomes.map(|(name, outcome)| TrialCheck { name, refused: outcome.err().map(seen) }).into()
}
