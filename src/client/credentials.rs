//! The credentials that a client presented, not judged.

use std::borrow::Cow;
use std::fmt;

use super::{AuthMethod, ClientAttestationReason, ClientReason, PeerCertificate};
use crate::catalog::Catalog;
use crate::jose::Compact;
use crate::oauth::ClientId;
use crate::request::Form;

/// A client assertion that is an ordinary JWT (RFC 7523 §2.2).
pub const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A client assertion that is a JWT-SVID (draft-ietf-oauth-spiffe-client-auth §3.1).
pub const JWT_SPIFFE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe";

/// The parameters of client authentication and the `Authorization` header, as they came.
pub struct Credentials {
    authorization: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
    client_assertion: Option<String>,
    client_assertion_type: Option<String>,
    attestation: Option<String>,
    attestation_proof: Option<String>,
    repeated: Option<&'static str>,
    dpop: Option<String>,
    certificate: Option<PeerCertificate>,
}

/// The one method that a request uses.
#[derive(Clone, Copy)]
pub(super) enum Presented<'a> {
    Nothing,
    Header(&'a str),
    Secret {
        client: &'a str,
        secret: &'a str,
    },
    Assertion {
        kind: AssertionKind,
        text: &'a str,
    },
    /// A client attestation; without a `proof` of its own the DPoP proof is that too.
    Attestation {
        attestation: &'a str,
        proof: Option<&'a str>,
    },
}

/// The values of `client_assertion_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AssertionKind {
    JwtBearer,
    JwtSpiffe,
}

const NAMES: [&str; 4] = ["client_id", "client_secret", "client_assertion", "client_assertion_type"];

impl Credentials {
    /// Collects what the form and the `Authorization` header say. An empty parameter counts as absent (RFC 6749 §3.2).
    pub fn new(form: &Form, authorization: Option<&str>) -> Self {
        let text = |name| form.get(name).map(str::to_owned);
        Self {
            authorization: authorization.map(str::to_owned),
            client_id: text("client_id"),
            client_secret: text("client_secret"),
            client_assertion: text("client_assertion"),
            client_assertion_type: text("client_assertion_type"),
            attestation: None,
            attestation_proof: None,
            repeated: NAMES.into_iter().find(|name| form.all(name).nth(1).is_some()),
            dpop: None,
            certificate: None,
        }
    }

    /// These credentials with the value of the `DPoP` header (RFC 9449 §5). The handler has made sure that there is one such
    /// header at most.
    #[must_use]
    pub fn with_dpop(self, header: Option<&str>) -> Self {
        Self { dpop: header.map(str::to_owned), ..self }
    }

    /// These credentials with the values of the headers `OAuth-Client-Attestation` and `OAuth-Client-Attestation-PoP`
    /// (draft-ietf-oauth-attestation-based-client-auth §4, §5.1). The handler has made sure that each comes once at most.
    #[must_use]
    pub fn with_attestation(self, attestation: Option<&str>, proof: Option<&str>) -> Self {
        Self { attestation: attestation.map(str::to_owned), attestation_proof: proof.map(str::to_owned), ..self }
    }

    /// These credentials with the certificate that the connection proved.
    #[must_use]
    pub fn with_certificate(self, certificate: Option<PeerCertificate>) -> Self {
        Self { certificate, ..self }
    }

    /// The DPoP proof, as sent.
    pub(super) fn dpop(&self) -> Option<&str> {
        self.dpop.as_deref()
    }

    /// The certificate that the connection proved.
    pub(super) fn certificate(&self) -> Option<&PeerCertificate> {
        self.certificate.as_ref()
    }

    /// True when the request had a `DPoP` header.
    pub fn has_proof(&self) -> bool {
        self.dpop.is_some()
    }

    /// True when the request had a proof of the key of a client attestation.
    pub fn has_attestation_proof(&self) -> bool {
        self.attestation_proof.is_some()
    }

    /// The `Authorization` header, as sent.
    pub(super) fn authorization(&self) -> Option<&str> {
        self.authorization.as_deref()
    }

    /// True when the request had an `Authorization` header: only then does a refusal carry a challenge (RFC 6749 §5.2).
    pub fn used_authorization_header(&self) -> bool {
        self.authorization.is_some()
    }

    /// The registered agent that the request claims to come from, by `client_id`, the `iss` of its assertion or the `sub` of its
    /// client attestation. Nobody has proved that: it is for the log of a refusal, which never tells what no file knows.
    pub fn claimed(&self, catalog: &Catalog) -> Option<ClientId> {
        let claim = |sent: &Option<String>, name| {
            let jws = Compact::parse(sent.as_deref()?.trim_ascii_end()).ok()?;
            jws.unverified_claims().ok()?.text(name).ok()?.map(Cow::into_owned)
        };
        let asserted = || claim(&self.client_assertion, "iss").or_else(|| claim(&self.attestation, "sub"));
        let name = self.client_id.clone().or_else(asserted)?;
        ClientId::parse(&name).ok().filter(|client| catalog.agent(client).is_some())
    }

    /// The attestation under a trust rule that was a login by `method`, as a token that may be traded; none where it was anything
    /// else.
    pub fn traded_by(&self, method: AuthMethod) -> Option<&str> {
        let attested = matches!(method, AuthMethod::SpiffeJwt | AuthMethod::WorkloadJwt);
        let text = self.client_assertion.as_deref().filter(|_| attested);
        text.map(|text| text.trim_end_matches([' ', '\t', '\r', '\n']))
    }

    pub(super) fn client_id(&self) -> Option<&str> {
        self.client_id.as_deref()
    }

    /// The method in use. `client_id` alone is none.
    ///
    /// # Errors
    /// Two methods in one request (RFC 6749 §2.3), half a method, a repeated parameter, an unknown type of assertion.
    pub(super) fn presented(&self) -> Result<Presented<'_>, ClientReason> {
        if let Some(name) = self.repeated {
            return Err(ClientReason::Repeated(name));
        }
        let assertion = self.client_assertion.is_some() || self.client_assertion_type.is_some();
        if self.attestation.is_some() || self.attestation_proof.is_some() {
            let others = assertion || self.authorization.is_some() || self.client_secret.is_some();
            return if others { Err(ClientReason::Several) } else { self.attestation().map_err(ClientReason::Attestation) };
        }
        match (self.authorization.as_deref(), self.client_secret.as_deref(), assertion) {
            (None, None, false) => Ok(Presented::Nothing),
            (Some(header), None, false) => Ok(Presented::Header(header)),
            (None, Some(secret), false) => match self.client_id() {
                Some(client) => Ok(Presented::Secret { client, secret }),
                None => Err(ClientReason::ClientIdMissing),
            },
            (None, None, true) => self.assertion(),
            _ => Err(ClientReason::Several),
        }
    }

    /// A client attestation with a proof of its own, or else with a DPoP proof.
    fn attestation(&self) -> Result<Presented<'_>, ClientAttestationReason> {
        let attestation = self.attestation.as_deref().ok_or(ClientAttestationReason::Missing)?;
        match self.attestation_proof.as_deref() {
            None if self.dpop.is_none() => Err(ClientAttestationReason::ProofMissing),
            proof => Ok(Presented::Attestation { attestation, proof }),
        }
    }

    fn assertion(&self) -> Result<Presented<'_>, ClientReason> {
        let kind = match self.client_assertion_type.as_deref() {
            Some(JWT_BEARER) => AssertionKind::JwtBearer,
            Some(JWT_SPIFFE) => AssertionKind::JwtSpiffe,
            _ => return Err(ClientReason::AssertionType),
        };
        // Some clients send a token file as it is, with the newline at its end.
        let text = self.client_assertion.as_deref().map(|text| text.trim_end_matches([' ', '\t', '\r', '\n']));
        match text {
            Some(text) => Ok(Presented::Assertion { kind, text }),
            None => Err(ClientReason::AssertionMissing),
        }
    }
}

/// Secrets and assertions are never printed.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    fn presented(body: &str, header: Option<&str>) -> String {
        let credentials = Credentials::new(&Form::decode(body.as_bytes(), 16).unwrap(), header);
        match credentials.presented() {
            Ok(Presented::Nothing) => "nothing".into(),
            Ok(Presented::Header(header)) => format!("header {header}"),
            Ok(Presented::Secret { client, secret }) => format!("secret {client} {secret}"),
            Ok(Presented::Assertion { kind, text }) => format!("{kind:?} {text}"),
            Ok(Presented::Attestation { attestation, proof }) => format!("attestation {attestation} {proof:?}"),
            Err(reason) => format!("{reason:?}"),
        }
    }

    #[test]
    fn one_request_uses_one_method() {
        // RFC 6749 §2.3: the client MUST NOT use more than one authentication method in each request.
        let assertion = format!("client_assertion=a&client_assertion_type={JWT_BEARER}");
        assert_eq!(presented("client_id=a", None), "nothing");
        assert_eq!(presented("client_id=a", Some("Basic x")), "header Basic x");
        assert_eq!(presented("client_id=a&client_secret=b", None), "secret a b");
        assert_eq!(presented(&assertion, None), "JwtBearer a");
        assert_eq!(presented("client_id=a&client_secret=b", Some("Basic x")), "Several");
        assert_eq!(presented(&assertion, Some("Basic x")), "Several");
        assert_eq!(presented(&format!("{assertion}&client_secret=b"), None), "Several");
        assert_eq!(presented("client_assertion=a", Some("Basic x")), "Several");
        assert_eq!(presented("client_assertion=a", Some("")), "Several");
    }

    #[test]
    fn empty_counts_as_absent_and_half_a_method_is_refused() {
        assert_eq!(presented("client_secret=&client_assertion=&client_assertion_type=", None), "nothing");
        assert_eq!(presented("client_secret=b", None), "ClientIdMissing");
        assert_eq!(presented("client_assertion=a", None), "AssertionType");
        assert_eq!(presented("client_assertion=a&client_assertion_type=saml2-bearer", None), "AssertionType");
        assert_eq!(presented(&format!("client_assertion_type={JWT_SPIFFE}"), None), "AssertionMissing");
        assert_eq!(presented("client_id=a&client_id=b&client_secret=c", None), r#"Repeated("client_id")"#);
    }

    #[test]
    fn a_token_file_may_end_in_a_newline() {
        assert_eq!(presented(&format!("client_assertion=a.b.c%0A&client_assertion_type={JWT_SPIFFE}"), None), "JwtSpiffe a.b.c");
    }

    #[test]
    fn a_refusal_challenges_only_who_used_the_header() {
        let form = Form::decode(b"client_id=a&client_secret=b", 16).unwrap();
        assert!(!Credentials::new(&form, None).used_authorization_header());
        assert!(Credentials::new(&form, Some("Bearer x")).used_authorization_header());
        assert_eq!(format!("{:?}", Credentials::new(&form, Some("Basic x"))), "Credentials");
    }
}
