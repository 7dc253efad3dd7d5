//! Trust rules: one issuer or trust domain, and what its tokens must say.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{AccessTokenForm, Requirement, ReviewSource, SubjectKind, SubjectMapping, TrustKind};
use crate::jose::{Algorithm, KeyUse};
use crate::json::kind_of;
use crate::keys::KeySource;
use crate::oauth::{ClientId, Issuer, Resource, RuleName, Scope, TrustDomain};

mod check;

pub use check::{TrustRuleReason, mistaken, mistakes};

/// The parts of a rule as its file says them, before they were looked at as a whole.
#[derive(Clone, Debug)]
pub struct TrustRuleParts {
    /// The rule's name, which qualifies its subjects.
    pub name: RuleName,
    /// The kind, by whose claim rules its tokens are read.
    pub kind: TrustKind,
    /// How the rule for a token or certificate is found.
    pub selector: IssuerSelector,
    /// The accepted audiences: `aud` names one of them.
    pub audiences: Vec<String>,
    /// The algorithms by which its tokens may be signed.
    pub algorithms: Vec<Algorithm>,
    /// The longest `exp` − `iat`.
    pub lifetime_max: Duration,
    /// How the subject is read out of a token.
    pub subject: SubjectMapping,
    /// Requirements on the claims of its tokens.
    pub require: Vec<Requirement>,
    /// The agents that may present its tokens as subject tokens although they are not theirs.
    pub presenters: Vec<ClientId>,
    /// The agent that all its workloads log in, beside those whose own logins name the rule.
    pub agent: Option<ClientId>,
    /// True when it is in force.
    pub enabled: bool,
    /// The source of its keys.
    pub keys: KeySource,
    /// The meaning of the scopes of its access tokens here. Without it they mean nothing.
    pub scopes: Vec<ScopeMap>,
    /// The form of its access tokens, for kind `oauth`.
    pub access_tokens: AccessTokenForm,
    /// The API server that is asked about each token, for kind `kubernetes`.
    pub review: Option<ReviewSource>,
}

/// A rule that makes sense as a whole. Made by [`TrustRule::new`] only.
#[derive(Clone, Debug)]
pub struct TrustRule {
    parts: TrustRuleParts,
    issuer: String,
    /// Optional claims of its tokens that could not be read, as far as they were told.
    unread: Arc<Mutex<BTreeSet<String>>>,
}

/// The meaning of a scope of another authorization server here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeMap {
    /// Its name there.
    pub from: Scope,
    /// The API that it reaches here.
    pub api: Resource,
    /// The scope of that API.
    pub to: Scope,
}

/// How the rule for a token or certificate is found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum IssuerSelector {
    /// By the `iss` of its tokens, byte for byte.
    Issuer(Issuer),
    /// Kind `spiffe`: by the trust domain of its SVIDs.
    TrustDomain(TrustDomain),
    /// Kind `x509`: a PKI has no name of its own; paths to its roots are tried.
    Roots,
}

impl TrustRule {
    /// A rule from its parts.
    ///
    /// # Errors
    /// Everything that is wrong with it, not only the first.
    pub fn new(parts: TrustRuleParts) -> Result<Self, Vec<TrustRuleReason>> {
        let mut reasons = parts.faults();
        let (issuer, subject) = (parts.selector.issuer(), Some(&parts.subject));
        reasons.extend(mistakes(parts.kind, issuer, &parts.audiences, &parts.require, subject));
        match reasons.is_empty() {
            true => Ok(Self { issuer: parts.selector.name(&parts.name), parts, unread: Arc::default() }),
            false => Err(reasons),
        }
    }

    /// The rule's name.
    pub fn name(&self) -> &RuleName {
        &self.parts.name
    }

    /// The kind, by whose claim rules its tokens are read.
    pub fn kind(&self) -> TrustKind {
        self.parts.kind
    }

    /// The meaning of the scopes of its access tokens here; for kind `oauth`.
    pub fn scopes(&self) -> &[ScopeMap] {
        &self.parts.scopes
    }

    /// The form of its access tokens, for kind `oauth`; none for another kind.
    pub fn access_tokens(&self) -> Option<&AccessTokenForm> {
        Some(&self.parts.access_tokens).filter(|_| self.parts.kind == TrustKind::Oauth)
    }

    /// The `iss` of its tokens; for kind `spiffe` the trust domain as `spiffe://…`, for kind `x509` the rule as `x509:…`.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The trust domain of kind `spiffe`.
    pub fn trust_domain(&self) -> Option<&TrustDomain> {
        match &self.parts.selector {
            IssuerSelector::TrustDomain(domain) => Some(domain),
            IssuerSelector::Issuer(_) | IssuerSelector::Roots => None,
        }
    }

    /// The accepted audiences: `aud` names one of them.
    pub fn audiences(&self) -> &[String] {
        &self.parts.audiences
    }

    /// The algorithms by which its tokens may be signed.
    pub fn algorithms(&self) -> &[Algorithm] {
        &self.parts.algorithms
    }

    /// The longest `exp` − `iat`.
    pub fn lifetime_max(&self) -> Duration {
        self.parts.lifetime_max
    }

    /// The kind of party that it vouches for.
    pub fn subject_kind(&self) -> SubjectKind {
        self.parts.subject.kind
    }

    /// Requirements on the claims of its tokens.
    pub fn require(&self) -> &[Requirement] {
        &self.parts.require
    }

    /// The agents that may present its tokens as subject tokens although they are not theirs.
    pub fn presenters(&self) -> &[ClientId] {
        &self.parts.presenters
    }

    /// The agent that all its workloads log in, beside those whose own logins name the rule.
    pub fn agent(&self) -> Option<&ClientId> {
        self.parts.agent.as_ref()
    }

    /// True when it is in force.
    pub fn enabled(&self) -> bool {
        self.parts.enabled
    }

    /// True where it takes running copies by name from certificates, whose lifetime no rule bounds.
    pub fn has_lasting_instances(&self) -> bool {
        !matches!(self.parts.selector, IssuerSelector::Issuer(_)) && self.parts.subject.instance.is_some()
    }

    /// True where its keys come from the network, and through no proxy.
    pub fn fetches_directly(&self) -> bool {
        matches!(&self.parts.keys, KeySource::Remote(location, _) if location.reach().is_none_or(|reach| reach.proxy.is_none()))
    }

    /// Tells that an optional claim of its tokens is not what it should be, and so not known here; once for each claim.
    pub(crate) fn tell_unread(&self, claim: &str, value: Option<&str>) {
        let mut told = self.unread.lock().unwrap_or_else(PoisonError::into_inner);
        if told.insert(claim.to_owned()) {
            let (rule, found) = (self.name(), value.map_or("absent", kind_of));
            tracing::warn!(%rule, claim, found, "an optional claim of the tokens cannot be read, so it is not known to policies");
        }
    }

    pub(super) fn selector(&self) -> &IssuerSelector {
        &self.parts.selector
    }

    /// How it reads the subject out of a token.
    pub fn subject(&self) -> &SubjectMapping {
        &self.parts.subject
    }

    /// The API server that is asked about each of its tokens, for kind `kubernetes`.
    pub fn review(&self) -> Option<&ReviewSource> {
        self.parts.review.as_ref()
    }

    pub(super) fn keys(&self) -> &KeySource {
        &self.parts.keys
    }
}

impl TrustRuleParts {
    /// True where what it vouches for are workloads that log in by tokens of their own.
    fn logs_in_by_tokens(&self) -> bool {
        self.subject.kind == SubjectKind::Workload && !self.kind.is_for_everybody() && self.kind != TrustKind::IdJag
    }

    /// The faults of single parts.
    fn faults(&self) -> Vec<TrustRuleReason> {
        let (spiffe, roots, named) = (self.kind == TrustKind::Spiffe, self.kind == TrustKind::X509, self.kind.has_issuer());
        let is_issuer = matches!(self.selector, IssuerSelector::Issuer(_));
        let is_domain = matches!(self.selector, IssuerSelector::TrustDomain(_));
        let unmarked = self.access_tokens.needs_marks() && self.access_tokens.marks.is_empty();
        let faults = [
            (
                !self.kind.is_for_everybody() && (self.audiences.is_empty() || self.audiences.iter().any(String::is_empty)),
                TrustRuleReason::Audiences,
            ),
            (!roots && self.algorithms.is_empty(), TrustRuleReason::Algorithms),
            (spiffe && self.algorithms.contains(&Algorithm::EdDSA), TrustRuleReason::SpiffeAlgorithm),
            (self.lifetime_max.is_zero(), TrustRuleReason::Lifetime),
            (named && !is_issuer, TrustRuleReason::IssuerMissing(self.kind)),
            (!named && is_issuer, TrustRuleReason::IssuerUseless(self.kind)),
            (spiffe && !is_domain, TrustRuleReason::TrustDomainMissing),
            (!spiffe && is_domain, TrustRuleReason::TrustDomainUseless(self.kind)),
            (unmarked, TrustRuleReason::Unmarked),
            (self.agent.is_some() && !self.logs_in_by_tokens(), TrustRuleReason::AgentMisplaced),
            (self.agent.is_some() && self.logs_in_by_tokens() && self.require.is_empty(), TrustRuleReason::AgentOfAll),
            (self.kind.is_platform() && self.subject.kind == SubjectKind::User, TrustRuleReason::People(self.kind)),
        ];
        let faults = faults.into_iter().filter(|(faulty, _)| *faulty).map(|(_, reason)| reason);
        let unreachable = (!self.keys.is_fetchable()).then_some(TrustRuleReason::KeysUri);
        faults.chain(misplaced(&self.keys, self.kind)).chain(unreachable).collect()
    }
}

#[cfg(test)]
impl TrustRuleParts {
    /// A rule in force over tokens for "us", whose subject is their `sub`: a user of kind `oidc`, a workload of any other.
    #[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    pub(crate) fn for_tests(name: &str, kind: TrustKind, selector: IssuerSelector, keys: KeySource) -> Self {
        let subject = SubjectMapping::workload("{sub}").unwrap();
        let party = if kind == TrustKind::Oidc { SubjectKind::User } else { SubjectKind::Workload };
        Self {
            name: RuleName::parse(name).unwrap(),
            kind,
            selector,
            audiences: vec!["us".to_owned()],
            algorithms: vec![Algorithm::ES256],
            lifetime_max: Duration::from_secs(100_000),
            subject: SubjectMapping { kind: party, ..subject },
            require: Vec::new(),
            presenters: Vec::new(),
            agent: None,
            enabled: true,
            keys,
            scopes: Vec::new(),
            access_tokens: AccessTokenForm::default(),
            review: None,
        }
    }
}

impl IssuerSelector {
    /// The `iss` of the tokens, where there is one.
    pub fn issuer(&self) -> Option<&str> {
        if let Self::Issuer(issuer) = self { Some(issuer.as_str()) } else { None }
    }

    fn name(&self, rule: &RuleName) -> String {
        match self {
            Self::Issuer(issuer) => issuer.to_string(),
            Self::TrustDomain(domain) => format!("spiffe://{domain}"),
            Self::Roots => format!("x509:{rule}"),
        }
    }
}

/// The fault of keys that are not of the sort that a rule of `kind` needs.
fn misplaced(keys: &KeySource, kind: TrustKind) -> Option<TrustRuleReason> {
    let fits = match (keys, kind) {
        (KeySource::Fixed(keys), TrustKind::Spiffe) => keys.key_use() == KeyUse::JwtSvid,
        (KeySource::Fixed(keys), _) => keys.key_use() == KeyUse::Signature && kind.has_issuer(),
        (KeySource::Bundle(_), _) => kind == TrustKind::Spiffe,
        (KeySource::Roots(_), _) => kind == TrustKind::X509,
        (KeySource::Remote(location, _), _) if location.is_bundle() => kind == TrustKind::Spiffe,
        (KeySource::Remote(..), TrustKind::Spiffe) => return Some(TrustRuleReason::SpiffeKeys),
        (KeySource::Remote(..), _) => kind != TrustKind::X509,
    };
    (!fits).then_some(TrustRuleReason::KeysUse)
}
