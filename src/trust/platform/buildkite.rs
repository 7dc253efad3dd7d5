//! Buildkite (Buildkite Docs: "buildkite-agent oidc", and "Environment variables" for what a branch is). All organisations
//! share one issuer.

use super::claim::{ClaimFact, PlatformClaims, Shape, refuse_if};
use crate::trust::PlatformReason;

pub(super) const CLAIMS: &[ClaimFact] = &[
    ClaimFact::name(
        "sub",
        r#""organization:acme:pipeline:app:ref:refs/heads/main:commit:9f3182061f1e2cca4702c368cbc039b7dc9d4485:step:deploy""#,
    ),
    ClaimFact::id("organization_id", r#""0184990a-477b-4fa8-9968-496074483aaa""#),
    ClaimFact::id("pipeline_id", r#""0184990a-477b-4fa8-9968-496074483bbb""#),
    ClaimFact::name("organization_slug", r#""acme""#),
    ClaimFact::name("pipeline_slug", r#""app""#),
    ClaimFact::context("build_branch", r#""main""#),
    ClaimFact::context("build_tag", r#""v1.0.0""#),
    ClaimFact::context("build_commit", r#""9f3182061f1e2cca4702c368cbc039b7dc9d4485""#),
    ClaimFact::context("build_number", "1").of(Shape::Integer),
    ClaimFact::context("build_source", r#""ui""#),
    ClaimFact::context("step_key", r#""deploy""#),
    ClaimFact::context("job_id", r#""0184990a-477b-4fa8-9968-496074483cee""#),
    ClaimFact::context("agent_id", r#""0184990a-4782-42b5-afc1-16715b10b8ff""#),
    ClaimFact::context("build_id", r#""0184990a-4477-4fa8-9968-496074483cee""#),
    ClaimFact::context("cluster_id", r#""0184990a-477b-4fa8-9968-496074483ddd""#),
    ClaimFact::context("cluster_name", r#""default""#),
    ClaimFact::context("queue_id", r#""0184990a-477b-4fa8-9968-496074483eee""#),
    ClaimFact::context("queue_key", r#""deploy""#),
    ClaimFact::context("runner_environment", r#""buildkite-hosted""#),
    ClaimFact::context("jti", r#""0194b014-8517-7cef-b232-76a827315f08""#),
];

/// The claims that a job may ask to have as its whole `sub` (`--subject-claim`).
const SUBJECTS: [&str; 7] = ["organization_id", "pipeline_id", "cluster_id", "queue_id", "build_id", "job_id", "agent_id"];

pub(in crate::trust) fn check(claims: PlatformClaims<'_>) -> Result<(), PlatformReason> {
    for always in ["job_id", "organization_slug", "pipeline_slug", "build_commit"] {
        claims.need(always)?;
    }
    // GitHub's push of a tag starts a build whose branch is called like the tag.
    let tagged = claims.has("build_tag") && claims.pinned("build_branch") && !claims.pinned("build_tag");
    refuse_if(tagged, PlatformReason::Tag)?;
    let sub = claims.need("sub")?;
    if is_id(&sub) {
        let told = SUBJECTS.iter().any(|claim| claims.at(claim).is_some_and(|id| id == sub));
        return refuse_if(!told, PlatformReason::Contradiction);
    }
    check_subject(claims, &BuildSubject::parse(&sub).ok_or(PlatformReason::Subject)?)
}

/// Every part of the usual `sub` repeats a claim.
fn check_subject(claims: PlatformClaims<'_>, parsed: &BuildSubject<'_>) -> Result<(), PlatformReason> {
    let same = claims.need("organization_slug")? == parsed.organization
        && claims.need("pipeline_slug")? == parsed.pipeline
        && claims.need("build_commit")? == parsed.commit
        && claims.told("step_key")?.unwrap_or_default() == parsed.step;
    refuse_if(!same, PlatformReason::Contradiction)?;
    let branch =
        parsed.reference.strip_prefix("refs/heads/").is_none_or(|name| claims.at("build_branch").is_some_and(|is| is == name));
    let tag = parsed.reference.strip_prefix("refs/tags/").is_none_or(|name| claims.at("build_tag").is_some_and(|is| is == name));
    refuse_if(!(branch && tag), PlatformReason::Contradiction)
}

/// A UUID as Buildkite writes it.
fn is_id(text: &str) -> bool {
    text.len() == 36 && text.split('-').map(str::len).eq([8, 4, 4, 4, 12])
}

/// `organization:O:pipeline:P:ref:R:commit:C:step:K`. Branches and step keys are their authors' to choose, so the parts are
/// found from both ends and a colon within one refuses the whole.
#[derive(Debug, PartialEq, Eq)]
struct BuildSubject<'a> {
    organization: &'a str,
    pipeline: &'a str,
    reference: &'a str,
    commit: &'a str,
    step: &'a str,
}

impl<'a> BuildSubject<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let parts: Vec<&str> = text.split(':').collect();
        match parts.as_slice() {
            ["organization", organization, "pipeline", pipeline, "ref", reference, "commit", commit, "step", step]
                if !organization.is_empty() && !pipeline.is_empty() && !commit.is_empty() =>
            {
                Some(Self { organization, pipeline, reference, commit, step })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_parsed_not_globbed() {
        let good = BuildSubject { organization: "acme", pipeline: "app", reference: "refs/heads/main", commit: "9f3", step: "" };
        assert_eq!(BuildSubject::parse("organization:acme:pipeline:app:ref:refs/heads/main:commit:9f3:step:"), Some(good));
        for wrong in [
            "organization:acme:pipeline:app:ref:refs/heads/main:commit:9f3",
            "organization:acme:pipeline:app:ref:x:step:deploy:commit:9f3:step:deploy",
            "organization::pipeline:app:ref:r:commit:9f3:step:k",
            "organization:acme:pipeline:app:ref:r:commit:9f3:step:a:b",
            "repo:acme/app:ref:refs/heads/main",
            "",
        ] {
            assert_eq!(BuildSubject::parse(wrong), None, "{wrong}");
        }
    }
}
