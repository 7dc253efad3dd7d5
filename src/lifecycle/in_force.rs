//! Who is active, as the files say now. This is apart from life and death: it comes back when the files do.

use super::{AdmissionReason, Rules};
use crate::catalog::Status;
use crate::oauth::{ActChain, ClientId, Subject};

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

/// Whether an agent is registered and neither suspended nor retired.
pub(super) fn active(id: &ClientId, rules: &Rules<'_>) -> bool {
    rules.catalog.agent(id).is_some_and(|agent| agent.status == Status::Active)
}
