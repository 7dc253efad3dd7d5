//! The line: one exchange, end to end. The only file that sees all of it, and nothing but the order.

use std::collections::HashSet;
use std::sync::Arc;

use crate::catalog::{Agent, Catalog, Status};
use crate::client::{self, AssertionAudience, AuthError, ClientAuths, ClientReason, Credentials, DpopRules, IdentifiedClient};
use crate::commit::{Commit, ReservedPlace};
use crate::crypto::{Digest, MacKey};
use crate::error::ExchangeError;
use crate::lifecycle::{self, ActiveClient, InactiveStatus, Rules};
use crate::mint::{self, IssuedToken, Minting, Signers};
use crate::oauth::{ClientId, GenerationKey, GenerationKind, Issuer, Jti, Scopes, Time, Txn};
use crate::policy::{self, Grant, Limits, Policies};
use crate::request::{ExchangeRequest, Form, PresentedToken};
use crate::token::{self, IssuerKeys, VerifiedActor, VerifiedSubject};
use crate::trust::TrustStore;

/// Everything that a configuration means, swapped whole on reload. Requests under way keep the one they began with.
#[derive(Debug)]
pub struct Deployment {
    /// Our issuer identifier.
    pub issuer: Issuer,
    /// What this server is called in client assertions, and the address of its token endpoint.
    pub audience: AssertionAudience,
    /// The registered agents and APIs.
    pub catalog: Catalog,
    /// How agents log in.
    pub logins: ClientAuths,
    /// Who may vouch for whom.
    pub trust: Arc<TrustStore>,
    /// What is permitted.
    pub policies: Policies,
    /// The keys that sign.
    pub signers: Signers,
    /// What reads our own tokens.
    pub own: IssuerKeys,
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
pub struct RefusedRequest {
    /// Why.
    pub reason: ExchangeError,
    /// Whose request it was; none while it is a stranger's.
    pub asked: Option<RequestEvidence>,
}

/// What is known of the request of an authenticated client.
#[derive(Debug)]
pub struct RequestEvidence {
    /// The client.
    pub agent: ClientId,
    /// SHA-256 of the subject token, or of the token that the request is about.
    pub subject_token: Option<Digest>,
    /// The scopes asked for.
    pub requested: Option<Scopes>,
    /// The tree of that token, once it is proved to be ours.
    pub txn: Option<Txn>,
    /// Its hop, where it is an access token.
    pub parent: Option<Jti>,
}

/// Exchanges the tokens that `form` presents for one that is never wider.
///
/// # Errors
/// The first stage's reason to refuse.
pub async fn exchange(
    world: &Deployment,
    commit: &Commit,
    form: &Form,
    credentials: &Credentials,
    now: Time,
) -> Result<IssuedToken, RefusedRequest> {
    let request = ExchangeRequest::parse(form).map_err(|reason| RefusedRequest::stranger(ExchangeError::Request(reason)))?;
    let text = request.subject().text();
    let done = match identify(world, commit, credentials, (Some(text), Some(TOKEN_PATH)), now).await {
        Ok(client) => {
            let mut asked = RequestEvidence::by(client.agent());
            let done = authenticated(world, commit, &request, client, &mut asked, now).await;
            done.map_err(|reason| RefusedRequest { reason, asked: Some(asked) })
        }
        Err(refused) => Err(refused),
    };
    let told = |asked: RequestEvidence| RequestEvidence { requested: request.scope().cloned(), ..asked.about(text) };
    done.map_err(|refused| RefusedRequest { asked: refused.asked.map(told), ..refused })
}

/// The first steps of every line that issues nothing.
pub(crate) async fn authenticate(
    world: &Deployment,
    commit: &Commit,
    credentials: &Credentials,
    now: Time,
) -> Result<ActiveClient, RefusedRequest> {
    let client = identify(world, commit, credentials, (None, None), now).await;
    client.map_err(|refused| RefusedRequest::stranger(refused.reason))
}

/// The client, with the key that it proved at `path`; without a path it may prove none. Without any client authentication
/// `attestation` may log in its own subject. Who logs in and proves nothing is known in the refusal, unless the login counts with
/// that proof only.
pub(crate) async fn identify(
    world: &Deployment,
    commit: &Commit,
    credentials: &Credentials,
    (attestation, path): (Option<&str>, Option<&str>),
    now: Time,
) -> Result<ActiveClient, RefusedRequest> {
    let client = log_in(world, credentials, attestation, now).await.map_err(RefusedRequest::stranger)?;
    let asked = client.is_certain().then(|| RequestEvidence::by(client.agent()));
    let proved = match path {
        Some(path) => client.prove(credentials, path, &world.dpop, now),
        None => client.without_proof(credentials),
    };
    let client = proved.map_err(|reason| match reason {
        AuthError::Proof(reason) => RefusedRequest { reason: ExchangeError::Proof(reason), asked },
        AuthError::Login(reason) => RefusedRequest::stranger(ExchangeError::Client(reason)),
    })?;
    // An agent that the record suspends or retires is refused like one that its file does.
    lifecycle::unheld(client, &*commit.state(), &world.pseudonyms).map_err(|hold| {
        let reason = match hold {
            InactiveStatus::Suspended => ClientReason::Suspended,
            InactiveStatus::Retired => ClientReason::Retired,
        };
        RefusedRequest::stranger(ExchangeError::Client(reason))
    })
}

/// The client, before its DPoP proof is looked at.
async fn log_in(
    world: &Deployment,
    credentials: &Credentials,
    attestation: Option<&str>,
    now: Time,
) -> Result<IdentifiedClient, ExchangeError> {
    let (logins, catalog, trust, audience) = (&world.logins, &world.catalog, &world.trust, &world.audience);
    let client = client::authenticate(logins, catalog, trust, credentials, attestation, audience, now);
    client.await.map_err(ExchangeError::Client)
}

async fn authenticated(
    world: &Deployment,
    commit: &Commit,
    request: &ExchangeRequest,
    client: ActiveClient,
    asked: &mut RequestEvidence,
    now: Time,
) -> Result<IssuedToken, ExchangeError> {
    let subject =
        token::verify_subject(request.subject(), &world.own, &world.trust, now).await.map_err(ExchangeError::Subject)?;
    asked.of(&subject);
    let actor = match request.actor() {
        Some(presented) => Some(verify_actor(world, presented, now).await?),
        None => None,
    };
    let state = commit.state();
    let standing = lifecycle::admit(client, subject, actor, request.impersonate(), &world.rules(&*state, now))
        .map_err(ExchangeError::Standing)?;
    let grant =
        policy::decide(&world.policies, &world.catalog, &standing, request, &world.limits, now).map_err(ExchangeError::Denied)?;
    let place = place(commit, &grant)?;
    let (minted, issue) =
        mint::sign(&standing, &grant, request.scope(), place, &world.minting(), now).map_err(ExchangeError::Mint)?;
    let receipt = commit.submit(issue).await.map_err(ExchangeError::Commit)?;
    minted.release(&receipt).map_err(|reason| {
        commit.withhold(receipt);
        ExchangeError::Mint(reason)
    })
}

/// Where the status of the token will stand, where an API asks for that.
fn place(commit: &Commit, grant: &Grant) -> Result<Option<ReservedPlace>, ExchangeError> {
    let place = |(api, bits)| commit.status_lists().reserve(api, bits, grant.expires()).map_err(ExchangeError::Commit);
    grant.status_list().map(place).transpose()
}

async fn verify_actor(world: &Deployment, presented: &PresentedToken, now: Time) -> Result<VerifiedActor, ExchangeError> {
    let known = (&*world.trust, &world.logins, &world.catalog);
    token::verify_actor(presented, &world.own, known, now).await.map_err(ExchangeError::Actor)
}

impl RefusedRequest {
    pub(crate) fn stranger(reason: ExchangeError) -> Self {
        Self { reason, asked: None }
    }
}

impl RequestEvidence {
    pub(crate) fn by(agent: &Agent) -> Self {
        Self { agent: agent.id.clone(), subject_token: None, requested: None, txn: None, parent: None }
    }

    /// With the token that the request is about. Hashed only for a refusal.
    pub(crate) fn about(self, token: &str) -> Self {
        Self { subject_token: Some(Digest::of(token.as_bytes())), ..self }
    }

    /// Notes where the subject token belongs.
    pub(crate) fn of(&mut self, subject: &VerifiedSubject) {
        (self.txn, self.parent) = (subject.own().map(|own| own.txn), subject.hop());
    }
}

impl Deployment {
    pub(crate) fn rules<'a>(&'a self, state: &'a dyn lifecycle::StateView, now: Time) -> Rules<'a> {
        Rules {
            issuer: &self.issuer,
            catalog: &self.catalog,
            trust: &self.trust,
            state,
            pseudonyms: &self.pseudonyms,
            depth_max: self.depth_max,
            now,
        }
    }

    /// What the record holds `agent` for, whatever the files say; the stricter of both counts.
    pub fn hold_of(&self, agent: &ClientId, state: &dyn lifecycle::StateView) -> Option<InactiveStatus> {
        let key = self.pseudonyms.pseudonym(GenerationKind::Agent, agent.as_str().as_bytes());
        state.lives(&[key]).into_iter().find_map(|life| life.hold)
    }

    /// What the files hold: nothing that depends on any of it is active, until they say otherwise.
    pub(crate) fn held(&self) -> HashSet<GenerationKey> {
        let inactive = self.catalog.agents().filter(|agent| agent.status != Status::Active);
        let agents = inactive.map(|agent| (GenerationKind::Agent, agent.id.as_str()));
        let disabled = self.trust.rules().filter(|rule| !rule.enabled());
        let rules = disabled.map(|rule| (GenerationKind::Rule, rule.name().as_str()));
        agents.chain(rules).map(|(kind, name)| self.pseudonyms.pseudonym(kind, name.as_bytes())).collect()
    }

    pub(crate) fn minting(&self) -> Minting<'_> {
        Minting { issuer: &self.issuer, signers: &self.signers, own: &self.own, pseudonyms: &self.pseudonyms }
    }
}
