#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;
use crate::jose::{Algorithm, Compact, KeySet};
use crate::keys::KeySource;
use crate::oauth::Issuer;
use crate::trust::verify::check_platform;
use crate::trust::{IssuerSelector, Literal, SubjectMapping, TrustRuleParts};

const TENANT: &str = "https://sts.windows.net/738016bf-2f59-46ca-9660-357d1de3b865/";

fn issuer(kind: TrustKind) -> &'static str {
    match kind {
        TrustKind::Azure => TENANT,
        TrustKind::Gitlab => "https://gitlab.com",
        TrustKind::Aws => "https://abc.tokens.sts.global.api.aws",
        kind => kind.default_issuer().unwrap_or("https://cluster.example"),
    }
}

fn rule(kind: TrustKind, audience: &str, require: &[(&str, Matcher)]) -> TrustRule {
    let subject = SubjectMapping::workload(kind.default_id()).unwrap();
    let selector = IssuerSelector::Issuer(Issuer::parse(issuer(kind)).unwrap());
    let keys = KeySource::Fixed(Arc::new(KeySet::of_signing_keys([])));
    TrustRule::new(TrustRuleParts {
        audiences: vec![audience.into()],
        algorithms: vec![Algorithm::RS256],
        lifetime_max: Duration::from_secs(3600),
        subject,
        require: require.iter().map(|(claim, matcher)| Requirement::new(claim, matcher.clone()).unwrap()).collect(),
        ..TrustRuleParts::for_tests("r", kind, selector, keys)
    })
    .unwrap()
}

fn is(text: &str) -> Matcher {
    Matcher::Is(Literal::Text(text.into()))
}

fn codes(rule: &TrustRule) -> Vec<(Severity, &'static str)> {
    findings(rule).iter().map(|finding| (finding.severity, finding.code)).collect()
}

/// True when a token passes the rule, its signature and its time aside.
fn passes(rule: &TrustRule, claims: &str) -> bool {
    let token = format!("{}.{}.AAAA", URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256"}"#), URL_SAFE_NO_PAD.encode(claims));
    let token = Compact::parse(&token).unwrap();
    let claims = token.unverified_claims().unwrap();
    let kind = check_platform(rule, &token, claims);
    let audience = claims.strings("aud").unwrap().unwrap().iter().any(|aud| rule.audiences().iter().any(|ours| ours == aud));
    assert_eq!(kind, Ok(()), "{}", claims.as_str());
    assert!(rule.subject().id(claims).is_some(), "{}", claims.as_str());
    audience && rule.require().iter().all(|requirement| requirement.holds(claims))
}

const US: &str = "https://sts.acme.example";

fn all(kind: TrustKind, list: Vec<Vec<(&str, Matcher)>>) -> Vec<TrustRule> {
    list.into_iter().map(|require| rule(kind, US, &require)).collect()
}

fn github() -> Vec<Vec<(&'static str, Matcher)>> {
    let immutable = "repo:acme@65/app@74:ref:refs/heads/main";
    let pr = Matcher::OneOf(vec![Literal::Text("pull_request_target".into()), Literal::Text("push".into())]);
    vec![
        vec![("repository_id", is("7"))],
        vec![("repository", is("o/r"))],
        vec![("repository_owner", is("o"))],
        vec![("repository_owner_id", is("7")), ("ref", is("refs/tags/v1"))],
        vec![("sub", is("repo:o/r:ref:refs/heads/main"))],
        vec![("sub", is("repo:o/r:environment:a%3Ab"))],
        vec![("sub", is("repo:o/r:pull_request")), ("event_name", is("pull_request"))],
        vec![("sub", is(immutable))],
        vec![("repository_id", is("7")), ("event_name", pr)],
        vec![("repository", Matcher::Prefix("acme/".into()))],
        vec![
            ("repository_id", is("7")),
            ("environment", is("prod")),
            ("job_workflow_ref", is("a/b/.github/w.yml@refs/heads/main")),
        ],
    ]
}

fn rules() -> Vec<TrustRule> {
    use TrustKind::{Aws, Azure, Buildkite, Gcp, Github, Gitlab, Kubernetes};
    let sub = "organization:acme:pipeline:app:ref:refs/heads/main:commit:9f3:step:k";
    let gitlab: Vec<Vec<(&str, Matcher)>> = vec![
        vec![("project_id", is("7")), ("ref", is("main"))],
        vec![("namespace_path", is("g/h"))],
        vec![("sub", is("project_path:g/p:ref_type:tag:ref:v1"))],
        vec![("project_id", is("7")), ("pipeline_source", is("merge_request_event"))],
        vec![("project_path", Matcher::Prefix("g/".into())), ("ref_path", is("refs/tags/v1"))],
    ];
    let mut rules = all(Github, github());
    rules.extend(all(Gitlab, gitlab));
    rules.extend(all(
        Buildkite,
        vec![
            vec![("organization_slug", is("o"))],
            vec![("sub", is(sub))],
            vec![("step_key", is("k")), ("organization_id", is("i"))],
            vec![("organization_slug", is("o")), ("sub", is("0184990a-477b-4fa8-9968-496074483cee"))],
            vec![("organization_slug", is("o")), ("build_branch", is("main"))],
            vec![("organization_slug", is("o")), ("build_tag", is("v1"))],
        ],
    ));
    rules.extend(all(
        Kubernetes,
        vec![
            vec![],
            vec![("sub", is("system:serviceaccount:a:default"))],
            vec![("/kubernetes.io/namespace", is("a")), ("/kubernetes.io/pod/uid", Matcher::Present)],
        ],
    ));
    rules.extend(all(
        Gcp,
        vec![
            vec![("sub", is("7"))],
            vec![("email", is("a@b.iam.gserviceaccount.com"))],
            vec![("/google/compute_engine/project_number", Matcher::Is(Literal::Number(7)))],
        ],
    ));
    let tag = "/https:~1~1sts.amazonaws.com~1/principal_tags/team";
    rules.extend(all(Aws, vec![vec![], vec![("sub", is("arn:aws:iam::999999999999:role/x"))], vec![(tag, is("a"))]]));
    rules.extend(all(Azure, vec![vec![], vec![("oid", is("11111111-1111-1111-1111-111111111111"))]]));
    rules
}

/// An example that is shown to pass does pass: by the platform's own rules and by every requirement.
#[test]
fn every_example_passes_its_rule() {
    for rule in rules() {
        assert!(passes(&rule, &example(&rule)), "{}", example(&rule));
        for finding in findings(&rule) {
            assert!(passes(&rule, &finding.token), "{}: {}", finding.code, finding.token);
        }
    }
}

#[test]
fn sentences_are_of_one_form() {
    for finding in rules().iter().flat_map(findings) {
        let sentence = &finding.sentence;
        assert!(sentence.is_ascii() && !sentence.ends_with('.'), "{sentence}");
    }
}

#[test]
fn what_is_safe_has_no_danger_and_what_is_not_has() {
    let github = |require: &[(&str, Matcher)]| codes(&rule(TrustKind::Github, US, require));
    let good = [
        ("repository_id", is("74")),
        ("ref", is("refs/heads/main")),
        ("job_workflow_ref", is("acme/app/.github/workflows/deploy.yml@refs/heads/main")),
        ("runner_environment", is("github-hosted")),
    ];
    assert_eq!(github(&good), []);
    assert_eq!(
        github(&[("repository", is("acme/app")), good[1].clone(), good[2].clone(), good[3].clone()]),
        [(Severity::Danger, "recyclable-name")]
    );
    assert!(github(&[good[0].clone()]).contains(&(Severity::Danger, "any-branch")));
    assert!(github(&good[..2]).contains(&(Severity::Warning, "any-workflow")));
    let with = |extra: (&'static str, Matcher)| github(&[good.as_slice(), &[extra]].concat());
    assert_eq!(with(("event_name", is("pull_request_target"))), [(Severity::Danger, "pull-request")]);
    let owner = [("repository_owner_id", is("65")), ("ref", is("refs/heads/main"))];
    assert!(github(&owner).contains(&(Severity::Warning, "whole-owner")));
    let immutable = github(&[("sub", is("repo:acme@65/app@74:ref:refs/heads/main"))]);
    assert!(immutable.iter().all(|(severity, _)| *severity < Severity::Danger), "{immutable:?}");
    let shared = findings(&rule(TrustKind::Github, "sigstore", &good));
    assert_eq!((shared[0].severity, shared[0].code), (Severity::Danger, "shared-audience"));
    let gitlab = |require: &[(&str, Matcher)]| codes(&rule(TrustKind::Gitlab, US, require));
    let ours = ("project_id", is("22"));
    assert!(gitlab(&[ours.clone(), ("ref", is("main"))]).contains(&(Severity::Danger, "tag-for-branch")));
    let typed = [ours.clone(), ("ref", is("main")), ("ref_type", is("branch"))];
    assert_eq!(gitlab(&typed), [(Severity::Warning, "unprotected-branch")]);
    assert_eq!(gitlab(&[ours, ("ref_path", is("refs/heads/main")), ("ref_protected", is("true"))]), []);
    let buildkite = |require: &[(&str, Matcher)]| codes(&rule(TrustKind::Buildkite, US, require));
    let by_id = [("organization_id", is("o")), ("sub", is("0184990a-477b-4fa8-9968-496074483cee"))];
    assert_eq!(buildkite(&by_id), [(Severity::Danger, "any-branch")], "an id says nothing of a branch");
    let with_branch = [by_id.as_slice(), &[("build_branch", is("main"))]].concat();
    assert_eq!(buildkite(&with_branch), [(Severity::Note, "author-chosen")]);
    let cluster = codes(&rule(TrustKind::Kubernetes, US, &[("sub", is("system:serviceaccount:a:default"))]));
    assert_eq!(cluster, [(Severity::Danger, "default-service-account"), (Severity::Warning, "recyclable-name")]);
    assert_eq!(codes(&rule(TrustKind::Kubernetes, US, &[("/kubernetes.io/serviceaccount/uid", is("u"))])), []);
    assert_eq!(codes(&rule(TrustKind::Gcp, US, &[("sub", is("112179062720391305885"))])), []);
}
