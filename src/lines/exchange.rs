//! Token exchange (RFC 8693): the order of one exchange, and nothing but the order.

use super::login::{self, LineContext, LoginRules};
use super::refused::{Asked, Lineage, RefusedRequest, granted};
use crate::authority;
use crate::binding;
use crate::catalog::Agent;
use crate::client::Endpoint;
use crate::commit::{Commit, CountedToken, RecordHop, ReservedPlace};
use crate::deployment::TOKEN_PATH;
use crate::error::ExchangeError;
use crate::lifecycle::{self, ActiveClient};
use crate::mint::{self, IssuedToken};
use crate::oauth::ShareKey;
use crate::policy::{self, Grant};
use crate::request::{ExchangeRequest, PresentedToken, TokenRequest};
use crate::token::{self, VerifiedActor};

/// Exchanges the tokens that `request` presents for one that is never wider.
///
/// # Errors
/// The reason of the first stage to refuse.
pub(super) async fn exchange(context: LineContext<'_>, request: &TokenRequest<'_>) -> Result<IssuedToken, RefusedRequest> {
    let request = ExchangeRequest::parse(request)?;
    let subject = request.subject().text();
    let login = LoginRules { attestation: Some(subject), ..LoginRules::at(Endpoint::post(TOKEN_PATH)) };
    let asked = Asked {
        token: Some(subject),
        resources: request.resources(),
        audiences: request.audiences(),
        scope: request.scope(),
        ..Asked::default()
    };
    let line = async |client, lineage: &mut Lineage| issue(context, &request, client, lineage).await;
    login::authenticated(context, login, asked, line).await
}

async fn issue(
    context: LineContext<'_>,
    request: &ExchangeRequest,
    client: ActiveClient,
    lineage: &mut Lineage,
) -> Result<IssuedToken, ExchangeError> {
    let LineContext { deployment, commit, now, .. } = context;
    let (issuer_keys, trust) = (&deployment.own, &deployment.trust);
    let subject = token::verify_subject(request.subject(), issuer_keys, trust, now).await.map_err(ExchangeError::Subject)?;
    *lineage = Lineage::of(&subject);
    if !request.names_target() {
        let presented = lifecycle::presented_for(&client.agent().id, &subject, &deployment.issuer, &deployment.catalog);
        lineage.apis = authority::implied(&deployment.catalog, client.agent(), presented);
    }
    let actor = match request.actor() {
        Some(presented) => Some(verify_actor(context, presented).await?),
        None => None,
    };
    let state = commit.state();
    let rules = deployment.rules(&*state, now);
    let admitted = lifecycle::admit(client, subject, actor, request.impersonate(), &rules).map_err(ExchangeError::Admission)?;
    let (policies, catalog, limits) = (&deployment.policies, &deployment.catalog, &deployment.limits);
    let targets = authority::targets(catalog, &admitted, request).map_err(ExchangeError::Authority)?;
    let constraint = binding::bind(&admitted, &targets).map_err(ExchangeError::Binding)?;
    let grant = granted(policy::decide(policies, &admitted, targets, constraint, request, limits, now))?;
    let apis = grant.apis().iter().map(|api| &api.id);
    let dependencies = lifecycle::depend(&admitted, apis, &rules).map_err(ExchangeError::Admission)?;
    let counted = counted(admitted.client().agent(), &grant);
    if let Some(counted) = &counted {
        commit.velocities().room(counted, now).map_err(ExchangeError::Commit)?;
    }
    let place = status_place(commit, &grant, admitted.client().share())?;
    let requested = request.scope().map(|scopes| catalog.declared(scopes));
    let (minted, hop) = mint::sign(&admitted, &dependencies, &grant, requested.as_deref(), place, &deployment.minting(), now)
        .map_err(ExchangeError::Mint)?;
    login::record_and_release(commit, (RecordHop { counted, ..hop }, lineage), |receipt| minted.release(receipt)).await
}

async fn verify_actor(context: LineContext<'_>, presented: &PresentedToken) -> Result<VerifiedActor, ExchangeError> {
    let deployment = context.deployment;
    let known = (&*deployment.trust, &deployment.logins, &deployment.catalog);
    token::verify_actor(presented, &deployment.own, known, context.now).await.map_err(ExchangeError::Actor)
}

/// What the token counts against, where its agent has limits.
fn counted(agent: &Agent, grant: &Grant) -> Option<Box<CountedToken>> {
    if agent.velocity.is_empty() {
        return None;
    }
    let limits = agent.velocity.against(grant.apis().iter().map(|api| &**api), grant.scopes());
    (!limits.is_empty()).then(|| Box::new(CountedToken { agent: agent.id.clone(), limits }))
}

/// The place of the token in a status list, where an API asks for one.
fn status_place(commit: &Commit, grant: &Grant, who: ShareKey) -> Result<Option<ReservedPlace>, ExchangeError> {
    let place = |(api, bits)| commit.status_lists().reserve((api, bits), grant.expires(), who).map_err(ExchangeError::Commit);
    grant.status_list().map(place).transpose()
}
