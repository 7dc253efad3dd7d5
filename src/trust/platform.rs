//! The claims that each platform writes into its tokens, and what of them is refused whatever a rule says: tokens for the
//! platform itself, of people, of forks, and tokens whose `sub` and other claims contradict each other. [`super::verify`] calls
//! the checks.

pub(super) mod aws;
pub(super) mod azure;
pub(super) mod buildkite;
mod claim;
pub(super) mod gcp;
pub(super) mod github;
pub(super) mod gitlab;
pub(super) mod kubernetes;

use std::borrow::Cow;

pub use azure::tenant;
pub use claim::{ClaimFact, Nature, Shape};
pub(super) use claim::{PlatformClaims, refuse_if};

use super::TrustKind;
use crate::jose::public_thumbprint;
use crate::oauth::SpiffeId;

/// The running copy that a token of `kind` is about, if it names one.
pub(super) fn instance(kind: TrustKind, claims: PlatformClaims<'_>) -> Option<String> {
    let text = |path: &str| claims.at(path).map(Cow::into_owned);
    match kind {
        TrustKind::Kubernetes => text("/kubernetes.io/pod/uid"),
        TrustKind::Github => Some(format!("{}/{}", text("run_id")?, text("run_attempt")?)),
        TrustKind::Gitlab | TrustKind::Buildkite => text("job_id"),
        TrustKind::Gcp => text("/google/compute_engine/instance_id"),
        TrustKind::Aws => aws::instance(claims),
        TrustKind::Spiffe => text("sub").and_then(|sub| SpiffeId::parse(&sub).ok()).map(|id| id.path().to_owned()),
        // The key of the instance is its name: each has one of its own.
        TrustKind::ClientAttester => public_thumbprint(claims.all().find("/cnf/jwk")?).ok().map(|key| key.to_string()),
        TrustKind::Oidc | TrustKind::Oauth | TrustKind::IdJag | TrustKind::Azure | TrustKind::X509 => None,
    }
}

/// Audiences that mean the platform itself, or everybody: a token that names one is not for us alone.
pub(super) fn is_foreign_audience(kind: TrustKind, issuer: &str, audience: &str) -> bool {
    match kind {
        // Without --api-audiences an API server's own audience is its issuer.
        TrustKind::Kubernetes => audience == issuer || kubernetes::is_foreign_audience(audience),
        // Once the default, and what every other server of that instance would take.
        TrustKind::Gitlab => audience == issuer,
        TrustKind::Github => github::is_default_audience(audience, issuer),
        TrustKind::Buildkite => audience.starts_with("https://buildkite.com/"),
        TrustKind::Azure => azure::is_foreign_audience(audience),
        _ => false,
    }
}

/// The known claims of a kind; empty where they are anybody's to choose.
pub fn claims_of(kind: TrustKind) -> &'static [ClaimFact] {
    match kind {
        TrustKind::Kubernetes => kubernetes::CLAIMS,
        TrustKind::Github => github::CLAIMS,
        TrustKind::Gitlab => gitlab::CLAIMS,
        TrustKind::Buildkite => buildkite::CLAIMS,
        TrustKind::Gcp => gcp::CLAIMS,
        TrustKind::Aws => aws::CLAIMS,
        TrustKind::Azure => azure::CLAIMS,
        TrustKind::Oidc | TrustKind::Oauth | TrustKind::IdJag => &[],
        TrustKind::Spiffe | TrustKind::X509 | TrustKind::ClientAttester => &[],
    }
}

/// The known claim at `path`: itself, or the object that it lies in.
pub fn claim_of(kind: TrustKind, path: &str) -> Option<&'static ClaimFact> {
    claims_of(kind).iter().find(|fact| fact.covers(path))
}

/// True when every customer of the platform has the same `iss`, so that a rule must say whose tokens it means.
pub(super) fn is_shared(kind: TrustKind) -> bool {
    matches!(kind, TrustKind::Github | TrustKind::Gitlab | TrustKind::Buildkite | TrustKind::Gcp)
}

#[cfg(test)]
mod tests;
