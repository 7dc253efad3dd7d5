//! The task that keeps one issuer's keys fresh. It alone fetches, so that no flood of tokens becomes a flood of fetches.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::fetch::Route;
use super::keys::KeyMaterial;
use super::remote::{Phase, Shared};
use super::{BundleReason, FetchReason, Fetcher, KeyLocation, TrustBundle, fetch};
use crate::jose::{KeySet, KeyUse, Object};
use crate::oauth::{Clock, Issuer};
use url::Url;

/// `max-age` counts between a fifth and twelve times the interval, one minute and one hour by default, and up to half the
/// ceiling: whoever asks for a long pause does not end the keys by it.
const FASTEST: u32 = 5;
const SLOWEST: u32 = 12;

/// Fetches for ever: rests after each fetch, then waits for its time or for a request that wants newer keys.
pub(super) async fn run(shared: Arc<Shared>, fetcher: Fetcher, clock: Arc<dyn Clock>) {
    let mut failures = 0;
    loop {
        shared.phase.send_replace(Phase::Fetching);
        let fetched = match fetch_keys(&shared.errand.location, &shared.way(), &fetcher).await {
            Ok((material, keep)) => not_rolled_back(&shared, material).await.map(|material| (material, keep)),
            Err(reason) => Err(reason),
        };
        shared.fetches.fetch_add(1, Ordering::Relaxed);
        failures = if fetched.is_ok() { 0 } else { failures + 1 };
        let rhythm = Schedule::after(&shared, fetched, failures, clock.as_ref());
        shared.phase.send_replace(Phase::Resting);
        tokio::time::sleep(rhythm.rest).await;
        shared.phase.send_replace(Phase::Ready);
        let _ = tokio::time::timeout(rhythm.then, shared.wanted.notified()).await;
    }
}

/// First a rest, whoever asks; then a wait that anybody may cut short.
#[derive(Debug, PartialEq, Eq)]
struct Schedule {
    rest: Duration,
    then: Duration,
}

/// What came, and how long its publisher says that it may be kept.
type FetchedKeys = Result<(KeyMaterial, Option<Duration>), FetchReason>;

impl Schedule {
    /// Keeps the keys of a good fetch.
    fn after(shared: &Shared, fetched: FetchedKeys, failures: u32, clock: &dyn Clock) -> Self {
        let pace = shared.errand.pace;
        match fetched {
            Ok((material, keep)) => {
                shared.keep(material, clock);
                let slowest = (pace.interval * SLOWEST).min(pace.ceiling / 2).max(pace.interval);
                let interval = keep.unwrap_or(pace.interval).clamp(pace.interval / FASTEST, slowest);
                Self { rest: pace.cool_down, then: interval.saturating_sub(pace.cool_down) }
            }
            Err(reason) => Self { rest: shared.failed(&reason, failures), then: Duration::ZERO },
        }
    }
}

/// An endpoint that serves an older bundle than was seen has been rolled back, or somebody replays it.
async fn not_rolled_back(shared: &Shared, material: KeyMaterial) -> Result<KeyMaterial, FetchReason> {
    let Some(domain) = shared.errand.domain.clone().filter(|_| shared.errand.location.is_bundle()) else { return Ok(material) };
    let (sequences, sequence) = (Arc::clone(&shared.sequences), material.keys.sequence());
    let admitted = tokio::task::spawn_blocking(move || sequences.admit(&domain, sequence)).await;
    // A runtime that shuts down admits nothing.
    admitted.map_err(|_| FetchReason::Client)?.map_err(FetchReason::RolledBack).map(|()| material)
}

async fn fetch_keys(location: &KeyLocation, way: &Route, fetcher: &Fetcher) -> FetchedKeys {
    let uri = match location.plain() {
        KeyLocation::Bundle { url, .. } => return fetch_bundle(url, way, fetcher).await,
        KeyLocation::Discovery { issuer, hosts } => discover(issuer, hosts, way, fetcher).await?,
        KeyLocation::Uri(uri) => uri.clone(),
        KeyLocation::Workload(_) | KeyLocation::Within(..) => return Err(FetchReason::Address),
    };
    let answer = fetcher.get_json(&uri, way).await?;
    let keys = KeySet::parse(&answer.body, KeyUse::Signature).map_err(FetchReason::KeySet)?;
    Ok((KeyMaterial { keys: Arc::new(keys), roots: None }, answer.max_age))
}

/// The pace of a bundle is its publisher's `spiffe_refresh_hint` (SPIFFE Trust Domain and Bundle §4.1.2).
async fn fetch_bundle(url: &Url, way: &Route, fetcher: &Fetcher) -> FetchedKeys {
    let answer = fetcher.get_json(url, way).await?;
    let bundle = TrustBundle::parse(&answer.body).map_err(|reason| match reason {
        BundleReason::KeySet(reason) => FetchReason::KeySet(reason),
        BundleReason::Roots => FetchReason::Long,
    })?;
    let keep = bundle.keys.refresh_hint().filter(|hint| !hint.is_zero());
    Ok((KeyMaterial::of_bundle(&bundle), keep))
}

/// OpenID Connect Discovery §4.3: the document must name exactly the issuer that was asked for.
async fn discover(issuer: &Issuer, hosts: &[String], way: &Route, fetcher: &Fetcher) -> Result<Url, FetchReason> {
    let address = Url::parse(&issuer.join("/.well-known/openid-configuration")).map_err(|_| FetchReason::Address)?;
    let answer = fetcher.get_json(&address, way).await?;
    let metadata = Object::parse(answer.body).map_err(|_| FetchReason::Metadata)?;
    let text = |name| metadata.text(name).ok().flatten().ok_or(FetchReason::Metadata);
    if text("issuer")? != issuer.as_str() {
        return Err(FetchReason::Metadata);
    }
    let uri = Url::parse(&text("jwks_uri")?).map_err(|_| FetchReason::Metadata)?;
    let same = fetch::authority(&uri) == fetch::authority(&address) && uri.scheme() == address.scheme();
    let named = || hosts.iter().any(|host| fetch::names(host, &uri));
    if same || named() { Ok(uri) } else { Err(FetchReason::Host) }
}

impl std::fmt::Display for KeyLocation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Discovery { issuer, .. } => write!(f, "{issuer}"),
            Self::Uri(uri) | Self::Bundle { url: uri, .. } => write!(f, "{uri}"),
            Self::Workload(api) => api.fmt(f),
            Self::Within(inner, _) => inner.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests;
