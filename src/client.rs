//! How a client proves itself: credentials, methods and proofs of keys. Knows nothing of subject tokens or policy.
//! `authenticate.rs` lists every check in order; each method has a file that knows its own.

mod access;
mod attestation;
mod attestation_rules;
mod authenticate;
mod certificate;
mod claim;
mod client_attestation;
mod context;
mod credentials;
mod dated;
mod dpop;
#[cfg(test)]
mod fixture;
mod login;
mod method;
mod mtls;
mod private_key_jwt;
mod proven;
mod reason;
mod secret;

pub use access::{AccessReason, AccessToken};
pub use attestation_rules::ClientAttestationRules;
pub use authenticate::{AuthenticatedClient, IdentifiedClient, ProofError, UnspentClient, authenticate};
pub use certificate::{CertificateName, PeerCertificate};
pub use client_attestation::ClientAttestationReason;
pub use context::Attested;
pub use credentials::{Credentials, JWT_BEARER, JWT_SPIFFE};
pub use dated::{Dated, DatedKind, ExpiryState, NEAR};
pub use dpop::{DpopReason, DpopRules, Endpoint, Nonces, PROOF_ALGORITHMS};
pub use login::{ClientAuth, ClientAuths, LoginComplaint, LoginReason, VouchedBy, VouchedLogin};
pub use method::{AssertionAudience, AuthMethod};
pub use proven::{DpopProof, MissingProof, ProvenKeys};
pub use reason::{AssertionReason, CertificateReason, ClientReason};
pub use secret::hash_secret;
