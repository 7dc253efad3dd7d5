//! Trust rules: one issuer or trust domain, and what its tokens must say.

use std::sync::Arc;
use std::time::Duration;

use super::subject::SubjectMapping;
use super::x509::Roots;
use super::{KeySource, Matcher, Requirement, SubjectKind, SubjectParts, TrustDomain, TrustRuleReason};
use crate::jose::{Algorithm, KeyUse};
use crate::oauth::{ClientId, Issuer, RuleName};

/// Whose tokens a rule is about, and hence by which claim rules they are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TrustKind {
    /// An OpenID provider, or anybody who signs identity tokens and attestations as JWTs and is named by `iss`.
    Oidc,
    /// A SPIFFE trust domain, by its JWT-SVIDs.
    Spiffe,
}

/// A rule as its file says it, before it was looked at as a whole.
#[derive(Clone, Debug)]
pub struct TrustRuleParts {
    /// The rule's name, which qualifies its subjects.
    pub name: RuleName,
    /// By which claim rules its tokens are read.
    pub kind: TrustKind,
    /// The `iss` of its tokens, byte for byte. None for kind `spiffe`.
    pub issuer: Option<Issuer>,
    /// The trust domain of its subjects, for kind `spiffe` only.
    pub trust_domain: Option<TrustDomain>,
    /// What `aud` has to name, one of them.
    pub audiences: Vec<String>,
    /// By which algorithms its tokens may be signed.
    pub algorithms: Vec<Algorithm>,
    /// The longest `exp` − `iat`.
    pub lifetime_max: Duration,
    /// How the subject is read out of a token.
    pub subject: SubjectParts,
    /// What else its tokens must say, as claims and what they must be.
    pub require: Vec<(String, Matcher)>,
    /// Who may present its tokens as subject tokens although they are not theirs.
    pub presenters: Vec<ClientId>,
    /// Whether it is in force.
    pub enabled: bool,
    /// Where its keys come from.
    pub keys: KeySource,
    /// Who issues X509-SVIDs in the trust domain; for kind `spiffe` only.
    pub authorities: Option<Arc<Roots>>,
}

/// A rule that makes sense as a whole.
#[derive(Clone, Debug)]
pub struct TrustRule {
    name: RuleName,
    anchor: Anchor,
    issuer: String,
    audiences: Vec<String>,
    algorithms: Vec<Algorithm>,
    lifetime_max: Duration,
    subject: SubjectMapping,
    require: Vec<Requirement>,
    presenters: Vec<ClientId>,
    enabled: bool,
    keys: KeySource,
    authorities: Option<Arc<Roots>>,
}

/// By what the rule for a token is found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Anchor {
    Issuer(Issuer),
    TrustDomain(TrustDomain),
}

impl TrustRule {
    /// A rule from its parts.
    ///
    /// # Errors
    /// Everything that is wrong with it, not only the first.
    pub fn new(parts: TrustRuleParts) -> Result<Self, Vec<TrustRuleReason>> {
        let mut reasons = parts.lacks();
        let anchor = parts.anchor().map_err(|reason| reasons.push(reason)).ok();
        let subject = SubjectMapping::new(parts.subject).map_err(|reason| reasons.push(TrustRuleReason::Template(reason))).ok();
        let require = requirements(parts.require, &mut reasons);
        match (anchor, subject, reasons.is_empty()) {
            (Some(anchor), Some(subject), true) => Ok(Self {
                name: parts.name,
                issuer: anchor.issuer(),
                anchor,
                audiences: parts.audiences,
                algorithms: parts.algorithms,
                lifetime_max: parts.lifetime_max,
                subject,
                require,
                presenters: parts.presenters,
                enabled: parts.enabled,
                keys: parts.keys,
                authorities: parts.authorities,
            }),
            _ => Err(reasons),
        }
    }

    /// The rule's name.
    pub fn name(&self) -> &RuleName {
        &self.name
    }

    /// By which claim rules its tokens are read.
    pub fn kind(&self) -> TrustKind {
        match self.anchor {
            Anchor::Issuer(_) => TrustKind::Oidc,
            Anchor::TrustDomain(_) => TrustKind::Spiffe,
        }
    }

    /// The `iss` of its tokens; for kind `spiffe` the trust domain as `spiffe://…`.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The trust domain of kind `spiffe`.
    pub fn trust_domain(&self) -> Option<&TrustDomain> {
        match &self.anchor {
            Anchor::TrustDomain(domain) => Some(domain),
            Anchor::Issuer(_) => None,
        }
    }

    /// What `aud` has to name, one of them.
    pub fn audiences(&self) -> &[String] {
        &self.audiences
    }

    /// By which algorithms its tokens may be signed.
    pub fn algorithms(&self) -> &[Algorithm] {
        &self.algorithms
    }

    /// The longest `exp` − `iat`.
    pub fn lifetime_max(&self) -> Duration {
        self.lifetime_max
    }

    /// Whether it vouches for people or for workloads.
    pub fn subject_kind(&self) -> SubjectKind {
        self.subject.kind
    }

    /// What else its tokens must say.
    pub fn require(&self) -> &[Requirement] {
        &self.require
    }

    /// Who may present its tokens as subject tokens although they are not theirs.
    pub fn presenters(&self) -> &[ClientId] {
        &self.presenters
    }

    /// Whether it is in force.
    pub fn enabled(&self) -> bool {
        self.enabled
    }

    /// Who issues X509-SVIDs in the trust domain.
    pub(super) fn authorities(&self) -> Option<&Arc<Roots>> {
        self.authorities.as_ref()
    }

    pub(super) fn anchor(&self) -> &Anchor {
        &self.anchor
    }

    pub(super) fn subject(&self) -> &SubjectMapping {
        &self.subject
    }

    pub(super) fn keys(&self) -> &KeySource {
        &self.keys
    }
}

impl TrustRuleParts {
    /// What is wrong with single parts.
    fn lacks(&self) -> Vec<TrustRuleReason> {
        let spiffe = self.kind == TrustKind::Spiffe;
        let key_use = if spiffe { KeyUse::JwtSvid } else { KeyUse::Signature };
        let faults = [
            (self.audiences.is_empty() || self.audiences.iter().any(String::is_empty), TrustRuleReason::Audiences),
            (self.algorithms.is_empty(), TrustRuleReason::Algorithms),
            (spiffe && self.algorithms.contains(&Algorithm::EdDSA), TrustRuleReason::SpiffeAlgorithm),
            (self.lifetime_max.is_zero(), TrustRuleReason::Lifetime),
            (spiffe && self.issuer.is_some(), TrustRuleReason::IssuerUseless),
            (!spiffe && self.trust_domain.is_some(), TrustRuleReason::TrustDomainUseless),
            (spiffe && self.keys.is_remote(), TrustRuleReason::SpiffeKeys),
            (!self.keys.is_for(key_use), TrustRuleReason::KeysUse),
            (!self.keys.is_fetchable(), TrustRuleReason::KeysUri),
        ];
        faults.into_iter().filter(|(faulty, _)| *faulty).map(|(_, reason)| reason).collect()
    }

    fn anchor(&self) -> Result<Anchor, TrustRuleReason> {
        match self.kind {
            TrustKind::Oidc => self.issuer.clone().map(Anchor::Issuer).ok_or(TrustRuleReason::IssuerMissing),
            TrustKind::Spiffe => self.trust_domain.clone().map(Anchor::TrustDomain).ok_or(TrustRuleReason::TrustDomainMissing),
        }
    }
}

impl Anchor {
    fn issuer(&self) -> String {
        match self {
            Self::Issuer(issuer) => issuer.to_string(),
            Self::TrustDomain(domain) => format!("spiffe://{domain}"),
        }
    }
}

fn requirements(wanted: Vec<(String, Matcher)>, reasons: &mut Vec<TrustRuleReason>) -> Vec<Requirement> {
    let mut good = Vec::new();
    for (claim, matcher) in wanted {
        match Requirement::new(&claim, matcher) {
            Ok(requirement) => good.push(requirement),
            Err(reason) => reasons.push(TrustRuleReason::Requirement(claim, reason)),
        }
    }
    good
}
