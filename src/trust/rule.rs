//! Trust rules: one issuer or trust domain, and what its tokens must say.

use std::time::Duration;

use super::subject::SubjectMapping;
use super::{KeySource, Matcher, Requirement, SubjectKind, SubjectParts, TrustDomain, TrustKind, TrustRuleReason};
use crate::jose::Algorithm;
use crate::oauth::{ClientId, Issuer, Resource, RuleName, Scope};

mod check;

pub use check::{mistaken, mistakes};

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
}

/// A rule that makes sense as a whole.
#[derive(Clone, Debug)]
pub struct TrustRule {
    name: RuleName,
    kind: TrustKind,
    anchor: IssuerSelector,
    issuer: String,
    audiences: Vec<String>,
    algorithms: Vec<Algorithm>,
    lifetime_max: Duration,
    subject: SubjectMapping,
    require: Vec<Requirement>,
    presenters: Vec<ClientId>,
    enabled: bool,
    keys: KeySource,
    scopes: Vec<ScopeMap>,
}

/// What a scope of another authorization server means here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeMap {
    /// Its name there.
    pub from: Scope,
    /// The API that it reaches here.
    pub api: Resource,
    /// The scope of that API.
    pub to: Scope,
}

/// By what the rule for a token is found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum IssuerSelector {
    Issuer(Issuer),
    TrustDomain(TrustDomain),
    /// A PKI has no name of its own; its chains are tried.
    Chain,
}

impl TrustRule {
    /// A rule from its parts.
    ///
    /// # Errors
    /// Everything that is wrong with it, not only the first.
    pub fn new(parts: TrustRuleParts) -> Result<Self, Vec<TrustRuleReason>> {
        let mut reasons = parts.lacks();
        let anchor = parts.anchor().map_err(|reason| reasons.push(reason)).ok();
        let require = requirements(parts.require, &mut reasons);
        let issuer = parts.issuer.as_ref().map(Issuer::as_str);
        reasons.extend(mistakes(parts.kind, issuer, &parts.audiences, &require, Some(&parts.subject)));
        let subject = SubjectMapping::new(parts.subject).map_err(|reason| reasons.push(TrustRuleReason::Template(reason))).ok();
        match (anchor, subject, reasons.is_empty()) {
            (Some(anchor), Some(subject), true) => Ok(Self {
                issuer: anchor.issuer(&parts.name),
                name: parts.name,
                kind: parts.kind,
                anchor,
                audiences: parts.audiences,
                algorithms: parts.algorithms,
                lifetime_max: parts.lifetime_max,
                subject,
                require,
                presenters: parts.presenters,
                enabled: parts.enabled,
                keys: parts.keys,
                scopes: Vec::new(),
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
        self.kind
    }

    /// The same with what the scopes of its access tokens mean here. Without it they mean nothing.
    #[must_use]
    pub fn with_scopes(self, scopes: Vec<ScopeMap>) -> Self {
        Self { scopes, ..self }
    }

    /// What the scopes of its access tokens mean here; for kind `oauth`.
    pub fn scopes(&self) -> &[ScopeMap] {
        &self.scopes
    }

    /// The `iss` of its tokens; for kind `spiffe` the trust domain as `spiffe://…`, for kind `x509` the rule as `x509:…`.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The trust domain of kind `spiffe`.
    pub fn trust_domain(&self) -> Option<&TrustDomain> {
        match &self.anchor {
            IssuerSelector::TrustDomain(domain) => Some(domain),
            IssuerSelector::Issuer(_) | IssuerSelector::Chain => None,
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

    /// Whether it says which values `claim` may have, and so has thought of it.
    pub(super) fn names(&self, claim: &str) -> bool {
        let exact = |requirement: &Requirement| matches!(requirement.matcher(), Matcher::Is(_) | Matcher::OneOf(_));
        self.require.iter().any(|requirement| requirement.claim() == claim && exact(requirement))
    }

    pub(super) fn anchor(&self) -> &IssuerSelector {
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
        let (spiffe, chain) = (self.kind == TrustKind::Spiffe, self.kind == TrustKind::X509);
        let faults = [
            (!chain && (self.audiences.is_empty() || self.audiences.iter().any(String::is_empty)), TrustRuleReason::Audiences),
            (!chain && self.algorithms.is_empty(), TrustRuleReason::Algorithms),
            (spiffe && self.algorithms.contains(&Algorithm::EdDSA), TrustRuleReason::SpiffeAlgorithm),
            (self.lifetime_max.is_zero(), TrustRuleReason::Lifetime),
            (!self.kind.has_issuer() && self.issuer.is_some(), TrustRuleReason::IssuerUseless(self.kind)),
            (!spiffe && self.trust_domain.is_some(), TrustRuleReason::TrustDomainUseless(self.kind)),
            (self.kind.is_platform() && self.subject.kind == SubjectKind::User, TrustRuleReason::People(self.kind)),
            (spiffe && self.keys.is_jwks(), TrustRuleReason::SpiffeKeys),
            (!self.keys.is_for(self.kind), TrustRuleReason::KeysUse),
            (!self.keys.is_fetchable(), TrustRuleReason::KeysUri),
        ];
        faults.into_iter().filter(|(faulty, _)| *faulty).map(|(_, reason)| reason).collect()
    }

    fn anchor(&self) -> Result<IssuerSelector, TrustRuleReason> {
        match self.kind {
            TrustKind::Spiffe => {
                self.trust_domain.clone().map(IssuerSelector::TrustDomain).ok_or(TrustRuleReason::TrustDomainMissing)
            }
            TrustKind::X509 => Ok(IssuerSelector::Chain),
            kind => self.issuer.clone().map(IssuerSelector::Issuer).ok_or(TrustRuleReason::IssuerMissing(kind)),
        }
    }
}

impl IssuerSelector {
    fn issuer(&self, rule: &RuleName) -> String {
        match self {
            Self::Issuer(issuer) => issuer.to_string(),
            Self::TrustDomain(domain) => format!("spiffe://{domain}"),
            Self::Chain => format!("x509:{rule}"),
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
