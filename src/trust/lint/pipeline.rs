//! Findings about rules for CI jobs: branches, pull requests, workflows.

use super::finding::{Finding, Lint, Severity};

const REFS: [&str; 4] = ["ref", "environment", "job_workflow_ref", "workflow_ref"];

pub(super) fn github(lint: &Lint<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    let subs = lint.values("sub");
    let by_sub = |part: &str| subs.iter().any(|sub| sub.contains(part));
    let branch = ("ref", "refs/heads/anybody");
    if !(lint.bounds(&REFS) || lint.bounds(&["ref_protected"]) || by_sub(":ref:") || by_sub(":environment:")) {
        let sentence = "any branch passes, so whoever can push one does; require ref, environment or job_workflow_ref";
        found.push(lint.finding(Severity::Danger, "any-branch", sentence, &[branch]));
    }
    let environment_only = (lint.bounds(&["environment"]) || by_sub(":environment:")) && !lint.bounds(&["ref"]);
    if environment_only {
        let sentence = "an environment hides the branch: which may use it is set in its protection rules; require ref as well";
        found.push(lint.finding(Severity::Warning, "environment-hides-branch", sentence, &[branch]));
    }
    if !lint.bounds(&["job_workflow_ref", "workflow_ref"]) {
        let sentence = "any workflow of the repository passes, also one added tomorrow; require job_workflow_ref";
        let other = ("job_workflow_ref", "acme/app/.github/workflows/added-tomorrow.yml@refs/heads/main");
        found.push(lint.finding(Severity::Warning, "any-workflow", sentence, &[other]));
    }
    if let Some(event) = lint.values("event_name").into_iter().rfind(|event| event.starts_with("pull_request")) {
        let sentence = "pull requests pass: their code may be a stranger's, and pull_request_target runs for forks too";
        found.push(lint.finding(Severity::Danger, "pull-request", sentence, &[("event_name", event)]));
    }
    let whole_owner = lint.bounds(&["repository_owner_id", "repository_owner", "enterprise", "enterprise_id"])
        && !lint.bounds(&["repository_id", "repository", "job_workflow_ref", "workflow_ref", "sub"]);
    if whole_owner {
        let sentence = "every repository of the owner passes, also one made tomorrow; require repository_id";
        found.push(lint.finding(Severity::Warning, "whole-owner", sentence, &[("repository_id", "999999999")]));
    }
    if !lint.bounds(&["runner_environment"]) {
        let sentence = "jobs on self-hosted runners pass, whose machines others may share; require runner_environment";
        found.push(lint.finding(Severity::Note, "self-hosted-runner", sentence, &[("runner_environment", "self-hosted")]));
    }
    found
}

pub(super) fn gitlab(lint: &Lint<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    let subs = lint.values("sub");
    let by_sub = |part: &str| subs.iter().any(|sub| sub.contains(part));
    if !(lint.bounds(&["ref", "ref_path", "ref_protected", "environment", "ci_config_ref_uri"]) || by_sub(":ref:")) {
        let sentence = "any branch passes, so whoever can push one does; require ref with ref_type, or ref_protected = \"true\"";
        found.push(lint.finding(Severity::Danger, "any-branch", sentence, &[("ref", "anybody"), ("ref_protected", "false")]));
    } else if !(lint.bounds(&["ref_protected", "environment_protected"])) {
        let sentence = "the branch need not be protected, so every developer may push to it; require ref_protected = \"true\"";
        found.push(lint.finding(Severity::Warning, "unprotected-branch", sentence, &[("ref_protected", "false")]));
    }
    if lint.bounds(&["ref"]) && !lint.bounds(&["ref_type", "ref_path"]) {
        let sentence = "a tag may be called like the branch, and ref does not tell which it is; require ref_type = \"branch\"";
        found.push(lint.finding(Severity::Danger, "tag-for-branch", sentence, &[("ref_type", "tag")]));
    }
    if lint.values("pipeline_source").iter().any(|source| source.contains("merge_request") || source.contains("pull_request")) {
        let sentence = "merge requests pass: their code need not have been reviewed";
        found.push(lint.finding(Severity::Danger, "pull-request", sentence, &[("pipeline_source", "merge_request_event")]));
    }
    let whole_group = lint.bounds(&["namespace_id", "namespace_path"]) && !lint.bounds(&["project_id", "project_path", "sub"]);
    if whole_group {
        let sentence = "every project of the group passes, also one made tomorrow; require project_id";
        found.push(lint.finding(Severity::Warning, "whole-owner", sentence, &[("project_id", "999999")]));
    }
    found
}

pub(super) fn buildkite(lint: &Lint<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    if !lint.bounds(&["pipeline_id", "pipeline_slug", "sub"]) {
        let sentence = "every pipeline of the organisation passes, also one made tomorrow; require pipeline_id or pipeline_slug";
        found.push(lint.finding(Severity::Warning, "whole-owner", sentence, &[("pipeline_slug", "made-tomorrow")]));
    }
    let by_sub = lint.values("sub").iter().any(|sub| sub.contains(":ref:"));
    if !(lint.bounds(&["build_branch", "build_tag"]) || by_sub) {
        let sentence = "any branch passes, so whoever can start a build does; require build_branch";
        found.push(lint.finding(Severity::Danger, "any-branch", sentence, &[("build_branch", "anybody")]));
    } else if lint.bounds(&["build_branch"]) {
        let sentence = "branch names are given by whoever starts a build, and by forks unless the pipeline prefixes theirs; have \
                        Buildkite build only the branches meant";
        found.push(lint.finding(Severity::Note, "author-chosen", sentence, &[]));
    }
    if lint.bounds(&["step_key"]) {
        let sentence = "a step key is written by the author of the pipeline's file, in any branch";
        found.push(lint.finding(Severity::Warning, "author-chosen", sentence, &[]));
    }
    found
}
