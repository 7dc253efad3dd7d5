//! What a token is bound to (RFC 7800 §3, RFC 9449 §6, RFC 8705 §3).

use std::borrow::Cow;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::crypto::Digest;
use crate::jose::{self, KeyReason, Object};

/// A key that a token is bound to: whoever uses the token must prove it. Read and written as a `cnf` claim (RFC 7800 §3.1) with
/// exactly one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmation {
    /// The RFC 7638 thumbprint of a key that DPoP proves: `cnf.jkt` (RFC 9449 §6.1).
    Dpop(Digest),
    /// SHA-256 of a certificate that mutual TLS proves: `cnf.x5t#S256` (RFC 8705 §3.1).
    Certificate(Digest),
}

/// Of which kind a binding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfirmationMethod {
    /// By DPoP (RFC 9449).
    Dpop,
    /// By the client certificate of mutual TLS (RFC 8705).
    Certificate,
}

/// Why the `cnf` of a foreign token is refused. Each `Display` is a public sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfirmationReason {
    /// No object, or not exactly one member.
    Shape,
    /// A member that is not understood, such as `kid`, which names a key only among those that the parties know of each other
    /// (RFC 7800 §3.4), or `jwe` and `jku`.
    Member,
    /// A thumbprint that is none.
    Thumbprint,
    /// A `jwk` that nobody could prove here, or that is no public key.
    Key(KeyReason),
}

impl Confirmation {
    /// Of which kind it is.
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

    /// The `token_type` of a token that is bound like this, or not at all (RFC 9449 §5, RFC 6750 §4; RFC 8705 has no type of
    /// its own).
    pub fn token_type(binding: Option<Self>) -> &'static str {
        match binding {
            Some(Self::Dpop(_)) => "DPoP",
            Some(Self::Certificate(_)) | None => "Bearer",
        }
    }
}

impl ConfirmationMethod {
    /// The name in policy's `context.binding`, which is `none` without a binding.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dpop => "dpop",
            Self::Certificate => "mtls",
        }
    }
}

impl Confirmation {
    /// The key that a token of another issuer is bound to, by its `cnf` as RFC 7800 §3, RFC 9449 §6.1 and RFC 8705 §3.1 have
    /// it. A whole `jwk` (RFC 7800 §3.2) means the same as its thumbprint: both name one key, and a DPoP proof by it shows that
    /// its sender holds it.
    ///
    /// # Errors
    /// Whatever else a `cnf` says, because what is not understood cannot be asked for; and with two members neither may be
    /// passed over. RFC 7800 §3.1 lets an application require that.
    pub(super) fn of_foreign(claims: &Object) -> Result<Option<Self>, ConfirmationReason> {
        let Some(cnf) = claims.raw("cnf") else { return Ok(None) };
        let cnf = Object::parse(cnf).map_err(|_| ConfirmationReason::Shape)?;
        let mut names = cnf.names();
        let name = names.next().filter(|_| names.next().is_none()).ok_or(ConfirmationReason::Shape)?;
        let thumbprint = |name| cnf.text(name).ok().flatten().and_then(|text| thumbprint(&text));
        match name {
            "jkt" => thumbprint("jkt").map(Self::Dpop).ok_or(ConfirmationReason::Thumbprint),
            "x5t#S256" => thumbprint("x5t#S256").map(Self::Certificate).ok_or(ConfirmationReason::Thumbprint),
            "jwk" => jose::public_thumbprint(cnf.raw("jwk").unwrap_or_default()).map(Self::Dpop).map_err(ConfirmationReason::Key),
            _ => Err(ConfirmationReason::Member),
        }
        .map(Some)
    }
}

impl fmt::Display for ConfirmationReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shape => "the cnf of the token must be an object with exactly one member: jkt, x5t#S256 or jwk",
            Self::Member => "the cnf of the token names its key in a way that is not supported here; jkt, x5t#S256 and jwk are",
            Self::Thumbprint => "the jkt or x5t#S256 in the cnf of the token must be a SHA-256 in base64url without padding",
            Self::Key(reason) => return write!(f, "the jwk in the cnf of the token {reason}"),
        })
    }
}

impl std::error::Error for ConfirmationReason {}

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
        let thumbprint = thumbprint(&value).ok_or_else(refused)?;
        let binding = match &*name {
            "jkt" => Confirmation::Dpop(thumbprint),
            "x5t#S256" => Confirmation::Certificate(thumbprint),
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

    fn foreign(cnf: &str) -> Result<Option<Confirmation>, ConfirmationReason> {
        Confirmation::of_foreign(&Object::parse(format!(r#"{{"sub":"alice","cnf":{cnf}}}"#)).unwrap())
    }

    #[test]
    fn a_foreign_cnf_names_one_key_by_thumbprint_or_whole() {
        assert_eq!(Confirmation::of_foreign(&Object::parse("{}").unwrap()), Ok(None));
        let jkt: Confirmation = serde_json::from_str(JKT).unwrap();
        assert_eq!(foreign(JKT), Ok(Some(jkt)));
        let x5t = X5T.replace("dg2", "dg0");
        assert_eq!(foreign(&x5t), Ok(Some(serde_json::from_str(&x5t).unwrap())));
        // The key of RFC 9449 §4.1, whose thumbprint is that of §6.1; further members of a key do not count (RFC 7800 §3.2).
        let key = r#""kty":"EC","x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs","y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA","crv":"P-256""#;
        for more in ["", r#","kid":"1""#, r#","alg":"ES256""#, r#","use":"sig","x-more":[1]"#] {
            assert_eq!(foreign(&format!(r#"{{"jwk":{{{key}{more}}}}}"#)), Ok(Some(jkt)), "{more}");
        }
        let bad = |more: &str| foreign(&format!(r#"{{"jwk":{{{key}{more}}}}}"#));
        assert_eq!(bad(r#","d":"AA""#), Err(ConfirmationReason::Key(KeyReason::Private)));
        assert_eq!(bad(r#","use":"enc""#), Err(ConfirmationReason::Key(KeyReason::Use)));
        assert_eq!(bad(r#","alg":"ES384""#), Err(ConfirmationReason::Key(KeyReason::Algorithm)));
        assert_eq!(foreign(r#"{"jwk":{"kty":"oct","k":"AA"}}"#), Err(ConfirmationReason::Key(KeyReason::Private)));
    }

    #[test]
    fn a_foreign_cnf_that_is_not_understood_is_refused_for_that() {
        let two = format!("{},{}", JKT.trim_end_matches('}'), r#""kid":"1"}"#);
        for cnf in ["{}", "null", "[]", "7", "\"x\"", &two] {
            assert_eq!(foreign(cnf), Err(ConfirmationReason::Shape), "{cnf}");
        }
        for cnf in [r#"{"kid":"1"}"#, r#"{"jwe":"x"}"#, r#"{"jku":"https://evil.example"}"#, r#"{"x5t":"x"}"#, r#"{"":1}"#] {
            assert_eq!(foreign(cnf), Err(ConfirmationReason::Member), "{cnf}");
        }
        for cnf in [r#"{"jkt":7}"#, r#"{"jkt":""}"#, r#"{"jkt":"AAAA"}"#, r#"{"x5t#S256":null}"#, X5T] {
            assert_eq!(foreign(cnf), Err(ConfirmationReason::Thumbprint), "{cnf}");
        }
        for cnf in [r#"{"jwk":7}"#, r#"{"jwk":{}}"#, r#"{"jwk":"x"}"#] {
            assert!(matches!(foreign(cnf), Err(ConfirmationReason::Key(_))), "{cnf}");
        }
    }
}
