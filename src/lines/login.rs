//! The frame of every line: the login of the client, in one order of steps for every endpoint, and the refusal with its record.

use std::sync::Arc;

use super::refused::{Asked, Lineage, RefusedRequest};
use crate::catalog::Agent;
use crate::client::{self, AuthError, ClientReason, Credentials};
use crate::commit::{Commit, Receipt, RecordHop};
use crate::deployment::Deployment;
use crate::error::{ExchangeError, Profile};
use crate::lifecycle::{self, ActiveClient, InactiveStatus, LoginRefusal};
use crate::mint::MintReason;
use crate::oauth::Time;

/// A request in hand: the configuration, the writer, the credentials and the time that every line works with.
#[derive(Clone, Copy)]
pub struct LineContext<'a> {
    /// The configuration in force.
    pub deployment: &'a Deployment,
    /// The one writer.
    pub commit: &'a Commit,
    /// The credentials that came with it.
    pub credentials: &'a Credentials,
    /// The time at which it came in.
    pub now: Time,
}

/// The demands of an endpoint on the client that logs in.
#[derive(Clone, Copy)]
pub(super) struct LoginRules<'a> {
    /// The error table of the request.
    pub(super) profile: Profile,
    /// The path below the issuer identifier that a DPoP proof names; none at an endpoint that issues no token, where a proof
    /// would bind nothing and is refused.
    pub(super) proof_path: Option<&'static str>,
    /// The subject token, where it may log in its own subject if the request has no client authentication.
    pub(super) attestation: Option<&'a str>,
}

impl LoginRules<'_> {
    /// The login at an endpoint that issues no token.
    pub(super) const WITHOUT_PROOF: Self = Self { profile: Profile::TOKEN_EXCHANGE, proof_path: None, attestation: None };
}

/// Runs `line` for the authenticated client.
///
/// # Errors
/// The reason of the login or of the line; with its record where the client is authenticated: what it `asked` for, and the
/// lineage that the line noted.
pub(super) async fn authenticated<T>(
    context: LineContext<'_>,
    login: LoginRules<'_>,
    asked: Asked<'_>,
    line: impl AsyncFnOnce(ActiveClient, &mut Lineage) -> Result<T, ExchangeError>,
) -> Result<T, RefusedRequest> {
    let mut lineage = Lineage::default();
    let (agent, reason) = match log_in(context, login).await {
        Ok(client) => {
            let agent = Arc::clone(client.agent());
            match line(client, &mut lineage).await {
                Ok(done) => return Ok(done),
                Err(reason) => (Some(agent), reason),
            }
        }
        Err(refused) => refused,
    };
    let code = reason.code(login.profile);
    let at = (&context.deployment.catalog, context.now);
    let record = agent.map(|agent| Box::new(asked.record(&agent.id, lineage, (code, &reason), at)));
    Err(RefusedRequest { code, reason, record })
}

/// The client as the registered agent that it proved to be, with the key that it proved, and neither suspended nor retired.
///
/// # Errors
/// With the agent where the login is certain without its DPoP proof and only that is refused, at an endpoint that takes proofs.
async fn log_in(context: LineContext<'_>, login: LoginRules<'_>) -> Result<ActiveClient, (Option<Arc<Agent>>, ExchangeError)> {
    let LineContext { deployment, commit, credentials, now } = context;
    let stranger = |reason| (None, ExchangeError::Client(reason));
    let (logins, catalog, trust) = (&deployment.logins, &deployment.catalog, &deployment.trust);
    let client = client::authenticate(logins, catalog, trust, credentials, login.attestation, &deployment.audience, now);
    let client = client.await.map_err(stranger)?;
    let certain = client.is_certain().then(|| Arc::clone(client.agent()));
    let proved = match login.proof_path {
        Some(path) => client.prove(credentials, path, &deployment.dpop, now),
        None => client.without_proof(credentials),
    };
    let client = proved.map_err(|reason| match reason {
        AuthError::Proof(reason) => (certain.filter(|_| login.proof_path.is_some()), ExchangeError::Proof(reason)),
        AuthError::Login(reason) => stranger(reason),
    })?;
    // An agent that the record suspends or retires is refused like one that its file does.
    lifecycle::require_active(client, &*commit.state(), &deployment.pseudonyms, now).map_err(|refusal| {
        stranger(match refusal {
            LoginRefusal::Inactive(InactiveStatus::Suspended) => ClientReason::Suspended,
            LoginRefusal::Inactive(InactiveStatus::Retired) => ClientReason::Retired,
            LoginRefusal::Outdated => ClientReason::Outdated,
        })
    })
}

/// Records `hop`, then releases its token against the receipt: no receipt, no token (promise 1). One that cannot be released is
/// recorded as withheld.
///
/// # Errors
/// `Commit` when it is not recorded, `Mint` when it is not released.
pub(super) async fn record_and_release<T>(
    commit: &Commit,
    hop: RecordHop,
    release: impl FnOnce(&Receipt) -> Result<T, MintReason>,
) -> Result<T, ExchangeError> {
    let receipt = commit.submit(hop).await.map_err(ExchangeError::Commit)?;
    release(&receipt).map_err(|reason| {
        commit.withhold(receipt);
        ExchangeError::Mint(reason)
    })
}
