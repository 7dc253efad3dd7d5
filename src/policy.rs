//! Whether, and how narrowly. Knows nothing of signatures, HTTP or storage; the same inputs always decide the same.
//!
//! authority(out) ⊆ authority(in) ∩ policy ∩ request: `authority` says what the subject token gives, `hearing` asks the
//! policies about it scope by scope, and [`decide`] grants the part that both permit and the request wants.

mod authority;
mod cedar;
mod explain;
mod facts;
mod grant;
mod hearing;
mod opening;
mod policies;
mod reading;
mod slice;

use std::time::Duration;

pub use explain::Explanation;
pub use grant::{Denial, Grant, ScopeDenial, TargetDenial};
pub use opening::{TaskDenial, TaskGrant, TaskLimits, open};
pub use policies::{Policies, PolicyComplaint};

use authority::Ask;
use facts::RequestContext;
use hearing::Evaluation;

use crate::catalog::Catalog;
use crate::lifecycle::{self, AdmittedExchange, SenderConstraint};
use crate::oauth::{ExchangeMode, Issuer, Scopes, ScopesOnApi, Time};
use crate::request::{ExchangeRequest, ScopeMode};

/// What holds for every token of this server.
#[derive(Clone, Debug)]
pub struct Limits {
    /// This server's issuer identifier, by which policy tells its agents from foreign actors.
    pub issuer: Issuer,
    /// How long a token lives where its API does not say.
    pub lifetime: Duration,
    /// How long any token lives at most.
    pub lifetime_max: Duration,
    /// What bounds tasks.
    pub tasks: TaskLimits,
}

/// Decides what may be issued to whoever stands here, at `now`.
///
/// # Errors
/// Why nothing may. A target that gives nothing at all, or on which policy permits nothing at all, is a matter of the target;
/// anything else that was asked too widely is a matter of the scope (RFC 8693 §2.2.2).
pub fn decide(
    policies: &Policies,
    catalog: &Catalog,
    standing: &AdmittedExchange,
    request: &ExchangeRequest,
    limits: &Limits,
    now: Time,
) -> Result<Grant, Denial> {
    let targets = authority::targets(catalog, standing, request)?;
    let asks = targets.into_iter().map(|api| Ask::new(api, standing, request)).collect::<Result<Vec<_>, _>>()?;
    let bound = lifecycle::bind(standing, asks.iter().map(|ask| ask.api.sender_constraint)).map_err(Denial::Binding)?;
    let mut hearing = Evaluation::new(policies, RequestContext::new(standing, &bound, &limits.issuer, now));
    let granted = heard(&asks, &mut hearing, standing.basis())?;
    admitted(&asks, &granted, &hearing, request)?;
    grant(asks, granted, hearing, (standing, bound), limits, now)
}

/// What is granted of each ask.
fn heard(asks: &[Ask], hearing: &mut Evaluation<'_>, basis: ExchangeMode) -> Result<Vec<Scopes>, Denial> {
    let mut granted = Vec::with_capacity(asks.len());
    for ask in asks {
        let scopes = hearing.permitted(&ask.api, &ask.within);
        if scopes.is_empty() && !hearing.permits_any(&ask.api, &ask.reachable.difference(&ask.within)) {
            return Err(whole_target_refused(hearing, basis));
        }
        granted.push(scopes);
    }
    Ok(granted)
}

fn whole_target_refused(hearing: &Evaluation<'_>, basis: ExchangeMode) -> Denial {
    let explanation = hearing.explanation.clone();
    match basis {
        _ if hearing.presenting_refused => Denial::PresentActor(explanation),
        ExchangeMode::Impersonation => Denial::Impersonation(explanation),
        ExchangeMode::Delegation | ExchangeMode::Continuation | ExchangeMode::SelfExchange | ExchangeMode::OnBehalfOf => {
            Denial::Target(TargetDenial::Refused, explanation)
        }
    }
}

/// Whether what is granted answers the request: all that it names, or with `scope_mode=narrow` some of it, and some on every
/// target.
fn admitted(asks: &[Ask], granted: &[Scopes], hearing: &Evaluation<'_>, request: &ExchangeRequest) -> Result<(), Denial> {
    let undeclared = authority::undeclared(asks, request);
    let short = asks.iter().zip(granted).map(|(ask, given)| ask.within.difference(given).union(&ask.beyond));
    let refused = short.fold(Scopes::default(), |all, here| all.union(&here));
    let asked = request.scope().is_some();
    let narrow = request.scope_mode() == ScopeMode::Narrow;
    let too_wide = asked && !narrow && (undeclared > 0 || !refused.is_empty());
    if too_wide || granted.iter().all(Scopes::is_empty) {
        return Err(Denial::Scope(ScopeDenial { refused, undeclared, asked, narrow }, hearing.explanation.clone()));
    }
    match granted.iter().any(Scopes::is_empty) {
        true => Err(Denial::Target(TargetDenial::Empty, hearing.explanation.clone())),
        false => Ok(()),
    }
}

fn grant(
    asks: Vec<Ask>,
    granted: Vec<Scopes>,
    hearing: Evaluation<'_>,
    (standing, bound): (&AdmittedExchange, SenderConstraint),
    limits: &Limits,
    now: Time,
) -> Result<Grant, Denial> {
    let lifetime = lifetime(&asks, &hearing, limits);
    let expires = Time::from_seconds(now.plus(lifetime).min(standing.bound()).seconds());
    if expires <= now {
        return Err(Denial::Expired);
    }
    let touched = touched(&asks, &granted, standing);
    let apis: Vec<_> = asks.into_iter().map(|ask| ask.api).collect();
    let scopes = granted.iter().fold(Scopes::default(), |all, here| all.union(here));
    let held = apis.iter().zip(granted).map(|(api, scopes)| ScopesOnApi { api: api.id.clone(), scopes }).collect();
    let (policy_set, basis) = (hearing.policies.digest(), standing.basis());
    let Evaluation { deciding: policies, explanation, .. } = hearing;
    Ok(Grant { apis, scopes, held, expires, policies, policy_set, touched, basis, bound, explanation })
}

/// The shortest of what the APIs, the deciding policies and the server allow.
fn lifetime(asks: &[Ask], hearing: &Evaluation<'_>, limits: &Limits) -> Duration {
    let apis = asks.iter().map(|ask| ask.api.lifetime.unwrap_or(limits.lifetime));
    apis.chain(hearing.lifetime).fold(limits.lifetime_max, Duration::min)
}

/// What the chain had touched, and the classes of what is granted now.
fn touched(asks: &[Ask], granted: &[Scopes], standing: &AdmittedExchange) -> Vec<String> {
    let mut touched = Vec::new();
    explain::merge(&mut touched, standing.subject().own().iter().flat_map(|own| own.touched.iter().cloned()));
    for (ask, scopes) in asks.iter().zip(granted) {
        let classes = scopes.iter().filter_map(|scope| ask.api.scopes.get(scope)).flat_map(|info| info.data.iter().cloned());
        explain::merge(&mut touched, classes);
    }
    touched
}

#[cfg(test)]
mod tests;
