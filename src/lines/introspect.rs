//! Introspection (RFC 7662): is this token alive, and what may this API see of it? Nothing but the order.

use super::login::{self, LineContext, LoginRules};
use super::refused::{Asked, Lineage, RefusedRequest};
use crate::client::Endpoint;
use crate::deployment::INTROSPECT_PATH;
use crate::error::ExchangeError;
use crate::lifecycle::{self, ActiveClient};
use crate::mint::{self, AnswerForm, IntrospectionResponse};
use crate::request::{Form, TokenQuery};
use crate::token;

/// The introspection response for the token in `form`: what the token shows this API, or only that it is not active.
///
/// # Errors
/// A malformed request, a client that did not prove itself, or no key to answer with. Never anything about the token.
pub async fn introspect(
    context: LineContext<'_>,
    form: &Form,
    wanted: AnswerForm,
) -> Result<IntrospectionResponse, RefusedRequest> {
    let request = TokenQuery::parse(form)?;
    let asked = Asked { token: Some(request.text()), ..Asked::default() };
    let line = async |client, lineage: &mut Lineage| answer(context, &request, (&client, lineage), wanted).await;
    login::authenticated(context, LoginRules::at(Endpoint::post(INTROSPECT_PATH)), asked, line).await
}

/// The login is spent first, so that the answer was still true after it.
async fn answer(
    context: LineContext<'_>,
    request: &TokenQuery,
    (client, lineage): (&ActiveClient, &mut Lineage),
    wanted: AnswerForm,
) -> Result<IntrospectionResponse, ExchangeError> {
    let LineContext { deployment, commit, now, .. } = context;
    let spent = client.spends();
    if !spent.is_empty() {
        commit.spend(client.client().share(), spent).await.map_err(ExchangeError::Commit)?;
    }
    lineage.spent = true;
    let state = commit.state();
    let token = token::verify_own(request.text(), &deployment.own, now.max(state.floor())).map_err(ExchangeError::Subject);
    let rules = deployment.rules(&*state, now);
    let visible = token.and_then(|token| lifecycle::visible(client, token, &rules).map_err(ExchangeError::Admission));
    let visible = visible.inspect_err(|reason| tracing::debug!(agent = %client.agent().id, ?reason, "answered: inactive"));
    let keys = (&deployment.minting(), &deployment.catalog);
    mint::introspection_response(visible.ok().as_ref(), client.client(), wanted, keys, now).map_err(ExchangeError::Mint)
}
