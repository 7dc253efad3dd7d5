//! Certificates as attestations: X509-SVIDs of a trust domain, and leafs of an enterprise PKI.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{Anchored, TrustStore, Verdict};
use crate::jose::Object;
use crate::oauth::{RuleName, Time};
use crate::trust::rule::IssuerSelector;
use crate::trust::x509::{self, Leaf, Roots, Usage, X509Reason};
use crate::trust::{SpiffeId, TrustReason, VerifiedAssertion};

impl TrustStore {
    /// Whether the rule `name`, of kind `x509`, accepts a certificate. `validated` looks for a path to the rule's roots and
    /// may know it already. A certificate with a SPIFFE ID is for the rule of its trust domain to judge, and for no other.
    ///
    /// # Errors
    /// See [`TrustReason`].
    pub fn vouch_leaf(
        &self,
        name: &RuleName,
        now: Time,
        validated: impl Fn(&Roots) -> Result<Arc<Leaf>, X509Reason>,
    ) -> Result<VerifiedAssertion, TrustReason> {
        let rule = self.rule(name).filter(|rule| *rule.anchor() == IssuerSelector::Chain).ok_or(TrustReason::Issuer)?;
        if !rule.enabled() {
            return Err(TrustReason::Disabled);
        }
        let roots = self.roots(name, now)?.ok_or(X509Reason::Path)?;
        let leaf = validated(&roots)?;
        if leaf.uris.iter().any(|uri| x509::is_spiffe(uri)) {
            return Err(X509Reason::SpiffeId.into());
        }
        VerifiedAssertion::of_certificate(rule, claims(&leaf, None)?, leaf)
    }

    /// Finds the one rule that accepts the certificate chain, the leaf first, and reads its subject. Who presents it must have
    /// proved the leaf's key, as a TLS handshake does. A leaf with a SPIFFE ID is judged by its trust domain's bundle alone,
    /// every other one by the rules of kind `x509`. It waits for nobody: a bundle that is not there is no verdict.
    ///
    /// # Errors
    /// See [`TrustReason`]. Of several rules, the reason of the one that came furthest.
    pub fn vouch_certificate<C: AsRef<[u8]>>(&self, chain: &[C], now: Time) -> Result<VerifiedAssertion, TrustReason> {
        self.vouch_validated(chain, now, &|roots| x509::validate(roots, chain, now, Usage::Client).map(Arc::new))
    }

    /// The same, with a path to roots found by `validated`, which may remember one.
    ///
    /// # Errors
    /// As [`Self::vouch_certificate`].
    pub fn vouch_validated<C: AsRef<[u8]>>(
        &self,
        chain: &[C],
        now: Time,
        validated: &dyn Fn(&Roots) -> Result<Arc<Leaf>, X509Reason>,
    ) -> Result<VerifiedAssertion, TrustReason> {
        let leaf = chain.first().ok_or(X509Reason::Empty)?;
        let rules = match x509::claimed_spiffe_id(leaf.as_ref())? {
            Some(id) => self.by_anchor.get(format!("spiffe://{}", id.trust_domain()).as_str()).map(Vec::as_slice),
            None => Some(self.chains.as_slice()),
        };
        let mut verdict = Verdict::default();
        for anchored in rules.unwrap_or_default().iter().filter_map(|at| self.anchored.get(*at)) {
            verdict.add(&anchored.rule, attempt(anchored, now, validated));
        }
        verdict.settle()
    }
}

fn attempt(
    anchored: &Anchored,
    now: Time,
    validated: &dyn Fn(&Roots) -> Result<Arc<Leaf>, X509Reason>,
) -> Result<VerifiedAssertion, TrustReason> {
    let rule = &anchored.rule;
    if !rule.enabled() {
        return Err(TrustReason::Disabled);
    }
    let material = anchored.keys.for_certificates(now).ok_or(TrustReason::KeysUnavailable)?;
    let roots = material.roots.ok_or(TrustReason::Certificate(X509Reason::Path))?;
    let leaf = validated(&roots)?;
    let id = match rule.anchor() {
        IssuerSelector::TrustDomain(domain) => Some(x509::spiffe_id(&leaf, domain)?),
        IssuerSelector::Chain | IssuerSelector::Issuer(_) => None,
    };
    VerifiedAssertion::of_certificate(rule, claims(&leaf, id.as_ref())?, leaf)
}

/// What a certificate says, as claims: `sub` is the SPIFFE ID or the subject's distinguished name. A kind of name that stands
/// once is a string, several are an array, which no matcher equals.
fn claims(leaf: &Leaf, id: Option<&SpiffeId>) -> Result<Object, TrustReason> {
    let mut members = Map::new();
    members.insert("sub".to_owned(), id.map_or(leaf.subject.as_str(), SpiffeId::as_str).into());
    members.insert("issuer".to_owned(), leaf.issuer.as_str().into());
    members.insert("serial".to_owned(), leaf.serial.as_str().into());
    members.insert("x5t#S256".to_owned(), leaf.thumbprint.to_string().into());
    for (name, list) in [("uri", &leaf.uris), ("dns", &leaf.dns), ("email", &leaf.emails)] {
        match list.as_slice() {
            [] => {}
            [one] => drop(members.insert(name.to_owned(), one.as_str().into())),
            several => drop(members.insert(name.to_owned(), several.into())),
        }
    }
    let parts = leaf.parts.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str())));
    members.insert("subject".to_owned(), Value::Object(parts.collect()));
    Ok(Object::parse(Value::Object(members).to_string())?)
}

impl From<X509Reason> for TrustReason {
    fn from(reason: X509Reason) -> Self {
        match reason {
            X509Reason::ListExpired => Self::ListExpired,
            reason => Self::Certificate(reason),
        }
    }
}

#[cfg(test)]
mod tests;
