//! Why a certificate chain proves nothing.

use std::fmt;

/// Why a certificate chain is refused. `Display` is a public sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum X509Reason {
    /// No certificate.
    Empty,
    /// More certificates, names or bytes than anybody needs.
    Long,
    /// Not a certificate, or one with a part that cannot be read.
    Malformed,
    /// No path to a root: an unknown issuer, a bad signature, a CA as leaf, a name or use that is not permitted.
    Path,
    /// A certificate of the path has expired.
    Expired,
    /// A certificate of the path does not count yet.
    Early,
    /// The extended key usage does not permit what it is used for.
    Purpose,
    /// Not exactly one URI among the alternative names (X509-SVID §2).
    UriCount,
    /// The URI is no SPIFFE ID of a workload in the trust domain (X509-SVID §5.2).
    SpiffeId,
    /// The key usage is not that of a leaf: critical, `digitalSignature`, neither `keyCertSign` nor `cRLSign` (X509-SVID §4.3).
    KeyUsage,
    /// A certificate of the path was taken back by its issuer.
    Revoked,
    /// There are revocation lists, but none that tells of a certificate of the path.
    Unlisted,
    /// The revocation list that would tell of a certificate of the path is out of date: no verdict.
    ListExpired,
}

impl X509Reason {
    pub(super) fn of_path(error: webpki::Error) -> Self {
        use webpki::Error;
        match error {
            Error::CertExpired { .. } | Error::InvalidCertValidity => Self::Expired,
            Error::CertNotValidYet { .. } => Self::Early,
            Error::RequiredEkuNotFoundContext(_) => Self::Purpose,
            Error::CertRevoked => Self::Revoked,
            Error::CrlExpired { .. } => Self::ListExpired,
            Error::UnknownRevocationStatus
            | Error::InvalidCrlSignatureForPublicKey
            | Error::IssuerNotCrlSigner
            | Error::UnsupportedCrlSignatureAlgorithmContext(_)
            | Error::UnsupportedCrlSignatureAlgorithmForPublicKeyContext(_) => Self::Unlisted,
            Error::BadDer | Error::BadDerTime | Error::TrailingData(_) | Error::MalformedExtensions => Self::Malformed,
            _ => Self::Path,
        }
    }
}

impl fmt::Display for X509Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "there is no certificate",
            Self::Long => "the certificate chain is longer than is accepted here",
            Self::Malformed => "a certificate of the chain cannot be read",
            Self::Path => "no path leads from the certificate to a trusted root",
            Self::Expired => "a certificate of the chain has expired",
            Self::Early => "a certificate of the chain is not valid yet",
            Self::Purpose => "the extended key usage of the certificate does not permit this use",
            Self::UriCount => "an X509-SVID must have exactly one URI among its alternative names",
            Self::SpiffeId => "the URI of the certificate is not the SPIFFE ID of a workload in the trust domain",
            Self::KeyUsage => {
                "the key usage of an X509-SVID must be critical, with digitalSignature, without keyCertSign and cRLSign"
            }
            Self::Revoked => "a certificate of the chain has been revoked by its issuer",
            Self::Unlisted => "no revocation list of its issuer tells of a certificate of the chain",
            Self::ListExpired => "the revocation list of an issuer in the chain is out of date; try again later",
        })
    }
}

impl std::error::Error for X509Reason {}
