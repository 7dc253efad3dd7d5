//! The types that travel between the engine of client authentication and its methods.

use super::{AssertionAudience, AuthMethod, ClientAttestationRules, ClientAuths};
use crate::catalog::Catalog;
use crate::crypto::Digest;
use crate::oauth::{ClientId, Confirmation, SingleUse, Subject, Time};
use crate::trust::{TrustStore, VerifiedAssertion};

/// A foreign subject as an attestation that served as a login names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attested {
    /// The subject, under the trust rule that accepted the attestation.
    pub subject: Subject,
    /// The end of the attestation; nothing issued on it lives longer.
    pub expires: Time,
}

/// The context in which every method judges a request.
pub(super) struct AuthContext<'a> {
    pub(super) logins: &'a ClientAuths,
    pub(super) catalog: &'a Catalog,
    pub(super) trust: &'a TrustStore,
    pub(super) audience: &'a AssertionAudience,
    pub(super) attestations: &'a ClientAttestationRules,
    /// The parameter `client_id`.
    pub(super) client_id: Option<&'a str>,
    pub(super) now: Time,
}

/// The client that a method found, and what its credential says besides.
#[derive(Debug)]
pub(super) struct AuthOutcome {
    pub(super) client: ClientId,
    pub(super) method: AuthMethod,
    /// The running copy of it, as attested.
    pub(super) instance: Option<String>,
    pub(super) attested: Option<Attested>,
    /// The key that an attestation is bound to.
    pub(super) confirmation: Option<Confirmation>,
    /// The RFC 7638 thumbprint of the key that the credential proved.
    pub(super) key: Option<Digest>,
    /// SHA-256 of the assertion, attestation or certificate.
    pub(super) evidence: Option<Digest>,
    /// The verdict of the cluster that issued the attestation, by digest, where it was asked.
    pub(super) review: Option<Digest>,
    /// The instant at which the assertion, attestation or certificate of a trust rule was issued.
    pub(super) issued: Option<Time>,
    pub(super) single_use: Option<SingleUse>,
    /// True when the subject token itself was the login.
    pub(super) self_only: bool,
}

impl AuthOutcome {
    /// The outcome of a credential that says nothing besides who the client is.
    pub(super) fn new(client: ClientId, method: AuthMethod) -> Self {
        let (instance, attested, confirmation, key, single_use) = (None, None, None, None, None);
        let (evidence, review, issued, self_only) = (None, None, None, false);
        Self { client, method, instance, attested, confirmation, key, evidence, review, issued, single_use, self_only }
    }
}

impl From<&VerifiedAssertion> for Attested {
    fn from(assertion: &VerifiedAssertion) -> Self {
        Self { subject: Subject::foreign(assertion.rule().name(), assertion.id()), expires: assertion.expires() }
    }
}
