//! The lines of tasks. Opening one: what it takes to issue a token, for a token that enters a task. Nothing but the order.

mod tend;

pub use tend::{TaskOutcome, tend};

use crate::binding;
use crate::client::Credentials;
use crate::commit::Commit;
use crate::error::ExchangeError;
use crate::exchange::{self, Deployment, RefusedRequest, RequestEvidence};
use crate::lifecycle::{self, ActiveClient};
use crate::mint::{self, IssuedTaskToken};
use crate::oauth::Time;
use crate::policy::{self, PolicyOutcome};
use crate::request::{Form, TaskRequest};
use crate::token;

/// The path below the issuer where tasks are opened.
pub const TASKS_PATH: &str = "/tasks";

/// Opens the task that `form` describes, never wider than what its subject token could give.
///
/// # Errors
/// The first stage's reason to refuse.
pub async fn open(
    world: &Deployment,
    commit: &Commit,
    form: &Form,
    credentials: &Credentials,
    now: Time,
) -> Result<IssuedTaskToken, RefusedRequest> {
    let request = TaskRequest::parse(form).map_err(|reason| RefusedRequest::stranger(ExchangeError::Request(reason)))?;
    let done = match exchange::identify(world, commit, credentials, (None, Some(TASKS_PATH)), now).await {
        Ok(client) => {
            let mut asked = RequestEvidence::by(client.agent());
            let done = authenticated(world, commit, &request, client, &mut asked, now).await;
            done.map_err(|reason| RefusedRequest { reason, asked: Some(asked) })
        }
        Err(refused) => Err(refused),
    };
    let told = |asked: RequestEvidence| asked.about(request.subject().text());
    done.map_err(|refused| RefusedRequest { asked: refused.asked.map(told), ..refused })
}

async fn authenticated(
    world: &Deployment,
    commit: &Commit,
    request: &TaskRequest,
    client: ActiveClient,
    asked: &mut RequestEvidence,
    now: Time,
) -> Result<IssuedTaskToken, ExchangeError> {
    let subject =
        token::verify_subject(request.subject(), &world.own, &world.trust, now).await.map_err(ExchangeError::Subject)?;
    asked.of(&subject);
    let state = commit.state();
    let rules = world.rules(&*state, now);
    let admitted = lifecycle::admit(client, subject, None, false, &rules).map_err(ExchangeError::Standing)?;
    let task = lifecycle::admit_task(admitted, &rules).map_err(ExchangeError::Standing)?;
    let constraint = binding::bind_task(&task).map_err(ExchangeError::Binding)?;
    let (policies, catalog, limits) = (&world.policies, &world.catalog, &world.limits);
    let grant = match policy::open(policies, catalog, &task, constraint, request.wanted(), limits, now) {
        PolicyOutcome::Grant(grant) => grant,
        PolicyOutcome::Denial(denial) => return Err(ExchangeError::Denied(Box::new(denial))),
        PolicyOutcome::ApprovalNeeded(needed) => return Err(ExchangeError::ApprovalNeeded(Box::new(needed))),
    };
    let (minted, issue) = mint::open(&task, &grant, &world.minting(), now).map_err(ExchangeError::Mint)?;
    let receipt = commit.submit(issue).await.map_err(ExchangeError::Commit)?;
    minted.release(&receipt).map_err(|reason| {
        commit.withhold(receipt);
        ExchangeError::Mint(reason)
    })
}
