//! The order of one exchange, and nothing but the order: of a subject token (RFC 8693), of an assertion (RFC 7523), or of the
//! login of a client that asks for itself (RFC 6749 §4.4).

use super::login::{self, LineContext, LoginRules};
use super::refused::{Asked, Lineage, RefusedRequest, granted};
use crate::authority;
use crate::binding;
use crate::catalog::Agent;
use crate::client::Endpoint;
use crate::commit::{Commit, CountedToken, RecordHop, ReservedPlace};
use crate::deployment::TOKEN_PATH;
use crate::error::{ExchangeError, Profile};
use crate::lifecycle::{self, ActiveClient, AskedFor};
use crate::mint::{self, IssuedToken};
use crate::oauth::ShareKey;
use crate::policy::{self, Grant};
use crate::request::{ExchangeRequest, PresentedToken};
use crate::token::{self, VerifiedActor, VerifiedSubject};

/// Exchanges the tokens that `request` presents for one that is never wider.
///
/// # Errors
/// The reason of the first stage to refuse.
pub(super) async fn exchange(context: LineContext<'_>, request: &ExchangeRequest) -> Result<IssuedToken, RefusedRequest> {
    let (subject, wanted) = (request.subject().map(PresentedToken::text), request.wanted());
    let profile = Profile::of(request.grant_type());
    let login = LoginRules { attestation: subject, profile, ..LoginRules::at(Endpoint::post(TOKEN_PATH)) };
    let asked = Asked {
        token: subject,
        resources: wanted.resources(),
        audiences: wanted.audiences(),
        scope: wanted.scope(),
        ..Asked::default()
    };
    let line = async |client, lineage: &mut Lineage| issue(context, request, client, lineage).await;
    login::authenticated(context, login, asked, line).await
}

async fn issue(
    context: LineContext<'_>,
    request: &ExchangeRequest,
    client: ActiveClient,
    lineage: &mut Lineage,
) -> Result<IssuedToken, ExchangeError> {
    let LineContext { deployment, commit, now, .. } = context;
    let (subject, wanted) = (verify_subject(context, request, &client).await?, request.wanted());
    *lineage = Lineage::of(&subject);
    if !wanted.names_target() {
        let presented = lifecycle::presented_for(&client.agent().id, &subject, &deployment.issuer, &deployment.catalog);
        lineage.apis = authority::implied(&deployment.catalog, client.agent(), presented, wanted);
    }
    let actor = match request.actor() {
        Some(presented) => Some(verify_actor(context, presented).await?),
        None => None,
    };
    let state = commit.state();
    let rules = deployment.rules(&*state, now);
    let asked = AskedFor { grant_type: Some(request.grant_type()), mode: request.mode() };
    let admitted = lifecycle::admit(client, subject, actor, asked, &rules).map_err(ExchangeError::Admission)?;
    let (policies, catalog, limits) = (&deployment.policies, &deployment.catalog, &deployment.limits);
    let targets = authority::targets(catalog, &admitted, wanted, &lineage.apis).map_err(ExchangeError::Authority)?;
    let constraint = binding::bind(&admitted, &targets).map_err(ExchangeError::Binding)?;
    let grant = granted(policy::decide(policies, &admitted, targets, constraint, wanted, limits, now))?;
    let apis = grant.apis().iter().map(|api| &api.id);
    let dependencies = lifecycle::depend(&admitted, apis, &rules).map_err(ExchangeError::Admission)?;
    let counted = counted(admitted.client().agent(), &grant);
    if let Some(counted) = &counted {
        commit.velocities().room(counted, now).map_err(ExchangeError::Commit)?;
    }
    let place = status_place(commit, &grant, admitted.client().share())?;
    let requested = wanted.scope().map(|scopes| catalog.declared(scopes));
    let (minted, hop) = mint::sign(&admitted, &dependencies, &grant, requested.as_deref(), place, &deployment.minting(), now)
        .map_err(ExchangeError::Mint)?;
    login::record_and_release(commit, (RecordHop { counted, ..hop }, lineage), |receipt| minted.release(receipt)).await
}

/// The subject token or assertion. A client that asks for itself trades the attestation that logged it in, as if it had sent it
/// twice, with all that this says; where there is none its login alone speaks for it.
async fn verify_subject(
    context: LineContext<'_>,
    request: &ExchangeRequest,
    client: &ActiveClient,
) -> Result<VerifiedSubject, ExchangeError> {
    let LineContext { deployment, credentials, now, .. } = context;
    let own = credentials.traded_by(client.client().method()).filter(|_| request.subject().is_none());
    let own = own.map(PresentedToken::attestation);
    match request.subject().or(own.as_ref()) {
        Some(presented) => token::verify_subject(presented, &deployment.own, &deployment.trust, now).await,
        None => Ok(token::client_itself(client.client(), now)),
    }
    .map_err(ExchangeError::Subject)
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
