//! The task that keeps one issuer's keys fresh. It alone fetches, so that no flood of tokens becomes a flood of fetches.

use std::sync::Arc;
use std::time::Duration;

use super::keys::{Fetched, KeyLocation, Phase, Shared};
use super::{FetchReason, Fetcher, fetch};
use crate::jose::{KeySet, KeyUse, Object};
use crate::oauth::{Clock, Issuer};
use url::Url;

/// `max-age` counts between a fifth and twelve times the interval: one minute and one hour by default.
const FASTEST: u32 = 5;
const SLOWEST: u32 = 12;

/// Fetches for ever: rests after each fetch, then waits for its time or for a request that wants newer keys.
pub(super) async fn run(shared: Arc<Shared>, fetcher: Fetcher, clock: Arc<dyn Clock>) {
    let mut failures = 0;
    loop {
        shared.phase.send_replace(Phase::Fetching);
        let fetched = fetch_keys(&shared.location, &fetcher).await;
        failures = if fetched.is_ok() { 0 } else { failures + 1 };
        let rhythm = Rhythm::after(&shared, fetched, failures, clock.as_ref());
        shared.phase.send_replace(Phase::Resting);
        tokio::time::sleep(rhythm.rest).await;
        shared.phase.send_replace(Phase::Ready);
        let _ = tokio::time::timeout(rhythm.then, shared.wanted.notified()).await;
    }
}

/// First a rest, whoever asks; then a wait that anybody may cut short.
#[derive(Debug, PartialEq, Eq)]
struct Rhythm {
    rest: Duration,
    then: Duration,
}

type FetchedKeys = Result<(KeySet, Option<Duration>), FetchReason>;

impl Rhythm {
    /// Keeps the keys of a good fetch. A failed one changes nothing: the last good keys count until they are too old.
    fn after(shared: &Shared, fetched: FetchedKeys, failures: u32, clock: &dyn Clock) -> Self {
        let pace = shared.pace;
        match fetched {
            Ok((keys, max_age)) => {
                let (usable, skipped) = (keys.keys().len(), keys.skipped().len());
                tracing::debug!(location = %shared.location, usable, skipped, "keys fetched");
                shared.fetched.store(Some(Arc::new(Fetched { keys: Arc::new(keys), at: clock.now() })));
                let interval = max_age.unwrap_or(pace.interval).clamp(pace.interval / FASTEST, pace.interval * SLOWEST);
                Self { rest: pace.cool_down, then: interval.saturating_sub(pace.cool_down) }
            }
            Err(reason) => {
                tracing::warn!(location = %shared.location, %reason, failures, "keys could not be fetched");
                let rest = pace.retry.saturating_mul(1_u32.checked_shl(failures - 1).unwrap_or(u32::MAX));
                Self { rest: rest.min(pace.interval), then: Duration::ZERO }
            }
        }
    }
}

async fn fetch_keys(location: &KeyLocation, fetcher: &Fetcher) -> FetchedKeys {
    let uri = match location {
        KeyLocation::Uri(uri) => uri.clone(),
        KeyLocation::Discovery { issuer, hosts } => discover(issuer, hosts, fetcher).await?,
    };
    let answer = fetcher.get_json(&uri).await?;
    let keys = KeySet::parse(&answer.body, KeyUse::Signature).map_err(FetchReason::KeySet)?;
    Ok((keys, answer.max_age))
}

/// OpenID Connect Discovery §4.3: the document must name exactly the issuer that was asked for.
async fn discover(issuer: &Issuer, hosts: &[String], fetcher: &Fetcher) -> Result<Url, FetchReason> {
    let address = Url::parse(&issuer.join("/.well-known/openid-configuration")).map_err(|_| FetchReason::Address)?;
    let answer = fetcher.get_json(&address).await?;
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
            Self::Uri(uri) => write!(f, "{uri}"),
        }
    }
}

#[cfg(test)]
mod tests;
