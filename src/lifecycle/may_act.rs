//! `may_act`: whom the subject token lets act (RFC 8693 §4.4). It binds the hop at which it arrives: the output's actor and the
//! client that asks.

use crate::catalog::Agent;
use crate::client::AuthenticatedClient;
use crate::oauth::{Issuer, MayAct, RuleName};
use crate::token::{Origin, VerifiedSubject};

use super::AdmissionReason;

/// Checks `may_act`, where the subject token carries one, against the party that would act and the client that asks.
///
/// # Errors
/// When any member names somebody else.
pub(super) fn permits(
    subject: &VerifiedSubject,
    acting: &Agent,
    client: &AuthenticatedClient,
    ours: &Issuer,
) -> Result<(), AdmissionReason> {
    let (Some(may_act), Origin::User { rule, issuer, .. } | Origin::Attestation { rule, issuer, .. }) =
        (subject.may_act(), subject.origin())
    else {
        return Ok(());
    };
    let namespace = Namespace { rule, issuer, ours };
    let actor = may_act.sub.as_deref().is_none_or(|sub| namespace.names(may_act.iss.as_deref(), sub, acting));
    let asks = may_act.client_id.as_deref().is_none_or(|id| namespace.names(None, id, client.agent()));
    if actor && asks && of_client(may_act, acting, client) { Ok(()) } else { Err(AdmissionReason::MayAct) }
}

/// A `may_act` that names a client alone lets that client act, and nobody through it.
fn of_client(may_act: &MayAct, acting: &Agent, client: &AuthenticatedClient) -> bool {
    may_act.sub.is_some() || acting.id == client.agent().id
}

/// Whose names a `may_act` may use: ours under our issuer; otherwise the foreign issuer's, which knows an agent by its client
/// there and, where it names no namespace, may use the agent's id.
struct Namespace<'a> {
    rule: &'a RuleName,
    issuer: &'a str,
    ours: &'a Issuer,
}

impl Namespace<'_> {
    fn names(&self, iss: Option<&str>, name: &str, agent: &Agent) -> bool {
        let by_id = agent.id.as_str() == name;
        let by_client = agent.foreign_clients.iter().any(|(rule, client)| rule == self.rule && client == name);
        match iss {
            None => by_id || by_client,
            Some(iss) if iss == self.ours.as_str() => by_id,
            Some(iss) if iss == self.issuer => by_client,
            Some(_) => false,
        }
    }
}
