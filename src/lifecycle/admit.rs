//! From proved facts to standing.

use std::sync::Arc;

use super::in_force::{active, in_force};
use super::liveness::{Cause, GenerationState, NotAlive, StateView, join};
use super::standing::Parts;
use super::{ActiveClient, AdmissionReason, AdmittedExchange, CurrentActor, death, may_act, presenter};
use crate::catalog::Catalog;
use crate::client::AuthenticatedClient;
use crate::crypto::MacKey;
use crate::oauth::{ActChain, Actor, ExchangeMode, Generation, GenerationKey, GenerationKind, Issuer, Subject, Time};
use crate::token::{Origin, VerifiedActor, VerifiedSubject};
use crate::trust::TrustStore;

/// What the rules are applied to.
pub struct Rules<'a> {
    /// Our issuer identifier.
    pub issuer: &'a Issuer,
    /// The registered agents and APIs.
    pub catalog: &'a Catalog,
    /// The trust rules in force.
    pub trust: &'a TrustStore,
    /// The present lives of everything.
    pub state: &'a dyn StateView,
    /// The key of the pseudonyms under which the state knows things.
    pub pseudonyms: &'a MacKey,
    /// How deep a chain may become.
    pub depth_max: u32,
    /// The present.
    pub now: Time,
}

/// Decides whether `client` may present `subject`, in which role and for whom, and that everything it rests on is alive.
///
/// # Errors
/// See [`AdmissionReason`].
pub fn admit(
    client: ActiveClient,
    subject: VerifiedSubject,
    actor: Option<VerifiedActor>,
    impersonate: bool,
    rules: &Rules<'_>,
) -> Result<AdmittedExchange, AdmissionReason> {
    let (client, key) = client.into_parts();
    let role = presenter::role(&client, &subject, rules.catalog, rules.issuer)?;
    let acting = acting(&client, actor.as_ref());
    if client.self_only() && (role != ExchangeMode::SelfExchange || actor.is_some() || impersonate) {
        return Err(AdmissionReason::SelfOnly);
    }
    if matches!(subject.origin(), Origin::Task(..)) && acting.agent.id != client.agent().id {
        return Err(AdmissionReason::TaskActor);
    }
    may_act::permits(&subject, &acting.agent, &client, rules.issuer)?;
    let subject = if role == ExchangeMode::SelfExchange { subject.standing_as(&client.agent().id) } else { subject };
    let itself = subject.subject() == &Subject::agent(&acting.agent.id) && subject.chain().is_empty();
    let basis = match (impersonate, itself) {
        (true, _) => impersonation(&subject, actor.is_some(), itself)?,
        (false, true) => ExchangeMode::SelfExchange,
        (false, false) if role == ExchangeMode::SelfExchange => ExchangeMode::Delegation,
        (false, false) => role,
    };
    let chain = extended(&subject, &acting, basis, rules.issuer);
    let depth = depth(&subject, &chain, rules.depth_max)?;
    in_force(subject.subject(), subject.own().map_or(&[], |own| &own.agents), &chain, rules)?;
    if !(active(&client.agent().id, rules) && active(&acting.agent.id, rules)) {
        return Err(AdmissionReason::AgentInactive);
    }
    let generations = generations((&client, key), &subject, actor.as_ref(), &acting, rules)?;
    let bound = bound(&client, &subject, actor.as_ref());
    Ok(AdmittedExchange::new(Parts { client, subject, actor, acting, basis, chain, depth, generations, bound }))
}

fn acting(client: &AuthenticatedClient, actor: Option<&VerifiedActor>) -> CurrentActor {
    match actor {
        Some(actor) => CurrentActor { agent: Arc::clone(actor.agent()), instance: actor.instance().map(str::to_owned) },
        None => CurrentActor { agent: Arc::clone(client.agent()), instance: client.instance().map(str::to_owned) },
    }
}

/// Impersonation hides the actor from whoever reads the token, so it never applies to a token that names one or says who may.
fn impersonation(subject: &VerifiedSubject, actor: bool, itself: bool) -> Result<ExchangeMode, AdmissionReason> {
    if !subject.chain().is_empty() || subject.may_act().is_some() {
        return Err(AdmissionReason::ImpersonationOfDelegated);
    }
    if actor || itself { Err(AdmissionReason::ImpersonationPointless) } else { Ok(ExchangeMode::Impersonation) }
}

/// The chain as it will stand: history is kept whole, and whoever acts now stands in front, once.
fn extended(subject: &VerifiedSubject, acting: &CurrentActor, basis: ExchangeMode, issuer: &Issuer) -> ActChain {
    let agent = &acting.agent;
    let current = subject.chain().current();
    let acts_already = current.is_some_and(|actor| actor.iss() == issuer.as_str() && actor.sub() == agent.id.as_str());
    if acts_already || matches!(basis, ExchangeMode::SelfExchange | ExchangeMode::Impersonation) {
        return subject.chain().clone();
    }
    let actor = Actor::agent(issuer.as_str(), agent.id.as_str(), agent.kind.as_str(), acting.instance.as_deref());
    subject.chain().extended(actor)
}

/// Counts hops, and the actors that a foreign token brought along: over-deep chains are refused, never cut.
fn depth(subject: &VerifiedSubject, chain: &ActChain, depth_max: u32) -> Result<u32, AdmissionReason> {
    let depth = subject.own().map_or(0, |own| own.depth).saturating_add(1);
    let actors = u32::try_from(chain.len()).unwrap_or(u32::MAX);
    if depth.max(actors) > depth_max { Err(AdmissionReason::Deep) } else { Ok(depth) }
}

/// What the issued token will depend on: all that the subject token depends on, in the lives it was issued under, and everything
/// that joins with this hop, in its present life.
fn generations(
    client: (&AuthenticatedClient, GenerationKey),
    subject: &VerifiedSubject,
    actor: Option<&VerifiedActor>,
    acting: &CurrentActor,
    rules: &Rules<'_>,
) -> Result<Vec<Generation>, AdmissionReason> {
    let mut generations: Vec<Generation> = subject.own().map(|own| own.generations.clone()).unwrap_or_default();
    generations.extend(actor.map(VerifiedActor::generations).unwrap_or_default());
    let mut joining = joining(client, subject, actor, acting, rules);
    joining.retain(|key| generations.iter().all(|known| known.key != *key));
    let lives = rules.state.lives(&joining);
    unless_ended_since_issue(subject, &joining, &lives, rules)?;
    join(rules.state, generations, joining.into_iter().zip(lives), rules.now).map_err(AdmissionReason::Dead)
}

fn joining(
    (client, own): (&AuthenticatedClient, GenerationKey),
    subject: &VerifiedSubject,
    actor: Option<&VerifiedActor>,
    acting: &CurrentActor,
    rules: &Rules<'_>,
) -> Vec<GenerationKey> {
    let key = |kind, name: &str| rules.pseudonyms.pseudonym(kind, name.as_bytes());
    let mut keys = vec![key(GenerationKind::Subject, subject.subject().as_str()), own];
    if acting.agent.id != client.agent().id {
        keys.push(key(GenerationKind::Agent, acting.agent.id.as_str()));
    }
    let instances = [(&client.agent().id, client.instance()), (&acting.agent.id, acting.instance.as_deref())];
    for (agent, instance) in instances {
        keys.extend(instance.map(|instance| key(GenerationKind::Instance, &death::instance_name(agent, instance))));
    }
    let rules_used = [
        subject.subject().rule(),
        subject.rule(),
        client.attested().map(|known| &known.rule),
        actor.and_then(VerifiedActor::rule),
    ];
    keys.extend(rules_used.into_iter().flatten().map(|rule| key(GenerationKind::Rule, rule.as_str())));
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// A foreign token that was issued before its subject was ended does not count for the life after.
fn unless_ended_since_issue(
    subject: &VerifiedSubject,
    keys: &[GenerationKey],
    lives: &[GenerationState],
    rules: &Rules<'_>,
) -> Result<(), AdmissionReason> {
    let own = rules.pseudonyms.pseudonym(GenerationKind::Subject, subject.subject().as_str().as_bytes());
    let ended = keys.iter().zip(lives).find(|(key, _)| **key == own).and_then(|(_, life)| life.ended);
    match (ended, subject.issued_at()) {
        (None, _) => Ok(()),
        (Some(ended), Some(issued)) if issued > ended => Ok(()),
        _ => Err(AdmissionReason::Dead(NotAlive { key: own, cause: Cause::Ended })),
    }
}

/// The earliest expiry of anything presented, and of the task. A client assertion is no bound; an attestation that served as
/// login is.
fn bound(client: &AuthenticatedClient, subject: &VerifiedSubject, actor: Option<&VerifiedActor>) -> Time {
    let task = subject.own().and_then(|own| own.task.as_ref()).map(|task| task.deadline);
    let others = [actor.map(VerifiedActor::expires), client.attested().map(|known| known.expires), task];
    others.into_iter().flatten().fold(subject.expires(), Time::min)
}
