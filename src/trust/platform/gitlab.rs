//! GitLab CI (GitLab Docs: "OpenID Connect authentication using ID tokens"). Every id and every boolean is a string there.

use super::claim::{ClaimFact, PlatformClaims, Shape, is_number, refuse_if};
use crate::trust::PlatformReason;

pub(super) const CLAIMS: &[ClaimFact] = &[
    ClaimFact::name("sub", r#""project_path:acme/app:ref_type:branch:ref:main""#),
    ClaimFact::id("project_id", r#""22""#),
    ClaimFact::id("namespace_id", r#""72""#),
    ClaimFact::id("job_project_id", r#""22""#),
    ClaimFact::id("job_namespace_id", r#""72""#),
    ClaimFact::name("project_path", r#""acme/app""#),
    ClaimFact::name("namespace_path", r#""acme""#),
    ClaimFact::name("job_project_path", r#""acme/app""#),
    ClaimFact::name("job_namespace_path", r#""acme""#),
    // Of the merge request's source, which may be a fork.
    ClaimFact::id("source_project_id", r#""22""#),
    ClaimFact::id("source_namespace_id", r#""72""#),
    ClaimFact::name("source_project_path", r#""acme/app""#),
    ClaimFact::name("source_namespace_path", r#""acme""#),
    ClaimFact::name("ci_config_ref_uri", r#""gitlab.com/acme/app//.gitlab-ci.yml@refs/heads/main""#),
    ClaimFact::context("ci_config_sha", r#""f5e0bd49bf04043b099b722765a53f7f39d1b2c3""#),
    ClaimFact::context("ref", r#""main""#),
    ClaimFact::context("ref_type", r#""branch""#),
    ClaimFact::context("ref_path", r#""refs/heads/main""#),
    ClaimFact::context("ref_protected", r#""true""#),
    ClaimFact::context("environment", r#""production""#),
    ClaimFact::context("environment_protected", r#""true""#),
    ClaimFact::context("deployment_tier", r#""production""#),
    ClaimFact::context("pipeline_source", r#""push""#),
    ClaimFact::context("pipeline_id", r#""1212""#),
    ClaimFact::context("job_id", r#""1914""#),
    ClaimFact::context("job_source", r#""pipeline""#),
    ClaimFact::context("sha", r#""f5e0bd49bf04043b099b722765a53f7f39d1b2c3""#),
    ClaimFact::context("runner_id", "1").of(Shape::Integer),
    ClaimFact::context("runner_environment", r#""gitlab-hosted""#),
    ClaimFact::context("project_visibility", r#""private""#),
    ClaimFact::context("user_id", r#""1""#),
    ClaimFact::context("user_login", r#""dana""#),
    ClaimFact::context("user_email", r#""dana@acme.example""#),
    ClaimFact::context("user_access_level", r#""maintainer""#),
    ClaimFact::context("user_identities", r#"[{"provider":"saml","extern_uid":"dana"}]"#).of(Shape::List),
    ClaimFact::context("job_config", r#"{"url":"https://gitlab.com/acme/policies"}"#).of(Shape::Object),
    ClaimFact::chosen("target_audience", r#"{}"#),
    ClaimFact::context("groups_direct", r#"["acme"]"#).of(Shape::List),
    ClaimFact::context("jti", r#""235b3a54-b797-45c7-ae9a-f72d7bc6ef5b""#),
];

/// The claims that a project may choose to have in its `sub`.
const COMPONENTS: [&str; 11] = [
    "project_path",
    "job_project_path",
    "job_project_id",
    "source_project_path",
    "source_project_id",
    "ref_type",
    "ref",
    "environment",
    "environment_protected",
    "deployment_tier",
    "ref_protected",
];

/// The first of them says which project it is.
const PROJECTS: usize = 5;

pub(in crate::trust) fn check(claims: PlatformClaims<'_>) -> Result<(), PlatformReason> {
    for id in ["project_id", "namespace_id", "job_id"] {
        refuse_if(!is_number(&claims.need(id)?), PlatformReason::Claim(id))?;
    }
    for flag in ["ref_protected", "environment_protected"] {
        let written = claims.at(flag);
        refuse_if(
            claims.has(flag) && !written.is_some_and(|text| text == "true" || text == "false"),
            PlatformReason::Claim(flag),
        )?;
    }
    // Since a fix of 2025 the project claims of a fork's merge request name the fork, and these the project it runs in.
    let runs_in = claims.told("job_project_id")?;
    refuse_if(runs_in.is_some_and(|id| Some(id) != claims.at("project_id")), PlatformReason::Fork)?;
    let source = claims.need("pipeline_source")?;
    let merges = matches!(&*source, "merge_request_event" | "external_pull_request_event");
    refuse_if(merges && !claims.pinned("pipeline_source"), PlatformReason::PullRequest)?;
    check_ref(claims)?;
    check_subject(claims, &claims.need("sub")?)
}

/// A tag and a branch may have the same name; `ref_type` tells which it is.
fn check_ref(claims: PlatformClaims<'_>) -> Result<(), PlatformReason> {
    let (name, kind) = (claims.need("ref")?, claims.need("ref_type")?);
    let folder = match &*kind {
        "branch" => "refs/heads/",
        "tag" => "refs/tags/",
        _ => return Err(PlatformReason::Claim("ref_type")),
    };
    let path = claims.told("ref_path")?;
    refuse_if(path.is_some_and(|path| path.strip_prefix(folder) != Some(&*name)), PlatformReason::Contradiction)
}

/// Claims by name, first one that says which project it is: `project_path:acme/app:ref_type:branch:ref:main` where the
/// project has chosen nothing.
fn check_subject(claims: PlatformClaims<'_>, sub: &str) -> Result<(), PlatformReason> {
    let first = sub.split(':').next().unwrap_or_default();
    refuse_if(!COMPONENTS.iter().take(PROJECTS).any(|project| *project == first), PlatformReason::Subject)?;
    refuse_if(!claims.need("project_path")?.contains('/'), PlatformReason::Claim("project_path"))?;
    let mut parts = sub.split(':');
    while let Some(name) = parts.next() {
        let known = COMPONENTS.iter().find(|known| **known == name).ok_or(PlatformReason::Subject)?;
        let value = parts.next().ok_or(PlatformReason::Subject)?;
        refuse_if(claims.at(known).is_none_or(|found| found != value), PlatformReason::Contradiction)?;
    }
    Ok(())
}
