//! A certificate read without its chain, for one that is registered as it is and needs no issuer.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::X509Reason;
use crate::crypto::Digest;
use crate::oauth::Time;

/// The dates and the key of a certificate. Nobody has vouched for any of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnverifiedCertificate {
    /// `notBefore`: the first instant at which it counts.
    pub not_before: Time,
    /// `notAfter`: the last instant at which it counts.
    pub not_after: Time,
    /// The RFC 7638 thumbprint of its key; none for keys that no JWK of ours can hold.
    pub key: Option<Digest>,
}

impl UnverifiedCertificate {
    /// Reads a certificate in DER.
    ///
    /// # Errors
    /// `Malformed`.
    pub fn read(der: &[u8]) -> Result<Self, X509Reason> {
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| X509Reason::Malformed)?;
        if !rest.is_empty() {
            return Err(X509Reason::Malformed);
        }
        let instant = |time: x509_parser::time::ASN1Time| Time::from_seconds(time.timestamp());
        Ok(Self {
            not_before: instant(certificate.validity().not_before),
            not_after: instant(certificate.validity().not_after),
            key: thumbprint(certificate.public_key()),
        })
    }

    /// Refuses a certificate that does not count at `now`.
    ///
    /// # Errors
    /// `Early` or `Expired`.
    pub fn check_dates(&self, now: Time) -> Result<(), X509Reason> {
        match (now < self.not_before, now > self.not_after) {
            (true, _) => Err(X509Reason::Early),
            (_, true) => Err(X509Reason::Expired),
            _ => Ok(()),
        }
    }
}

/// RFC 7638 §3.2, RFC 8037 §2.
fn thumbprint(key: &SubjectPublicKeyInfo<'_>) -> Option<Digest> {
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let members = match key.parsed().ok()? {
        PublicKey::RSA(rsa) => {
            format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, text(unpadded(rsa.exponent)), text(unpadded(rsa.modulus)))
        }
        PublicKey::EC(point) => {
            let point = point.data().strip_prefix(&[4])?;
            let (x, y) = point.split_at_checked(point.len() / 2).filter(|(x, y)| x.len() == y.len())?;
            format!(r#"{{"crv":"{}","kty":"EC","x":"{}","y":"{}"}}"#, curve(x.len())?, text(x), text(y))
        }
        PublicKey::Unknown(bytes) if key.algorithm.algorithm.to_id_string() == "1.3.101.112" => {
            format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, text(bytes))
        }
        _ => return None,
    };
    Some(Digest::of(members.as_bytes()))
}

/// The curves of JWKs (RFC 7518 §6.2.1.1), by the length of a coordinate. Another curve of that length gives a thumbprint that
/// no JWK has.
fn curve(bytes: usize) -> Option<&'static str> {
    match bytes {
        32 => Some("P-256"),
        48 => Some("P-384"),
        66 => Some("P-521"),
        _ => None,
    }
}

fn unpadded(integer: &[u8]) -> &[u8] {
    integer.get(integer.iter().take_while(|byte| **byte == 0).count()..).unwrap_or_default()
}
