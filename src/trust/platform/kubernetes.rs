//! Projected service account tokens (Kubernetes: "Managing Service Accounts", schema of the private claims).

use super::claim::{ClaimFact, PlatformClaims, Shape, refuse_if};
use crate::trust::PlatformReason;

/// Audiences of API servers, and of the clouds that clusters federate with.
const FOREIGN: [&str; 9] = [
    "https://kubernetes.default.svc",
    "https://kubernetes.default.svc.cluster.local",
    "https://kubernetes.default",
    "kubernetes.default.svc",
    "k3s",
    "rke2",
    "sts.amazonaws.com",
    "pods.eks.amazonaws.com",
    "api://AzureADTokenExchange",
];

pub(super) const CLAIMS: &[ClaimFact] = &[
    ClaimFact::name("sub", r#""system:serviceaccount:prod:web""#),
    ClaimFact::name("/kubernetes.io/namespace", r#""prod""#),
    ClaimFact::name("/kubernetes.io/serviceaccount/name", r#""web""#),
    ClaimFact::id("/kubernetes.io/serviceaccount/uid", r#""14ee3fa4-a7e2-420f-9f9a-dbc4507c3798""#),
    ClaimFact::context("/kubernetes.io/pod/name", r#""web-0""#),
    ClaimFact::context("/kubernetes.io/pod/uid", r#""5e0bd49b-f040-43b0-99b7-22765a53f7f3""#),
    ClaimFact::context("/kubernetes.io/node/name", r#""node-1""#),
    ClaimFact::context("/kubernetes.io/node/uid", r#""646e7c5e-32d6-4d42-9dbd-e504e6cbe6b1""#),
    ClaimFact::context("/kubernetes.io/secret/name", r#""web-token""#),
    ClaimFact::context("/kubernetes.io/secret/uid", r#""0f5c2f6e-6d53-4b7e-8f0b-6c0c7c6c5d1e""#),
    ClaimFact::context("/kubernetes.io/warnafter", "1767229207").of(Shape::Integer),
    ClaimFact::context("jti", r#""aed34954-b33a-4142-b1ec-389d6bbb4936""#),
];

pub(in crate::trust) fn check(claims: PlatformClaims<'_>) -> Result<(), PlatformReason> {
    // Tokens out of Secrets, from before 1.24, name it flatly and never expire.
    refuse_if(claims.has("kubernetes.io/serviceaccount/secret.name"), PlatformReason::Legacy)?;
    let sub = claims.need("sub")?;
    let (namespace, name) = parse(&sub).ok_or(PlatformReason::Subject)?;
    claims.need("/kubernetes.io/serviceaccount/uid")?;
    let same =
        claims.need("/kubernetes.io/namespace")? == namespace && claims.need("/kubernetes.io/serviceaccount/name")? == name;
    refuse_if(!same, PlatformReason::Contradiction)
}

pub(super) fn is_foreign_audience(audience: &str) -> bool {
    FOREIGN.contains(&audience) || audience.ends_with(".svc.id.goog")
}

/// `system:serviceaccount:<namespace>:<name>`.
fn parse(sub: &str) -> Option<(&str, &str)> {
    let (namespace, name) = sub.strip_prefix("system:serviceaccount:")?.split_once(':')?;
    let label = |text: &str, dots: bool| {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || (dots && byte == b'.');
        !text.is_empty() && text.len() <= 253 && text.bytes().all(allowed)
    };
    (label(namespace, false) && label(name, true)).then_some((namespace, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_parsed_whole() {
        assert_eq!(parse("system:serviceaccount:prod:web.v1"), Some(("prod", "web.v1")));
        for sub in [
            "system:serviceaccount:prod",
            "system:serviceaccount:prod:",
            "system:serviceaccount::web",
            "system:serviceaccount:prod:web:x",
            "system:serviceaccount:PROD:web",
            "system:node:n1",
            "node:default:n1",
            "global:default:job:group:task:default",
            "",
        ] {
            assert_eq!(parse(sub), None, "{sub}");
        }
    }
}
