//! The rules in force: the configuration that admission reads, and who is active as the files say now. This is apart from
//! liveness: it comes back when the files do.

use super::evidence::{ThingName, ThingState, recorded};
use super::liveness::StateView;
use super::reason::AdmissionReason;
use crate::catalog::{Catalog, Status};
use crate::oauth::{ActChain, ClientId, Issuer, Pseudonyms, ScopesOnApi, Subject, Time};
use crate::token::IssuedClaims;
use crate::trust::TrustStore;

/// The configuration and the state that admission reads.
pub struct Rules<'a> {
    /// Our issuer identifier.
    pub issuer: &'a Issuer,
    /// The registered agents and APIs.
    pub catalog: &'a Catalog,
    /// The trust rules in force.
    pub trust: &'a TrustStore,
    /// The present state of every generation.
    pub state: &'a dyn StateView,
    /// The keys of the pseudonyms under which the state knows things.
    pub pseudonyms: &'a Pseudonyms,
    /// The greatest `depth` of a chain.
    pub depth_max: u32,
    /// The present time.
    pub now: Time,
}

impl Rules<'_> {
    /// The present state of each named thing, as it is [`recorded`].
    pub(super) fn recorded(&self, names: &[ThingName<'_>]) -> Vec<ThingState> {
        recorded(self.state, self.pseudonyms, names)
    }
}

/// Every agent that a token of `subject` rests on is active, and the trust rule that vouched for the subject is in force.
/// `agents` are those that asked for a hop of its chain or acted in one, shown in the chain or not.
///
/// # Errors
/// `AgentInactive`, `RuleInactive`.
pub(super) fn in_force(
    subject: &Subject,
    agents: &[ClientId],
    chain: &ActChain,
    rules: &Rules<'_>,
) -> Result<(), AdmissionReason> {
    let named = |name: &str| ClientId::parse(name).is_ok_and(|id| active(&id, rules));
    let chain = chain.iter().filter(|actor| actor.iss() == rules.issuer.as_str()).all(|actor| named(actor.sub()));
    let subject_agent = subject.rule().is_some() || named(subject.as_str());
    if !(chain && subject_agent && agents.iter().all(|id| active(id, rules))) {
        return Err(AdmissionReason::AgentInactive);
    }
    let in_force = subject.rule().is_none_or(|rule| rules.trust.rule(rule).is_some_and(|rule| rule.enabled()));
    if in_force { Ok(()) } else { Err(AdmissionReason::RuleInactive) }
}

/// True for an agent that is registered and neither suspended nor retired.
pub(super) fn active(id: &ClientId, rules: &Rules<'_>) -> bool {
    rules.catalog.agent(id).is_some_and(|agent| agent.status == Status::Active)
}

/// The scopes of `own` on the APIs that name `agent` as their own.
pub(super) fn held_by<'a>(
    agent: &'a ClientId,
    own: &'a IssuedClaims,
    catalog: &'a Catalog,
) -> impl Iterator<Item = &'a ScopesOnApi> {
    own.held.iter().filter(move |held| catalog.api(&held.api).is_some_and(|api| api.agent.as_ref() == Some(agent)))
}
