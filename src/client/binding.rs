//! What a token is bound to, and what a request proved of keys (RFC 7800 §3, RFC 9449 §6, RFC 8705 §3).

use std::borrow::Cow;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::crypto::Digest;
use crate::oauth::SingleUse;

/// A key that a token is bound to: whoever uses the token must prove it. Read and written as a `cnf` claim (RFC 7800 §3.1) with
/// exactly one member; any other `cnf` is refused, because what is not understood cannot be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// The RFC 7638 thumbprint of a key that DPoP proves: `cnf.jkt` (RFC 9449 §6.1).
    Dpop(Digest),
    /// SHA-256 of a certificate that mutual TLS proves: `cnf.x5t#S256` (RFC 8705 §3.1).
    Certificate(Digest),
}

/// Of which kind a binding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindingKind {
    /// By DPoP (RFC 9449).
    Dpop,
    /// By the client certificate of mutual TLS (RFC 8705).
    Certificate,
}

/// The keys that a request proved that it holds: by a DPoP proof, by the handshake of its connection, by both or by neither.
/// Only the stage that authenticates clients fills it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Proven {
    pub(super) dpop: Option<DpopProof>,
    pub(super) certificate: Option<Digest>,
}

/// A DPoP proof that passed every check of RFC 9449 §4.3 but the one that only the commit can make, its single use.
#[derive(Clone, Copy, Debug)]
pub struct DpopProof {
    /// The thumbprint of the key.
    pub key: Digest,
    /// SHA-256 of the proof.
    pub evidence: Digest,
    /// What the commit must spend.
    pub single_use: SingleUse,
}

impl Binding {
    /// Of which kind it is.
    pub fn kind(&self) -> BindingKind {
        match self {
            Self::Dpop(_) => BindingKind::Dpop,
            Self::Certificate(_) => BindingKind::Certificate,
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

    /// The `token_type` of a token that is bound like this, or not at all (RFC 9449 §5, RFC 6750 §4; RFC 8705 has no type of its
    /// own).
    pub fn token_type(binding: Option<Self>) -> &'static str {
        match binding {
            Some(Self::Dpop(_)) => "DPoP",
            Some(Self::Certificate(_)) | None => "Bearer",
        }
    }
}

impl BindingKind {
    /// The name in policy's `context.binding`, which is `none` without a binding.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dpop => "dpop",
            Self::Certificate => "mtls",
        }
    }
}

impl Proven {
    /// Whether the request proved the very key that `binding` names.
    pub fn holds(&self, binding: &Binding) -> bool {
        match binding {
            Binding::Dpop(key) => self.dpop.is_some_and(|proof| proof.key.same_as(key)),
            Binding::Certificate(certificate) => self.certificate.is_some_and(|proved| proved.same_as(certificate)),
        }
    }

    /// The key that a DPoP proof proved.
    pub fn dpop(&self) -> Option<&DpopProof> {
        self.dpop.as_ref()
    }

    /// SHA-256 of the certificate that the connection proved.
    pub fn certificate(&self) -> Option<Digest> {
        self.certificate
    }
}

#[cfg(test)]
impl Proven {
    /// As if these had been proved.
    pub(crate) fn for_tests(dpop: Option<Digest>, certificate: Option<Digest>) -> Self {
        use crate::oauth::{SingleUseKind, Time};
        let single_use = |key: Digest| SingleUse { digest: key.0, expires: Time::from_seconds(0), kind: SingleUseKind::Proof };
        let dpop = dpop.map(|key| DpopProof { key, evidence: key, single_use: single_use(key) });
        Self { dpop, certificate }
    }
}

impl Serialize for Binding {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut cnf = to.serialize_map(Some(1))?;
        cnf.serialize_entry(self.member(), &format_args!("{}", self.thumbprint()))?;
        cnf.end()
    }
}

impl<'de> Deserialize<'de> for Binding {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(CnfVisitor)
    }
}

struct CnfVisitor;

impl<'de> Visitor<'de> for CnfVisitor {
    type Value = Binding;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a cnf object with exactly one member, jkt or x5t#S256")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut cnf: A) -> Result<Binding, A::Error> {
        let refused = || de::Error::custom("no cnf of this server");
        let (name, value): (Cow<'_, str>, Cow<'_, str>) = cnf.next_entry()?.ok_or_else(refused)?;
        let thumbprint = thumbprint(&value).ok_or_else(refused)?;
        let binding = match &*name {
            "jkt" => Binding::Dpop(thumbprint),
            "x5t#S256" => Binding::Certificate(thumbprint),
            _ => return Err(refused()),
        };
        match cnf.next_key::<Cow<'_, str>>()? {
            None => Ok(binding),
            Some(_) => Err(refused()),
        }
    }
}

/// SHA-256 in base64url without padding (RFC 9449 §6.1, RFC 8705 §3.1).
fn thumbprint(text: &str) -> Option<Digest> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    bytes.try_into().ok().map(Digest)
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
        let jkt: Binding = serde_json::from_str(JKT).unwrap();
        assert_eq!((jkt.kind(), serde_json::to_string(&jkt).unwrap()), (BindingKind::Dpop, JKT.to_owned()));
        assert_eq!((Binding::token_type(Some(jkt)), Binding::token_type(None)), ("DPoP", "Bearer"));
        // The last character of the RFC's example has bits that no canonical encoding has; with them cleared it is read.
        let x5t: Binding = serde_json::from_str(&X5T.replace("dg2", "dg0")).unwrap();
        assert_eq!((x5t.kind(), Binding::token_type(Some(x5t))), (BindingKind::Certificate, "Bearer"));
    }

    #[test]
    fn a_cnf_that_is_not_understood_is_refused() {
        let both =
            r#"{"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I","x5t#S256":"47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"}"#;
        for cnf in ["{}", "null", "[]", "7", r#"{"jkt":7}"#, r#"{"jkt":"AAAA"}"#, r#"{"kid":"x"}"#, r#"{"jwk":{}}"#, both] {
            assert!(serde_json::from_str::<Binding>(cnf).is_err(), "{cnf}");
        }
    }

    #[test]
    fn only_the_very_key_is_held() {
        let (one, other) = (Digest::of(b"one"), Digest::of(b"other"));
        let proven = Proven::for_tests(Some(one), Some(other));
        assert!(proven.holds(&Binding::Dpop(one)) && proven.holds(&Binding::Certificate(other)));
        assert!(!proven.holds(&Binding::Dpop(other)) && !proven.holds(&Binding::Certificate(one)));
        assert!(!Proven::default().holds(&Binding::Dpop(one)));
    }
}
