//! What each platform writes into its tokens, and what of it is refused whatever a rule says: tokens for the platform itself, of
//! people, of forks, and tokens whose `sub` and other claims contradict each other.

mod aws;
mod azure;
mod buildkite;
mod claim;
mod gcp;
mod github;
mod gitlab;
mod kubernetes;
mod oauth;
mod reason;

use std::borrow::Cow;

pub use azure::tenant;
pub use claim::{ClaimFact, Nature, Shape};
pub use reason::PlatformReason;

use super::{TrustKind, TrustReason, TrustRule};
use crate::jose::{Compact, Object, string};

/// Refuses what no rule of `kind` should accept. The claims are not verified yet; nothing here trusts them.
pub(super) fn check(rule: &TrustRule, token: &Compact<'_>, claims: &Object) -> Result<(), TrustReason> {
    let read = Claims(claims);
    let checked = match rule.kind() {
        TrustKind::Kubernetes => kubernetes::check(read),
        TrustKind::Github => github::check(read, rule),
        TrustKind::Gitlab => gitlab::check(read, rule),
        TrustKind::Buildkite => buildkite::check(read, rule),
        TrustKind::Gcp => gcp::check(read),
        TrustKind::Aws => aws::check(read),
        TrustKind::Azure => azure::check(read, token, rule.issuer()),
        TrustKind::Oauth => oauth::check(read),
        TrustKind::Oidc | TrustKind::Spiffe | TrustKind::X509 => Ok(()),
    };
    checked.map_err(TrustReason::Platform)
}

/// The running copy that a token of `kind` is about, if it names one.
pub(super) fn instance(kind: TrustKind, claims: &Object) -> Option<String> {
    let text = |path: &str| Claims(claims).at(path).map(Cow::into_owned);
    match kind {
        TrustKind::Kubernetes => text("/kubernetes.io/pod/uid"),
        TrustKind::Github => Some(format!("{}/{}", text("run_id")?, text("run_attempt")?)),
        TrustKind::Gitlab | TrustKind::Buildkite => text("job_id"),
        TrustKind::Gcp => text("/google/compute_engine/instance_id"),
        TrustKind::Aws => aws::instance(Claims(claims)),
        TrustKind::Spiffe => text("sub").and_then(|sub| super::SpiffeId::parse(&sub).ok()).map(|id| id.path().to_owned()),
        TrustKind::Oidc | TrustKind::Oauth | TrustKind::Azure | TrustKind::X509 => None,
    }
}

/// Audiences that mean the platform itself, or everybody: a token that names one is not for us alone.
pub(super) fn is_foreign_audience(kind: TrustKind, issuer: &str, audience: &str) -> bool {
    match kind {
        TrustKind::Kubernetes => audience == issuer || kubernetes::is_foreign_audience(audience),
        TrustKind::Gitlab => audience == issuer,
        TrustKind::Github => github::is_default_audience(audience, issuer),
        TrustKind::Buildkite => audience.starts_with("https://buildkite.com/"),
        TrustKind::Azure => azure::is_foreign_audience(audience),
        _ => false,
    }
}

/// What is known of the claims of a kind; empty where they are anybody's to choose.
pub fn claims_of(kind: TrustKind) -> &'static [ClaimFact] {
    match kind {
        TrustKind::Kubernetes => kubernetes::CLAIMS,
        TrustKind::Github => github::CLAIMS,
        TrustKind::Gitlab => gitlab::CLAIMS,
        TrustKind::Buildkite => buildkite::CLAIMS,
        TrustKind::Gcp => gcp::CLAIMS,
        TrustKind::Aws => aws::CLAIMS,
        TrustKind::Azure => azure::CLAIMS,
        TrustKind::Oidc | TrustKind::Oauth | TrustKind::Spiffe | TrustKind::X509 => &[],
    }
}

/// What is known of the claim at `path`: itself, or the object that it lies in.
pub fn claim_of(kind: TrustKind, path: &str) -> Option<&'static ClaimFact> {
    claims_of(kind).iter().find(|fact| fact.covers(path))
}

/// Whether every customer of the platform has the same `iss`, so that a rule must say whose tokens it means.
pub(super) fn is_shared(kind: TrustKind) -> bool {
    matches!(kind, TrustKind::Github | TrustKind::Gitlab | TrustKind::Buildkite | TrustKind::Gcp)
}

/// Claims as the platforms' checks read them.
#[derive(Clone, Copy)]
struct Claims<'a>(&'a Object);

impl<'a> Claims<'a> {
    /// The string at `path`, a name or a JSON Pointer.
    fn at(self, path: &str) -> Option<Cow<'a, str>> {
        self.0.find(path).and_then(string)
    }

    /// The string that the platform always writes there.
    fn need(self, path: &'static str) -> Result<Cow<'a, str>, PlatformReason> {
        self.at(path).filter(|text| !text.is_empty()).ok_or(PlatformReason::Claim(path))
    }

    /// Whether there is anything but null.
    fn has(self, path: &str) -> bool {
        self.0.find(path).is_some_and(|value| value != "null")
    }

    fn is_true(self, path: &str) -> bool {
        self.0.find(path).is_some_and(|value| value == "true")
    }

    fn audiences(self) -> Vec<Cow<'a, str>> {
        self.0.strings("aud").ok().flatten().unwrap_or_default()
    }
}

/// `Ok` where it holds.
fn unless(broken: bool, reason: PlatformReason) -> Result<(), PlatformReason> {
    if broken { Err(reason) } else { Ok(()) }
}

/// Whether it is a decimal number as platforms write ids.
fn is_number(text: &str) -> bool {
    !text.is_empty() && text.len() <= 32 && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests;
