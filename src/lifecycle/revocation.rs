//! Who may revoke a token, and what ends with it (RFC 7009 §2).

use std::time::Duration;

use super::{ActiveClient, AdmissionReason, Revocable, Revocation, Rules, alive, visible};
use crate::token::VerifiedIssued;

/// How long a death is remembered beyond the last moment at which the token could have been presented.
const SKEW: Duration = Duration::from_secs(60);

/// What `client` ends by revoking `token`: its hop, and with that every token that descends from it. None when it has ended
/// already. Agents that are suspended do not stand in the way: what is suspended comes back, and a revoked token must not.
///
/// # Errors
/// `Revoker` when the token was neither issued to `client` nor for an API of which it is the agent (RFC 7009 §2.1).
pub fn revocation(
    client: &ActiveClient,
    token: &VerifiedIssued,
    rules: &Rules<'_>,
) -> Result<Option<Revocation>, AdmissionReason> {
    let (own, id) = (token.own(), &client.agent().id);
    if alive(rules.state, &own.generations, rules.now).is_err_and(|dead| dead.is_final()) {
        return Ok(None);
    }
    let reason = if own.client == *id {
        "revoked by the client it was issued to"
    } else if visible::held_by(id, own, rules.catalog).next().is_some() {
        "revoked by the agent of an API it is for"
    } else {
        return Err(AdmissionReason::Revoker);
    };
    Ok(Some(Revocation {
        ends: vec![Revocable::hop(own.jti, rules.pseudonyms)],
        by: id.clone(),
        reason: reason.to_owned(),
        until: Some(token.expires().plus(SKEW)),
    }))
}
