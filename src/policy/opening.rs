//! Whether a task may be opened, and how wide. Every pair of its ceiling is decided by policy, and none is wider than what could
//! be held without it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::facts::RequestContext;
use super::hearing::Evaluation;
use super::{Denial, Explanation, Limits, Policies, authority, explain};
use crate::catalog::{Api, Catalog, Status};
use crate::crypto::Digest;
use crate::lifecycle::{self, AdmittedTask};
use crate::oauth::{ClientId, Resource, Scopes, ScopesOnApi, TaskSpec, Time};
use crate::token::TaskMembership;

/// What bounds tasks.
#[derive(Clone, Debug)]
pub struct TaskLimits {
    /// How long a task may take where its request does not say.
    pub lifetime: Duration,
    /// How long any task may take.
    pub lifetime_max: Duration,
    /// How many exchanges a task may make where its request does not say.
    pub budget: u64,
    /// How many exchanges any task may make.
    pub budget_max: u64,
    /// How many tasks may lie one under the other.
    pub depth: u32,
}

/// The task that may be opened, and which policies decided. Made only by [`open`].
#[derive(Debug)]
pub struct TaskGrant {
    authority: Vec<ScopesOnApi>,
    purpose: String,
    data_classes: Vec<String>,
    deadline: Time,
    budget: u64,
    heartbeat: Option<Duration>,
    holder: ClientId,
    level: u32,
    bound: bool,
    policies: Vec<String>,
    policy_set: Digest,
}

/// Why a task may not be opened as it is wanted: `invalid_authorization_details` (RFC 9396 §5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskDenial {
    /// An `api` that is no API's id.
    UnknownApi,
    /// Scopes of a registered API that it does not declare, so many.
    Undeclared(Resource, usize),
    /// Scopes of a registered API that could not be held, or that the parent task does not have.
    Beyond(Resource, Scopes),
    /// Scopes of a registered API that policy does not permit.
    Refused(Resource, Scopes),
    /// Another purpose than the parent's.
    Purpose,
    /// Classes of data that the parent task does not have, or that do not cover the ceiling.
    DataClasses,
    /// A longer time than there is: at most so many seconds.
    Deadline(i64),
    /// More exchanges than there are.
    Budget(u64),
    /// One more task below another than there may be.
    Level,
    /// The holder is no registered and active agent.
    Holder,
    /// A holder other than the opener for a task that is no child.
    HolderOfRoot,
}

/// Decides on the task that is `wanted`.
///
/// # Errors
/// [`Denial::Task`], with the first thing that stands in the way.
pub fn open(
    policies: &Policies,
    catalog: &Catalog,
    opening: &AdmittedTask,
    wanted: &TaskSpec,
    limits: &Limits,
    now: Time,
) -> Result<TaskGrant, Denial> {
    let (standing, within) = (opening.standing(), opening.standing().task());
    // To which key what is issued from the task token is bound is decided then; here, whether it must be bound at all.
    let binding = lifecycle::bind(standing, []).map_err(Denial::Binding)?;
    let bound = binding.issued().is_some();
    let holder = holder(catalog, opening, wanted).map_err(Denial::task)?;
    let purpose = purpose(within, wanted).map_err(Denial::task)?;
    let level = within.map_or(0, |task| task.level).saturating_add(1);
    if level > limits.tasks.depth {
        return Err(Denial::task(TaskDenial::Level));
    }
    let facts = RequestContext::opening(RequestContext::new(standing, &binding, &limits.issuer, now), &purpose, &holder);
    let mut hearing = Evaluation::opening(policies, facts);
    let mut apis = Vec::with_capacity(wanted.authority.len());
    for ScopesOnApi { api, scopes } in &wanted.authority {
        apis.push(pairs(catalog, opening, (api, scopes), &mut hearing)?);
    }
    let data_classes = data_classes(&apis, within, wanted).map_err(Denial::task)?;
    let deadline = deadline(within, wanted, hearing.lifetime, limits, now).map_err(Denial::task)?;
    let budget = budget(opening, wanted, limits).map_err(Denial::task)?;
    let authority = apis.into_iter().map(|(api, scopes)| ScopesOnApi { api: api.id.clone(), scopes }).collect();
    let (policies, policy_set, heartbeat) = (hearing.deciding, hearing.policies.digest(), wanted.heartbeat);
    Ok(TaskGrant { authority, purpose, data_classes, deadline, budget, heartbeat, holder, level, bound, policies, policy_set })
}

/// The scopes of one API, all of them within reach and permitted.
fn pairs(
    catalog: &Catalog,
    opening: &AdmittedTask,
    (id, scopes): (&Resource, &Scopes),
    hearing: &mut Evaluation<'_>,
) -> Result<(Arc<Api>, Scopes), Denial> {
    let api = catalog.api(id).ok_or_else(|| Denial::task(TaskDenial::UnknownApi))?;
    let undeclared = scopes.iter().filter(|scope| !api.scopes.contains_key(*scope)).count();
    if undeclared > 0 {
        return Err(Denial::task(TaskDenial::Undeclared(api.id.clone(), undeclared)));
    }
    let beyond = scopes.difference(&authority::reachable(api, opening.standing()));
    if !beyond.is_empty() {
        return Err(Denial::task(TaskDenial::Beyond(api.id.clone(), beyond)));
    }
    let refused = scopes.difference(&hearing.permitted(api, scopes));
    if !refused.is_empty() {
        return Err(Denial::Task(TaskDenial::Refused(api.id.clone(), refused), hearing.explanation.clone()));
    }
    Ok((Arc::clone(api), scopes.clone()))
}

/// Work is handed on by opening a child for another agent; a task that is no child is its opener's.
fn holder(catalog: &Catalog, opening: &AdmittedTask, wanted: &TaskSpec) -> Result<ClientId, TaskDenial> {
    let own = &opening.standing().client().agent().id;
    match &wanted.holder {
        None => Ok(own.clone()),
        Some(holder) if holder == own => Ok(own.clone()),
        Some(_) if opening.parent().is_none() => Err(TaskDenial::HolderOfRoot),
        Some(holder) => {
            let agent = catalog.agent(holder).filter(|agent| agent.status == Status::Active);
            agent.map(|agent| agent.id.clone()).ok_or(TaskDenial::Holder)
        }
    }
}

fn purpose(within: Option<&TaskMembership>, wanted: &TaskSpec) -> Result<String, TaskDenial> {
    match (within, &wanted.purpose) {
        (None, purpose) => Ok(purpose.clone().unwrap_or_default()),
        (Some(parent), None) => Ok(parent.purpose.clone()),
        (Some(parent), Some(purpose)) if *purpose == parent.purpose => Ok(purpose.clone()),
        (Some(_), Some(_)) => Err(TaskDenial::Purpose),
    }
}

/// Where nobody says, exactly the classes of the ceiling; else what is said, which must cover the ceiling.
fn data_classes(
    apis: &[(Arc<Api>, Scopes)],
    within: Option<&TaskMembership>,
    wanted: &TaskSpec,
) -> Result<Vec<String>, TaskDenial> {
    let mut needed = Vec::new();
    for (api, scopes) in apis {
        let classes = scopes.iter().filter_map(|scope| api.scopes.get(scope)).flat_map(|info| info.data.iter().cloned());
        explain::merge(&mut needed, classes);
    }
    let classes = wanted.data_classes.clone().unwrap_or_else(|| needed.clone());
    let covers = |all: &[String], some: &[String]| some.iter().all(|class| all.contains(class));
    let narrower = within.is_none_or(|parent| covers(&parent.data_classes, &classes));
    if narrower && covers(&classes, &needed) { Ok(classes) } else { Err(TaskDenial::DataClasses) }
}

/// Never later than the parent's, and than the server and the deciding policies allow. It may lie after everything that was
/// presented has run out: that is what it is opened for, and policy was asked.
fn deadline(
    within: Option<&TaskMembership>,
    wanted: &TaskSpec,
    policy: Option<Duration>,
    limits: &Limits,
    now: Time,
) -> Result<Time, TaskDenial> {
    let whole = |span: Duration| Time::from_seconds(now.plus(span).seconds());
    let most = policy.into_iter().fold(limits.tasks.lifetime_max, Duration::min);
    let latest = within.map_or(whole(most), |parent| whole(most).min(parent.deadline));
    let deadline = wanted.expires_in.map_or(whole(limits.tasks.lifetime).min(latest), whole);
    if deadline > latest || deadline <= now {
        return Err(TaskDenial::Deadline(latest.seconds().saturating_sub(now.seconds())));
    }
    Ok(deadline)
}

/// A child's budget comes out of its parent's; the commit takes it from there. Where the request does not say, a child gets no
/// more than half of what its parent has left, so that the parent can go on.
fn budget(opening: &AdmittedTask, wanted: &TaskSpec, limits: &Limits) -> Result<u64, TaskDenial> {
    let most = opening.parent().map_or(limits.tasks.budget_max, |parent| parent.left);
    let usual = opening.parent().map_or(most, |parent| parent.left.div_ceil(2)).min(limits.tasks.budget);
    let budget = wanted.exchanges.unwrap_or(usual);
    if (1..=most).contains(&budget) { Ok(budget) } else { Err(TaskDenial::Budget(most)) }
}

impl TaskGrant {
    /// The ceiling.
    pub fn authority(&self) -> &[ScopesOnApi] {
        &self.authority
    }

    /// What it is for.
    pub fn purpose(&self) -> &str {
        &self.purpose
    }

    /// The classes of data that may be touched in it, sorted.
    pub fn data_classes(&self) -> &[String] {
        &self.data_classes
    }

    /// When it ends, in whole seconds, after `now`.
    pub fn deadline(&self) -> Time {
        self.deadline
    }

    /// How many exchanges it may make.
    pub fn budget(&self) -> u64 {
        self.budget
    }

    /// How long it lives without a heartbeat.
    pub fn heartbeat(&self) -> Option<Duration> {
        self.heartbeat
    }

    /// Who works on it.
    pub fn holder(&self) -> &ClientId {
        &self.holder
    }

    /// How many tasks lie one above the other, this one included.
    pub fn level(&self) -> u32 {
        self.level
    }

    /// Whether it is opened with a proof of a key or under a bound token, so that nothing unbound may be issued in it.
    pub fn bound(&self) -> bool {
        self.bound
    }

    /// The policies that permitted, by id, sorted.
    pub fn policies(&self) -> &[String] {
        &self.policies
    }

    /// The digest of the whole set of policies and its schema.
    pub fn policy_set(&self) -> Digest {
        self.policy_set
    }
}

impl Denial {
    fn task(reason: TaskDenial) -> Self {
        Self::Task(reason, Explanation::default())
    }
}

impl fmt::Display for TaskDenial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("authorization_details: ")?;
        match self {
            Self::UnknownApi => f.write_str("an api of authority is not the id of a registered API"),
            Self::Undeclared(api, count) => write!(f, "{api} does not know {count} of the scopes"),
            Self::Beyond(api, scopes) => write!(f, "subject_token does not give this authority on {api}: {scopes}"),
            Self::Refused(api, scopes) => write!(f, "policy does not permit to put this of {api} into a task: {scopes}"),
            Self::Purpose => f.write_str("purpose must be that of the parent task"),
            Self::DataClasses => {
                f.write_str("data_classes must cover every scope of authority, and be among those of the parent task")
            }
            Self::Deadline(seconds) => write!(f, "expires_in must be at most {seconds} here"),
            Self::Budget(0) => f.write_str("budget: the parent task has none left"),
            Self::Budget(most) => write!(f, "budget must be at most {most} exchanges here"),
            Self::Level => f.write_str("tasks lie as deep under each other as this server allows"),
            Self::Holder => f.write_str("holder is not a registered and active agent"),
            Self::HolderOfRoot => f.write_str("holder: a task for another agent is opened as a child, with a task token"),
        }
    }
}
