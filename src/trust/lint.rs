//! Who on Earth satisfies a rule: whom it admits beyond what its author may have meant, each with a token that would pass.

mod example;
mod finding;
mod pipeline;

pub use finding::{Finding, Severity};

use example::Example;
use finding::Lint;

use super::platform::{self, Nature};
use super::{Matcher, Requirement, SubjectKind, TrustKind, TrustRule};

/// Everything that is to be said about `rule`, the worst first.
pub fn findings(rule: &TrustRule) -> Vec<Finding> {
    let lint = Lint::of(rule);
    let mut found = Vec::new();
    found.extend(lint.unbounded());
    found.extend(lint.recyclable());
    found.extend(lint.shared_audiences());
    found.extend(lint.prefixes());
    match rule.kind() {
        TrustKind::Github => found.extend(pipeline::github(&lint)),
        TrustKind::Gitlab => found.extend(pipeline::gitlab(&lint)),
        TrustKind::Buildkite => found.extend(pipeline::buildkite(&lint)),
        TrustKind::Kubernetes => found.extend(lint.default_account()),
        TrustKind::Aws => found.extend(lint.session_tags()),
        TrustKind::Gcp => found.extend(lint.whole_project()),
        // Which agent an attestation logs in, that agent's file says.
        TrustKind::ClientAttester => {}
        TrustKind::Oidc | TrustKind::Oauth | TrustKind::IdJag | TrustKind::Spiffe | TrustKind::Azure | TrustKind::X509 => {}
    }
    found.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    found
}

/// The claims of a token that passes `rule`, as JSON.
pub fn example(rule: &TrustRule) -> String {
    Example::of(rule).json()
}

impl Lint<'_> {
    /// Nothing says which workload of an issuer is meant.
    fn unbounded(&self) -> Option<Finding> {
        let kind = self.rule.kind();
        let who = match kind {
            TrustKind::Kubernetes => "every service account of the cluster",
            TrustKind::Azure => "every application and managed identity of the tenant",
            TrustKind::Aws => "every role and user of the account",
            TrustKind::X509 => "everybody to whom the PKI ever issued a certificate for clients",
            TrustKind::Oidc | TrustKind::Oauth if self.rule.subject_kind() == SubjectKind::Workload => {
                "everything that the issuer knows"
            }
            _ => return None,
        };
        let named = match platform::claims_of(kind) {
            [] => !self.rule.require().is_empty(),
            _ => self.natures().any(|nature| matches!(nature, Nature::Id | Nature::Name)),
        };
        let sentence = format!("the rule admits {who}; require what identifies those that are meant");
        let anybody: &[(&str, &str)] = match kind {
            TrustKind::Kubernetes => &[("sub", "system:serviceaccount:anywhere:anything")],
            TrustKind::Azure => &[("oid", "99999999-9999-4999-8999-999999999999")],
            _ => &[],
        };
        (!named).then(|| self.finding(Severity::Warning, "unbounded", sentence, anybody))
    }

    /// Names can be given up and taken by somebody else.
    fn recyclable(&self) -> Option<Finding> {
        let (mut ids, mut names) = (false, false);
        for nature in self.natures() {
            ids |= nature == Nature::Id;
            names |= nature == Nature::Name;
        }
        // An immutable `sub` of GitHub carries the ids itself, and one that Buildkite was asked for is an id.
        let is_id = |sub: &str| match self.rule.kind() {
            TrustKind::Buildkite => !sub.contains(':'),
            _ => sub.starts_with("repo:") && sub.matches('@').count() == 2,
        };
        let immutable = self.values("sub").into_iter().any(is_id);
        if ids || !names || immutable {
            return None;
        }
        let (severity, what) = match self.rule.kind() {
            TrustKind::Github => (
                Severity::Danger,
                "repository and owner names: whoever registers a name that was given up gets the same token; require \
                 repository_id and repository_owner_id",
            ),
            TrustKind::Gitlab => (
                Severity::Danger,
                "paths: whoever takes a path that was given up gets the same token; require project_id or namespace_id",
            ),
            TrustKind::Buildkite => (
                Severity::Warning,
                "slugs, which can be renamed and taken again; have the jobs ask for the claims organization_id and pipeline_id, \
                 and require them",
            ),
            TrustKind::Gcp => (
                Severity::Danger,
                "an e-mail address or project name, which can be deleted and made again; require sub, the unique id",
            ),
            TrustKind::Kubernetes => (
                Severity::Warning,
                "names: whoever may create a service account of that name becomes it; require \
                 /kubernetes.io/serviceaccount/uid",
            ),
            TrustKind::Aws => (
                Severity::Warning,
                "an ARN: a role that is deleted and made again has the same; require the account too, and guard iam:CreateRole",
            ),
            TrustKind::Azure => (Severity::Warning, "the path of a resource, which can be made again; require oid"),
            _ => return None,
        };
        let successor: &[(&str, &str)] = match self.rule.kind() {
            TrustKind::Github => &[("repository_id", "999999999"), ("repository_owner_id", "999999999")],
            TrustKind::Gitlab => &[("project_id", "999999"), ("namespace_id", "999999")],
            TrustKind::Kubernetes => &[("/kubernetes.io/serviceaccount/uid", "99999999-9999-4999-8999-999999999999")],
            TrustKind::Gcp => &[("sub", "999999999999999999999")],
            TrustKind::Azure => &[("oid", "99999999-9999-4999-8999-999999999999")],
            _ => &[],
        };
        Some(self.finding(severity, "recyclable-name", format!("the rule decides by {what}"), successor))
    }

    /// Constants of clouds and words without a host are what others would accept, or ask for, too.
    fn shared_audiences(&self) -> Vec<Finding> {
        const SHARED: [&str; 7] = [
            "sts.amazonaws.com",
            "api://AzureADTokenExchange",
            "pods.eks.amazonaws.com",
            "sigstore",
            "kubernetes",
            "https://vault.example.com",
            "vault",
        ];
        let mut found = Vec::new();
        for audience in self.rule.audiences() {
            let aud = [("aud", audience.as_str())];
            if SHARED.contains(&audience.as_str()) {
                let sentence =
                    format!("the audience {audience} is shared by many servers: each of them can use here what it is sent");
                found.push(self.finding(Severity::Danger, "shared-audience", sentence, &aud));
            } else if !audience.contains("://") && self.rule.kind().is_platform() {
                let sentence = format!("the audience {audience} has no host; an address of this server cannot be another's");
                found.push(self.finding(Severity::Warning, "vague-audience", sentence, &aud));
            }
        }
        found
    }

    /// A name that begins alike may be made tomorrow, by somebody else.
    fn prefixes(&self) -> Vec<Finding> {
        let prefix = |one: &'_ Requirement| match one.matcher() {
            Matcher::Prefix(prefix) => Some((one.claim().to_owned(), prefix.clone())),
            _ => None,
        };
        let all = self.requirements().filter_map(prefix);
        all.map(|(claim, prefix)| {
            let sentence = format!("{claim} may be anything below {prefix}, also what somebody makes there tomorrow");
            let made = format!("{prefix}made-tomorrow");
            self.finding(Severity::Warning, "wildcard", sentence, &[(claim.as_str(), made.as_str())])
        })
        .collect()
    }

    fn default_account(&self) -> Option<Finding> {
        let name = self.values("/kubernetes.io/serviceaccount/name").contains(&"default");
        let sub = self.values("sub").iter().any(|sub| sub.starts_with("system:serviceaccount:") && sub.ends_with(":default"));
        let sentence =
            "every pod of a namespace that asks for no other has the service account default; give the workload its own";
        (name || sub).then(|| self.finding(Severity::Danger, "default-service-account", sentence, &[]))
    }

    fn session_tags(&self) -> Option<Finding> {
        let tags = "/https:~1~1sts.amazonaws.com~1/principal_tags/";
        let tagged = self.requirements().any(|one| one.claim().starts_with(tags));
        let sentence = "principal_tags may be session tags, which whoever may assume the role with sts:TagSession chooses";
        tagged.then(|| self.finding(Severity::Warning, "session-tags", sentence, &[]))
    }

    fn whole_project(&self) -> Option<Finding> {
        let account = self.bounds(&["sub", "azp", "email"]);
        let sentence = "every service account of the project passes that runs on one of its machines; require sub";
        (!account).then(|| self.finding(Severity::Warning, "whole-project", sentence, &[("sub", "999999999999999999999")]))
    }
}

#[cfg(test)]
mod tests;
