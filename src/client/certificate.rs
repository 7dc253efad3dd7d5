//! The certificate that the client showed.

use std::fmt;
use std::sync::Arc;

use crate::crypto::Digest;

/// A certificate chain by whose first certificate's key the handshake was signed: with us, or with a proxy that tells us
/// (RFC 9440). Who issued it is not judged. Cheap to clone; one is made per connection.
#[derive(Clone)]
pub struct PeerCertificate(Arc<Shown>);

struct Shown {
    chain: Vec<Vec<u8>>,
    thumbprint: Digest,
}

impl PeerCertificate {
    /// The chain in DER, the client's own certificate first.
    pub fn new(chain: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let chain: Vec<Vec<u8>> = chain.into_iter().collect();
        let thumbprint = Digest::of(chain.first().map(Vec::as_slice).unwrap_or_default());
        Self(Arc::new(Shown { chain, thumbprint }))
    }

    /// The client's own certificate in DER.
    pub fn leaf(&self) -> &[u8] {
        self.0.chain.first().map(Vec::as_slice).unwrap_or_default()
    }

    /// The certificates that came with it, in DER.
    pub fn intermediates(&self) -> &[Vec<u8>] {
        self.0.chain.get(1..).unwrap_or_default()
    }

    /// SHA-256 of the certificate, to which tokens are bound: `x5t#S256` (RFC 8705 §3.1).
    pub fn thumbprint(&self) -> Digest {
        self.0.thumbprint
    }
}

/// Certificates name people and machines: never printed.
impl fmt::Debug for PeerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PeerCertificate")
    }
}
