//! Why a rule is not one, and rules that could never mean what they say, by what is known of the platform.

use std::fmt;

use crate::trust::platform::{self, Nature, Shape};
use crate::trust::{Literal, Matcher, Requirement, SubjectMapping, Template, TrustKind, claim_of};

/// A mistake in a trust rule. `Display` completes a sentence about its file.
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
    /// Access tokens that nothing tells from the other tokens of their issuer.
    Unmarked,
    /// An agent for others than workloads that log in by tokens.
    AgentMisplaced,
    /// An agent for every workload of the issuer.
    AgentOfAll,
    /// A lifetime of nothing.
    Lifetime,
    /// Kind `spiffe` with keys from an OpenID provider.
    SpiffeKeys,
    /// Keys that were read for the other kind: bundles for `spiffe`, JWK sets for the others.
    KeysUse,
    /// An address of keys that is not `https`, or `http` on a loopback host.
    KeysUri,
}

/// The mistakes of a rule of `kind` beyond its single parts, as far as they could be read.
pub fn mistakes(
    kind: TrustKind,
    issuer: Option<&str>,
    audiences: &[String],
    require: &[Requirement],
    subject: Option<&SubjectMapping>,
) -> Vec<TrustRuleReason> {
    let foreign = audiences.iter().filter(|audience| platform::is_foreign_audience(kind, issuer.unwrap_or_default(), audience));
    let mut reasons: Vec<_> = foreign.map(|audience| TrustRuleReason::ForeignAudience(audience.clone())).collect();
    reasons.extend(require.iter().filter_map(|requirement| mistaken(kind, requirement)));
    let templates = subject.into_iter().flat_map(|subject| [Some(&subject.id), subject.instance.as_ref()]).flatten();
    let attributes = subject.into_iter().flat_map(|subject| subject.attributes.values().map(String::as_str));
    let chosen = templates.flat_map(Template::claims).chain(attributes).filter(|claim| is_chosen(kind, claim));
    reasons.extend(chosen.map(|claim| TrustRuleReason::ChosenClaim(claim.to_owned())));
    let unpinned = !require.iter().any(|requirement| identifies(kind, requirement));
    if platform::is_shared(kind) && unpinned {
        reasons.push(TrustRuleReason::Unpinned(kind));
    }
    reasons
}

/// True when every token that meets it is of parties that the rule names.
fn identifies(kind: TrustKind, requirement: &Requirement) -> bool {
    let known = claim_of(kind, requirement.claim()).is_some_and(|fact| matches!(fact.nature, Nature::Id | Nature::Name));
    known && !matches!(requirement.matcher(), Matcher::Present)
}

/// A value of another type than the claim has never matches, and a claim that its sender chooses proves nothing.
pub fn mistaken(kind: TrustKind, requirement: &Requirement) -> Option<TrustRuleReason> {
    let claim = || requirement.claim().to_owned();
    let fact = claim_of(kind, requirement.claim())?;
    if fact.nature == Nature::Chosen {
        return Some(TrustRuleReason::ChosenClaim(claim()));
    }
    let wanted: &[Literal] = match requirement.matcher() {
        Matcher::Is(literal) => std::slice::from_ref(literal),
        Matcher::OneOf(literals) => literals,
        Matcher::Prefix(_) if fact.shape != Shape::Text && fact.shape != Shape::Object => {
            return Some(TrustRuleReason::ClaimShape(claim(), fact.shape));
        }
        Matcher::Contains(_) if fact.shape == Shape::List => &[],
        Matcher::Contains(literals) => literals,
        Matcher::Prefix(_) | Matcher::Present => &[],
    };
    wanted.iter().any(|literal| !fits(literal, fact.shape)).then(|| TrustRuleReason::ClaimShape(claim(), fact.shape))
}

fn is_chosen(kind: TrustKind, claim: &str) -> bool {
    claim_of(kind, claim).is_some_and(|fact| fact.nature == Nature::Chosen)
}

fn fits(literal: &Literal, shape: Shape) -> bool {
    matches!(
        (literal, shape),
        (_, Shape::Object)
            | (Literal::Text(_), Shape::Text)
            | (Literal::Number(_), Shape::Integer)
            | (Literal::Bool(_), Shape::Boolean)
    )
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
            Self::Unmarked => {
                "access_token.marks must name what its access tokens have and its ID tokens have not, \
                 where their typ does not tell"
            }
            Self::AgentMisplaced => "agent is for the tokens of workloads; people and certificates log in no agent by their rule",
            Self::AgentOfAll => "agent would be every workload of the issuer; require must say which of them log it in",
            Self::Lifetime => "lifetime_max must be longer than nothing",
            Self::SpiffeKeys => "keys of kind spiffe come from a bundle_file, a bundle_url or a workload_api",
            Self::KeysUse => "keys must be a bundle for kind spiffe, a ca_file for kind x509 and a JWK set for the others",
            Self::KeysUri => "keys must come from an https address (http only on a loopback host)",
        })
    }
}

/// The requirement that would say whose tokens are meant.
fn whose(kind: TrustKind) -> &'static str {
    match kind {
        TrustKind::Github => "everybody on GitHub has this issuer; require repository_id or repository_owner_id",
        TrustKind::Gitlab => "every project of the instance has this issuer; require project_id or namespace_id",
        TrustKind::Buildkite => "all of Buildkite has this issuer; require organization_id, or at least organization_slug",
        _ => "everybody with a Google account has this issuer; require sub, or at least email",
    }
}

impl std::error::Error for TrustRuleReason {}
