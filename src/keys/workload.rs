//! The SPIFFE Workload API of an agent on this machine as a source of bundles. The agent streams the X.509 and the JWT bundles
//! of all domains that it knows, each in a stream of its own; what it sends replaces what it sent before.

mod address;
mod bundles;

pub use address::{WorkloadApi, WorkloadApiReason};

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ::spiffe::{WorkloadApiClient, WorkloadApiError};

use super::remote::{Phase, Shared};
use super::{FetchReason, TrustDomain};
use crate::oauth::Clock;
use bundles::Bundles;

/// How long the agent may take to its first message. It "MUST be sent as soon as possible" (SPIFFE Workload API §4.3).
const TIMEOUT: Duration = Duration::from_secs(5);

/// Asks for one part of the domain's bundle and listens for changes for ever. A stream that is quiet may be one whose agent
/// hangs, so it is asked for anew at the pace of the rule: the answer to a request is always the whole of what counts.
pub(super) async fn run(api: WorkloadApi, shared: Arc<Shared>, clock: Arc<dyn Clock>) {
    let Some(domain) = shared.errand.domain.clone() else { return };
    let (mut client, mut failures) = (None, 0_u32);
    loop {
        shared.phase.send_replace(Phase::Fetching);
        let asked = tokio::time::timeout(TIMEOUT, ask(&api, &mut client, &shared, clock.as_ref(), &domain)).await;
        shared.fetches.fetch_add(1, Ordering::Relaxed);
        let ended = match asked.unwrap_or(Err(FetchReason::Silent)) {
            Ok(bundles) => listen(bundles, &shared, clock.as_ref(), &domain).await,
            Err(reason) => Ended { settled: false, reason: Some(reason) },
        };
        failures = if ended.settled { 0 } else { failures.saturating_add(1) };
        if let Some(reason) = &ended.reason {
            client = None;
            shared.failed(reason, failures.max(1));
            cease_if_refused(&shared, reason);
        }
        if !ended.settled {
            shared.phase.send_replace(Phase::Resting);
            tokio::time::sleep(shared.errand.pace.back_off(failures)).await;
        }
    }
}

/// The first message, which is put in force, and the stream of those that follow.
async fn ask(
    api: &WorkloadApi,
    client: &mut Option<WorkloadApiClient>,
    shared: &Shared,
    clock: &dyn Clock,
    domain: &TrustDomain,
) -> Result<Bundles, FetchReason> {
    let connected = match client.take() {
        Some(connected) => connected,
        None => WorkloadApiClient::connect(api.endpoint()).await.map_err(FetchReason::Workload)?,
    };
    let mut bundles = Bundles::stream(&connected, shared.errand.part).await?;
    let first = bundles.next(domain).await.unwrap_or(Err(FetchReason::Workload(WorkloadApiError::EmptyResponse)))?;
    shared.keep(first, clock);
    *client = Some(connected);
    Ok(bundles)
}

/// How a stream ended.
struct Ended {
    /// Whether it lasted for the cool-down.
    settled: bool,
    /// Why, unless it is to be asked for anew, or the agent closed it as it may (SPIFFE Workload API §4.2).
    reason: Option<FetchReason>,
}

/// Puts every update in force at once, until the stream ends, its time is over, or somebody wants newer keys.
async fn listen(mut bundles: Bundles, shared: &Shared, clock: &dyn Clock, domain: &TrustDomain) -> Ended {
    shared.phase.send_replace(Phase::Resting);
    let (rest, over) = (tokio::time::sleep(shared.errand.pace.cool_down), tokio::time::sleep(shared.errand.pace.interval));
    tokio::pin!(rest, over);
    let mut settled = false;
    loop {
        tokio::select! {
            update = bundles.next(domain) => match update {
                Some(Ok(material)) => shared.keep(material, clock),
                Some(Err(reason)) => return Ended { settled, reason: Some(reason) },
                None => return Ended { settled, reason: None },
            },
            () = &mut rest, if !settled => {
                settled = true;
                shared.phase.send_replace(Phase::Ready);
            }
            () = shared.wanted.notified(), if settled => return Ended { settled, reason: None },
            () = &mut over => return Ended { settled: true, reason: None },
        }
    }
}

/// An agent that answers `PermissionDenied` has taken back all bundles (SPIFFE Workload API §5.2.2 and §6.2.2): they cease to
/// count. That says something of this server and nothing of the domain's SVIDs, so there is no verdict on them.
fn cease_if_refused(shared: &Shared, reason: &FetchReason) {
    let refused =
        |error: &WorkloadApiError| matches!(error, WorkloadApiError::PermissionDenied(_) | WorkloadApiError::NoIdentityIssued);
    if matches!(reason, FetchReason::Workload(error) if refused(error)) {
        shared.fetched.store(None);
    }
}

#[cfg(test)]
mod tests;
