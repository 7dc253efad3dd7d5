//! The compromise of an agent: everything of it ends, and nothing counts for it that was issued before.

use serde::Serialize;

use super::outcome::{acts, counts_from};
use super::reason::{AdminReason, registered};
use crate::client::AuthMethod;
use crate::commit::{Commit, Revocable, Revocation};
use crate::deployment::Deployment;
use crate::lifecycle::Task;
use crate::oauth::{ClientId, Subject, Time};

/// The most things that one revocation is about.
const THINGS_MAX: usize = 256;

/// An agent of which everything ended, and what is left to do for whoever runs it.
#[derive(Debug, Serialize)]
pub struct CompromisedAgent {
    /// The agent.
    pub agent: String,
    /// The number of its tasks that ended.
    pub tasks: usize,
    /// False while that acts in memory only.
    pub recorded: bool,
    /// Seconds since 1970 from which on evidence must have been issued to count for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counts_from: Option<i64>,
    /// The ways in which it logs in.
    pub logins: Vec<CompromisedLogin>,
    /// The APIs that it is the agent of: it has seen their tokens, which live on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub apis: Vec<String>,
}

/// A way to log in of an agent that is compromised.
#[derive(Debug, Serialize)]
pub struct CompromisedLogin {
    /// The method.
    pub method: &'static str,
    /// True where what it logs in with goes on counting until the agent's file has another.
    pub rotate: bool,
    /// The next step.
    pub advice: &'static str,
}

/// Ends everything of `agent`: what it asked for or acts in, what is about it, and the tasks that it opened or holds. When it
/// returns `Ok`, that acts; and is durable where it says so.
///
/// # Errors
/// See [`AdminReason`].
pub async fn compromise(
    deployment: &Deployment,
    commit: &Commit,
    agent: &ClientId,
    reason: Option<&str>,
) -> Result<CompromisedAgent, AdminReason> {
    registered(&deployment.catalog, agent)?;
    let keys = &deployment.pseudonyms;
    let mut things = Revocable::agent(agent, keys);
    things.extend(Revocable::subject(&Subject::agent(agent), keys));
    let reason = reason.unwrap_or("compromised");
    let mut recorded = end(commit, things.clone(), reason, None).await?;
    let of_agent = |task: &Task| task.terms.opener == *agent || task.terms.holder == *agent;
    let tasks: Vec<Task> = commit.state().tasks().into_iter().filter(of_agent).collect();
    for some in tasks.chunks(THINGS_MAX / 8) {
        let ends: Vec<Revocable> = some.iter().map(|task| task.terms.revocable()).collect();
        recorded &= end(commit, ends, reason, some.iter().map(|task| task.terms.forget()).max()).await?;
    }
    let named = deployment.catalog.apis().filter(|api| api.agent.as_ref() == Some(agent));
    let mut apis: Vec<String> = named.map(|api| api.id.to_string()).collect();
    apis.sort_unstable();
    Ok(CompromisedAgent {
        agent: agent.to_string(),
        tasks: tasks.len(),
        recorded,
        counts_from: counts_from(commit, &things),
        logins: deployment.logins.methods_of(agent).into_iter().map(login).collect(),
        apis,
    })
}

async fn end(commit: &Commit, ends: Vec<Revocable>, reason: &str, until: Option<Time>) -> Result<bool, AdminReason> {
    let revocation = Revocation { ends: ends.clone(), by: ClientId::operators(), reason: reason.to_owned(), until };
    acts(commit, &ends, commit.end(revocation)).await
}

fn login(method: AuthMethod) -> CompromisedLogin {
    let (rotate, advice) = match method {
        AuthMethod::PrivateKeyJwt => (true, "replace its keys: the old ones still sign assertions that count"),
        AuthMethod::SecretBasic | AuthMethod::SecretPost => (true, "replace its secret: the old one still logs in"),
        AuthMethod::TlsClientAuth => {
            (true, "have its authority revoke the certificate (a revocation list), or change the name: it still logs in")
        }
        AuthMethod::SelfSignedTls => (true, "replace the registered certificate or key: it still logs in"),
        AuthMethod::SpiffeJwt
        | AuthMethod::WorkloadJwt
        | AuthMethod::SpiffeX509
        | AuthMethod::WorkloadX509
        | AuthMethod::AttestJwt
        | AuthMethod::AttestJwtDpop => {
            (false, "what was issued before does not count; see that its issuer vouches for nobody else by now")
        }
    };
    CompromisedLogin { method: method.as_str(), rotate, advice }
}
