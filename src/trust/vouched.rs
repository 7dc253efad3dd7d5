//! An identity that a trust rule vouches for.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::confirmation::foreign_confirmation;
use super::validity::Validity;
use super::x509::Leaf;
use super::{TrustReason, TrustRule, platform};
use crate::crypto::Digest;
use crate::jose::{Compact, Object, Verified};
use crate::oauth::{Confirmation, Subject, Time};

/// What a genuine, current token, meant for us, says about its subject, by the one rule that accepts it. Made by
/// [`super::TrustStore::vouch`] only.
#[derive(Clone)]
pub struct VerifiedAssertion {
    rule: Arc<TrustRule>,
    proof: Proof,
    typ: Option<Box<str>>,
    digest: Digest,
    validity: Validity,
    id: String,
    instance: Option<String>,
    attributes: BTreeMap<String, String>,
    binding: Option<Confirmation>,
}

/// What carried the claims.
#[derive(Clone)]
enum Proof {
    Token(Verified),
    /// A certificate, with what it says written as claims, so that rules and policies read both alike.
    Certificate(Object, Arc<Leaf>),
}

impl VerifiedAssertion {
    /// What follows the signature: audience, requirements, and the reading of the subject.
    pub(super) fn new(
        rule: &Arc<TrustRule>,
        token: &Compact<'_>,
        verified: Verified,
        validity: Validity,
    ) -> Result<Self, TrustReason> {
        check_audience(rule, verified.claims())?;
        Self::read(rule, Proof::Token(verified), (token.typ().map(Box::from), token.digest()), validity)
    }

    /// The same for a certificate whose chain was validated. It is for nobody in particular, so there is no audience to check.
    pub(super) fn of_certificate(rule: &Arc<TrustRule>, claims: Object, leaf: Arc<Leaf>) -> Result<Self, TrustReason> {
        let validity = Validity { expires: leaf.not_after, issued_at: Some(leaf.not_before) };
        let digest = leaf.thumbprint;
        Self::read(rule, Proof::Certificate(claims, leaf), (None, digest), validity)
    }

    fn read(
        rule: &Arc<TrustRule>,
        proof: Proof,
        (typ, digest): (Option<Box<str>>, Digest),
        validity: Validity,
    ) -> Result<Self, TrustReason> {
        let claims = proof.claims();
        let binding = foreign_confirmation(claims).map_err(TrustReason::Confirmation)?;
        check_requirements(rule, claims)?;
        let id = rule.subject().id(claims)?;
        let instance = rule.subject().instance(claims)?.or_else(|| platform::instance(rule.kind(), claims));
        let attributes = rule.subject().attributes(claims)?;
        Ok(Self { rule: Arc::clone(rule), typ, digest, validity, id, instance, attributes, binding, proof })
    }

    /// The rule that accepted it.
    pub fn rule(&self) -> &Arc<TrustRule> {
        &self.rule
    }

    /// The subject's id under that rule.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The subject as it stands in what we issue: `<trust rule>:<id>`.
    pub fn subject(&self) -> Subject {
        Subject::foreign(self.rule.name(), &self.id)
    }

    /// The token's `iss`; for a JWT-SVID its trust domain as `spiffe://…`.
    pub fn issuer(&self) -> &str {
        self.rule.issuer()
    }

    /// All its claims; for a certificate, what it says written as claims.
    pub fn claims(&self) -> &Object {
        self.proof.claims()
    }

    /// The certificate, where one proved it.
    pub fn certificate(&self) -> Option<&Leaf> {
        match &self.proof {
            Proof::Certificate(_, leaf) => Some(leaf),
            Proof::Token(_) => None,
        }
    }

    /// The header's `typ`, as sent.
    pub fn typ(&self) -> Option<&str> {
        self.typ.as_deref()
    }

    /// The header's `kid`.
    pub fn kid(&self) -> Option<&str> {
        match &self.proof {
            Proof::Token(verified) => verified.kid(),
            Proof::Certificate(..) => None,
        }
    }

    /// The thumbprint of the key that signed it (RFC 7638 §3); for a certificate, of the certificate (RFC 8705 §3.1).
    pub fn key(&self) -> Digest {
        match &self.proof {
            Proof::Token(verified) => verified.key(),
            Proof::Certificate(_, leaf) => leaf.thumbprint,
        }
    }

    /// When it ends.
    pub fn expires(&self) -> Time {
        self.validity.expires
    }

    /// When it was issued, if it says so.
    pub fn issued_at(&self) -> Option<Time> {
        self.validity.issued_at
    }

    /// The running copy of the workload, if the rule reads one.
    pub fn instance(&self) -> Option<&str> {
        self.instance.as_deref()
    }

    /// The attributes that the rule reads, by name.
    pub fn attributes(&self) -> &BTreeMap<String, String> {
        &self.attributes
    }

    /// Everybody whom the token is meant for: us, and perhaps others.
    pub fn audiences(&self) -> Vec<Cow<'_, str>> {
        self.claims().strings("aud").ok().flatten().unwrap_or_default()
    }

    /// The key that its holder must prove: its `cnf`. Whoever takes the token must ask for that proof.
    pub fn binding(&self) -> Option<Confirmation> {
        self.binding
    }

    /// The SHA-256 of the whole token, or of the certificate.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

impl Proof {
    fn claims(&self) -> &Object {
        match self {
            Self::Token(verified) => verified.claims(),
            Self::Certificate(claims, _) => claims,
        }
    }
}

fn check_audience(rule: &TrustRule, claims: &Object) -> Result<(), TrustReason> {
    let audiences = claims.strings("aud")?.ok_or(TrustReason::Audience)?;
    let ours = audiences.iter().any(|audience| rule.audiences().iter().any(|accepted| accepted == audience));
    if ours { Ok(()) } else { Err(TrustReason::Audience) }
}

fn check_requirements(rule: &TrustRule, claims: &Object) -> Result<(), TrustReason> {
    match rule.require().iter().find(|requirement| !requirement.holds(claims)) {
        None => Ok(()),
        Some(missed) => {
            tracing::debug!(rule = %rule.name(), claim = missed.claim(), "a requirement of the trust rule is not met");
            Err(TrustReason::Requirement)
        }
    }
}

/// Claims are personal: never printed.
impl fmt::Debug for VerifiedAssertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vouched({})", self.rule.name())
    }
}
