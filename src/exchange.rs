//! The line: one exchange, end to end. The only file that sees all of it, and nothing but the order.

use std::sync::Arc;
use std::time::Duration;

use crate::catalog::Catalog;
use crate::client::{self, Credentials, Logins};
use crate::commit::Commit;
use crate::crypto::MacKey;
use crate::error::Refusal;
use crate::lifecycle::{self, Rules};
use crate::mint::{self, IssuedToken, Minting, Signers};
use crate::oauth::{ClientId, Issuer, Time};
use crate::policy::{self, Limits, Policies};
use crate::request::{ExchangeRequest, Form};
use crate::token::{self, OwnKeys};
use crate::trust::Trust;

/// Everything that a configuration means, swapped whole on reload. Requests under way keep the one they began with.
#[derive(Debug)]
pub struct World {
    /// Our issuer identifier.
    pub issuer: Issuer,
    /// The address of the token endpoint.
    pub token_endpoint: String,
    /// The registered agents and APIs.
    pub catalog: Catalog,
    /// How agents log in.
    pub logins: Logins,
    /// Who may vouch for whom.
    pub trust: Arc<Trust>,
    /// What is permitted.
    pub policies: Policies,
    /// The keys that sign.
    pub signers: Signers,
    /// What reads our own tokens.
    pub own: OwnKeys,
    /// The key of the pseudonyms.
    pub pseudonyms: MacKey,
    /// How long tokens live.
    pub lifetime: Duration,
    /// How long a token may live at most.
    pub lifetime_max: Duration,
    /// How deep a chain may become.
    pub depth_max: u32,
}

/// A refusal, and whose request it was once that is proved.
#[derive(Debug)]
pub struct Refused {
    /// The authenticated client; none while it is a stranger.
    pub agent: Option<ClientId>,
    /// Why.
    pub reason: Refusal,
}

/// Exchanges the tokens that `form` presents for one that is never wider.
///
/// # Errors
/// The first stage's reason to refuse.
pub async fn exchange(
    world: &World,
    commit: &Commit,
    form: &Form,
    credentials: &Credentials,
    now: Time,
) -> Result<IssuedToken, Refused> {
    let stranger = |reason| Refused { agent: None, reason };
    let request = ExchangeRequest::parse(form).map_err(|reason| stranger(Refusal::Request(reason)))?;
    let client = authenticate(world, credentials, &request, now).await.map_err(stranger)?;
    let agent = client.agent().id.clone();
    let rest = authenticated(world, commit, request, client, now).await;
    rest.map_err(|reason| Refused { agent: Some(agent), reason })
}

async fn authenticate(
    world: &World,
    credentials: &Credentials,
    request: &ExchangeRequest,
    now: Time,
) -> Result<client::AuthenticatedClient, Refusal> {
    let audience = client::Audience { issuer: &world.issuer, token_endpoint: &world.token_endpoint };
    let attestation = Some(request.subject().text());
    client::authenticate(&world.logins, &world.catalog, &world.trust, credentials, attestation, &audience, now)
        .await
        .map_err(Refusal::Client)
}

async fn authenticated(
    world: &World,
    commit: &Commit,
    request: ExchangeRequest,
    client: client::AuthenticatedClient,
    now: Time,
) -> Result<IssuedToken, Refusal> {
    let subject = token::verify_subject(request.subject(), &world.own, &world.trust, now).await.map_err(Refusal::Subject)?;
    let actor = match request.actor() {
        Some(presented) => {
            let known = (&*world.trust, &world.logins, &world.catalog);
            Some(token::verify_actor(presented, &world.own, known, now).await.map_err(Refusal::Actor)?)
        }
        None => None,
    };
    let state = commit.state();
    let standing =
        lifecycle::admit(client, subject, actor, request.impersonate(), &world.rules(&*state)).map_err(Refusal::Standing)?;
    let limits = Limits { lifetime: world.lifetime, lifetime_max: world.lifetime_max };
    let grant = policy::decide(&world.policies, &world.catalog, &standing, &request, &limits, now).map_err(Refusal::Denied)?;
    let (minted, issue) = mint::sign(&standing, &grant, &world.minting(), now).map_err(Refusal::Mint)?;
    let receipt = commit.submit(issue).await.map_err(Refusal::Commit)?;
    minted.release(&receipt).map_err(Refusal::Mint)
}

impl World {
    fn rules<'a>(&'a self, state: &'a dyn lifecycle::State) -> Rules<'a> {
        Rules {
            issuer: &self.issuer,
            catalog: &self.catalog,
            trust: &self.trust,
            state,
            pseudonyms: &self.pseudonyms,
            depth_max: self.depth_max,
        }
    }

    fn minting(&self) -> Minting<'_> {
        Minting { issuer: &self.issuer, signers: &self.signers, own: &self.own, pseudonyms: &self.pseudonyms }
    }
}
