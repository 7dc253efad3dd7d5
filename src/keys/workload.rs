//! The SPIFFE Workload API of an agent on this machine as a source of bundles. The agent streams the X.509 and the JWT bundles
//! of all domains that it knows, each in a stream of its own; what it sends replaces what it sent before.

mod address;
mod bundles;

pub use address::{WorkloadApi, WorkloadApiReason};

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ::spiffe::{WorkloadApiClient, WorkloadApiError};

use super::RefreshReason;
use super::state::{CacheState, Phase};
use crate::oauth::{Clock, TrustDomain};
use bundles::BundleStream;

/// How long the agent may take to its first message. It "MUST be sent as soon as possible" (SPIFFE Workload API §4.3).
const TIMEOUT: Duration = Duration::from_secs(5);

/// Asks for one part of the domain's bundle and listens for changes for ever. A stream that is quiet may be one whose agent
/// hangs, so it is asked for anew at the interval of the rule: the answer to a request is always the whole of what counts.
pub(super) async fn run(api: WorkloadApi, state: Arc<CacheState>, clock: Arc<dyn Clock>) {
    let Some(domain) = state.target.domain.clone() else { return };
    let (mut client, mut failures) = (None, 0_u32);
    loop {
        state.phase.send_replace(Phase::Fetching);
        let asked = tokio::time::timeout(TIMEOUT, ask(&api, &mut client, &state, clock.as_ref(), &domain)).await;
        state.fetches.fetch_add(1, Ordering::Relaxed);
        let ended = match asked.unwrap_or(Err(RefreshReason::Silent)) {
            Ok(bundles) => listen(bundles, &state, clock.as_ref(), &domain).await,
            Err(reason) => StreamEnd { settled: false, reason: Some(reason) },
        };
        failures = if ended.settled { 0 } else { failures.saturating_add(1) };
        if let Some(reason) = &ended.reason {
            client = None;
            state.failed(reason, failures.max(1));
            cease_if_refused(&state, reason);
        }
        if !ended.settled {
            state.phase.send_replace(Phase::Resting);
            tokio::time::sleep(state.target.policy.back_off(failures)).await;
        }
    }
}

/// The first message, which is put in force, and the stream of those that follow.
async fn ask(
    api: &WorkloadApi,
    client: &mut Option<WorkloadApiClient>,
    state: &CacheState,
    clock: &dyn Clock,
    domain: &TrustDomain,
) -> Result<BundleStream, RefreshReason> {
    let connected = match client.take() {
        Some(connected) => connected,
        None => WorkloadApiClient::connect(api.endpoint()).await.map_err(RefreshReason::Workload)?,
    };
    let mut bundles = BundleStream::stream(&connected, state.target.part).await?;
    let first = bundles.next(domain).await.unwrap_or(Err(RefreshReason::Workload(WorkloadApiError::EmptyResponse)))?;
    state.keep(first, clock);
    *client = Some(connected);
    Ok(bundles)
}

/// How a stream ended.
struct StreamEnd {
    /// True when it lasted for the cool-down.
    settled: bool,
    /// The error; none when it is to be asked for anew, or the agent closed it as it may (SPIFFE Workload API §4.2).
    reason: Option<RefreshReason>,
}

/// Puts every update in force at once, until the stream ends, its time is over, or somebody wants newer keys.
async fn listen(mut bundles: BundleStream, state: &CacheState, clock: &dyn Clock, domain: &TrustDomain) -> StreamEnd {
    state.phase.send_replace(Phase::Resting);
    let (rest, over) = (tokio::time::sleep(state.target.policy.cool_down), tokio::time::sleep(state.target.policy.interval));
    tokio::pin!(rest, over);
    let mut settled = false;
    loop {
        tokio::select! {
            update = bundles.next(domain) => match update {
                Some(Ok(material)) => state.keep(material, clock),
                Some(Err(reason)) => return StreamEnd { settled, reason: Some(reason) },
                None => return StreamEnd { settled, reason: None },
            },
            () = &mut rest, if !settled => {
                settled = true;
                state.phase.send_replace(Phase::Ready);
            }
            () = state.wanted.notified(), if settled => return StreamEnd { settled, reason: None },
            () = &mut over => return StreamEnd { settled: true, reason: None },
        }
    }
}

/// An agent that answers `PermissionDenied` has taken back all bundles (SPIFFE Workload API §5.2.2 and §6.2.2): they cease to
/// count. That says something of this server and nothing of the domain's SVIDs, so there is no verdict on them.
fn cease_if_refused(state: &CacheState, reason: &RefreshReason) {
    if reason.is_denial() {
        state.fetched.store(None);
    }
}

#[cfg(test)]
mod tests;
