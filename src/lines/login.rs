//! The frame of every line: the login of the client, in one order of steps for every endpoint, and the refusal with its record.

use std::sync::Arc;

use super::rate::RequestRates;
use super::refused::{Asked, Lineage, RefusedRequest};
use crate::catalog::Agent;
use crate::client::{self, ClientReason, Credentials, Endpoint, ProofError};
use crate::commit::{Commit, CommitReason, Receipt, RecordHop};
use crate::deployment::Deployment;
use crate::error::{ExchangeError, Profile};
use crate::lifecycle::{self, ActiveClient, InactiveStatus, LoginRefusal};
use crate::mint::MintReason;
use crate::oauth::{SingleUse, Time};

/// A request in hand: the configuration, the writer, the credentials and the time that every line works with.
#[derive(Clone, Copy)]
pub struct LineContext<'a> {
    /// The configuration in force.
    pub deployment: &'a Deployment,
    /// The one writer.
    pub commit: &'a Commit,
    /// The credentials that came with it.
    pub credentials: &'a Credentials,
    /// How often each client may ask.
    pub rates: &'a RequestRates,
    /// The time at which it came in.
    pub now: Time,
}

/// The demands of an endpoint on the client that logs in.
#[derive(Clone, Copy)]
pub(super) struct LoginRules<'a> {
    /// The error table of the request.
    pub(super) profile: Profile,
    /// The endpoint that was asked, which a DPoP proof names.
    pub(super) endpoint: Endpoint<'a>,
    /// The subject token, where it may log in its own subject if the request has no client authentication.
    pub(super) attestation: Option<&'a str>,
    /// True where the request only ends or suspends something: that is recorded also while the clock stands behind the newest
    /// record, when nobody knows of some logins that they were not used.
    pub(super) ends: bool,
}

impl<'a> LoginRules<'a> {
    /// The login at an endpoint where every client authenticates itself.
    pub(super) fn at(endpoint: Endpoint<'a>) -> Self {
        Self { profile: Profile::TOKEN_EXCHANGE, endpoint, attestation: None, ends: false }
    }
}

/// The agent in whose name a refusal is recorded, with the single-use values without which it is not that agent.
struct RecordedAgent {
    agent: Arc<Agent>,
    login: Vec<SingleUse>,
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
            let agent = RecordedAgent { agent: Arc::clone(client.agent()), login: client.login_values() };
            let done = match within_rate(context, login, &client) {
                Ok(()) => line(client, &mut lineage).await,
                Err(exceeded) => Err(exceeded),
            };
            match done {
                Ok(done) => return Ok(done),
                Err(reason) => (Some(agent), reason),
            }
        }
        Err(refused) => refused,
    };
    let profile = login.profile;
    let code = reason.code(profile);
    // Whoever lost the race for a login is a stranger, as one who came later would be.
    let Some(RecordedAgent { agent, login }) = agent.filter(|_| !reason.is_used_login()) else {
        return Err(RefusedRequest { code, reason, profile, record: None, login: Vec::new() });
    };
    let own = lineage.spent || matches!(reason, ExchangeError::Commit(CommitReason::Unavailable));
    let login = if own { Vec::new() } else { login };
    let at = (&context.deployment.catalog, context.now);
    let record = Some(Box::new(asked.record(&agent.id, lineage, (profile, &reason), at)));
    Err(RefusedRequest { code, reason, profile, record, login })
}

/// Passes where the client may ask at all now; what only ends something always may.
fn within_rate(context: LineContext<'_>, login: LoginRules<'_>, client: &ActiveClient) -> Result<(), ExchangeError> {
    let LineContext { deployment, rates, now, .. } = context;
    let per_second = client.agent().requests_per_second.unwrap_or(deployment.requests_per_second);
    if login.ends { Ok(()) } else { rates.take(&client.agent().id, per_second, now).map_err(ExchangeError::Rate) }
}

/// The client as the registered agent that it proved to be, in one order for every endpoint: who it says it is, whether that
/// login was used, the key that it proved, whether that proof was used, and that it is neither suspended nor retired.
///
/// # Errors
/// With the agent where the login is certain without its DPoP proof and only that is refused.
async fn log_in(context: LineContext<'_>, login: LoginRules<'_>) -> Result<ActiveClient, (Option<RecordedAgent>, ExchangeError)> {
    let LineContext { deployment, commit, credentials, now, .. } = context;
    let stranger = |reason| (None, reason);
    let unspent = |values: &[SingleUse]| match commit.look(values, now) {
        Err(CommitReason::ClockBehind) if login.ends => Ok(()),
        looked => looked.map_err(ExchangeError::Commit),
    };
    let (logins, catalog, trust) = (&deployment.logins, &deployment.catalog, &deployment.trust);
    let rules = (&deployment.audience, &deployment.client_attestations);
    let client = client::authenticate(logins, catalog, trust, credentials, login.attestation, rules, now);
    let client = client.await.map_err(ExchangeError::Client).map_err(stranger)?;
    let client = client.unspent(unspent).map_err(stranger)?;
    let certain = client.is_certain().then(|| (Arc::clone(client.agent()), client.login_values()));
    let certain = certain.map(|(agent, login)| RecordedAgent { agent, login });
    let proved = client.prove(credentials, login.endpoint, (&deployment.dpop, now), unspent);
    let client = proved.map_err(|refused| match refused {
        ProofError::Refused(reason) => (certain, ExchangeError::Proof(reason)),
        ProofError::Used(reason) => (certain, reason),
    })?;
    let client = client.confirmed().map_err(ExchangeError::Client).map_err(stranger)?;
    // An agent that the record suspends or retires is refused like one that its file does.
    lifecycle::require_active(client, &*commit.state(), &deployment.pseudonyms, now).map_err(|refusal| {
        stranger(ExchangeError::Client(match refusal {
            LoginRefusal::Inactive(InactiveStatus::Suspended) => ClientReason::Suspended,
            LoginRefusal::Inactive(InactiveStatus::Retired) => ClientReason::Retired,
            LoginRefusal::Outdated => ClientReason::Outdated,
        }))
    })
}

/// Records `hop`, then releases its token against the receipt: no receipt, no token (promise 1). One that cannot be released is
/// recorded as withheld.
///
/// # Errors
/// `Commit` when it is not recorded, `Mint` when it is not released.
pub(super) async fn record_and_release<T>(
    commit: &Commit,
    (hop, lineage): (RecordHop, &mut Lineage),
    release: impl FnOnce(&Receipt) -> Result<T, MintReason>,
) -> Result<T, ExchangeError> {
    let receipt = commit.submit(hop).await.map_err(ExchangeError::Commit)?;
    lineage.spent = true;
    release(&receipt).map_err(|reason| {
        commit.withhold(receipt);
        ExchangeError::Mint(reason)
    })
}
