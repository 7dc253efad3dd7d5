//! TLS to a server of the profile `https_spiffe`, which proves a SPIFFE ID (SPIFFE Federation §5.2.2.4), and to one that proves
//! its name by authorities of its own.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::oauth::{SpiffeId, Time, TrustDomain};
use crate::x509::{self, Roots, TlsRole};

/// The server that must answer, and the roots by which it proves that.
#[derive(Clone, Debug)]
pub(super) struct SpiffeServer {
    pub(super) id: SpiffeId,
    pub(super) roots: Arc<Roots>,
}

/// TLS as a client of `server`, without a certificate of our own.
pub(super) fn client_config(server: SpiffeServer) -> Option<ClientConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = SpiffeVerifier { server, algorithms: provider.signature_verification_algorithms };
    let builder = ClientConfig::builder_with_provider(provider);
    let versions = builder.with_safe_default_protocol_versions().ok()?;
    Some(versions.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth())
}

/// TLS as a client of a server that proves its name by one of these authorities, without a certificate of our own.
pub(super) fn config_under(authorities: &Roots) -> Option<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let roots = RootCertStore { roots: authorities.anchors().to_vec() };
    let versions = builder.with_safe_default_protocol_versions().ok()?;
    Some(versions.with_root_certificates(roots).with_no_client_auth())
}

#[derive(Debug)]
struct SpiffeVerifier {
    server: SpiffeServer,
    algorithms: WebPkiSupportedAlgorithms,
}

impl SpiffeVerifier {
    /// The host's name says nothing here; the SPIFFE ID does.
    fn proves(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> bool {
        let now = Time::from_seconds(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
        let Ok(domain) = TrustDomain::parse(self.server.id.trust_domain()) else { return false };
        let leaf = x509::validate(&self.server.roots, chain, now, TlsRole::Server);
        leaf.and_then(|leaf| x509::spiffe_id(&leaf, &domain)).is_ok_and(|id| id == self.server.id)
    }
}

impl ServerCertVerifier for SpiffeVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let chain: Vec<CertificateDer<'_>> = std::iter::once(end_entity).chain(intermediates).cloned().collect();
        match self.proves(&chain, now) {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
