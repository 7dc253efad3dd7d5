//! The confirmation in a foreign token (RFC 7800 §3, RFC 9449 §6, RFC 8705 §3).

use std::fmt;

use crate::crypto::Digest;
use crate::jose::{self, KeyReason, Object};
use crate::oauth::Confirmation;

/// The key that the holder of another issuer's token must prove, by its `cnf` as RFC 7800 §3, RFC 9449 §6.1 and RFC 8705 §3.1
/// have it. A whole `jwk` (RFC 7800 §3.2) means the same as its thumbprint: both name one key, and a DPoP proof by it shows that
/// its sender holds it.
///
/// # Errors
/// Whatever else a `cnf` says, because what is not understood cannot be asked for; and with two members neither may be passed
/// over. RFC 7800 §3.1 lets an application require that.
pub(super) fn foreign_confirmation(claims: &Object) -> Result<Option<Confirmation>, ConfirmationReason> {
    let Some(cnf) = claims.raw("cnf") else { return Ok(None) };
    let cnf = Object::parse(cnf).map_err(|_| ConfirmationReason::Shape)?;
    let mut names = cnf.names();
    let name = names.next().filter(|_| names.next().is_none()).ok_or(ConfirmationReason::Shape)?;
    let thumbprint = |name| cnf.text(name).ok().flatten().and_then(|text| Digest::parse(&text));
    match name {
        "jkt" => thumbprint("jkt").map(Confirmation::Dpop).ok_or(ConfirmationReason::Thumbprint),
        "x5t#S256" => thumbprint("x5t#S256").map(Confirmation::Certificate).ok_or(ConfirmationReason::Thumbprint),
        "jwk" => {
            let thumbprint = jose::public_thumbprint(cnf.raw("jwk").unwrap_or_default());
            thumbprint.map(Confirmation::Dpop).map_err(ConfirmationReason::Key)
        }
        _ => Err(ConfirmationReason::Member),
    }
    .map(Some)
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    /// The thumbprint of RFC 9449 §6.1, and that of RFC 8705 §3.1.
    const JKT: &str = r#"{"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}"#;
    const X5T: &str = r#"{"x5t#S256":"bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}"#;

    fn foreign(cnf: &str) -> Result<Option<Confirmation>, ConfirmationReason> {
        foreign_confirmation(&Object::parse(format!(r#"{{"sub":"alice","cnf":{cnf}}}"#)).unwrap())
    }

    #[test]
    fn a_foreign_cnf_names_one_key_by_thumbprint_or_whole() {
        assert_eq!(foreign_confirmation(&Object::parse("{}").unwrap()), Ok(None));
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
        assert_eq!(bad(r#","use":"enc""#), Err(ConfirmationReason::Key(KeyReason::Encryption)));
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
