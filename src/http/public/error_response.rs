//! Refusing: logged, recorded where the client is known, and answered, all under one reference id.

use std::error::Error;

use actix_web::HttpResponse;

use super::respond;
use crate::client::Credentials;
use crate::crypto::random;
use crate::error::{ErrorCode, ExchangeError};
use crate::exchange::{RefusedRequest, RequestEvidence};
use crate::http::state::AppState;
use crate::ledger;
use crate::oauth::{ClientId, Jti, Time};

/// Logs the refusal, has it recorded if its client is known, and answers; all three under one reference id.
pub(super) fn refuse(state: &AppState, refused: RefusedRequest, credentials: Option<&Credentials>, now: Time) -> HttpResponse {
    let id = random().map(|bytes| Jti::new(now, bytes).to_string()).unwrap_or_default();
    let code = refused.reason.code();
    state.metrics.refused(code);
    let agent = refused.asked.as_ref().map_or("-", |asked| asked.agent.as_str());
    let cause = causes(&refused.reason);
    let claimed = credentials.and_then(|credentials| credentials.claimed(&state.deployment().catalog)).filter(|_| agent == "-");
    let (cause, claimed) = (cause.as_deref(), claimed.as_ref().map(ClientId::as_str));
    tracing::info!(error_id = %id, agent, claimed, error = code.as_str(), reason = ?refused.reason, cause, "refused");
    let mut answer = respond::refused(&refused.reason, &id, credentials.is_some_and(Credentials::used_authorization_header));
    if code == ErrorCode::UseDpopNonce {
        respond::add_nonce(&mut answer, &state.deployment().dpop, now);
    }
    if let Some(asked) = refused.asked {
        state.commit().refuse(record(asked, &refused.reason, id, now));
    }
    answer
}

/// What lies behind a refusal, in words; none where the answer tells it already.
fn causes(reason: &ExchangeError) -> Option<String> {
    let (told, mut untold, mut next) = (reason.to_string(), Vec::new(), reason.source());
    while let Some(cause) = next {
        let words = cause.to_string();
        if !told.contains(&words) {
            untold.push(words);
        }
        next = cause.source();
    }
    Some(untold.join(": ")).filter(|untold| !untold.is_empty())
}

fn record(asked: RequestEvidence, reason: &ExchangeError, error_id: String, at: Time) -> ledger::Refusal {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{CertificateReason, ClientReason, DpopReason};
    use crate::trust::x509::X509Reason;

    #[test]
    fn the_log_tells_what_the_answer_keeps_back() {
        let stranger = ExchangeError::Client(ClientReason::Certificate(CertificateReason::Chain(X509Reason::Path)));
        assert!(!stranger.to_string().contains("root"), "{stranger}");
        assert_eq!(
            causes(&stranger).as_deref(),
            Some(
                "the authority of the agent's login does not vouch for it: no path leads from the certificate to a trusted root"
            )
        );
        assert_eq!(causes(&ExchangeError::Proof(DpopReason::Htu)), None);
    }
}
