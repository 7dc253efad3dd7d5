//! Decisions on tokens in use (AuthZEN Authorization API 1.0): is the token alive, does it give this, and would policy still
//! permit it? Nothing but the order. Nothing is spent but the login, and nothing is recorded: a decision issues nothing.

use super::login::{self, LineContext, LoginRules};
use super::refused::{Asked, Lineage, RefusedRequest};
use crate::client::Endpoint;
use crate::error::ExchangeError;
use crate::lifecycle::{self, ActiveClient};
use crate::oauth::{Audience, Resource, Scope};
use crate::policy;
use crate::request::{AskedEvaluation, EvaluationRequest};
use crate::token::{self, VerifiedIssued};

/// The verdict on one use of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallVerdict {
    /// It may be used so now.
    Permitted,
    /// The token is dead, another's, or not about this subject: one answer to all of these.
    Inactive,
    /// The token does not give this scope on this API.
    NotGiven,
    /// Policy does not permit it now; the attributes that were left empty.
    Denied(Vec<&'static str>),
}

/// Answers the questions of `text`, a request to the endpoint at `path`; in a list where it is `listed` one.
///
/// # Errors
/// A malformed request, or a client that did not prove itself. Never anything about a token.
pub async fn evaluate(
    context: LineContext<'_>,
    text: &str,
    (path, listed): (&str, bool),
) -> Result<(Vec<CallVerdict>, bool), RefusedRequest> {
    let request = EvaluationRequest::parse(text, listed)?;
    let line = async |client, lineage: &mut Lineage| answer(context, &request, (&client, lineage)).await;
    let verdicts = login::authenticated(context, LoginRules::at(Endpoint::post(path)), Asked::default(), line).await?;
    Ok((verdicts, request.listed))
}

/// The login is spent first, so that every verdict was still true after it.
async fn answer(
    context: LineContext<'_>,
    request: &EvaluationRequest,
    (client, lineage): (&ActiveClient, &mut Lineage),
) -> Result<Vec<CallVerdict>, ExchangeError> {
    let spent = client.spends();
    if !spent.is_empty() {
        context.commit.spend(client.client().share(), spent).await.map_err(ExchangeError::Commit)?;
    }
    lineage.spent = true;
    let mut verdicts = Vec::with_capacity(request.asked.len());
    for asked in &request.asked {
        let verdict = verdict(context, client, asked);
        let last = request.stops_at == Some(verdict == CallVerdict::Permitted);
        verdicts.push(verdict);
        if last {
            break;
        }
    }
    Ok(verdicts)
}

fn verdict(context: LineContext<'_>, client: &ActiveClient, asked: &AskedEvaluation) -> CallVerdict {
    let LineContext { deployment, commit, now, .. } = context;
    let state = commit.state();
    let Ok(token) = token::verify_own(&asked.token, &deployment.own, now.max(state.floor())) else {
        return CallVerdict::Inactive;
    };
    let by_id = Resource::parse(&asked.api).ok().and_then(|id| deployment.catalog.api_at(&id));
    let by_name = || Audience::parse(&asked.api).ok().and_then(|name| deployment.catalog.api_named(&name));
    let Some(api) = by_id.or_else(by_name).filter(|_| is_about(&token, &asked.subject)) else {
        return CallVerdict::Inactive;
    };
    let Ok(call) = lifecycle::callable(client, token, api, &deployment.rules(&*state, now)) else {
        return CallVerdict::Inactive;
    };
    let Some(scope) = Scope::parse(&asked.scope).ok().filter(|scope| call.gives(scope)) else {
        return CallVerdict::NotGiven;
    };
    let decided = policy::recheck(&deployment.policies, &call, (&scope, &asked.data), &deployment.issuer, now);
    if decided.permitted { CallVerdict::Permitted } else { CallVerdict::Denied(decided.missing) }
}

/// True where the token is about `subject`, by its name here or at its issuer.
fn is_about(token: &VerifiedIssued, subject: &str) -> bool {
    [token.subject().as_str(), token.subject().id()].contains(&subject)
}
