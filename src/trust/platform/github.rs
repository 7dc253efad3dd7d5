//! GitHub Actions (GitHub Docs: "OpenID Connect reference", with immutable subject claims).

use std::borrow::Cow;

use super::claim::{ClaimFact, PlatformClaims, is_number, refuse_if};
use crate::trust::PlatformReason;

pub(super) const CLAIMS: &[ClaimFact] = &[
    ClaimFact::name("sub", r#""repo:acme/app:ref:refs/heads/main""#),
    ClaimFact::id("repository_id", r#""74""#),
    ClaimFact::id("repository_owner_id", r#""65""#),
    ClaimFact::id("enterprise_id", r#""42""#),
    ClaimFact::name("repository", r#""acme/app""#),
    ClaimFact::name("repository_owner", r#""acme""#),
    ClaimFact::name("enterprise", r#""acme-inc""#),
    ClaimFact::name("job_workflow_ref", r#""acme/app/.github/workflows/deploy.yml@refs/heads/main""#),
    ClaimFact::name("workflow_ref", r#""acme/app/.github/workflows/deploy.yml@refs/heads/main""#),
    ClaimFact::context("job_workflow_sha", r#""f5e0bd49bf04043b099b722765a53f7f39d1b2c3""#),
    ClaimFact::context("workflow_sha", r#""f5e0bd49bf04043b099b722765a53f7f39d1b2c3""#),
    ClaimFact::context("sha", r#""f5e0bd49bf04043b099b722765a53f7f39d1b2c3""#),
    ClaimFact::context("ref", r#""refs/heads/main""#),
    ClaimFact::context("ref_type", r#""branch""#),
    ClaimFact::context("ref_protected", r#""true""#),
    ClaimFact::context("head_ref", r#""""#),
    ClaimFact::context("base_ref", r#""""#),
    ClaimFact::context("event_name", r#""push""#),
    ClaimFact::context("environment", r#""production""#),
    ClaimFact::context("runner_environment", r#""github-hosted""#),
    ClaimFact::context("repository_visibility", r#""private""#),
    ClaimFact::context("workflow", r#""deploy""#),
    ClaimFact::context("actor", r#""octocat""#),
    ClaimFact::context("actor_id", r#""12""#),
    ClaimFact::context("run_id", r#""1234567""#),
    ClaimFact::context("run_number", r#""10""#),
    ClaimFact::context("run_attempt", r#""1""#),
    ClaimFact::context("check_run_id", r#""987""#),
    ClaimFact::context("jti", r#""example-id""#),
];

pub(in crate::trust) fn check(claims: PlatformClaims<'_>) -> Result<(), PlatformReason> {
    let repository = claims.need("repository")?;
    for id in ["repository_id", "repository_owner_id", "run_id", "run_attempt"] {
        refuse_if(!is_number(&claims.need(id)?), PlatformReason::Claim(id))?;
    }
    let owner = claims.need("repository_owner")?;
    refuse_if(repository.split_once('/').is_none_or(|(first, _)| first != owner), PlatformReason::Contradiction)?;
    let event = claims.need("event_name")?;
    refuse_if(event.starts_with("pull_request") && !claims.pinned("event_name"), PlatformReason::PullRequest)?;
    check_ref(claims)?;
    check_subject(claims, &claims.need("sub")?)
}

/// `aud` is the owner's address unless a workflow asks for another: everybody who trusts that owner would take the token.
pub(super) fn is_default_audience(audience: &str, issuer: &str) -> bool {
    let Some((host, owner)) = host_and_path(audience) else { return false };
    // The issuer of an Enterprise Server is below its own host.
    let server = host_and_path(issuer).is_some_and(|(own, path)| path == "_services/token" && own == host);
    (host == "github.com" || host.ends_with(".ghe.com") || server) && !owner.contains('/')
}

fn host_and_path(address: &str) -> Option<(&str, &str)> {
    address.split_once("://").and_then(|(_, rest)| rest.split_once('/'))
}

/// A tag may be called `refs/heads/main`; its ref then begins with `refs/tags/`, and `ref_type` says so.
fn check_ref(claims: PlatformClaims<'_>) -> Result<(), PlatformReason> {
    let (Some(name), Some(kind)) = (claims.told("ref")?, claims.told("ref_type")?) else { return Ok(()) };
    let fits = match &*kind {
        "branch" => name.is_empty() || name.starts_with("refs/heads/") || name.starts_with("refs/pull/"),
        "tag" => name.starts_with("refs/tags/"),
        _ => false,
    };
    refuse_if(!fits, PlatformReason::Contradiction)
}

/// `repo:…` and then the branch, tag or environment; or what an organisation composed of other claims. Every part names a claim
/// and repeats it, and a colon within a value is written `%3A`, so what does not come out even is no sub of GitHub.
fn check_subject(claims: PlatformClaims<'_>, sub: &str) -> Result<(), PlatformReason> {
    let mut parts = sub.split(':');
    while let Some(name) = parts.next() {
        if name == "pull_request" {
            refuse_if(!claims.pinned("event_name"), PlatformReason::PullRequest)?;
            let event = claims.at("event_name").is_some_and(|event| event.starts_with("pull_request"));
            refuse_if(!event, PlatformReason::Contradiction)?;
            continue;
        }
        let value = parts.next().ok_or(PlatformReason::Subject)?;
        let same = match name {
            "repo" => names_this_repository(claims, value)?,
            claim => is(claims, claim, &decoded(value)),
        };
        refuse_if(!same, PlatformReason::Contradiction)?;
    }
    Ok(())
}

fn names_this_repository(claims: PlatformClaims<'_>, named: &str) -> Result<bool, PlatformReason> {
    match RepositoryName::parse(named).ok_or(PlatformReason::Subject)? {
        RepositoryName { owner: (owner, None), repository: (name, None) } => {
            Ok(is(claims, "repository", &format!("{owner}/{name}")))
        }
        RepositoryName { owner: (owner, Some(owner_id)), repository: (name, Some(id)) } => {
            let ids = is(claims, "repository_owner_id", owner_id) && is(claims, "repository_id", id);
            Ok(ids && is(claims, "repository", &format!("{owner}/{name}")))
        }
        _ => Err(PlatformReason::Subject),
    }
}

fn is(claims: PlatformClaims<'_>, path: &str, value: &str) -> bool {
    claims.at(path).is_some_and(|found| found == value)
}

/// A colon within a value is written `%3A`; nothing else is encoded.
fn decoded(value: &str) -> Cow<'_, str> {
    if value.contains("%3A") { Cow::Owned(value.replace("%3A", ":")) } else { Cow::Borrowed(value) }
}

/// `OWNER/REPO`, or since July 2026 `OWNER@OWNER-ID/REPO@REPO-ID`.
#[derive(Debug, PartialEq, Eq)]
struct RepositoryName<'a> {
    owner: (&'a str, Option<&'a str>),
    repository: (&'a str, Option<&'a str>),
}

impl<'a> RepositoryName<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let part = |text: &'a str| match text.split_once('@') {
            None => Some((text, None)),
            Some((name, id)) => is_number(id).then_some((name, Some(id))),
        };
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let name = |text: &str| !text.is_empty() && text.len() <= 128 && text.bytes().all(allowed);
        let (owner, repository) = text.split_once('/')?;
        let (owner, repository) = (part(owner)?, part(repository)?);
        (name(owner.0) && name(repository.0)).then_some(Self { owner, repository })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Negative test 43.
    #[test]
    fn both_forms_of_a_repository_are_parsed() {
        let plain = RepositoryName { owner: ("acme", None), repository: ("app.js", None) };
        assert_eq!(RepositoryName::parse("acme/app.js"), Some(plain));
        let immutable = RepositoryName { owner: ("acme", Some("65")), repository: ("app", Some("74")) };
        assert_eq!(RepositoryName::parse("acme@65/app@74"), Some(immutable));
        for wrong in ["acme", "acme/", "/app", "acme/app/x", "acme@/app@74", "acme@x/app@74", "a*/app", "acme@65@1/app@74", ""] {
            assert_eq!(RepositoryName::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_default_audience_is_its_owners_address() {
        let cloud = |audience: &str| is_default_audience(audience, "https://token.actions.githubusercontent.com");
        assert!(cloud("https://github.com/acme") && cloud("https://acme.ghe.com/acme"));
        assert!(!cloud("https://sts.acme.example/github") && !cloud("https://github.com/acme/app"));
        let server = |audience: &str| is_default_audience(audience, "https://github.acme.example/_services/token");
        assert!(server("https://github.acme.example/acme") && server("https://github.com/acme"));
        assert!(!server("https://sts.acme.example/acme") && !server("https://github.acme.example/acme/app"));
    }
}
