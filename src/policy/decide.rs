//! The decision on an exchange: what is granted is authority(in) ∩ policy ∩ request, scope by scope.

use std::time::Duration;

use super::TokenLimits;
use super::cedar::Action;
use super::evaluation::Evaluation;
use super::intent::{self, StatedIntent};
use super::outcome::{Denial, DenialReason, Grant, PolicyOutcome, ScopeDenial, merge};
use super::policies::Policies;
use super::request_context::RequestContext;
use super::unknown_scopes::UnknownScopes;
use crate::authority::Targets;
use crate::binding::SenderConstraint;
use crate::catalog::ChainShown;
use crate::lifecycle::AdmittedExchange;
use crate::oauth::{ExchangeMode, Intent, Scopes, ScopesOnApi, Time, TokenType};
use crate::request::{RequestedToken, ScopeMode};

/// The longest that an identity assertion grant is good for: it is redeemed at once, or asked for anew.
const HAND_OVER_MAX: Duration = Duration::from_mins(5);

/// Decides at `now` on the token that is asked for. A target on which policy permits nothing at all is a matter of the target;
/// anything else that was asked too widely is a matter of the scope (RFC 8693 §2.2.2).
pub fn decide(
    policies: &Policies,
    admitted: &AdmittedExchange,
    targets: Targets,
    constraint: SenderConstraint,
    request: &RequestedToken,
    limits: &TokenLimits,
    now: Time,
) -> PolicyOutcome<Grant> {
    let stated = match intent::stated(admitted, request.intent()) {
        Ok(stated) => stated,
        Err(reason) => return PolicyOutcome::Denial(Denial::before_policy(DenialReason::Intent(reason))),
    };
    let context = RequestContext::new(admitted, &constraint, &limits.issuer, now).with_intent(stated);
    let mut evaluation = Evaluation::new(policies, context, asked(admitted.mode(), request.token_type()));
    let granted = |evaluation: &mut Evaluation<'_, RequestContext<'_>>| -> Result<(Vec<Scopes>, Time), DenialReason> {
        let scopes = permitted(&targets, evaluation)?;
        sufficient(&targets, &scopes, request)?;
        let expires = expires(&targets, evaluation, admitted, limits, now)?;
        Ok((scopes, expires))
    };
    match granted(&mut evaluation) {
        Ok((scopes, expires)) => {
            PolicyOutcome::Grant(grant(targets, scopes, expires, evaluation, (admitted, constraint, stated)))
        }
        Err(reason) => evaluation.refused(reason, |approved| granted(approved).is_ok()),
    }
}

/// To leave what this server can end is a decision of its own.
fn asked(mode: ExchangeMode, token_type: TokenType) -> Action {
    if token_type == TokenType::IdJag { Action::HandOver } else { action(mode) }
}

/// The action that is asked about for an exchange in that mode.
pub(super) fn action(mode: ExchangeMode) -> Action {
    match mode {
        ExchangeMode::Impersonation => Action::Impersonate,
        ExchangeMode::Delegation | ExchangeMode::Continuation | ExchangeMode::SelfExchange | ExchangeMode::OnBehalfOf => {
            Action::Exchange
        }
    }
}

/// The permitted scopes of each target.
fn permitted(targets: &Targets, evaluation: &mut Evaluation<'_, RequestContext<'_>>) -> Result<Vec<Scopes>, DenialReason> {
    let mut granted = Vec::with_capacity(targets.iter().len());
    for target in targets.iter() {
        let scopes = evaluation.permitted(target.api(), target.within());
        if scopes.is_empty() && !evaluation.permits_any(target.api(), &target.unrequested()) {
            return Err(whole_target_refused(evaluation));
        }
        granted.push(scopes);
    }
    Ok(granted)
}

fn whole_target_refused(evaluation: &Evaluation<'_, RequestContext<'_>>) -> DenialReason {
    match evaluation.action {
        _ if evaluation.presenting_refused => DenialReason::PresentActor,
        Action::Impersonate => DenialReason::Impersonation,
        _ => DenialReason::TargetRefused,
    }
}

/// Compares what is permitted with the request: all that it names, or with `scope_mode=narrow` some of it, and some on every
/// target.
fn sufficient(targets: &Targets, granted: &[Scopes], request: &RequestedToken) -> Result<(), DenialReason> {
    let unknown = request.scope().map(|asked| targets.undeclared(asked)).unwrap_or_default();
    let short = targets.iter().zip(granted).map(|(target, given)| target.within().difference(given).union(target.beyond()));
    let refused = short.fold(Scopes::default(), |all, here| all.union(&here));
    let asked = request.scope().is_some();
    let narrow = request.scope_mode() == ScopeMode::Narrow;
    let too_wide = asked && !narrow && (!unknown.is_empty() || !refused.is_empty());
    if too_wide || granted.iter().all(Scopes::is_empty) {
        let only = if targets.iter().len() == 1 { targets.iter().next().map(|target| &target.api().id) } else { None };
        let unknown = UnknownScopes::new(&unknown, only);
        return Err(DenialReason::Scope(ScopeDenial { refused, unknown, asked, narrow }));
    }
    if granted.iter().any(Scopes::is_empty) { Err(DenialReason::TargetEmpty) } else { Ok(()) }
}

/// The token's `exp`: the shortest lifetime that the APIs, the deciding policies and the server allow, and never later than
/// what was presented.
fn expires(
    targets: &Targets,
    evaluation: &Evaluation<'_, RequestContext<'_>>,
    admitted: &AdmittedExchange,
    limits: &TokenLimits,
    now: Time,
) -> Result<Time, DenialReason> {
    let apis = targets.iter().map(|target| target.api().lifetime.unwrap_or(limits.lifetime));
    let handed_over = (evaluation.action == Action::HandOver).then_some(HAND_OVER_MAX);
    let lifetime = apis.chain(evaluation.terms.lifetime).chain(handed_over).fold(limits.lifetime_max, Duration::min);
    let expires = Time::from_seconds(now.plus(lifetime).min(admitted.expiry_cap()).seconds());
    if expires > now { Ok(expires) } else { Err(DenialReason::Expired) }
}

fn grant(
    targets: Targets,
    granted: Vec<Scopes>,
    expires: Time,
    evaluation: Evaluation<'_, RequestContext<'_>>,
    (admitted, constraint, stated): (&AdmittedExchange, SenderConstraint, StatedIntent<'_>),
) -> Grant {
    let touched = touched(&targets, &granted, admitted, stated.intent);
    let apis = targets.into_apis();
    let scopes = granted.iter().fold(Scopes::default(), |all, here| all.union(here));
    let held = apis.iter().zip(granted).map(|(api, scopes)| ScopesOnApi { api: api.id.clone(), scopes }).collect();
    let (policies, policy_set) = (evaluation.deciding, evaluation.policies.digest());
    let shows_current = evaluation.terms.shows_current || apis.iter().any(|api| api.chain == ChainShown::Current);
    let (intent, purpose) = (stated.intent.cloned(), stated.purpose.to_owned());
    Grant { apis, scopes, held, expires, policies, policy_set, touched, intent, purpose, constraint, shows_current }
}

/// The classes of data that the chain had touched, and those of what is granted now and of what is stated.
fn touched(targets: &Targets, granted: &[Scopes], admitted: &AdmittedExchange, intent: Option<&Intent>) -> Vec<String> {
    let mut touched = Vec::new();
    merge(&mut touched, admitted.subject().own().iter().flat_map(|own| own.touched.iter().cloned()));
    merge(&mut touched, intent.map(Intent::data_classes).unwrap_or_default().iter().cloned());
    for (target, scopes) in targets.iter().zip(granted) {
        let classes = scopes.iter().filter_map(|scope| target.api().scopes.get(scope)).flat_map(|info| info.data.iter().cloned());
        merge(&mut touched, classes);
    }
    touched
}
