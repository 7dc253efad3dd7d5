//! The task that keeps one issuer's keys fresh. It alone fetches, so that no flood of tokens becomes a flood of fetches.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use url::Url;

use super::state::{CacheState, Phase};
use super::{KeyLocation, KeyMaterial, RefreshReason, TrustBundle};
use crate::jose::{KeySet, KeyUse, Object};
use crate::json;
use crate::net::{self, FetchReason, Fetcher, MediaTypes, Route};
use crate::oauth::{Clock, Issuer};

/// The content types of metadata, key sets and bundles.
const JSON_TYPES: MediaTypes = &["application/json", "application/jwk-set+json"];

/// `max-age` counts between a fifth and twelve times the interval, one minute and one hour by default, and up to half the
/// `max_stale`: whoever asks for a long pause does not end the keys by it.
const FASTEST: u32 = 5;
const SLOWEST: u32 = 12;

/// Fetches for ever: rests after each fetch, then waits for its time or for a request that wants newer keys.
pub(super) async fn run(state: Arc<CacheState>, fetcher: Fetcher, clock: Arc<dyn Clock>) {
    let mut failures = 0;
    loop {
        state.phase.send_replace(Phase::Fetching);
        let fetched = refresh(&state, &fetcher).await;
        state.fetches.fetch_add(1, Ordering::Relaxed);
        failures = if fetched.is_ok() { 0 } else { failures + 1 };
        let schedule = Schedule::after(&state, fetched, failures, clock.as_ref());
        state.phase.send_replace(Phase::Resting);
        tokio::time::sleep(schedule.rest).await;
        state.phase.send_replace(Phase::Ready);
        let _ = tokio::time::timeout(schedule.then, state.wanted.notified()).await;
    }
}

/// First a rest, whoever asks; then a wait that anybody may cut short.
#[derive(Debug, PartialEq, Eq)]
struct Schedule {
    rest: Duration,
    then: Duration,
}

/// The keys that came, and how long their publisher says that they may be kept.
type FetchedKeys = Result<(KeyMaterial, Option<Duration>), RefreshReason>;

impl Schedule {
    /// Keeps the keys of a good fetch.
    fn after(state: &CacheState, fetched: FetchedKeys, failures: u32, clock: &dyn Clock) -> Self {
        let policy = state.target.policy;
        match fetched {
            Ok((material, keep)) => {
                state.keep(material, clock);
                let slowest = (policy.interval * SLOWEST).min(policy.max_stale / 2).max(policy.interval);
                let interval = keep.unwrap_or(policy.interval).clamp(policy.interval / FASTEST, slowest);
                Self { rest: policy.cool_down, then: interval.saturating_sub(policy.cool_down) }
            }
            Err(reason) => Self { rest: state.failed(&reason, failures), then: Duration::ZERO },
        }
    }
}

async fn refresh(state: &CacheState, fetcher: &Fetcher) -> FetchedKeys {
    let (material, keep) = fetch_keys(&state.target.location, &state.route().await?, fetcher).await?;
    Ok((admitted(state, material).await?, keep))
}

/// The material, unless it is an older bundle than was seen: then its endpoint has been rolled back, or somebody replays it.
async fn admitted(state: &CacheState, material: KeyMaterial) -> Result<KeyMaterial, RefreshReason> {
    let Some(domain) = state.target.domain.clone().filter(|_| state.target.location.is_bundle()) else { return Ok(material) };
    let (sequences, sequence) = (Arc::clone(&state.sequences), material.keys.sequence());
    let admitted = tokio::task::spawn_blocking(move || sequences.admit(&domain, sequence)).await;
    admitted.map_err(RefreshReason::Unadmitted)?.map_err(RefreshReason::RolledBack).map(|()| material)
}

async fn fetch_keys(location: &KeyLocation, route: &Route, fetcher: &Fetcher) -> FetchedKeys {
    let uri = match location.plain() {
        KeyLocation::Bundle { url, .. } => return fetch_bundle(url, route, fetcher).await,
        KeyLocation::Discovery { issuer, hosts } => discover(issuer, hosts, route, fetcher).await?,
        KeyLocation::Uri(uri) => uri.clone(),
        KeyLocation::Workload(_) | KeyLocation::Within(..) => return Err(FetchReason::Address.into()),
    };
    let answer = fetcher.get(&uri, JSON_TYPES, route).await?;
    let keys = KeySet::parse(&answer.body, KeyUse::Signature).map_err(RefreshReason::KeySet)?;
    Ok((KeyMaterial { keys: Arc::new(keys), roots: None }, answer.max_age))
}

/// The interval of a bundle is its publisher's `spiffe_refresh_hint` (SPIFFE Trust Domain and Bundle §4.1.2).
async fn fetch_bundle(url: &Url, route: &Route, fetcher: &Fetcher) -> FetchedKeys {
    let answer = fetcher.get(url, JSON_TYPES, route).await?;
    let bundle = TrustBundle::parse(&answer.body).map_err(RefreshReason::Bundle)?;
    let keep = bundle.keys.refresh_hint().filter(|hint| !hint.is_zero());
    Ok((KeyMaterial::of_bundle(&bundle), keep))
}

async fn discover(issuer: &Issuer, hosts: &[String], route: &Route, fetcher: &Fetcher) -> Result<Url, RefreshReason> {
    published(issuer, hosts, route, fetcher).await.map(|(_, uri)| uri)
}

/// The discovery document of `issuer`, and the address of its keys. OpenID Connect Discovery §4.3: the document must name exactly
/// the issuer that was asked for.
async fn published(issuer: &Issuer, hosts: &[String], route: &Route, fetcher: &Fetcher) -> Result<(Object, Url), RefreshReason> {
    let address = Url::parse(&issuer.join("/.well-known/openid-configuration")).map_err(|_| FetchReason::Address)?;
    let answer = fetcher.get(&address, JSON_TYPES, route).await?;
    address_of_keys(&answer.body, &address, (issuer, hosts))
}

/// The metadata that `address` answered with, and its `jwks_uri`, on the same host or one of `hosts`.
fn address_of_keys(
    metadata: &[u8],
    address: &Url,
    (issuer, hosts): (&Issuer, &[String]),
) -> Result<(Object, Url), RefreshReason> {
    let metadata = json::text(metadata).map_err(|_| RefreshReason::Metadata)?;
    let metadata = Object::parse(metadata).map_err(|_| RefreshReason::Metadata)?;
    let text = |name| metadata.text(name).ok().flatten().ok_or(RefreshReason::Metadata);
    let named = text("issuer")?;
    if named != issuer.as_str() {
        return Err(RefreshReason::OtherIssuer(named.chars().filter(|shown| matches!(shown, ' '..='~')).take(300).collect()));
    }
    let uri = Url::parse(&text("jwks_uri")?).map_err(|_| RefreshReason::Metadata)?;
    let same = net::authority(&uri) == net::authority(address) && uri.scheme() == address.scheme();
    let allowed = || hosts.iter().any(|host| net::leads_to(host, &uri));
    if same || allowed() { Ok((metadata, uri)) } else { Err(RefreshReason::Host(uri)) }
}

/// The documents that an issuer publishes, for somebody who looks at them once.
#[derive(Debug)]
pub struct IssuerSurvey {
    /// Its discovery document.
    pub metadata: Object,
    /// Its keys.
    pub keys: KeySet,
}

/// Looks once at what `issuer` publishes, as a rule with discovery does: its keys must be on its own host or one of `hosts`.
///
/// # Errors
/// Why one or the other cannot be had.
pub async fn survey(issuer: &Issuer, hosts: &[String], fetcher: &Fetcher) -> Result<IssuerSurvey, RefreshReason> {
    let route = Route::default();
    let (metadata, uri) = published(issuer, hosts, &route, fetcher).await?;
    let answer = fetcher.get(&uri, JSON_TYPES, &route).await?;
    let keys = KeySet::parse(&answer.body, KeyUse::Signature).map_err(RefreshReason::KeySet)?;
    Ok(IssuerSurvey { metadata, keys })
}

#[cfg(test)]
mod tests;
