//! One stream of bundles, and the part of each message that is the domain's.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;

use ::spiffe::{JwtBundle, JwtBundleSet, WorkloadApiClient, WorkloadApiError, X509Bundle, X509BundleSet};
use futures_core::Stream;
use serde_json::{Map, Value};

use crate::jose::{KeySet, KeyUse};
use crate::json;
use crate::keys::source::MaterialPart;
use crate::keys::{KeyMaterial, RefreshReason, TrustBundleReason};
use crate::oauth::TrustDomain;
use crate::x509::Roots;

type Messages<T> = Pin<Box<dyn Stream<Item = Result<T, WorkloadApiError>> + Send>>;

/// The stream of one part of all bundles. A message of more than 4 MiB ends it.
pub(super) enum BundleStream {
    Jwt(Messages<JwtBundleSet>),
    X509(Messages<X509BundleSet>),
}

impl BundleStream {
    pub(super) async fn stream(client: &WorkloadApiClient, part: MaterialPart) -> Result<Self, RefreshReason> {
        match part {
            MaterialPart::Certificates => client.stream_x509_bundles().await.map(|messages| Self::X509(Box::pin(messages))),
            MaterialPart::Tokens | MaterialPart::Whole => {
                client.stream_jwt_bundles().await.map(|messages| Self::Jwt(Box::pin(messages)))
            }
        }
        .map_err(RefreshReason::Workload)
    }

    /// The material of `domain` in the next message; none when the stream has ended.
    pub(super) async fn next(&mut self, domain: &TrustDomain) -> Option<Result<KeyMaterial, RefreshReason>> {
        match self {
            Self::Jwt(messages) => next(messages).await.map(|set| keys(&set?, domain)),
            Self::X509(messages) => next(messages).await.map(|set| roots(&set?, domain)),
        }
    }
}

async fn next<T>(messages: &mut Messages<T>) -> Option<Result<T, RefreshReason>> {
    let message = poll_fn(|context| messages.as_mut().poll_next(context)).await;
    message.map(|message| message.map_err(RefreshReason::Workload))
}

/// The keys of JWT-SVIDs of `domain`.
fn keys(set: &JwtBundleSet, domain: &TrustDomain) -> Result<KeyMaterial, RefreshReason> {
    let bundle = set.iter().find(|(name, _)| name.as_str() == domain.as_str()).map(|(_, bundle)| bundle);
    warn_if_absent(bundle.is_some(), "JWT", domain);
    let listed: Vec<Value> = bundle.into_iter().flat_map(|bundle| jwks(bundle)).collect();
    let keys = KeySet::parse(serde_json::json!({ "keys": listed }).to_string().as_bytes(), KeyUse::JwtSvid)
        .map_err(|reason| RefreshReason::Bundle(TrustBundleReason::KeySet(reason)))?;
    Ok(KeyMaterial { keys: Arc::new(keys), roots: None })
}

/// A bundle is a standard JWK set here and has keys of JWT-SVIDs only (SPIFFE Workload API §6.2.2), so they need not say so.
fn jwks(bundle: &JwtBundle) -> impl Iterator<Item = Value> {
    bundle.jwt_authorities().filter_map(|authority| json::read(str::from_utf8(authority.jwk_json()).ok()?).ok()).map(|mut jwk| {
        let members: Option<&mut Map<String, Value>> = Value::as_object_mut(&mut jwk);
        if let Some(members) = members.filter(|members| members.get("use").is_none_or(|named| named == "sig")) {
            members.insert("use".to_owned(), "jwt-svid".into());
        }
        jwk
    })
}

/// The roots of X509-SVIDs of `domain`. A certificate that cannot be read takes trust away and never adds any.
fn roots(set: &X509BundleSet, domain: &TrustDomain) -> Result<KeyMaterial, RefreshReason> {
    let bundle = set.iter().find(|(name, _)| name.as_str() == domain.as_str()).map(|(_, bundle)| bundle);
    warn_if_absent(bundle.is_some(), "X.509", domain);
    let authorities = bundle.map(|bundle: &Arc<X509Bundle>| bundle.authorities()).unwrap_or_default();
    let roots = Roots::from_readable(authorities.iter().map(|authority| authority.as_bytes()));
    roots.map(|roots| KeyMaterial::of_roots(&Arc::new(roots))).map_err(|_| RefreshReason::Bundle(TrustBundleReason::Roots))
}

/// A bundle that a message does not have counts no more, and SVIDs of a domain without a bundle are not trusted (SPIFFE
/// Workload API §4.4, §4.6 and §6.3): that is a verdict.
fn warn_if_absent(present: bool, profile: &str, domain: &TrustDomain) {
    if !present {
        tracing::warn!(%domain, profile, "the Workload API delivers no bundle for the trust domain, whose SVIDs are refused");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;
    use crate::x509::root;

    /// Whoever runs the agent learns that there are too many, and not that something was too long to be read.
    #[test]
    fn a_bundle_of_more_roots_than_anybody_needs_is_refused_as_that() {
        let (named, domain) = (::spiffe::TrustDomain::new("td.example").unwrap(), TrustDomain::parse("td.example").unwrap());
        let of = |count: usize| {
            let mut set = X509BundleSet::new();
            let der = root("td").der.repeat(count);
            set.add_bundle(X509Bundle::parse_from_der(named.clone(), &der).unwrap());
            roots(&set, &domain).map(|material| material.roots.unwrap().len()).map_err(|reason| reason.to_string())
        };
        assert_eq!(of(1024), Ok(1024));
        assert!(of(1025).unwrap_err().starts_with("the bundle has more than 1024 certificates; "), "{:?}", of(1025));
    }
}
