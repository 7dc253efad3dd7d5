//! The line of introspection (RFC 7662): is this token alive, and what may this API see of it? Nothing but the order.

use crate::client::Credentials;
use crate::commit::Commit;
use crate::error::ExchangeError;
use crate::exchange::{self, Deployment, RefusedRequest, RequestEvidence};
use crate::lifecycle::{self, ActiveClient};
use crate::mint::{self, AnswerForm, IntrospectionResponse};
use crate::oauth::Time;
use crate::request::{Form, TokenQuery};
use crate::token;

/// Tells an API what it may know of the token in `form`: everything the token shows it, or only that the token is not active.
///
/// # Errors
/// A malformed request, a client that did not prove itself, or nothing to answer with. Never anything about the token.
pub async fn introspect(
    world: &Deployment,
    commit: &Commit,
    form: &Form,
    credentials: &Credentials,
    wanted: AnswerForm,
    now: Time,
) -> Result<IntrospectionResponse, RefusedRequest> {
    let request = TokenQuery::parse(form).map_err(|reason| RefusedRequest::stranger(ExchangeError::Request(reason)))?;
    let client = exchange::authenticate(world, commit, credentials, now).await?;
    let told = authenticated(world, commit, &request, &client, wanted, now).await;
    told.map_err(|reason| RefusedRequest { reason, asked: Some(RequestEvidence::by(client.agent()).about(request.text())) })
}

/// The login is spent first, so that what is told was still true after it.
async fn authenticated(
    world: &Deployment,
    commit: &Commit,
    request: &TokenQuery,
    client: &ActiveClient,
    wanted: AnswerForm,
    now: Time,
) -> Result<IntrospectionResponse, ExchangeError> {
    let spent = client.spends();
    if !spent.is_empty() {
        commit.spend(spent).await.map_err(ExchangeError::Commit)?;
    }
    let state = commit.state();
    let token = token::verify_own(request.text(), &world.own, now.max(state.floor())).map_err(ExchangeError::Subject);
    let visible =
        token.and_then(|token| lifecycle::visible(client, token, &world.rules(&*state, now)).map_err(ExchangeError::Standing));
    let visible = visible.inspect_err(|reason| tracing::debug!(agent = %client.agent().id, ?reason, "told that it is inactive"));
    mint::introspection_response(visible.ok().as_ref(), client.client(), wanted, (&world.minting(), &world.catalog), now)
        .map_err(ExchangeError::Mint)
}
