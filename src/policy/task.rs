//! The decision on a task. Every scope of its authority is decided by policy, and none is wider than what could be held without
//! it.

use std::sync::Arc;
use std::time::Duration;

use super::TokenLimits;
use super::cedar::Action;
use super::evaluation::Evaluation;
use super::intent::settled_purpose;
use super::outcome::{Denial, DenialReason, PolicyOutcome, TaskDenial, TaskGrant, merge};
use super::policies::Policies;
use super::request_context::RequestContext;
use super::unknown_scopes::UnknownScopes;
use crate::authority;
use crate::binding::SenderConstraint;
use crate::catalog::{Api, Catalog, Status};
use crate::lifecycle::AdmittedTask;
use crate::oauth::{ClientId, Resource, Scope, Scopes, ScopesOnApi, TaskSpec, Time};
use crate::token::TaskMembership;

/// The terms of a task that policy decides on.
struct Terms {
    authority: Vec<ScopesOnApi>,
    data_classes: Vec<String>,
    deadline: Time,
    budget: u64,
}

/// Decides at `now` on the task that is asked for.
pub fn open(
    policies: &Policies,
    catalog: &Catalog,
    task: &AdmittedTask,
    constraint: SenderConstraint,
    spec: &TaskSpec,
    limits: &TokenLimits,
    now: Time,
) -> PolicyOutcome<TaskGrant> {
    let (holder, purpose, level) = match preconditions(catalog, task, spec, limits) {
        Ok(known) => known,
        Err(reason) => return PolicyOutcome::Denial(Denial::before_policy(DenialReason::Task(reason))),
    };
    let context = RequestContext::new(task.admitted(), &constraint, &limits.issuer, now).of_task(&purpose, &holder);
    let mut evaluation = Evaluation::new(policies, context, Action::OpenTask);
    match terms(catalog, task, spec, limits, now, &mut evaluation) {
        Ok(Terms { authority, data_classes, deadline, budget }) => {
            let (policy_set, policies) = (evaluation.policies.digest(), evaluation.deciding);
            let (heartbeat, requires_proof) = (spec.heartbeat, constraint.issued().is_some());
            PolicyOutcome::Grant(TaskGrant {
                authority,
                purpose,
                data_classes,
                deadline,
                budget,
                heartbeat,
                holder,
                level,
                requires_proof,
                policies,
                policy_set,
            })
        }
        Err(reason) => {
            let approvable =
                |approved: &mut Evaluation<'_, RequestContext<'_>>| terms(catalog, task, spec, limits, now, approved).is_ok();
            evaluation.refused(DenialReason::Task(reason), approvable)
        }
    }
}

/// The holder, the purpose and the level: policy reads the first two, and is not asked where any of them is refused.
fn preconditions(
    catalog: &Catalog,
    task: &AdmittedTask,
    spec: &TaskSpec,
    limits: &TokenLimits,
) -> Result<(ClientId, String, u32), TaskDenial> {
    let within = task.admitted().task();
    let (holder, purpose) = (holder(catalog, task, spec)?, purpose(settled_purpose(task.admitted()), spec)?);
    let level = within.map_or(0, |task| task.level).saturating_add(1);
    if level > limits.tasks.depth { Err(TaskDenial::Level) } else { Ok((holder, purpose, level)) }
}

fn terms(
    catalog: &Catalog,
    task: &AdmittedTask,
    spec: &TaskSpec,
    limits: &TokenLimits,
    now: Time,
    evaluation: &mut Evaluation<'_, RequestContext<'_>>,
) -> Result<Terms, TaskDenial> {
    let within = task.admitted().task();
    let mut apis = Vec::with_capacity(spec.authority.len());
    for ScopesOnApi { api, scopes } in &spec.authority {
        apis.push(permitted(catalog, task, (api, scopes), evaluation)?);
    }
    let data_classes = data_classes(&apis, within, spec)?;
    let deadline = deadline(within, spec, evaluation.terms.lifetime, limits, now)?;
    let budget = budget(task, spec, limits)?;
    let authority = apis.into_iter().map(|(api, scopes)| ScopesOnApi { api: api.id.clone(), scopes }).collect();
    Ok(Terms { authority, data_classes, deadline, budget })
}

/// The scopes of one API, all of them within reach and permitted.
fn permitted(
    catalog: &Catalog,
    task: &AdmittedTask,
    (id, scopes): (&Resource, &Scopes),
    evaluation: &mut Evaluation<'_, RequestContext<'_>>,
) -> Result<(Arc<Api>, Scopes), TaskDenial> {
    let api = catalog.api(id).ok_or(TaskDenial::UnknownApi)?;
    let unknown: Vec<&Scope> = scopes.iter().filter(|scope| !api.scopes.contains_key(*scope)).collect();
    if !unknown.is_empty() {
        return Err(TaskDenial::Undeclared(UnknownScopes::new(&unknown, Some(&api.id))));
    }
    let beyond = scopes.difference(&authority::reachable(api, task.admitted()));
    if !beyond.is_empty() {
        return Err(TaskDenial::Beyond(api.id.clone(), beyond));
    }
    let refused = scopes.difference(&evaluation.permitted(api, scopes));
    if !refused.is_empty() {
        return Err(TaskDenial::Refused(api.id.clone(), refused));
    }
    Ok((Arc::clone(api), scopes.clone()))
}

/// Work is handed on by opening a child for another agent; a task that is no child is its opener's.
fn holder(catalog: &Catalog, task: &AdmittedTask, spec: &TaskSpec) -> Result<ClientId, TaskDenial> {
    let own = &task.admitted().client().agent().id;
    match &spec.holder {
        None => Ok(own.clone()),
        Some(holder) if holder == own => Ok(own.clone()),
        Some(_) if task.parent().is_none() => Err(TaskDenial::HolderOfRoot),
        Some(holder) => {
            let agent = catalog.agent(holder).filter(|agent| agent.status == Status::Active);
            agent.map(|agent| agent.id.clone()).ok_or(TaskDenial::Holder)
        }
    }
}

/// A purpose that is settled, by the parent or by an intent before it in the chain, stays.
fn purpose(settled: Option<&str>, spec: &TaskSpec) -> Result<String, TaskDenial> {
    match (settled, &spec.purpose) {
        (None, purpose) => Ok(purpose.clone().unwrap_or_default()),
        (Some(settled), None) => Ok(settled.to_owned()),
        (Some(settled), Some(purpose)) if purpose == settled => Ok(purpose.clone()),
        (Some(_), Some(_)) => Err(TaskDenial::Purpose),
    }
}

/// The classes that the request names, which must cover the authority, or else exactly those of the authority.
fn data_classes(
    apis: &[(Arc<Api>, Scopes)],
    within: Option<&TaskMembership>,
    spec: &TaskSpec,
) -> Result<Vec<String>, TaskDenial> {
    let mut needed = Vec::new();
    for (api, scopes) in apis {
        let classes = scopes.iter().filter_map(|scope| api.scopes.get(scope)).flat_map(|info| info.data.iter().cloned());
        merge(&mut needed, classes);
    }
    let classes = spec.data_classes.clone().unwrap_or_else(|| needed.clone());
    let covers = |all: &[String], some: &[String]| some.iter().all(|class| all.contains(class));
    let narrower = within.is_none_or(|parent| covers(&parent.data_classes, &classes));
    if narrower && covers(&classes, &needed) { Ok(classes) } else { Err(TaskDenial::DataClasses) }
}

/// Never later than the parent's, and than the server and the deciding policies allow. It may lie after everything that was
/// presented has run out: that is what it is opened for, and policy was asked.
fn deadline(
    within: Option<&TaskMembership>,
    spec: &TaskSpec,
    policy: Option<Duration>,
    limits: &TokenLimits,
    now: Time,
) -> Result<Time, TaskDenial> {
    let whole = |span: Duration| Time::from_seconds(now.plus(span).seconds());
    let most = policy.into_iter().fold(limits.tasks.lifetime_max, Duration::min);
    let latest = within.map_or(whole(most), |parent| whole(most).min(parent.deadline));
    let deadline = spec.expires_in.map_or(whole(limits.tasks.lifetime).min(latest), whole);
    if deadline > latest || deadline <= now {
        return Err(TaskDenial::Deadline(latest.seconds().saturating_sub(now.seconds())));
    }
    Ok(deadline)
}

/// A child's budget comes out of its parent's; the commit takes it from there. Where the request does not say, a child gets no
/// more than half of what its parent has left, so that the parent can go on.
fn budget(task: &AdmittedTask, spec: &TaskSpec, limits: &TokenLimits) -> Result<u64, TaskDenial> {
    let most = task.parent().map_or(limits.tasks.budget_max, |parent| parent.left);
    let usual = task.parent().map_or(most, |parent| parent.left.div_ceil(2)).min(limits.tasks.budget);
    let budget = spec.exchanges.unwrap_or(usual);
    if (1..=most).contains(&budget) { Ok(budget) } else { Err(TaskDenial::Budget(most)) }
}
