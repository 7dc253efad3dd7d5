//! How a client proves itself. Knows nothing of subject tokens or policy.

mod attestation;
mod authenticate;
mod certificate;
mod credentials;
mod dated;
mod dpop;
#[cfg(test)]
mod fixture;
mod login;
mod mtls;
mod name;
mod private_key_jwt;
mod proven;
mod reason;
mod secret;
mod spiffe;
mod workload;

use std::sync::Arc;

pub use authenticate::{AssertionAudience, authenticate};
pub use certificate::PeerCertificate;
pub use credentials::{Credentials, JWT_BEARER, JWT_SPIFFE};
pub use dated::{Dated, DatedKind, Expiry, NEAR};
pub use dpop::{AuthError, DpopReason, DpopRules, Nonces, PROOF_ALGORITHMS};
pub use login::{ClientAuth, ClientAuths, LoginComplaint, LoginReason};
pub use mtls::CertificateReason;
pub use name::{CertificateName, DistinguishedName, NameReason};
pub use proven::{DpopProof, MissingProof, ProvenKeys};
pub use reason::{AssertionReason, ClientReason};
pub use secret::hash_secret;

use crate::catalog::{Agent, Status};
use crate::crypto::Digest;
use crate::oauth::{Confirmation, RuleName, SingleUse, Time};

/// A registered agent that logged in, before the keys were looked at that its request proves. An [`AuthenticatedClient`] is made
/// of it by `prove` or `without_proof`, and in no other way. Made only by `authenticate`.
#[derive(Debug)]
pub struct IdentifiedClient(AuthenticatedClient);

/// A registered agent that proved itself. Made only of an [`IdentifiedClient`].
#[derive(Debug)]
pub struct AuthenticatedClient {
    agent: Arc<Agent>,
    method: AuthMethod,
    instance: Option<String>,
    attested: Option<Attested>,
    binding: Option<Confirmation>,
    key: Option<Digest>,
    evidence: Option<Digest>,
    single_use: Option<SingleUse>,
    self_only: bool,
    proven: ProvenKeys,
}

/// What an attestation said when it served as a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attested {
    /// The trust rule that vouched.
    pub rule: RuleName,
    /// The subject's id as that rule maps it.
    pub id: String,
    /// When the attestation runs out; nothing issued on it lives longer.
    pub expires: Time,
}

/// How it proved itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMethod {
    /// RFC 7523 §2.2 with the client's own key.
    PrivateKeyJwt,
    /// A JWT-SVID as client assertion.
    SpiffeJwt,
    /// An attestation under a trust rule as client assertion.
    WorkloadJwt,
    /// A certificate from an authority of the agent's, with one name (RFC 8705 §2.1).
    TlsClientAuth,
    /// A certificate that is registered as it is (RFC 8705 §2.2).
    SelfSignedTls,
    /// An X509-SVID.
    SpiffeX509,
    /// A certificate under a trust rule of kind `x509`.
    WorkloadX509,
    /// RFC 6749 §2.3.1, `Authorization: Basic`.
    SecretBasic,
    /// RFC 6749 §2.3.1, in the body.
    SecretPost,
}

impl AuthMethod {
    /// The registered name (RFC 7591 §2) or ours.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PrivateKeyJwt => "private_key_jwt",
            Self::SpiffeJwt => "spiffe_jwt",
            Self::WorkloadJwt => "workload_jwt",
            Self::TlsClientAuth => "tls_client_auth",
            Self::SelfSignedTls => "self_signed_tls_client_auth",
            Self::SpiffeX509 => "spiffe_x509",
            Self::WorkloadX509 => "workload_x509",
            Self::SecretBasic => "client_secret_basic",
            Self::SecretPost => "client_secret_post",
        }
    }
}

impl IdentifiedClient {
    /// The agent.
    pub fn agent(&self) -> &Arc<Agent> {
        &self.0.agent
    }

    /// Whether its login is good for itself; else it counts with the proof of the key that it is bound to, and without that
    /// this may be anybody.
    pub fn is_certain(&self) -> bool {
        self.0.proven.missed(self.0.binding).is_none()
    }

    /// The client, if it proved the key that its login is bound to, and may act at all.
    fn confirmed(self) -> Result<AuthenticatedClient, ClientReason> {
        match (self.0.proven.missed(self.0.binding), self.0.agent.status) {
            (Some(missed), _) => Err(ClientReason::Key(missed)),
            (None, Status::Suspended) => Err(ClientReason::Suspended),
            (None, Status::Retired) => Err(ClientReason::Retired),
            (None, Status::Active) => Ok(self.0),
        }
    }
}

impl AuthenticatedClient {
    /// The agent.
    pub fn agent(&self) -> &Arc<Agent> {
        &self.agent
    }
    /// How it logged in.
    pub fn method(&self) -> AuthMethod {
        self.method
    }
    /// Which running copy of it, as attested.
    pub fn instance(&self) -> Option<&str> {
        self.instance.as_deref()
    }
    /// What an attestation said, where one was the login.
    pub fn attested(&self) -> Option<&Attested> {
        self.attested.as_ref()
    }
    /// The key that the attestation was bound to by which it logged in, and that it proved.
    pub fn binding(&self) -> Option<Confirmation> {
        self.binding
    }
    /// The RFC 7638 thumbprint of the key it proved.
    pub fn key(&self) -> Option<Digest> {
        self.key
    }
    /// SHA-256 of the assertion or attestation.
    pub fn evidence(&self) -> Option<Digest> {
        self.evidence
    }
    /// What the commit must spend for this request: the login's value and the proof's.
    pub fn spends(&self) -> Vec<SingleUse> {
        self.single_use.into_iter().chain(self.proven.dpop.map(|proof| proof.single_use)).collect()
    }
    /// The keys that the request proved, beside its login.
    pub fn proven(&self) -> &ProvenKeys {
        &self.proven
    }
    /// Whether the subject token itself served as the login, which allows a self-exchange and nothing else.
    pub fn self_only(&self) -> bool {
        self.self_only
    }
}

#[cfg(test)]
impl AuthenticatedClient {
    /// A client as if it had proved itself.
    pub(crate) fn for_tests(agent: Arc<Agent>) -> Self {
        let method = AuthMethod::PrivateKeyJwt;
        let (instance, attested, binding, key, evidence, single_use) = (None, None, None, None, None, None);
        let proven = ProvenKeys::default();
        Self { agent, method, instance, attested, binding, key, evidence, single_use, self_only: false, proven }
    }

    /// The same with these keys proved.
    pub(crate) fn proving(self, proven: ProvenKeys) -> Self {
        Self { proven, ..self }
    }
}
