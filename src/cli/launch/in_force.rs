//! What the files end. A trust rule that they disable, give another issuer or no longer name, and an agent that they retire or no
//! longer name, is ended in the record before the configuration takes effect; what was in force is remembered in the store, so
//! that it counts too when the files change while no server runs.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::catalog::Status;
use crate::commit::contract::ConfiguredPrincipal;
use crate::commit::{Commit, CommitReason, Revocable, Revocation, StatusChange, Transition};
use crate::crypto::Digest;
use crate::deployment::Deployment;
use crate::lifecycle::InactiveStatus;
use crate::oauth::{ClientId, RuleName};
use crate::trust::TrustRule;

/// No change is about more things.
const THINGS_MAX: usize = 256;

/// Requests that began under the configuration before are over after so long, whatever they wait for.
pub(super) const REQUEST_MAX: Duration = Duration::from_secs(120);

/// What the record no longer has in force once a configuration is taken up.
#[derive(Debug, Default)]
pub(super) struct Ended {
    things: Vec<Revocable>,
}

/// Ends in the record what was in force and is not under `world`, retires what it retires, and remembers what is in force then.
///
/// # Errors
/// When that cannot be recorded: then `world` must not take effect.
pub(super) async fn take_up(commit: &Commit, world: &Deployment) -> Result<Ended, CommitReason> {
    let (before, now) = (commit.in_force(), in_force(world));
    let gone: BTreeSet<_> = before.iter().flatten().filter(|known| !now.contains(*known)).map(named).collect();
    let things: Vec<Revocable> = gone.into_iter().map(|named| ending(named, world)).collect();
    let ended = Ended { things };
    ended.record(commit, "the configuration no longer has it in force").await?;
    retire(commit, world).await?;
    if before.as_ref() != Some(&now) {
        commit.remember(now).await?;
    }
    warn_of_retired(commit, world);
    Ok(ended)
}

impl Ended {
    /// Whether there is anything.
    pub(super) fn is_empty(&self) -> bool {
        self.things.is_empty()
    }

    /// Ends the things, once more where that was done before: what came of requests that had begun earlier goes with them.
    pub(super) async fn record(&self, commit: &Commit, reason: &str) -> Result<(), CommitReason> {
        for things in self.things.chunks(THINGS_MAX) {
            let death = Revocation { ends: things.to_vec(), by: ClientId::operators(), reason: reason.to_owned(), until: None };
            commit.end(death).await?;
            let names: Vec<&str> = things.iter().filter_map(|thing| thing.name.as_deref()).collect();
            tracing::info!(things = ?names, reason, "ended");
        }
        Ok(())
    }
}

/// Agents that are not retired, and trust rules that are enabled, with who issues under each.
fn in_force(world: &Deployment) -> BTreeSet<ConfiguredPrincipal> {
    let agents = world.catalog.agents().filter(|agent| agent.status != Status::Retired);
    let rules = world.trust.rules().filter(|rule| rule.enabled());
    let issuer = |rule: &TrustRule| Digest::of_parts(&[rule.kind().name().as_bytes(), rule.issuer().as_bytes()]);
    let rules = rules.flat_map(|rule| {
        [ConfiguredPrincipal::Rule(rule.name().clone()), ConfiguredPrincipal::Issuer(rule.name().clone(), issuer(rule))]
    });
    agents.map(|agent| ConfiguredPrincipal::Agent(agent.id.clone())).chain(rules).collect()
}

/// What ends: once, though a rule is gone with its issuer.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Named<'a> {
    Agent(&'a ClientId),
    Rule(&'a RuleName),
}

fn named(known: &ConfiguredPrincipal) -> Named<'_> {
    match known {
        ConfiguredPrincipal::Agent(id) => Named::Agent(id),
        ConfiguredPrincipal::Rule(name) | ConfiguredPrincipal::Issuer(name, _) => Named::Rule(name),
    }
}

fn ending(named: Named<'_>, world: &Deployment) -> Revocable {
    match named {
        Named::Agent(id) => Revocable::agent(id, &world.pseudonyms),
        Named::Rule(name) => Revocable::rule(name, &world.pseudonyms),
    }
}

/// Agents that the files retire are retired in the record too, for ever.
async fn retire(commit: &Commit, world: &Deployment) -> Result<(), CommitReason> {
    let retired = world.catalog.agents().filter(|agent| agent.status == Status::Retired);
    let fresh = retired.filter(|agent| world.recorded_status(&agent.id, &*commit.state()) != Some(InactiveStatus::Retired));
    let things: Vec<Revocable> = fresh.map(|agent| Revocable::agent(&agent.id, &world.pseudonyms)).collect();
    for things in things.chunks(THINGS_MAX) {
        let (turn, reason) = (Transition::Retire, "retired in the files".to_owned());
        commit.hold(StatusChange { turn, things: things.to_vec(), by: ClientId::operators(), reason }, Vec::new()).await?;
    }
    Ok(())
}

fn warn_of_retired(commit: &Commit, world: &Deployment) {
    let state = commit.state();
    for agent in world.catalog.agents().filter(|agent| agent.status != Status::Retired) {
        if world.recorded_status(&agent.id, &*state) == Some(InactiveStatus::Retired) {
            tracing::warn!(agent = %agent.id, "the agent is retired in the record and stays so, whatever its file says");
        }
    }
}
