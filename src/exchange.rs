//! The line: one exchange, end to end. The only file that sees all of it, and nothing but the order.

use std::sync::Arc;

use crate::catalog::Catalog;
use crate::client::{self, AssertionAudience, AuthenticatedClient, Credentials, DpopRules, Logins};
use crate::commit::Commit;
use crate::crypto::{Digest, MacKey};
use crate::error::Refusal;
use crate::lifecycle::{self, Rules};
use crate::mint::{self, IssuedToken, Minting, Signers};
use crate::oauth::{ClientId, Issuer, Jti, Scopes, Time, Txn};
use crate::policy::{self, Limits, Policies};
use crate::request::{ExchangeRequest, Form, PresentedToken};
use crate::token::{self, OwnKeys, VerifiedActor};
use crate::trust::Trust;

/// Everything that a configuration means, swapped whole on reload. Requests under way keep the one they began with.
#[derive(Debug)]
pub struct World {
    /// Our issuer identifier.
    pub issuer: Issuer,
    /// What this server is called in client assertions, and the address of its token endpoint.
    pub audience: AssertionAudience,
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
    /// What DPoP proofs are held to.
    pub dpop: DpopRules,
    /// How long tokens live.
    pub limits: Limits,
    /// How deep a chain may become.
    pub depth_max: u32,
}

/// The path of the token endpoint below the issuer.
pub const TOKEN_PATH: &str = "/token";

/// A refusal, and what is known of the request.
#[derive(Debug)]
pub struct Refused {
    /// Why.
    pub reason: Refusal,
    /// Whose request it was; none while it is a stranger's.
    pub asked: Option<Asked>,
}

/// What is known of the request of an authenticated client.
#[derive(Debug)]
pub struct Asked {
    /// The client.
    pub agent: ClientId,
    /// SHA-256 of the subject token, or of the token that the request is about.
    pub subject_token: Digest,
    /// The scopes asked for.
    pub requested: Option<Scopes>,
    /// The tree and the hop of that token, once it is proved to be ours.
    pub parent: Option<(Txn, Jti)>,
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
    let stranger = |reason| Refused { reason, asked: None };
    let request = ExchangeRequest::parse(form).map_err(|reason| stranger(Refusal::Request(reason)))?;
    let client = identify(world, credentials, Some(request.subject().text()), now).await.map_err(stranger)?;
    let mut asked = Asked::about(&client, request.subject().text());
    asked.requested = request.scope().cloned();
    let proved = client.prove(credentials, TOKEN_PATH, &world.dpop, now).map_err(Refusal::Proof);
    let done = match proved {
        Ok(client) => authenticated(world, commit, &request, client, &mut asked, now).await,
        Err(reason) => Err(reason),
    };
    match done {
        Ok(token) => Ok(token),
        Err(reason) => Err(Refused { reason, asked: Some(asked) }),
    }
}

/// The first steps of every line that issues nothing. Without any client authentication `attestation` may log in its own subject.
pub(crate) async fn authenticate(
    world: &World,
    credentials: &Credentials,
    attestation: Option<&str>,
    now: Time,
) -> Result<AuthenticatedClient, Refusal> {
    let client = identify(world, credentials, attestation, now).await?;
    client.without_proof(credentials).map_err(Refusal::Proof)
}

/// The client, before its DPoP proof is looked at.
async fn identify(
    world: &World,
    credentials: &Credentials,
    attestation: Option<&str>,
    now: Time,
) -> Result<AuthenticatedClient, Refusal> {
    client::authenticate(&world.logins, &world.catalog, &world.trust, credentials, attestation, &world.audience, now)
        .await
        .map_err(Refusal::Client)
}

async fn authenticated(
    world: &World,
    commit: &Commit,
    request: &ExchangeRequest,
    client: AuthenticatedClient,
    asked: &mut Asked,
    now: Time,
) -> Result<IssuedToken, Refusal> {
    let subject = token::verify_subject(request.subject(), &world.own, &world.trust, now).await.map_err(Refusal::Subject)?;
    asked.parent = subject.own().map(|own| (own.txn, own.jti));
    let actor = match request.actor() {
        Some(presented) => Some(verify_actor(world, presented, now).await?),
        None => None,
    };
    let state = commit.state();
    let standing =
        lifecycle::admit(client, subject, actor, request.impersonate(), &world.rules(&*state)).map_err(Refusal::Standing)?;
    let grant =
        policy::decide(&world.policies, &world.catalog, &standing, request, &world.limits, now).map_err(Refusal::Denied)?;
    let (minted, issue) = mint::sign(&standing, &grant, request.scope(), &world.minting(), now).map_err(Refusal::Mint)?;
    let receipt = commit.submit(issue).await.map_err(Refusal::Commit)?;
    minted.release(&receipt).map_err(|reason| {
        commit.withhold(receipt);
        Refusal::Mint(reason)
    })
}

async fn verify_actor(world: &World, presented: &PresentedToken, now: Time) -> Result<VerifiedActor, Refusal> {
    let known = (&*world.trust, &world.logins, &world.catalog);
    token::verify_actor(presented, &world.own, known, now).await.map_err(Refusal::Actor)
}

impl Asked {
    pub(crate) fn about(client: &AuthenticatedClient, token: &str) -> Self {
        let subject_token = Digest::of(token.as_bytes());
        Self { agent: client.agent().id.clone(), subject_token, requested: None, parent: None }
    }
}

impl World {
    pub(crate) fn rules<'a>(&'a self, state: &'a dyn lifecycle::State) -> Rules<'a> {
        Rules {
            issuer: &self.issuer,
            catalog: &self.catalog,
            trust: &self.trust,
            state,
            pseudonyms: &self.pseudonyms,
            depth_max: self.depth_max,
        }
    }

    pub(crate) fn minting(&self) -> Minting<'_> {
        Minting { issuer: &self.issuer, signers: &self.signers, own: &self.own, pseudonyms: &self.pseudonyms }
    }
}
