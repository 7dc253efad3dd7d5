//! TLS at the public addresses: our own certificate, which may change while we run, and the certificates of clients.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme};

use crate::x509::has_oversized_key;

/// The certificate in use, for every listener that speaks TLS.
#[derive(Debug)]
pub struct TlsIdentity(ArcSwap<CertifiedKey>);

/// The TLS of the public listeners.
#[derive(Clone, Debug)]
pub struct TlsSetup {
    /// The certificate in use.
    pub identity: Arc<TlsIdentity>,
    /// The first public address speaks TLS. The second always does.
    pub public: bool,
    /// The first public address asks clients for certificates. The second always does.
    pub ask: bool,
}

/// Intermediates that a client may send; more are refused in the handshake.
const INTERMEDIATES_MAX: usize = 8;

/// Bytes of all certificates that a client may send; more are refused in the handshake.
const CHAIN_BYTES_MAX: usize = 32 * 1024;

/// Chooses the cryptography for every TLS connection of this process that does not choose for itself. Once is enough.
pub fn install_provider() {
    // The only way to fail is that one is installed already.
    let _again = CryptoProvider::install_default(aws_lc_rs::default_provider());
}

impl TlsIdentity {
    /// Begins with this certificate and key.
    pub fn new(key: Arc<CertifiedKey>) -> Arc<Self> {
        Arc::new(Self(ArcSwap::new(key)))
    }

    /// Uses another certificate and key for every handshake from now on. Connections go on as they are.
    pub fn replace(&self, key: Arc<CertifiedKey>) {
        self.0.store(key);
    }
}

impl ResolvesServerCert for TlsIdentity {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

/// How a listener speaks TLS: 1.3 and 1.2, HTTP/1.1 inside, no early data. With `ask`, clients are asked for a certificate
/// and may do without.
///
/// # Errors
/// When the cryptography is not there.
pub(super) fn server_config(identity: Arc<TlsIdentity>, ask: bool) -> Result<ServerConfig, Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = AnyCertificate { ask, algorithms: provider.signature_verification_algorithms };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(identity);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Sessions are resumed from what clients keep: nothing is stored here for those who come and go.
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    // Without it a session of TLS 1.2 could be synchronised with somebody else's (RFC 7627 §1).
    config.require_ems = true;
    Ok(config)
}

/// Takes any certificate whose key signs the handshake. Whom it names, and whether anybody vouches for that, is for the
/// client's way to log in to say: it may be self-signed (RFC 8705 §2.2), or from an authority that one agent's file names.
struct AnyCertificate {
    ask: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for AnyCertificate {
    fn offer_client_auth(&self) -> bool {
        self.ask
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// No hints: clients would hold back certificates that only their own login names.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let bytes = end_entity.len() + intermediates.iter().map(|certificate| certificate.len()).sum::<usize>();
        let is_bounded = intermediates.len() <= INTERMEDIATES_MAX && bytes <= CHAIN_BYTES_MAX;
        // Before the signature of the handshake is verified by it.
        match is_bounded && !has_oversized_key(end_entity) {
            true => Ok(ClientCertVerified::assertion()),
            false => Err(Error::InvalidCertificate(CertificateError::BadEncoding)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl fmt::Debug for AnyCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnyCertificate")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    #[test]
    fn a_client_shows_nine_certificates_and_32_kib_at_most() {
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
        let shown = |count: usize, bytes: usize| {
            let certificates = vec![CertificateDer::from(vec![0; bytes]); count];
            let (leaf, others) = certificates.split_first().unwrap();
            AnyCertificate { ask: true, algorithms }.verify_client_cert(leaf, others, UnixTime::now()).is_ok()
        };
        assert!(shown(1, 32 * 1024) && shown(9, 3640) && shown(2, 16 * 1024));
        assert!(!shown(10, 1) && !shown(1, 32 * 1024 + 1) && !shown(2, 16 * 1024 + 1));
    }

    /// RFC 7627 §5.2, RFC 8446 §8: neither a session without the extended master secret nor early data, which can be replayed.
    #[test]
    fn what_could_be_replayed_or_synchronised_is_not_spoken() {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
        let der = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let identity = CertifiedKey::from_der(vec![certificate.der().clone()], der, &aws_lc_rs::default_provider()).unwrap();
        let config = server_config(TlsIdentity::new(Arc::new(identity)), true).unwrap();
        assert!(config.require_ems && config.max_early_data_size == 0 && !config.send_half_rtt_data);
        assert!(config.ticketer.enabled() && !config.session_storage.can_cache(), "what is resumed is kept by clients alone");
    }
}
