//! TokenReview: the cluster that issued a service account token is asked whether it still vouches for it, which it does not when
//! the pod or the account is gone (Kubernetes API, authentication.k8s.io/v1). It is asked last, about tokens that passed every
//! other check of their rule, so that nothing of a stranger's goes there, and what it says can only refuse.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use serde_json::json;
use url::Url;

use super::found::shown;
use super::{ReviewSource, TrustReason, TrustRefusal, VerifiedAssertion};
use crate::crypto::Digest;
use crate::jose::{Compact, Object};
use crate::json;
use crate::net::Fetcher;
use crate::oauth::Time;

/// The path of the API below the address of an API server.
const PATH: &str = "apis/authentication.k8s.io/v1/tokenreviews";

/// How long a request waits for a cluster.
const WAIT_MAX: Duration = Duration::from_secs(3);

/// Reviews in flight of one rule. Nobody has more of them than are left free, so that no workload takes all.
const IN_FLIGHT_MAX: usize = 64;

/// How long a good verdict counts: one request may show a token as login and as subject token.
const RECENT: Duration = Duration::from_secs(2);

const RECENT_MAX: usize = 1024;

/// Who asks the API server of one rule.
#[derive(Debug)]
pub(super) struct Reviewer {
    source: ReviewSource,
    fetcher: OnceLock<Fetcher>,
    in_flight: Mutex<HashMap<String, usize>>,
    recent: Mutex<HashMap<Digest, (Digest, Time)>>,
    /// The fault of the API server that was told last.
    told: Mutex<Option<String>>,
}

/// The answer of a cluster.
enum Answer {
    /// It vouches for the token, in these words of it.
    Vouched(Digest),
    /// It does not, or for something else.
    Refused(String),
}

/// One of the reviews that may be in flight, given back when it is dropped.
struct ReviewSlot<'a> {
    reviewer: &'a Reviewer,
    subject: String,
}

impl Reviewer {
    pub(super) fn new(source: ReviewSource) -> Self {
        let (in_flight, recent, told) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { source, fetcher: OnceLock::new(), in_flight, recent, told }
    }

    /// Asks by `fetcher` from now on; until then nobody is asked, and there is no verdict.
    pub(super) fn ask_by(&self, fetcher: &Fetcher) {
        self.fetcher.get_or_init(|| fetcher.clone());
    }

    /// `accepted`, whose token is `token`, with the verdict of its cluster.
    ///
    /// # Errors
    /// `Review` when the cluster does not vouch for it, `ReviewUnavailable` when it does not say.
    pub(super) async fn review(
        &self,
        accepted: VerifiedAssertion,
        token: &Compact<'_>,
        now: Time,
    ) -> Result<VerifiedAssertion, TrustRefusal> {
        if let Some(verdict) = self.known(token.digest(), now) {
            return Ok(accepted.reviewed(verdict));
        }
        let rule = accepted.rule().name().clone();
        let Some(_slot) = self.slot(accepted.id().as_str()) else {
            let found = "too many of its tokens are being asked about already";
            return Err(TrustRefusal::of_review(TrustReason::ReviewUnavailable, &rule, found));
        };
        let answer = tokio::time::timeout(WAIT_MAX, self.ask(&accepted, token)).await;
        match answer.unwrap_or_else(|_| Err("there was no answer in time".to_owned())) {
            Ok(Answer::Vouched(verdict)) => {
                self.tell(None);
                self.remember(token.digest(), verdict, now);
                Ok(accepted.reviewed(verdict))
            }
            Ok(Answer::Refused(why)) => {
                self.tell(None);
                let why = if repeats(&why, token.text()) { "its cluster says no, and repeats it".to_owned() } else { why };
                Err(TrustRefusal::of_review(TrustReason::Review, &rule, &why))
            }
            Err(why) => {
                self.tell(Some(&why));
                Err(TrustRefusal::of_review(TrustReason::ReviewUnavailable, &rule, &why))
            }
        }
    }

    async fn ask(&self, accepted: &VerifiedAssertion, token: &Compact<'_>) -> Result<Answer, String> {
        let fetcher = self.fetcher.get().ok_or("no cluster is asked offline")?;
        let route = self.source.reach.route().await.map_err(|reason| reason.to_string())?;
        let audiences = audiences(accepted);
        let review = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
            "spec": { "token": token.text(), "audiences": audiences },
        });
        let answer = fetcher.post(&address(&self.source.api), review.to_string(), &["application/json"], &route).await;
        let answer = answer.map_err(|reason| reason.to_string())?;
        read(&answer.body, accepted, &audiences).ok_or_else(|| "the answer is no TokenReview with a status".to_owned())
    }

    fn known(&self, token: Digest, now: Time) -> Option<Digest> {
        let recent = lock(&self.recent);
        // Neither after its time nor, where the clock was set back since, before it.
        let is_recent = |until: Time| now < until && until <= now.plus(RECENT);
        recent.get(&token).filter(|(_, until)| is_recent(*until)).map(|(verdict, _)| *verdict)
    }

    fn remember(&self, token: Digest, verdict: Digest, now: Time) {
        let mut recent = lock(&self.recent);
        if recent.len() >= RECENT_MAX {
            recent.clear();
        }
        recent.insert(token, (verdict, now.plus(RECENT)));
    }

    fn slot(&self, subject: &str) -> Option<ReviewSlot<'_>> {
        let mut in_flight = lock(&self.in_flight);
        let (all, own) = (in_flight.values().sum::<usize>(), in_flight.get(subject).copied().unwrap_or_default());
        let free = IN_FLIGHT_MAX.saturating_sub(all);
        if free == 0 || (own > 0 && own >= free) {
            return None;
        }
        *in_flight.entry(subject.to_owned()).or_default() += 1;
        Some(ReviewSlot { reviewer: self, subject: subject.to_owned() })
    }

    /// Tells once what is wrong with the API server, and once that nothing is any more.
    fn tell(&self, wrong: Option<&str>) {
        let mut told = lock(&self.told);
        if told.as_deref() != wrong {
            let api = &self.source.api;
            match wrong {
                Some(reason) => {
                    tracing::warn!(%api, reason, "the cluster cannot be asked about its tokens, so they are not taken")
                }
                None => tracing::info!(%api, "the cluster can be asked about its tokens again"),
            }
            *told = wrong.map(str::to_owned);
        }
    }
}

impl Drop for ReviewSlot<'_> {
    fn drop(&mut self) {
        let mut in_flight = lock(&self.reviewer.in_flight);
        if let Some(own) = in_flight.get_mut(&self.subject) {
            *own -= 1;
            if *own == 0 {
                in_flight.remove(&self.subject);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn address(api: &Url) -> Url {
    let mut address = api.clone();
    address.set_path(&format!("{}/{PATH}", api.path().trim_end_matches('/')));
    address
}

/// True where `told` has a good part of `token` in it, which no log may have.
fn repeats(told: &str, token: &str) -> bool {
    token.split('.').skip(1).filter_map(|part| part.get(..24)).any(|part| told.contains(part))
}

/// The audiences of the token that are the rule's.
fn audiences(accepted: &VerifiedAssertion) -> Vec<String> {
    let ours = |audience: &String| accepted.audiences().iter().any(|named| named == audience);
    accepted.rule().audiences().iter().filter(|audience| ours(audience)).cloned().collect()
}

/// The answer, where it is one: whether the token was authenticated, for one of the audiences that were asked about, and as the
/// very account and pod that it names.
fn read(answer: &[u8], accepted: &VerifiedAssertion, asked: &[String]) -> Option<Answer> {
    let review = Object::parse(json::text(answer).ok()?).ok()?;
    if review.text("kind").ok()?.as_deref() != Some("TokenReview") {
        return None;
    }
    let status = Object::parse(review.raw("status")?).ok()?;
    if status.raw("authenticated") != Some("true") {
        let error = status.text("error").ok().flatten().map(|error| shown(&error));
        return Some(Answer::Refused(
            error.map_or("its cluster says no".to_owned(), |error| format!("its cluster says {error}")),
        ));
    }
    let named = status.strings("audiences").ok().flatten().unwrap_or_default();
    if !named.iter().any(|audience| asked.iter().any(|asked| asked == audience)) {
        return Some(Answer::Refused("its cluster authenticates it for none of audiences".to_owned()));
    }
    let user = Object::parse(status.raw("user")?).ok()?;
    let claim = |path: &str| accepted.claims().pointer(path).and_then(json::string);
    let is = |name: &'static str, path: &str| user.text(name).ok().flatten().as_deref() == claim(path).as_deref();
    if !is("username", "/sub") || !is("uid", "/kubernetes.io/serviceaccount/uid") {
        return Some(Answer::Refused("its cluster authenticates another account by it".to_owned()));
    }
    let (pod, reviewed) = (claim("/kubernetes.io/pod/uid"), pod(&user));
    if reviewed.is_some() && reviewed.as_deref() != pod.as_deref() {
        return Some(Answer::Refused("its cluster authenticates another pod by it".to_owned()));
    }
    let uid = claim("/kubernetes.io/serviceaccount/uid");
    let verdict = json!({ "audiences": named, "pod_uid": pod, "uid": uid });
    Some(Answer::Vouched(Digest::of(verdict.to_string().as_bytes())))
}

/// The pod, where the cluster says it.
fn pod(user: &Object) -> Option<String> {
    let extra = Object::parse(user.raw("extra")?).ok()?;
    let pods = extra.strings("authentication.kubernetes.io/pod-uid").ok().flatten()?;
    pods.first().map(|pod| pod.clone().into_owned())
}

#[cfg(test)]
mod tests;
