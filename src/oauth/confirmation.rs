//! Confirmation: the key that the holder of a token must prove (RFC 7800 §3.1, RFC 9449 §6.1, RFC 8705 §3.1).

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::crypto::Digest;

/// The `cnf` of a token (RFC 7800 §3.1): whoever uses the token must prove this key. Read and written as an object with exactly
/// one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmation {
    /// The RFC 7638 thumbprint of a key that DPoP proves: `cnf.jkt` (RFC 9449 §6.1).
    Dpop(Digest),
    /// SHA-256 of a certificate that mutual TLS proves: `cnf.x5t#S256` (RFC 8705 §3.1).
    Certificate(Digest),
}

/// Confirmation methods (RFC 7800 §3.1) that this server has proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfirmationMethod {
    /// DPoP (RFC 9449).
    Dpop,
    /// The client certificate of mutual TLS (RFC 8705).
    Certificate,
}

impl Confirmation {
    /// Its method.
    pub fn kind(&self) -> ConfirmationMethod {
        match self {
            Self::Dpop(_) => ConfirmationMethod::Dpop,
            Self::Certificate(_) => ConfirmationMethod::Certificate,
        }
    }

    /// The thumbprint, of key or certificate.
    pub fn thumbprint(&self) -> Digest {
        match self {
            Self::Dpop(thumbprint) | Self::Certificate(thumbprint) => *thumbprint,
        }
    }

    /// The member of `cnf` that holds the thumbprint.
    pub fn member(&self) -> &'static str {
        match self {
            Self::Dpop(_) => "jkt",
            Self::Certificate(_) => "x5t#S256",
        }
    }

    /// The `token_type` of a token with this confirmation, or with none (RFC 9449 §5, RFC 6750 §4; RFC 8705 has no type of its
    /// own).
    pub fn token_type(confirmation: Option<Self>) -> &'static str {
        match confirmation {
            Some(Self::Dpop(_)) => "DPoP",
            Some(Self::Certificate(_)) | None => "Bearer",
        }
    }
}

impl ConfirmationMethod {
    /// The name in policy's `context.binding`, which is `none` without a confirmation.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dpop => "dpop",
            Self::Certificate => "mtls",
        }
    }
}

impl Serialize for Confirmation {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut cnf = to.serialize_map(Some(1))?;
        cnf.serialize_entry(self.member(), &format_args!("{}", self.thumbprint()))?;
        cnf.end()
    }
}

impl<'de> Deserialize<'de> for Confirmation {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(CnfVisitor)
    }
}

struct CnfVisitor;

impl<'de> Visitor<'de> for CnfVisitor {
    type Value = Confirmation;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a cnf object with exactly one member, jkt or x5t#S256")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut cnf: A) -> Result<Confirmation, A::Error> {
        let refused = || de::Error::custom("no cnf of this server");
        let (name, value): (Cow<'_, str>, Cow<'_, str>) = cnf.next_entry()?.ok_or_else(refused)?;
        let thumbprint = Digest::parse(&value).ok_or_else(refused)?;
        let confirmation = match &*name {
            "jkt" => Confirmation::Dpop(thumbprint),
            "x5t#S256" => Confirmation::Certificate(thumbprint),
            _ => return Err(refused()),
        };
        match cnf.next_key::<Cow<'_, str>>()? {
            None => Ok(confirmation),
            Some(_) => Err(refused()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    /// The thumbprint of RFC 9449 §6.1, and that of RFC 8705 §3.1.
    const JKT: &str = r#"{"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}"#;
    const X5T: &str = r#"{"x5t#S256":"bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}"#;

    #[test]
    fn a_cnf_is_read_and_written_as_the_rfcs_show_it() {
        let jkt: Confirmation = serde_json::from_str(JKT).unwrap();
        assert_eq!((jkt.kind(), serde_json::to_string(&jkt).unwrap()), (ConfirmationMethod::Dpop, JKT.to_owned()));
        assert_eq!((Confirmation::token_type(Some(jkt)), Confirmation::token_type(None)), ("DPoP", "Bearer"));
        // The last character of the RFC's example has bits that no canonical encoding has; with them cleared it is read.
        let x5t: Confirmation = serde_json::from_str(&X5T.replace("dg2", "dg0")).unwrap();
        assert_eq!((x5t.kind(), Confirmation::token_type(Some(x5t))), (ConfirmationMethod::Certificate, "Bearer"));
    }

    #[test]
    fn a_cnf_that_is_not_understood_is_refused() {
        let both =
            r#"{"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I","x5t#S256":"47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"}"#;
        for cnf in ["{}", "null", "[]", "7", r#"{"jkt":7}"#, r#"{"jkt":"AAAA"}"#, r#"{"kid":"x"}"#, r#"{"jwk":{}}"#, both] {
            assert!(serde_json::from_str::<Confirmation>(cnf).is_err(), "{cnf}");
        }
    }
}
