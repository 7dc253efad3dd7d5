//! The claims that a draft requires, by the kind of the issuer, the most decisive first.

use crate::jose::Object;
use crate::json::string;
use crate::trust::{Provider, SubjectKind, TrustKind};

/// A claim that is required to be exactly what it is in the sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DraftMatcher {
    /// Its name, or a JSON Pointer.
    pub claim: String,
    /// Its value, as JSON: a text, an integer, `true` or `false`.
    pub value: String,
    /// Why it is required.
    pub why: &'static str,
}

/// A claim that is required where the sample has it, and why.
type ClaimReason = (&'static str, &'static str);

/// A claim that is required where the sample has that value.
type ValueReason = (&'static str, &'static str, &'static str);

const KUBERNETES: [ClaimReason; 2] = [
    ("/kubernetes.io/serviceaccount/uid", "this very service account: one that is deleted and made again is another"),
    ("sub", "its namespace and name, for whoever reads this file"),
];

const GITHUB: [ClaimReason; 5] = [
    ("repository_id", "this repository, whatever it is called"),
    ("repository_owner_id", "of this owner, whatever they are called"),
    ("job_workflow_ref", "this workflow, in this version"),
    ("ref", "this branch or tag"),
    ("environment", "a job of this environment, whose protection rules say who may run it"),
];

const GITLAB: [ClaimReason; 5] = [
    ("project_id", "this project, whatever its path is"),
    ("namespace_id", "in this group or of this user"),
    ("ref", "this branch or tag"),
    ("ref_type", "and not a tag that is called like a branch, or the other way round"),
    ("environment", "a job of this environment"),
];

const BUILDKITE_IDS: [ClaimReason; 2] =
    [("organization_id", "this organisation, whatever it is called"), ("pipeline_id", "this pipeline, whatever it is called")];

const BUILDKITE_NAMES: [ClaimReason; 2] = [
    ("organization_slug", "this organisation, by a name that can be given up; have jobs ask for organization_id"),
    ("pipeline_slug", "this pipeline, by a name that can be given up; have jobs ask for pipeline_id"),
];

const BUILDKITE_BRANCH: [ClaimReason; 1] = [("build_branch", "this branch; let the pipeline prefix the branches of forks")];

const GCP: [ClaimReason; 1] = [("sub", "this service account, by its unique id")];

const AWS: [ClaimReason; 3] = [
    ("/https:~1~1sts.amazonaws.com~1/aws_account", "this account"),
    ("/https:~1~1sts.amazonaws.com~1/org_id", "while it is in this organisation"),
    ("sub", "this role or user; whoever may make one of that name becomes it"),
];

const AZURE: [ClaimReason; 3] = [
    ("oid", "this managed identity or application, by its object id"),
    ("appid", "by its client id too"),
    ("azp", "by its client id too"),
];

/// Matchers that hold only what is protected, or not shared with others.
const PROTECTED: [ValueReason; 4] = [
    ("ref_protected", r#""true""#, "only while the branch or tag is protected"),
    ("environment_protected", r#""true""#, "only while the environment is protected"),
    ("runner_environment", r#""github-hosted""#, "on no machine that others can reach"),
    ("runner_environment", r#""gitlab-hosted""#, "on no machine that others can reach"),
];

/// The matchers for the kind that `claims` supports.
pub(super) fn of(
    kind: TrustKind,
    subject: Option<SubjectKind>,
    provider: Option<Provider>,
    claims: &Object,
) -> Vec<DraftMatcher> {
    let pick = |wanted: &[ClaimReason]| wanted.iter().filter_map(|(claim, why)| exactly(claims, claim, why)).collect::<Vec<_>>();
    match kind {
        TrustKind::Kubernetes => pick(&KUBERNETES),
        TrustKind::Github | TrustKind::Gitlab => {
            let wanted = if kind == TrustKind::Github { &GITHUB } else { &GITLAB };
            let protected = PROTECTED.iter().filter(|(claim, value, _)| claims.raw(claim) == Some(*value));
            let protected = protected.filter_map(|(claim, _, why)| exactly(claims, claim, why));
            pick(wanted).into_iter().chain(protected).collect()
        }
        TrustKind::Buildkite => {
            let ids = pick(&BUILDKITE_IDS);
            let whose = if ids.len() == BUILDKITE_IDS.len() { ids } else { pick(&BUILDKITE_NAMES) };
            whose.into_iter().chain(pick(&BUILDKITE_BRANCH)).collect()
        }
        TrustKind::Gcp => pick(&GCP),
        TrustKind::Aws => pick(&AWS),
        TrustKind::Azure => pick(&AZURE),
        TrustKind::Spiffe => pick(&[("sub", "this workload, by its SPIFFE ID")]),
        TrustKind::X509 | TrustKind::ClientAttester | TrustKind::IdJag => Vec::new(),
        TrustKind::Oidc | TrustKind::Oauth => of_any(kind, subject, provider, claims),
    }
}

/// Those of an issuer that may write what it likes: a workload by its exact `sub`, people of the tenant or organisation.
fn of_any(kind: TrustKind, subject: Option<SubjectKind>, provider: Option<Provider>, claims: &Object) -> Vec<DraftMatcher> {
    let mut found: Vec<DraftMatcher> = Vec::new();
    if subject == Some(SubjectKind::Workload) {
        found.extend(exactly(claims, "sub", "this workload, to the letter"));
    } else {
        let people =
            [("tid", "people of this tenant"), ("hd", "people of this domain"), ("org_id", "people of this organisation")];
        found.extend(people.iter().filter_map(|(claim, why)| exactly(claims, claim, why)));
        if claims.raw("email_verified") == Some("true") {
            found.extend(exactly(claims, "email_verified", "only where the issuer has verified the address"));
        }
    }
    if kind == TrustKind::Oauth {
        let form = provider.map(Provider::access_tokens).unwrap_or_default();
        let named = form.client.iter().find_map(|claim| exactly(claims, claim, "obtained by this client and no other"));
        found.extend(named);
    }
    found
}

/// The template of the subject's id: what the issuer gives to nobody else, and is the same for every client.
pub(super) fn id(provider: Option<Provider>, claims: Option<&Object>) -> String {
    let has = |claim: &str| claims.is_none_or(|claims| claims.has(claim));
    let of_client = || {
        let form = provider.map(Provider::access_tokens).unwrap_or_default();
        form.client.into_iter().find(|claim| has(claim))
    };
    match provider {
        // Its sub is another one for each client.
        Some(Provider::Entra) if has("oid") => "{oid}".to_owned(),
        _ if has("sub") => "{sub}".to_owned(),
        _ => of_client().map_or_else(|| "{sub}".to_owned(), |claim| format!("{{{claim}}}")),
    }
}

/// The claim by which a rule of the kind decides first, and what it identifies.
pub(super) fn decisive(kind: TrustKind) -> ClaimReason {
    let first = |wanted: &[ClaimReason]| wanted.first().copied().unwrap_or(("sub", "whoever is meant"));
    match kind {
        TrustKind::Kubernetes => first(&KUBERNETES),
        TrustKind::Github => first(&GITHUB),
        TrustKind::Gitlab => first(&GITLAB),
        TrustKind::Buildkite => first(&BUILDKITE_IDS),
        TrustKind::Azure => first(&AZURE),
        TrustKind::Gcp => first(&GCP),
        TrustKind::Aws => ("sub", "this role or user"),
        TrustKind::Oidc | TrustKind::Oauth | TrustKind::IdJag => ("sub", "whoever is meant, to the letter"),
        TrustKind::Spiffe | TrustKind::X509 | TrustKind::ClientAttester => ("sub", "whoever is meant, to the letter"),
    }
}

/// The claim as it is; none where it is absent, or no text, integer, `true` or `false`, or a text that no matcher may have.
fn exactly(claims: &Object, claim: &str, why: &'static str) -> Option<DraftMatcher> {
    let value = claims.find(claim)?;
    let is_text = text(claims, claim).is_some_and(|text| !text.is_empty() && !text.contains('*'));
    let fits = is_text || value.parse::<i64>().is_ok() || matches!(value, "true" | "false");
    fits.then(|| DraftMatcher { claim: claim.to_owned(), value: value.to_owned(), why })
}

/// The text of a claim, by its name or JSON Pointer.
pub(super) fn text(claims: &Object, claim: &str) -> Option<String> {
    claims.find(claim).and_then(string).map(Into::into)
}
