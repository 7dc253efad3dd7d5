//! An identity that a trust rule vouches for.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::validity::Validity;
use super::{SpiffeId, TrustKind, TrustReason, TrustRule};
use crate::crypto::Digest;
use crate::jose::{Compact, Object, Verified};
use crate::oauth::{Subject, Time};

/// What a genuine, current token, meant for us, says about its subject, by the one rule that accepts it. Made by
/// [`super::Trust::vouch`] only.
#[derive(Clone)]
pub struct Vouched {
    rule: Arc<TrustRule>,
    verified: Verified,
    typ: Option<Box<str>>,
    digest: Digest,
    validity: Validity,
    id: String,
    instance: Option<String>,
    attributes: BTreeMap<String, String>,
}

impl Vouched {
    /// What follows the signature: audience, requirements, and the reading of the subject.
    pub(super) fn new(
        rule: &Arc<TrustRule>,
        token: &Compact<'_>,
        verified: Verified,
        validity: Validity,
    ) -> Result<Self, TrustReason> {
        let claims = verified.claims();
        check_audience(rule, claims)?;
        check_requirements(rule, claims)?;
        let id = rule.subject().id(claims)?;
        let instance = rule.subject().instance(claims)?.or_else(|| path(rule, claims));
        let attributes = rule.subject().attributes(claims)?;
        let typ = token.typ().map(Box::from);
        Ok(Self { rule: Arc::clone(rule), typ, digest: token.digest(), validity, id, instance, attributes, verified })
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

    /// All its claims.
    pub fn claims(&self) -> &Object {
        self.verified.claims()
    }

    /// The header's `typ`, as sent.
    pub fn typ(&self) -> Option<&str> {
        self.typ.as_deref()
    }

    /// The header's `kid`.
    pub fn kid(&self) -> Option<&str> {
        self.verified.kid()
    }

    /// The thumbprint of the key that signed it (RFC 7638).
    pub fn key(&self) -> Digest {
        self.verified.key()
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

    /// The SHA-256 of the whole token.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

/// The path of a SPIFFE ID names the running copy of a workload, where the rule does not say what else does.
fn path(rule: &TrustRule, claims: &Object) -> Option<String> {
    let sub = claims.text("sub").ok().flatten().filter(|_| rule.kind() == TrustKind::Spiffe)?;
    SpiffeId::parse(&sub).ok().map(|id| id.path().to_owned())
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
impl fmt::Debug for Vouched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vouched({})", self.rule.name())
    }
}
