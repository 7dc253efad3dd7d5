//! The methods of client authentication by name, and the names of this server in their assertions.

use crate::oauth::Issuer;

/// A client authentication method (RFC 7591 §2).
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
    /// A client attestation, its key shown by a JWT of its own (draft-ietf-oauth-attestation-based-client-auth §5.1).
    AttestJwt,
    /// A client attestation, its key shown by a DPoP proof (draft-ietf-oauth-attestation-based-client-auth §5.2).
    AttestJwtDpop,
    /// RFC 6749 §2.3.1, `Authorization: Basic`.
    SecretBasic,
    /// RFC 6749 §2.3.1, in the body.
    SecretPost,
}

/// The names of this server in the `aud` of a client assertion.
#[derive(Clone, Debug)]
pub struct AssertionAudience {
    /// The issuer identifier: the one name that counts (rfc7523bis §3).
    pub issuer: Issuer,
    /// The address of the token endpoint, for agents whose file allows it.
    pub token_endpoint: String,
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
            Self::AttestJwt => "attest_jwt_client_auth",
            Self::AttestJwtDpop => "attest_jwt_client_auth_dpop",
            Self::SecretBasic => "client_secret_basic",
            Self::SecretPost => "client_secret_post",
        }
    }
}
