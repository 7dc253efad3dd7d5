//! X509-SVIDs: whom the certificate of a connection names, under the rule of its trust domain (SPIFFE X509-SVID §5).

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use super::x509::{self, Leaf, Roots, X509Reason};
use super::{SpiffeId, Trust, TrustRule};
use crate::jose::Object;
use crate::oauth::Time;

/// What an X509-SVID says about its workload, by the one rule that accepts it. Made by [`Trust::vouch_svid`] only.
#[derive(Clone, Debug)]
pub struct VouchedSvid {
    rule: Arc<TrustRule>,
    spiffe_id: SpiffeId,
    id: String,
    instance: Option<String>,
    expires: Time,
}

/// Why no rule vouches for an X509-SVID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SvidReason {
    /// No rule in force of that trust domain has X.509 authorities.
    Domain,
    /// The bundle of the trust domain cannot be had now: no verdict, which is not a refusal.
    Unavailable,
    /// The chain or the leaf.
    X509(X509Reason),
    /// A requirement of the rule, or a claim in its subject, that a certificate cannot meet.
    Requirement,
}

impl Trust {
    /// Finds the one rule of the trust domain `domain` that accepts a certificate. `validated` looks for a path to roots; it is
    /// given those of that trust domain that count at `now`, and no others (SPIFFE X509-SVID §5.1), so that nobody else can vouch
    /// for its workloads.
    ///
    /// # Errors
    /// See [`SvidReason`].
    pub fn vouch_svid(
        &self,
        domain: &str,
        now: Time,
        validated: impl Fn(&Roots) -> Result<Arc<Leaf>, X509Reason>,
    ) -> Result<VouchedSvid, SvidReason> {
        let mut refused = SvidReason::Domain;
        let of_domain = |rule: &&Arc<TrustRule>| rule.trust_domain().is_some_and(|own| own.as_str() == domain) && rule.enabled();
        for rule in self.rules().filter(of_domain) {
            let Some(roots) = self.roots(rule.name(), now).map_err(|_| SvidReason::Unavailable)? else { continue };
            match validated(&roots).map_err(SvidReason::X509).and_then(|leaf| VouchedSvid::new(rule, &leaf)) {
                Ok(vouched) => return Ok(vouched),
                Err(reason) => refused = reason,
            }
        }
        Err(refused)
    }
}

impl VouchedSvid {
    /// A certificate says of its subject what a JWT-SVID says in `sub`, and nothing else that a rule could ask for.
    fn new(rule: &Arc<TrustRule>, leaf: &Leaf) -> Result<Self, SvidReason> {
        let domain = rule.trust_domain().ok_or(SvidReason::Domain)?;
        let spiffe_id = x509::spiffe_id(leaf, domain).map_err(SvidReason::X509)?;
        let claims = format!("{{\"sub\":\"{}\"}}", spiffe_id.as_str());
        let claims = Object::parse(claims).map_err(|_| SvidReason::Requirement)?;
        let unmet = rule.require().iter().any(|requirement| !requirement.holds(&claims));
        let id = rule.subject().id(&claims).ok().filter(|_| !unmet).ok_or(SvidReason::Requirement)?;
        let instance = rule.subject().instance(&claims).ok().flatten();
        let instance = instance.or_else(|| Some(spiffe_id.path().to_owned()));
        Ok(Self { rule: Arc::clone(rule), spiffe_id, id, instance, expires: leaf.not_after })
    }

    /// The rule that accepted it.
    pub fn rule(&self) -> &Arc<TrustRule> {
        &self.rule
    }

    /// The SPIFFE ID.
    pub fn spiffe_id(&self) -> &SpiffeId {
        &self.spiffe_id
    }

    /// The subject's id under the rule.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Which running copy of the workload it is.
    pub fn instance(&self) -> Option<&str> {
        self.instance.as_deref()
    }

    /// When the certificate runs out.
    pub fn expires(&self) -> Time {
        self.expires
    }
}

impl fmt::Display for SvidReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain => f.write_str("no trust rule in force has X.509 authorities of that trust domain"),
            Self::Unavailable => f.write_str("the bundle of that trust domain cannot be had at the moment"),
            Self::X509(reason) => reason.fmt(f),
            Self::Requirement => f.write_str("a requirement of the trust rule is not met by a certificate"),
        }
    }
}

impl Error for SvidReason {}
