//! Makes the record agree with the configuration. A trust rule that the files disable, give another issuer or no longer name,
//! an agent that they retire or no longer name, and an API that they no longer name or whose agent, scopes or effects they take
//! back or change, is ended in the record before the configuration takes effect. What was in
//! force is remembered in the store, so that a change of the files counts too while no server runs.

use std::collections::BTreeSet;
use std::path::Path;

use super::failure::Failure;
use super::succession::{Principal, ended, succession};
use crate::catalog::{Api, Catalog, ScopeInfo, Status};
use crate::commit::contract::ConfiguredPrincipal;
use crate::commit::{self, Commit, CommitReason, Revocable, Revocation, StatusChange, Transition};
use crate::config::{ChangedBy, Config, Succession};
use crate::crypto::Digest;
use crate::deployment::Deployment;
use crate::lifecycle::InactiveStatus;
use crate::oauth::{ClientId, Clock, GenerationKind, Scope};
use crate::store::{self, KeyFiles, SystemClock};
use crate::trust::TrustRule;

/// The most things that one revocation or change of status is about.
const THINGS_MAX: usize = 256;

/// The agents, trust rules and APIs that a configuration removed: all of them are revoked.
#[derive(Debug)]
pub(super) struct Removed(Vec<Revocable>);

/// Ends in the record what was in force and is not under `deployment`, retires what it retires, and remembers what is in force
/// then; with its `origin`, where that is another than before.
///
/// # Errors
/// When that cannot be recorded: then `deployment` must not take effect.
pub(super) async fn reconcile(
    commit: &Commit,
    deployment: &Deployment,
    origin: Option<(Digest, ChangedBy)>,
) -> Result<Removed, CommitReason> {
    let (before, now) = (commit.in_force(), in_force(&deployment.catalog, deployment.trust.rules().map(|rule| &**rule)));
    let gone = before.iter().flat_map(|before| ended(before, &now));
    let removed = Removed(gone.flat_map(|principal| revocable(principal, deployment)).collect());
    removed.record(commit, "the configuration no longer has it in force").await?;
    retire(commit, deployment).await?;
    if before.as_ref() != Some(&now) || origin.is_some() {
        commit.remember(now, origin.map(|(digest, by)| (digest, by.name()))).await?;
    }
    warn_of_retired(commit, deployment);
    Ok(removed)
}

impl Removed {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Revokes them, once more where that was done before: what came of requests that had begun earlier goes with them.
    pub(super) async fn record(&self, commit: &Commit, reason: &str) -> Result<(), CommitReason> {
        for things in self.0.chunks(THINGS_MAX) {
            let revocation =
                Revocation { ends: things.to_vec(), by: ClientId::operators(), reason: reason.to_owned(), until: None };
            commit.end(revocation).await?;
            let names: Vec<&str> = things.iter().filter_map(|thing| thing.name.as_deref()).collect();
            tracing::info!(things = ?names, reason, "ended");
        }
        Ok(())
    }
}

/// Agents that are not retired, trust rules that are enabled, with who issues under each, and APIs, with what their tokens
/// rest on.
pub(super) fn in_force<'a>(catalog: &Catalog, rules: impl Iterator<Item = &'a TrustRule>) -> BTreeSet<ConfiguredPrincipal> {
    let agents = catalog.agents().filter(|agent| agent.status != Status::Retired);
    let rules = rules.filter(|rule| rule.enabled());
    let issuer = |rule: &TrustRule| Digest::of_parts(&[rule.kind().name().as_bytes(), rule.issuer().as_bytes()]);
    let rules = rules.flat_map(|rule| {
        [ConfiguredPrincipal::Rule(rule.name().clone()), ConfiguredPrincipal::Issuer(rule.name().clone(), issuer(rule))]
    });
    let apis = catalog.apis().flat_map(|api| {
        let terms = api_terms(api).map(|term| ConfiguredPrincipal::ApiTerm(api.id.clone(), term));
        [ConfiguredPrincipal::Api(api.id.clone())].into_iter().chain(terms)
    });
    agents.map(|agent| ConfiguredPrincipal::Agent(agent.id.clone())).chain(rules).chain(apis).collect()
}

/// The terms that tokens for `api` rest on: the agent as which it exchanges them onward, or none, and each scope with its effect.
fn api_terms(api: &Api) -> impl Iterator<Item = Digest> {
    let agent = api.agent.as_ref().map_or("", ClientId::as_str);
    let scope = |(scope, info): (&Scope, &ScopeInfo)| {
        Digest::of_parts(&[b"scope\0", scope.as_str().as_bytes(), b"\0", info.effect.as_str().as_bytes()])
    };
    [Digest::of_parts(&[b"agent\0", agent.as_bytes()])].into_iter().chain(api.scopes.iter().map(scope))
}

fn revocable(principal: Principal<'_>, deployment: &Deployment) -> Vec<Revocable> {
    match principal {
        Principal::Agent(id) => Revocable::agent(id, &deployment.pseudonyms),
        Principal::Rule(name) => Revocable::rule(name, &deployment.pseudonyms),
        Principal::Api(id) => Revocable::api(id, &deployment.pseudonyms),
    }
}

/// Agents that the files retire are retired in the record too, for ever.
async fn retire(commit: &Commit, deployment: &Deployment) -> Result<(), CommitReason> {
    let retired = deployment.catalog.agents().filter(|agent| agent.status == Status::Retired);
    let fresh = retired.filter(|agent| deployment.recorded_status(&agent.id, &*commit.state()) != Some(InactiveStatus::Retired));
    let things: Vec<Revocable> = fresh.flat_map(|agent| Revocable::agent(&agent.id, &deployment.pseudonyms)).collect();
    for things in things.chunks(THINGS_MAX) {
        let (turn, reason) = (Transition::Retire, "retired in the files".to_owned());
        commit.hold(StatusChange { turn, things: things.to_vec(), by: ClientId::operators(), reason }, Vec::new()).await?;
    }
    Ok(())
}

fn warn_of_retired(commit: &Commit, deployment: &Deployment) {
    let state = commit.state();
    for agent in deployment.catalog.agents().filter(|agent| agent.status != Status::Retired) {
        if deployment.recorded_status(&agent.id, &*state) == Some(InactiveStatus::Retired) {
            tracing::warn!(agent = %agent.id, "the agent is retired in the record and stays so, whatever its file says");
        }
    }
}

/// The difference that `config` makes to what is recorded as in force in the data folder.
///
/// # Errors
/// When the store cannot be read.
pub fn succession_on(config: &Config, data: &Path) -> Result<Succession, Failure> {
    let recorded = commit::recorded_state(&*store::reader(data)?)?;
    Ok(weigh(recorded.in_force(), recorded.epoch().inactive.is_some(), config))
}

/// The difference that `config` makes to what was in force `before`. Where that is `held`, an operator has to accept it.
pub(super) fn weigh(before: Option<&BTreeSet<ConfiguredPrincipal>>, held: bool, config: &Config) -> Succession {
    let now = in_force(&config.catalog, config.trust_rules().iter());
    let weighed = before.map(|before| succession(before, &now, config.settings.files.ends_percent)).unwrap_or_default();
    if held { weighed.held() } else { weighed }
}

/// The agents that are retired in the record of the data folder although the configuration does not retire them: its files never
/// come true.
///
/// # Errors
/// When keys or store cannot be read.
pub fn retired_in_record(config: &Config, keys: &Path, data: &Path) -> Result<Vec<ClientId>, Failure> {
    let keys = KeyFiles::open(keys, SystemClock.now())?.pseudonyms()?;
    let recorded = commit::recorded_state(&*store::reader(data)?)?;
    let retired = |id: &ClientId| {
        let mut keys = keys.every(GenerationKind::Agent, id.as_str().as_bytes());
        keys.any(|key| recorded.generation(&key).inactive == Some(InactiveStatus::Retired))
    };
    let agents = config.catalog.agents().filter(|agent| agent.status != Status::Retired);
    Ok(agents.map(|agent| &agent.id).filter(|id| retired(id)).cloned().collect())
}
