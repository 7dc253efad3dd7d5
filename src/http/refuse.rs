//! Refusing: logged, recorded where the client is known, and answered, all under one reference id.

use actix_web::HttpResponse;

use super::{Door, respond};
use crate::client::Credentials;
use crate::crypto::random;
use crate::error::{ErrorCode, Refusal};
use crate::exchange::{Asked, Refused};
use crate::ledger;
use crate::oauth::{Jti, Time};

/// Logs the refusal, has it recorded if its client is known, and answers; all three under one reference id.
pub(super) fn refuse(door: &Door, refused: Refused, credentials: Option<&Credentials>, now: Time) -> HttpResponse {
    let id = random().map(|bytes| Jti::new(now, bytes).to_string()).unwrap_or_default();
    let code = refused.reason.code();
    door.metrics.refused(code);
    let agent = refused.asked.as_ref().map_or("-", |asked| asked.agent.as_str());
    tracing::info!(error_id = %id, agent, error = code.as_str(), reason = ?refused.reason, "refused");
    let mut answer = respond::refused(&refused.reason, &id, credentials.is_some_and(Credentials::used_authorization_header));
    if code == ErrorCode::UseDpopNonce {
        respond::add_nonce(&mut answer, &door.world().dpop, now);
    }
    if let Some(asked) = refused.asked {
        door.commit().refuse(record(asked, &refused.reason, id, now));
    }
    answer
}

fn record(asked: Asked, reason: &Refusal, error_id: String, at: Time) -> ledger::Refusal {
    ledger::Refusal {
        agent: asked.agent,
        at,
        error: reason.code().as_str(),
        error_id,
        reason: reason.to_string(),
        subject_token: asked.subject_token,
        txn: asked.txn,
        parent: asked.parent,
        audience: Vec::new(),
        requested: asked.requested,
        policies: Vec::new(),
        policy_set: None,
    }
}
