//! The kinds of trust rules, and what follows from a kind alone.

use std::fmt;
use std::time::Duration;

use crate::jose::Algorithm;

/// The issuers that a rule is about, and hence the claim rules by which their tokens are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TrustKind {
    /// An OpenID provider, or anybody who signs identity tokens and attestations as JWTs and is named by `iss`.
    Oidc,
    /// Another authorization server, by its access tokens (RFC 9068).
    Oauth,
    /// A SPIFFE trust domain, by its JWT-SVIDs and X509-SVIDs.
    Spiffe,
    /// A Kubernetes cluster, by its projected service account tokens.
    Kubernetes,
    /// GitHub Actions, of github.com, a GHE.com enterprise or a GitHub Enterprise Server.
    Github,
    /// GitLab CI, by its ID tokens.
    Gitlab,
    /// Buildkite, by the tokens of its jobs.
    Buildkite,
    /// Google Cloud, by the identity tokens of its service accounts.
    Gcp,
    /// An AWS account, by the tokens that STS issues to its principals.
    Aws,
    /// A Microsoft Entra tenant, by the tokens of its managed identities and applications.
    Azure,
    /// An enterprise PKI, by the certificates that its CAs issued.
    X509,
    /// A Client Attester, by the client attestations that log agents in (draft-ietf-oauth-attestation-based-client-auth §4). They
    /// are no tokens: nobody presents them as anything else.
    ClientAttester,
    /// Another authorization server, by the identity assertion grants that it issues for the APIs here
    /// (draft-ietf-oauth-identity-assertion-authz-grant).
    IdJag,
}

const HOUR: Duration = Duration::from_hours(1);

impl TrustKind {
    /// All kinds, by the names that rules call them.
    pub const ALL: [(&'static str, Self); 13] = [
        ("oidc", Self::Oidc),
        ("oauth", Self::Oauth),
        ("spiffe", Self::Spiffe),
        ("kubernetes", Self::Kubernetes),
        ("github", Self::Github),
        ("gitlab", Self::Gitlab),
        ("buildkite", Self::Buildkite),
        ("gcp", Self::Gcp),
        ("aws", Self::Aws),
        ("azure", Self::Azure),
        ("x509", Self::X509),
        ("client_attester", Self::ClientAttester),
        ("id_jag", Self::IdJag),
    ];

    /// As it is written in a rule's file.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }

    /// True when it is about somebody who is named by `issuer`.
    pub fn has_issuer(self) -> bool {
        !matches!(self, Self::Spiffe | Self::X509)
    }

    /// True when it vouches for workloads only.
    pub fn is_platform(self) -> bool {
        !matches!(self, Self::Oidc | Self::Oauth | Self::X509 | Self::IdJag)
    }

    /// True when what it vouches for is not for named servers: a certificate, or a client attestation, whose proof is.
    pub fn is_for_everybody(self) -> bool {
        matches!(self, Self::X509 | Self::ClientAttester)
    }

    /// The `iss` that everybody on the platform shares, where there is one.
    pub fn default_issuer(self) -> Option<&'static str> {
        match self {
            Self::Github => Some("https://token.actions.githubusercontent.com"),
            Self::Buildkite => Some("https://agent.buildkite.com"),
            Self::Gcp => Some("https://accounts.google.com"),
            _ => None,
        }
    }

    /// Hosts that the platform's metadata puts its keys on, beside the issuer's own.
    pub fn default_hosts(self) -> &'static [&'static str] {
        match self {
            Self::Gcp => &["www.googleapis.com"],
            Self::Azure => &["login.microsoftonline.com", "login.windows.net"],
            _ => &[],
        }
    }

    /// By what the platform signs.
    pub fn default_algorithms(self) -> &'static [Algorithm] {
        match self {
            Self::Github | Self::Gitlab | Self::Buildkite | Self::Gcp | Self::Azure => &[Algorithm::RS256],
            Self::Aws => &[Algorithm::RS256, Algorithm::ES384],
            Self::X509 => &[],
            Self::Oidc | Self::Oauth | Self::Spiffe | Self::Kubernetes | Self::ClientAttester | Self::IdJag => {
                &[Algorithm::ES256, Algorithm::RS256]
            }
        }
    }

    /// How long the platform's tokens live at most, where the rule does not say less.
    pub fn default_lifetime(self) -> Duration {
        match self {
            // Managed identities get tokens of a day, dated five minutes back.
            Self::Azure => 25 * HOUR,
            // Redeemed at once, and remembered for as long.
            Self::IdJag => HOUR / 6,
            _ => HOUR,
        }
    }

    /// The template of the subject's id, made of what the platform never gives to somebody else.
    pub fn default_id(self) -> &'static str {
        match self {
            Self::Kubernetes => "{/kubernetes.io/serviceaccount/uid}",
            Self::Github => "{repository_owner_id}/{repository_id}",
            Self::Gitlab => "{project_id}",
            Self::Buildkite => "{organization_slug}/{pipeline_slug}",
            Self::Azure => "{oid}",
            Self::Oidc | Self::Oauth | Self::Spiffe | Self::Gcp | Self::Aws | Self::X509 | Self::ClientAttester | Self::IdJag => {
                "{sub}"
            }
        }
    }
}

impl fmt::Display for TrustKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
