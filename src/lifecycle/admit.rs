//! Admission: every check of an exchange between proved facts and policy, in order. Who may present the subject token, who
//! acts, `may_act`, impersonation, depth, active agents and rules, and last that everything the token would depend on is
//! alive.

use std::borrow::Cow;
use std::sync::Arc;

use super::active::ActiveClient;
use super::admitted::{AdmittedExchange, AdmittedParts, CurrentActor};
use super::evidence::{ThingName, ThingState, VouchedFor, counts, last_end};
use super::in_force::{Rules, active, held_by, in_force};
use super::liveness::{Cause, NotAlive, join, with_epoch};
use super::reason::AdmissionReason;
use super::revocation::{InactiveStatus, instance_name};
use crate::catalog::{Agent, Catalog};
use crate::client::AuthenticatedClient;
use crate::crypto::Digest;
use crate::oauth::{
    ActChain, Actor, AskedMode, ClientId, ExchangeMode, Generation, GenerationKind, GrantType, Issuer, MayAct, Resource,
    RuleName, ScopesOnApi, Subject, Time,
};
use crate::token::{IssuedClaims, Origin, VerifiedActor, VerifiedSubject};

/// What the request asks for beside the tokens that it presents.
#[derive(Clone, Copy, Debug)]
pub struct AskedFor {
    /// The grant type, which the agent's file must allow; none where a task is opened.
    pub grant_type: Option<GrantType>,
    /// The mode.
    pub mode: AskedMode,
}

/// Admits the exchange of `subject` by `client`, with `actor` where an actor token was presented.
///
/// # Errors
/// See [`AdmissionReason`]; the first check that fails.
pub fn admit(
    client: ActiveClient,
    subject: VerifiedSubject,
    actor: Option<VerifiedActor>,
    asked: AskedFor,
    rules: &Rules<'_>,
) -> Result<AdmittedExchange, AdmissionReason> {
    let (client, login) = client.into_parts();
    let trades = !matches!(subject.origin(), Origin::Client { .. });
    if !asked.grant_type.is_none_or(|grant_type| client.agent().grant_types.allow(grant_type, trades)) {
        return Err(AdmissionReason::GrantType);
    }
    let impersonate = asked.mode == AskedMode::Impersonation;
    let presented_as = presenter(&client, &subject, rules)?;
    if asked.mode == AskedMode::OnBehalfOf && presented_as != ExchangeMode::OnBehalfOf {
        return Err(AdmissionReason::NotOnBehalf);
    }
    let current = current_actor(&client, actor.as_ref());
    if client.self_only() && (presented_as != ExchangeMode::SelfExchange || actor.is_some() || impersonate) {
        return Err(AdmissionReason::SelfOnly);
    }
    if matches!(subject.origin(), Origin::Task(..)) && current.agent.id != client.agent().id {
        return Err(AdmissionReason::TaskActor);
    }
    may_act(&subject, &current.agent, &client, rules.issuer)?;
    let exchanges_itself = presented_as == ExchangeMode::SelfExchange;
    let itself = exchanges_itself.then_some(&client.agent().id);
    let generations = generations(login, (&subject, itself), actor.as_ref(), rules);
    let subject = if exchanges_itself { subject.standing_as(&client.agent().id) } else { subject };
    let mode = mode(&subject, presented_as, (&current, actor.is_some()), impersonate)?;
    if asked.grant_type == Some(GrantType::ClientCredentials) && mode != ExchangeMode::SelfExchange {
        return Err(AdmissionReason::NotItself);
    }
    let chain = extended(&subject, &current, mode, rules.issuer);
    let depth = depth(&subject, &chain, rules.depth_max)?;
    in_force(subject.subject(), subject.own().map_or(&[], |own| &own.agents), &chain, rules)?;
    if !(active(&client.agent().id, rules) && active(&current.agent.id, rules)) {
        return Err(AdmissionReason::AgentInactive);
    }
    let generations = generations?;
    let expiry_cap = expiry_cap(&client, &subject, actor.as_ref());
    let on_behalf = subject.own().filter(|_| presented_as == ExchangeMode::OnBehalfOf);
    let sent = on_behalf.map(|own| held_by(&client.agent().id, own, rules.catalog).cloned().collect());
    let grant_type = asked.grant_type;
    let parts = AdmittedParts { grant_type, client, subject, actor, current, mode, sent, chain, depth, generations, expiry_cap };
    Ok(AdmittedExchange::new(parts))
}

/// The mode in which `client` may present `subject`. Policy can only narrow this; where the origin cannot be told, the answer
/// is no.
fn presenter(
    client: &AuthenticatedClient,
    subject: &VerifiedSubject,
    rules: &Rules<'_>,
) -> Result<ExchangeMode, AdmissionReason> {
    match subject.origin() {
        Origin::Own(own) => of_our_own(client, own, subject.chain(), rules),
        Origin::Task(own, key) => of_a_task(client, own, *key, subject.chain(), rules.issuer),
        Origin::Client { .. } => Ok(ExchangeMode::SelfExchange),
        // Who redeems it is the one that it names, whoever it is about.
        Origin::IdJag { client: named, .. } if *named == client.agent().id.as_str() => Ok(ExchangeMode::Delegation),
        Origin::IdJag { .. } => Err(AdmissionReason::Presenter),
        Origin::User { rule, client: obtained_by, .. } => of_a_user(client, rule, obtained_by.as_deref()),
        Origin::Attestation { presenters, .. } => {
            let itself = client.attested().is_some_and(|known| known.subject == *subject.subject());
            match (itself, presenters.contains(&client.agent().id)) {
                (true, _) if subject.chain().is_empty() => Ok(ExchangeMode::SelfExchange),
                (true, _) | (false, true) => Ok(ExchangeMode::Delegation),
                (false, false) => Err(AdmissionReason::OtherWorkload),
            }
        }
    }
}

/// Our own access token: its client or current actor continues; the agent of the API it is for acts on behalf of its subject.
fn of_our_own(
    client: &AuthenticatedClient,
    own: &IssuedClaims,
    chain: &ActChain,
    rules: &Rules<'_>,
) -> Result<ExchangeMode, AdmissionReason> {
    let id = &client.agent().id;
    if continues(id, own, chain, rules.issuer) {
        return Ok(ExchangeMode::Continuation);
    }
    held_by(id, own, rules.catalog).next().map(|_| ExchangeMode::OnBehalfOf).ok_or(AdmissionReason::Presenter)
}

pub(super) fn continues(id: &ClientId, own: &IssuedClaims, chain: &ActChain, issuer: &Issuer) -> bool {
    own.client == *id || acts(id, chain, issuer)
}

/// The APIs that `subject` is for, as far as `agent` presents it for them: of our own token the agent of one or more of them for
/// these, anybody else for all; of an identity assertion grant those that it names. None where another server issued it that
/// says nothing of ours.
pub fn presented_for(agent: &ClientId, subject: &VerifiedSubject, issuer: &Issuer, catalog: &Catalog) -> Vec<Resource> {
    if let Origin::IdJag { resources, .. } = subject.origin() {
        return resources.iter().filter_map(|named| catalog.api_at(named)).map(|api| api.id.clone()).collect();
    }
    let Some(own) = subject.own() else { return Vec::new() };
    let ids = |held: &ScopesOnApi| held.api.clone();
    let all = continues(agent, own, subject.chain(), issuer);
    let sent: Vec<Resource> = held_by(agent, own, catalog).filter(|_| !all).map(ids).collect();
    if sent.is_empty() { own.held.iter().map(ids).collect() } else { sent }
}

/// A task token: its holder, with the key that it is bound to, or with any key of its own where it is bound to none.
fn of_a_task(
    client: &AuthenticatedClient,
    own: &IssuedClaims,
    bound: Option<Digest>,
    chain: &ActChain,
    issuer: &Issuer,
) -> Result<ExchangeMode, AdmissionReason> {
    let id = &client.agent().id;
    if own.client != *id {
        return Err(AdmissionReason::TaskHolder);
    }
    let (login, proof) = (client.key(), client.proven().dpop().map(|proof| proof.key));
    match bound {
        // One that is bound to no key is entered with a key that is registered for its holder, and a proof brings any.
        None if login.is_none() => return Err(AdmissionReason::TaskKeyless),
        Some(_) if login.or(proof).is_none() => return Err(AdmissionReason::TaskKeyless),
        Some(_) if bound != login && bound != proof => return Err(AdmissionReason::TaskKey),
        _ => {}
    }
    Ok(if acts(id, chain, issuer) { ExchangeMode::Continuation } else { ExchangeMode::Delegation })
}

fn acts(id: &ClientId, chain: &ActChain, issuer: &Issuer) -> bool {
    chain.current().is_some_and(|actor| actor.iss() == issuer.as_str() && actor.sub() == id.as_str())
}

/// An ID token: an agent whose file lists the client it was issued to under its trust rule.
fn of_a_user(client: &AuthenticatedClient, rule: &RuleName, obtained_by: Option<&str>) -> Result<ExchangeMode, AdmissionReason> {
    let obtained_by = obtained_by.ok_or(AdmissionReason::OriginUnknown)?;
    let listed = client.agent().is_foreign_client(rule, obtained_by);
    listed.then_some(ExchangeMode::Delegation).ok_or(AdmissionReason::Presenter)
}

/// `may_act` of the subject token, where it carries one, names the party that would act and the client that asks (RFC 8693
/// §4.4). It binds the hop at which it arrives.
fn may_act(
    subject: &VerifiedSubject,
    current: &Agent,
    client: &AuthenticatedClient,
    ours: &Issuer,
) -> Result<(), AdmissionReason> {
    let (
        Some(may_act),
        Origin::User { rule, issuer, .. } | Origin::Attestation { rule, issuer, .. } | Origin::IdJag { rule, issuer, .. },
    ) = (subject.may_act(), subject.origin())
    else {
        return Ok(());
    };
    let namespace = Namespace { rule, issuer, ours };
    let iss = may_act.iss.as_deref();
    let actor = may_act.sub.as_deref().is_none_or(|sub| namespace.names(iss, sub, current));
    // Clients are known by the issuer that registered them: without `iss` that of the token.
    let asks = may_act.client_id.as_deref().is_none_or(|id| namespace.names(iss.or(Some(issuer)), id, client.agent()));
    if actor && asks && of_client(may_act, current, client) { Ok(()) } else { Err(AdmissionReason::MayAct) }
}

/// A `may_act` that names a client alone lets that client act, and nobody through it.
fn of_client(may_act: &MayAct, current: &Agent, client: &AuthenticatedClient) -> bool {
    may_act.sub.is_some() || current.id == client.agent().id
}

/// The names that a `may_act` may use: ours under our issuer; otherwise the foreign issuer's, which knows an agent by its
/// client there. A `sub` without a namespace may be the agent's id too.
struct Namespace<'a> {
    rule: &'a RuleName,
    issuer: &'a str,
    ours: &'a Issuer,
}

impl Namespace<'_> {
    fn names(&self, iss: Option<&str>, name: &str, agent: &Agent) -> bool {
        let by_id = agent.id.as_str() == name;
        let by_client = agent.is_foreign_client(self.rule, name);
        match iss {
            None => by_id || by_client,
            Some(iss) if iss == self.ours.as_str() => by_id,
            Some(iss) if iss == self.issuer => by_client,
            Some(_) => false,
        }
    }
}

fn current_actor(client: &AuthenticatedClient, actor: Option<&VerifiedActor>) -> CurrentActor {
    match actor {
        Some(actor) => CurrentActor { agent: Arc::clone(actor.agent()), instance: actor.instance().map(str::to_owned) },
        None => CurrentActor { agent: Arc::clone(client.agent()), instance: client.instance().map(str::to_owned) },
    }
}

/// The mode of the exchange: as the subject token is presented, unless the request asks for impersonation, or whoever acts is
/// the subject itself.
fn mode(
    subject: &VerifiedSubject,
    presented_as: ExchangeMode,
    (current, actor_token): (&CurrentActor, bool),
    impersonate: bool,
) -> Result<ExchangeMode, AdmissionReason> {
    let itself = subject.subject() == &Subject::agent(&current.agent.id) && subject.chain().is_empty();
    match (impersonate, itself) {
        (true, _) => impersonation(subject, actor_token, itself),
        (false, true) => Ok(ExchangeMode::SelfExchange),
        (false, false) if presented_as == ExchangeMode::SelfExchange => Ok(ExchangeMode::Delegation),
        (false, false) => Ok(presented_as),
    }
}

/// Impersonation hides the actor from whoever reads the token, so it never applies to a token that names one or says who may.
fn impersonation(subject: &VerifiedSubject, actor: bool, itself: bool) -> Result<ExchangeMode, AdmissionReason> {
    if !subject.chain().is_empty() || subject.may_act().is_some() {
        return Err(AdmissionReason::ImpersonationOfDelegated);
    }
    if actor || itself { Err(AdmissionReason::ImpersonationPointless) } else { Ok(ExchangeMode::Impersonation) }
}

/// The chain of the token to be issued: history is kept whole, and whoever acts now stands in front, once.
fn extended(subject: &VerifiedSubject, current: &CurrentActor, mode: ExchangeMode, issuer: &Issuer) -> ActChain {
    let agent = &current.agent;
    if acts(&agent.id, subject.chain(), issuer) || matches!(mode, ExchangeMode::SelfExchange | ExchangeMode::Impersonation) {
        return subject.chain().clone();
    }
    let actor = Actor::agent(issuer.as_str(), agent.id.as_str(), agent.kind.as_str(), current.instance.as_deref());
    subject.chain().extended(actor)
}

/// Counts hops, and the actors that a foreign token brought along: over-deep chains are refused, never cut.
fn depth(subject: &VerifiedSubject, chain: &ActChain, depth_max: u32) -> Result<u32, AdmissionReason> {
    let depth = subject.own().map_or(0, |own| own.depth).saturating_add(1);
    let actors = u32::try_from(chain.len()).unwrap_or(u32::MAX);
    if depth.max(actors) > depth_max { Err(AdmissionReason::Deep) } else { Ok(depth) }
}

/// What `subject` vouches for, and its subject under every name; what its own login vouches for is known where it is `itself`, an
/// agent that trades its own attestation, which has the same name under the same rule.
fn vouched_by<'a>(subject: &'a VerifiedSubject, itself: Option<&'a ClientId>) -> Vec<ThingName<'a>> {
    let named = |name: &'a str| (GenerationKind::Subject, Cow::Borrowed(name));
    match (subject.origin(), itself) {
        (Origin::Own(_) | Origin::Task(..) | Origin::Client { .. }, _) => vec![named(subject.subject().as_str())],
        (Origin::Attestation { instance, .. }, Some(agent)) => {
            let instance = instance.as_deref().map(|instance| (GenerationKind::Instance, instance_name(agent, instance).into()));
            instance.into_iter().chain([named(agent.as_str())]).collect()
        }
        _ => VouchedFor { subject: Some(subject.subject()), ..VouchedFor::default() }.names(),
    }
}

/// The generations that the issued token will depend on: all that the subject token depends on, as they were when it was
/// issued, and those that join with this hop, as they are: of what the `login`, the subject token and the actor token vouch for.
/// Foreign evidence must be newer than the last end of anything that it vouches for.
fn generations(
    mut login: Vec<ThingState>,
    (subject, itself): (&VerifiedSubject, Option<&ClientId>),
    actor: Option<&VerifiedActor>,
    rules: &Rules<'_>,
) -> Result<Vec<Generation>, AdmissionReason> {
    let by_subject = rules.recorded(&vouched_by(subject, itself));
    let by_actor = actor.map(|actor| {
        let vouched = VouchedFor { agent: Some(&actor.agent().id), instance: actor.instance(), subject: actor.attested() };
        rules.recorded(&vouched.names())
    });
    let by_actor = by_actor.unwrap_or_default();
    let of_login = login.iter().filter(|_| itself.is_some());
    let ended = last_end(by_subject.iter().chain(of_login).map(|(_, state)| state));
    if subject.own().is_none() && !counts(subject.issued(), ended, rules.now) {
        return Err(AdmissionReason::SubjectOutdated);
    }
    let ended = last_end(by_actor.iter().map(|(_, state)| state));
    if actor.is_some_and(|actor| actor.attested().is_some() && !counts(actor.issued(), ended, rules.now)) {
        return Err(AdmissionReason::ActorOutdated);
    }
    let mut inherited: Vec<Generation> = subject.own().map(|own| with_epoch(&own.generations)).unwrap_or_default();
    inherited.extend(actor.map(VerifiedActor::generations).filter(|own| !own.is_empty()).map(with_epoch).unwrap_or_default());
    // Where the login knows a thing too, as it was then.
    login.extend(by_subject.into_iter().chain(by_actor));
    login.sort_by_key(|(key, _)| *key);
    login.dedup_by_key(|(key, _)| *key);
    login.retain(|(key, _)| inherited.iter().all(|known| known.key != *key));
    let inactive = inactive(&login);
    let joined = join(rules.state, inherited, login.into_iter(), rules.now).map_err(AdmissionReason::NotAlive)?;
    // Nothing is left to be inactive here but what an earlier pseudonym says.
    inactive.map_or(Ok(joined), |dead| Err(AdmissionReason::NotAlive(dead)))
}

/// The strictest status among `states`.
fn inactive(states: &[ThingState]) -> Option<NotAlive> {
    let (key, status) =
        states.iter().filter_map(|(key, state)| Some((*key, state.inactive?))).max_by_key(|(_, status)| *status)?;
    let cause = match status {
        InactiveStatus::Suspended => Cause::Suspended,
        InactiveStatus::Retired => Cause::Retired,
    };
    Some(NotAlive { key, cause })
}

/// The latest `exp` that a token of this exchange may have (promise 2): the earliest expiry of anything presented, and of the
/// task. A client assertion is no cap; an attestation that served as login is.
fn expiry_cap(client: &AuthenticatedClient, subject: &VerifiedSubject, actor: Option<&VerifiedActor>) -> Time {
    let task = subject.own().and_then(|own| own.task.as_ref()).map(|task| task.deadline);
    let others = [actor.map(VerifiedActor::expires), client.attested().map(|known| known.expires), task];
    others.into_iter().flatten().fold(subject.expires(), Time::min)
}
