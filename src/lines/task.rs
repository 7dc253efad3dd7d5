//! The lines of tasks: opening one takes what it takes to issue a token, for a token that enters the task; acting on one asks
//! whether it is this client's to do. Nothing but the order.

use super::login::{self, LineContext, LoginRules};
use super::refused::{Asked, Lineage, RefusedRequest, granted};
use crate::binding;
use crate::client::Endpoint;
use crate::deployment::TASKS_PATH;
use crate::error::ExchangeError;
use crate::lifecycle::{self, ActiveClient, AdmissionReason, AskedFor, Task, TaskAction, TaskChange, TaskStatus};
use crate::mint::{self, IssuedTaskToken};
use crate::oauth::{AskedMode, TaskId};
use crate::policy;
use crate::request::{Form, TaskRequest};
use crate::token;

/// A task after an action was done on it.
#[derive(Debug)]
pub struct TaskOutcome {
    /// The task.
    pub task: Task,
    /// Its status.
    pub status: TaskStatus,
}

/// Opens the task that `form` describes, never wider than what its subject token could give.
///
/// # Errors
/// The reason of the first stage to refuse.
pub async fn open_task(context: LineContext<'_>, form: &Form) -> Result<IssuedTaskToken, RefusedRequest> {
    let request = TaskRequest::parse(form)?;
    let login = LoginRules::at(Endpoint::post(TASKS_PATH));
    let asked = Asked { token: Some(request.subject().text()), authority: &request.wanted().authority, ..Asked::default() };
    let line = async |client, lineage: &mut Lineage| open(context, &request, client, lineage).await;
    login::authenticated(context, login, asked, line).await
}

async fn open(
    context: LineContext<'_>,
    request: &TaskRequest,
    client: ActiveClient,
    lineage: &mut Lineage,
) -> Result<IssuedTaskToken, ExchangeError> {
    let LineContext { deployment, commit, now, .. } = context;
    let (issuer_keys, trust) = (&deployment.own, &deployment.trust);
    let subject = token::verify_subject(request.subject(), issuer_keys, trust, now).await.map_err(ExchangeError::Subject)?;
    *lineage = Lineage::of(&subject);
    let state = commit.state();
    let rules = deployment.rules(&*state, now);
    let admitted = lifecycle::admit(client, subject, None, AskedFor { grant_type: None, mode: AskedMode::Any }, &rules)
        .map_err(ExchangeError::Admission)?;
    let admitted = lifecycle::admit_task(admitted, &rules).map_err(ExchangeError::Admission)?;
    let constraint = binding::bind_task(&admitted).map_err(ExchangeError::Binding)?;
    let (policies, catalog, limits) = (&deployment.policies, &deployment.catalog, &deployment.limits);
    let grant = granted(policy::open(policies, catalog, &admitted, constraint, request.wanted(), limits, now))?;
    let apis = grant.authority().iter().map(|held| &held.api);
    let dependencies = lifecycle::depend(admitted.admitted(), apis, &rules).map_err(ExchangeError::Admission)?;
    let declared = catalog.declared_classes(grant.data_classes());
    let (minted, task) =
        mint::open(&admitted, &dependencies, &grant, (&declared, commit.terms_sealer()), &deployment.minting(), now)
            .map_err(ExchangeError::Mint)?;
    login::record_and_release(commit, (task, lineage), |receipt| minted.release(receipt)).await
}

/// Does `action` on the task `id`, if it is this client's to do. When it returns `Ok`, that is durable.
///
/// # Errors
/// The reason of the first stage to refuse.
pub async fn act_on_task(context: LineContext<'_>, id: &str, action: TaskAction) -> Result<TaskOutcome, RefusedRequest> {
    let path = match action.name() {
        None => format!("{TASKS_PATH}/{id}"),
        Some(name) => format!("{TASKS_PATH}/{id}/{name}"),
    };
    let endpoint = if action == TaskAction::Look { Endpoint::get(&path) } else { Endpoint::post(&path) };
    let login = LoginRules { ends: action.ends(), ..LoginRules::at(endpoint) };
    let line = async |client, lineage: &mut Lineage| act(context, (id, action), &client, lineage).await;
    login::authenticated(context, login, Asked::default(), line).await
}

async fn act(
    context: LineContext<'_>,
    (id, action): (&str, TaskAction),
    client: &ActiveClient,
    lineage: &mut Lineage,
) -> Result<TaskOutcome, ExchangeError> {
    let LineContext { deployment, commit, now, .. } = context;
    let id = TaskId::parse(id).map_err(|_| ExchangeError::Admission(AdmissionReason::NoTask))?;
    let spent = client.spends();
    let state = commit.state();
    let rules = deployment.rules(&*state, now);
    let (task, change) = lifecycle::change_task(client, id, action, &rules).map_err(ExchangeError::Admission)?;
    lineage.txn = Some(task.terms.txn);
    match change {
        TaskChange::None => commit.spend(client.client().share(), spent).await,
        TaskChange::Heartbeat(id) => commit.beat(id, client.client().share(), spent).await,
        TaskChange::Status(change) => commit.hold(change, spent).await,
        TaskChange::Complete(revocation) => commit.end_spending(revocation, spent).await,
    }
    .map_err(ExchangeError::Commit)?;
    let (task, status) = lifecycle::current_task(task, &rules);
    Ok(TaskOutcome { task, status })
}
