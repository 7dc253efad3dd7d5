#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
use super::*;

#[test]
fn an_issuer_is_known_by_its_name_or_by_what_it_publishes() {
    let cluster = r#"{"issuer":"i","jwks_uri":"j","response_types_supported":["id_token"]}"#;
    let gitlab = r#"{"issuer":"i","claims_supported":["sub","project_path"],"authorization_endpoint":"a"}"#;
    let any = r#"{"issuer":"i","authorization_endpoint":"a","token_endpoint":"t","response_types_supported":["id_token"]}"#;
    for (issuer, metadata, kind) in [
        ("https://token.actions.githubusercontent.com", any, TrustKind::Github),
        ("https://github.acme.example/_services/token", any, TrustKind::Github),
        ("https://gitlab.com", any, TrustKind::Gitlab),
        ("https://git.acme.example", gitlab, TrustKind::Gitlab),
        ("https://agent.buildkite.com", any, TrustKind::Buildkite),
        ("https://accounts.google.com", any, TrustKind::Gcp),
        ("https://abc.tokens.sts.global.api.aws", any, TrustKind::Aws),
        ("https://oidc.eks.eu-west-1.amazonaws.com/id/E", any, TrustKind::Kubernetes),
        ("https://api.cluster.example", cluster, TrustKind::Kubernetes),
        ("spiffe://acme.example", any, TrustKind::Spiffe),
        ("https://login.acme.example", any, TrustKind::Oidc),
        ("https://acme.okta.com", any, TrustKind::Oidc),
    ] {
        let metadata = Object::parse(metadata).unwrap();
        let draft = RuleDraft::new(issuer, Some(&metadata), None, None);
        assert_eq!((draft.kind, draft.complete, draft.require.len()), (kind, false, 1), "{issuer}");
    }
}

#[test]
fn a_claim_that_no_matcher_may_have_is_not_required() {
    let of = |claims: &str| matchers::of(TrustKind::Gcp, None, None, &Object::parse(claims).unwrap()).len();
    assert_eq!(
        [of(r#"{"sub":"1"}"#), of(r#"{"sub":"a*"}"#), of(r#"{"sub":""}"#), of(r#"{"sub":["1"]}"#), of("{}")],
        [1, 0, 0, 0, 0]
    );
}

#[test]
fn a_lifetime_is_rounded_up() {
    let seconds = |lives| rounded(Duration::from_secs(lives)).as_secs();
    assert_eq!([seconds(3601), seconds(7200), seconds(7201), seconds(86_400)], [3660, 7200, 10_800, 86_400]);
}
