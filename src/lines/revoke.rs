//! Revocation (RFC 7009): the token ends, and with it every token that descends from it. Nothing but the order.

use super::login::{self, LineContext, LoginRules};
use super::refused::{Asked, Lineage, RefusedRequest};
use crate::client::Endpoint;
use crate::commit::{CommitReason, Revocation};
use crate::deployment::REVOKE_PATH;
use crate::error::ExchangeError;
use crate::lifecycle::{self, ActiveClient};
use crate::request::{Form, TokenQuery};
use crate::token::{self, TokenReason, VerifiedIssued};

/// Ends the token in `form` and everything that came from it. When it returns `Ok`, the token is no longer accepted here, and
/// that is durable; which is also so of a token that never was one.
///
/// # Errors
/// A malformed request, a client that did not prove itself, or a revocation that cannot be recorded. `Revoker`, which is recorded
/// and not told: to a client that may not revoke the token nothing says whether it lives.
pub async fn revoke(context: LineContext<'_>, form: &Form) -> Result<(), RefusedRequest> {
    let request = TokenQuery::parse(form)?;
    let asked = Asked { token: Some(request.text()), ..Asked::default() };
    let line = async |client, lineage: &mut Lineage| end(context, &request, &client, lineage).await;
    let login = LoginRules { ends: true, ..LoginRules::at(Endpoint::post(REVOKE_PATH)) };
    login::authenticated(context, login, asked, line).await
}

/// A token that is dead already takes the way through the commit too: its revocation may act and not be durable yet. So does one
/// that is not this client's to revoke, so that nothing tells it from one that there never was.
async fn end(
    context: LineContext<'_>,
    request: &TokenQuery,
    client: &ActiveClient,
    lineage: &mut Lineage,
) -> Result<(), ExchangeError> {
    let LineContext { deployment, commit, now, .. } = context;
    let spent = client.spends();
    let state = commit.state();
    let revocation = match token::verify_own(request.text(), &deployment.own, now) {
        Ok(token) => {
            *lineage = Lineage { txn: Some(token.own().txn), parent: Some(token.own().jti), ..Lineage::default() };
            let revocation = lifecycle::revocation(client, &token, &deployment.rules(&*state, now));
            let bounded = |revocation| bounded(context, client, &token, revocation);
            revocation.map(|revocation| revocation.map(bounded)).map_err(ExchangeError::Admission)
        }
        Err(TokenReason::TaskToken) => return Err(ExchangeError::TaskToken),
        Err(_unknown) => Ok(None),
    };
    match revocation {
        Ok(Some(revocation)) => commit.end_spending(revocation, spent).await.map_err(ExchangeError::Commit),
        Ok(None) => commit.spend(client.client().share(), spent).await.map_err(ExchangeError::Commit),
        Err(refused) => {
            commit.spend(client.client().share(), spent).await.map_err(ExchangeError::Commit)?;
            lineage.spent = true;
            Err(refused)
        }
    }
}

/// The revocation itself, or, where its client has ended so many tokens that no more of its are remembered one by one, a wider
/// one: a revocation is never refused, and what is remembered of one client is bounded.
fn bounded(context: LineContext<'_>, client: &ActiveClient, token: &VerifiedIssued, revocation: Revocation) -> Revocation {
    let LineContext { deployment, commit, now, .. } = context;
    let room = commit.state().may_need_ends(client.client().share(), commit.limits().generations, now);
    match room {
        Err(CommitReason::Share(..)) => {
            lifecycle::widened(client, token, revocation, &deployment.pseudonyms, &deployment.catalog)
        }
        _ => revocation,
    }
}
