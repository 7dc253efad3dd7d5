//! The line of revocation (RFC 7009): the token ends, and with it every token that descends from it. Nothing but the order.

use crate::client::Credentials;
use crate::commit::Commit;
use crate::error::ExchangeError;
use crate::exchange::{self, Deployment, RefusedRequest, RequestEvidence};
use crate::lifecycle::{self, ActiveClient};
use crate::oauth::Time;
use crate::request::{Form, TokenQuery};
use crate::token::{self, TokenReason};

/// Ends the token in `form` and everything that came from it. When it returns `Ok`, the token is no longer accepted here, and
/// that is durable; which is also so of a token that never was one.
///
/// # Errors
/// A malformed request, a client that did not prove itself or that may not revoke this token, or a death that cannot be recorded.
pub async fn revoke(
    world: &Deployment,
    commit: &Commit,
    form: &Form,
    credentials: &Credentials,
    now: Time,
) -> Result<(), RefusedRequest> {
    let request = TokenQuery::parse(form).map_err(|reason| RefusedRequest::stranger(ExchangeError::Request(reason)))?;
    let client = exchange::authenticate(world, commit, credentials, now).await?;
    let mut asked = RequestEvidence::by(client.agent());
    let done = authenticated(world, commit, &request, &client, &mut asked, now).await;
    done.map_err(|reason| RefusedRequest { reason, asked: Some(asked.about(request.text())) })
}

/// A token that is dead already takes the way through the commit too: its death may act and not be durable yet.
async fn authenticated(
    world: &Deployment,
    commit: &Commit,
    request: &TokenQuery,
    client: &ActiveClient,
    asked: &mut RequestEvidence,
    now: Time,
) -> Result<(), ExchangeError> {
    let spent = client.spends();
    let state = commit.state();
    let death = match token::verify_own(request.text(), &world.own, now) {
        Ok(token) => {
            (asked.txn, asked.parent) = (Some(token.own().txn), Some(token.own().jti));
            lifecycle::revocation(client, &token, &world.rules(&*state, now)).map_err(ExchangeError::Standing)?
        }
        Err(TokenReason::TaskToken) => return Err(ExchangeError::TaskToken),
        Err(_unknown) => None,
    };
    match death {
        Some(death) => commit.end_spending(death, spent).await,
        None => commit.spend(spent).await,
    }
    .map_err(ExchangeError::Commit)
}
