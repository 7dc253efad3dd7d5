//! Why nobody vouches for a token, and why a rule is not one.

use std::fmt;

use super::x509::X509Reason;
use super::{ConfirmationReason, MatcherReason, PlatformReason, Shape, SpiffeIdReason, TemplateReason, TrustKind};
use crate::jose::JoseReason;

/// Why a token is not vouched for. `Display` is a public sentence: it never says which issuers, audiences or values are expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TrustReason {
    /// No rule is for the token's issuer or trust domain.
    Issuer,
    /// The rule for it is switched off.
    Disabled,
    /// `typ` says that it is something else.
    Typ,
    /// A header member that JWT-SVIDs may not have (SPIFFE JWT-SVID §2).
    HeaderMember,
    /// A foreign access token, which needs a rule of kind `oauth`.
    AccessToken,
    /// A logout token or security event.
    Event,
    /// `sub` is no SPIFFE ID of a workload.
    SpiffeId,
    /// Not what its platform gives to a workload.
    Platform(PlatformReason),
    /// No `exp`.
    NoExpiry,
    /// `exp` has passed.
    Expired,
    /// `iat` or `nbf` is more than a minute ahead.
    Early,
    /// It lives longer than the rule allows.
    Lifetime,
    /// The JWS or a claim's type is wrong, or the signature does not verify.
    Jose(JoseReason),
    /// The certificate chain proves nothing.
    Certificate(X509Reason),
    /// `aud` does not name us.
    Audience,
    /// It is bound to a key in a way that is not understood.
    Confirmation(ConfirmationReason),
    /// A claim that the rule requires is absent or has another value.
    Requirement,
    /// A claim that makes up the subject's id is absent or unusable.
    SubjectId,
    /// A claim that makes up the instance is absent or unusable.
    Instance,
    /// A claim that an attribute is taken from is no string, boolean or number.
    Attribute,
    /// More than one rule vouches for it.
    Ambiguous,
    /// The revocation list by which a certificate would be judged is out of date: no verdict.
    ListExpired,
    /// The issuer's keys cannot be had now: no verdict, which is not a refusal.
    KeysUnavailable,
}

impl TrustReason {
    /// Whether nobody can tell now, so that the answer is to come back and not that it is refused.
    pub fn is_no_verdict(&self) -> bool {
        matches!(self, Self::ListExpired | Self::KeysUnavailable)
    }
}

impl From<JoseReason> for TrustReason {
    fn from(reason: JoseReason) -> Self {
        Self::Jose(reason)
    }
}

impl fmt::Display for TrustReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Issuer | Self::Disabled => "the issuer of the token is not trusted here; a trust rule must name it",
            Self::Typ => "the typ of the token says that it is not an identity token or attestation",
            Self::HeaderMember => "the header of a JWT-SVID may have alg, kid and typ only",
            Self::AccessToken => "the token is an access token of another server, which needs a trust rule of kind oauth",
            Self::Event => "the token reports an event and identifies nobody",
            Self::SpiffeId => "the sub of the token is not the SPIFFE ID of a workload",
            Self::Platform(reason) => return reason.fmt(f),
            Self::Certificate(reason) => return reason.fmt(f),
            Self::Confirmation(reason) => return reason.fmt(f),
            Self::NoExpiry => "the token has no exp",
            Self::Expired => "the token has expired",
            Self::Early => "the iat or nbf of the token is too far in the future",
            Self::Lifetime => "the token lives longer than its trust rule allows",
            Self::Jose(reason) => return reason.fmt(f),
            Self::Audience => "the aud of the token does not name this server",
            Self::Requirement => "the claims of the token do not meet its trust rule",
            Self::SubjectId => "a claim that its trust rule takes the subject from is missing or unusable in the token",
            Self::Instance => "a claim that its trust rule takes the instance from is missing or unusable in the token",
            Self::Attribute => "a claim that its trust rule takes an attribute from is not a string, boolean or number",
            Self::Ambiguous => "more than one trust rule accepts the token",
            Self::ListExpired => return X509Reason::ListExpired.fmt(f),
            Self::KeysUnavailable => "the keys of the issuer of the token cannot be had at the moment; try again later",
        })
    }
}

impl std::error::Error for TrustReason {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Jose(reason) => Some(reason),
            Self::Platform(reason) => Some(reason),
            Self::Certificate(reason) => Some(reason),
            Self::Confirmation(reason) => Some(reason),
            _ => None,
        }
    }
}

/// What is wrong with a trust rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrustRuleReason {
    /// A kind whose tokens are found by `iss`, without an issuer.
    IssuerMissing(TrustKind),
    /// Kind `spiffe` or `x509` with an issuer: SVIDs are trusted by domain and bundle, certificates by their roots.
    IssuerUseless(TrustKind),
    /// Kind `spiffe` without a trust domain.
    TrustDomainMissing,
    /// A kind other than `spiffe` with a trust domain.
    TrustDomainUseless(TrustKind),
    /// A platform's workloads taken for people.
    People(TrustKind),
    /// An audience that means the platform itself, or everybody.
    ForeignAudience(String),
    /// A decision on what the sender of a token chooses.
    ChosenClaim(String),
    /// A value of another type than the platform writes: it would never match.
    ClaimShape(String, Shape),
    /// A shared issuer, and no requirement that says whose tokens are meant.
    Unpinned(TrustKind),
    /// No audience, or an empty one.
    Audiences,
    /// No algorithm.
    Algorithms,
    /// EdDSA in a rule of kind `spiffe` (SPIFFE JWT-SVID §2.2).
    SpiffeAlgorithm,
    /// A lifetime of nothing.
    Lifetime,
    /// The subject's id or instance.
    Template(TemplateReason),
    /// A requirement.
    Requirement(String, MatcherReason),
    /// The trust domain.
    SpiffeId(SpiffeIdReason),
    /// Kind `spiffe` with keys from an OpenID provider.
    SpiffeKeys,
    /// Keys that were read for the other kind: bundles for `spiffe`, JWK sets for the others.
    KeysUse,
    /// An address of keys that is not `https`, or `http` on a loopback host.
    KeysUri,
}

impl fmt::Display for TrustRuleReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::IssuerMissing(kind) => return write!(f, "issuer is missing; kind {kind} needs it"),
            Self::IssuerUseless(TrustKind::X509) => "issuer is of no use in kind x509; certificates are trusted by their roots",
            Self::IssuerUseless(_) => "issuer is of no use in kind spiffe; SVIDs are trusted by trust_domain and bundle",
            Self::TrustDomainMissing => "trust_domain is missing; kind spiffe needs it",
            Self::TrustDomainUseless(kind) => return write!(f, "trust_domain is of no use in kind {kind}"),
            Self::People(kind) => return write!(f, "subject.kind must be \"workload\"; kind {kind} vouches for nobody else"),
            Self::ForeignAudience(audience) => {
                return write!(
                    f,
                    "audiences must not name {audience}: such tokens are for the platform itself, or for everybody"
                );
            }
            Self::ChosenClaim(claim) => return write!(f, "{claim} is chosen by whoever asks for the token and proves nothing"),
            Self::ClaimShape(claim, shape) => {
                return write!(f, "require {claim} can never match: the platform writes {} there", shape.name());
            }
            Self::Unpinned(kind) => return write!(f, "require must say whose tokens are meant: {}", whose(*kind)),
            Self::Audiences => "audiences must name at least one value that the aud of a token has to contain",
            Self::Algorithms => "algorithms must name at least one algorithm",
            Self::SpiffeAlgorithm => "algorithms must not name EdDSA in kind spiffe; JWT-SVIDs use RS, PS or ES",
            Self::Lifetime => "lifetime_max must be longer than nothing",
            Self::Template(reason) => return write!(f, "subject {reason}"),
            Self::Requirement(claim, reason) => return write!(f, "require {claim} {reason}"),
            Self::SpiffeId(reason) => return write!(f, "trust_domain {reason}"),
            Self::SpiffeKeys => "keys of kind spiffe come from a bundle_file, a bundle_url or a workload_api",
            Self::KeysUse => "keys must be a bundle for kind spiffe, a ca_file for kind x509 and a JWK set for the others",
            Self::KeysUri => "keys must come from an https address (http only on a loopback host)",
        })
    }
}

/// What would say whose tokens are meant.
fn whose(kind: TrustKind) -> &'static str {
    match kind {
        TrustKind::Github => "everybody on GitHub has this issuer; require repository_id or repository_owner_id",
        TrustKind::Gitlab => "every project of the instance has this issuer; require project_id or namespace_id",
        TrustKind::Buildkite => "all of Buildkite has this issuer; require organization_id, or at least organization_slug",
        _ => "everybody with a Google account has this issuer; require sub, or at least email",
    }
}

impl std::error::Error for TrustRuleReason {}
