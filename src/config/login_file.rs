//! A way for an agent to log in, as written.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::keys_file::{take_jwks, take_jwks_text};
use super::matcher_file::{self, MatcherFile};
use super::reader::{Located, Reader};
use super::trust_file::{jwks_uri, take_named_algorithms};
use super::{Diagnostic, certificate_login, dated};
use crate::client::{AuthMethod, CertificateName, Dated};
use crate::crypto::Digest;
use crate::jose::Algorithm;
use crate::keys::ClientJwks;
use crate::oauth::{RuleName, SpiffePattern};
use crate::x509::Roots;

/// A way to log in, checked as far as it can be alone.
#[derive(Clone, Debug)]
pub enum LoginFile {
    /// `private_key_jwt` (RFC 7523 §2.2): an assertion signed with the agent's own key.
    PrivateKeyJwt {
        /// The agent's public keys.
        keys: ClientJwks,
        /// Whether the token endpoint is accepted as the assertion's audience beside the issuer.
        token_endpoint_audience: bool,
        /// By which an assertion may be signed.
        algorithms: Vec<Algorithm>,
        /// Those of the keys that have an end.
        dated: Vec<Dated>,
    },
    /// `spiffe_jwt`: a JWT-SVID (draft-ietf-oauth-spiffe-client-auth).
    SpiffeJwt {
        /// The SPIFFE ID, or with `/*` at its end all below it.
        spiffe_id: Located<SpiffePattern>,
    },
    /// `workload_jwt`: an attestation under a trust rule.
    WorkloadJwt {
        /// The rule.
        trust: Located<RuleName>,
        /// Which of its attestations.
        matchers: Vec<MatcherFile>,
    },
    /// `tls_client_auth` (RFC 8705 §2.1): a certificate from an authority, with one name.
    TlsClientAuth {
        /// The authority; none for that of `[tls]`.
        roots: Option<Arc<Roots>>,
        /// The name.
        name: CertificateName,
        /// The certificates of the authority that is named here.
        dated: Vec<Dated>,
    },
    /// `self_signed_tls_client_auth` (RFC 8705 §2.2): a certificate that is registered here.
    SelfSignedTls {
        /// SHA-256 of certificates.
        certificates: Vec<Digest>,
        /// RFC 7638 thumbprints of keys, any certificate of which will do.
        keys: Vec<Digest>,
        /// Those of both that have an end.
        dated: Vec<Dated>,
    },
    /// `spiffe_x509`: an X509-SVID (draft-ietf-oauth-spiffe-client-auth).
    SpiffeX509 {
        /// The SPIFFE ID, or with `/*` at its end all below it.
        spiffe_id: Located<SpiffePattern>,
    },
    /// `workload_x509`: a certificate under a trust rule of kind `x509`.
    WorkloadX509 {
        /// The rule.
        trust: Located<RuleName>,
        /// Which of its certificates.
        matchers: Vec<MatcherFile>,
    },
    /// `client_secret_basic` or `client_secret_post` (RFC 6749 §2.3.1).
    Secret {
        /// SHA-256 of the secret.
        hash: Digest,
        /// Whether it comes in the `Authorization` header; else in the body.
        basic: bool,
    },
}

#[derive(Clone, Copy)]
enum Method {
    PrivateKeyJwt,
    SpiffeJwt,
    WorkloadJwt,
    TlsClientAuth,
    SelfSignedTls,
    SpiffeX509,
    WorkloadX509,
    Secret { basic: bool },
}

const METHODS: [(&str, Method); 9] = [
    ("private_key_jwt", Method::PrivateKeyJwt),
    ("spiffe_jwt", Method::SpiffeJwt),
    ("workload_jwt", Method::WorkloadJwt),
    ("tls_client_auth", Method::TlsClientAuth),
    ("self_signed_tls_client_auth", Method::SelfSignedTls),
    ("spiffe_x509", Method::SpiffeX509),
    ("workload_x509", Method::WorkloadX509),
    ("client_secret_basic", Method::Secret { basic: true }),
    ("client_secret_post", Method::Secret { basic: false }),
];

/// Known by name and not offered, with what to do instead.
const REFUSED: [(&str, &str); 3] = [
    ("attest_jwt_client_auth", "is not offered in this version; \"workload_jwt\" is"),
    ("client_secret_jwt", "is not offered, because it would need the secret in clear; \"private_key_jwt\" is"),
    ("none", "is not offered: an agent must prove itself"),
];

/// By which a client assertion may be signed where the file of the agent does not say.
pub const ASSERTION_ALGORITHMS: [Algorithm; 4] = [Algorithm::ES256, Algorithm::RS256, Algorithm::PS256, Algorithm::EdDSA];

impl LoginFile {
    /// Reads one `[[login]]`. None when anything needed is missing or wrong; the complaints say what.
    pub(super) fn read(mut reader: Reader<'_>) -> Option<Self> {
        reader.need(&["method"]);
        let login = match take_method(&mut reader) {
            Some(Method::PrivateKeyJwt) => private_key_jwt(&mut reader),
            Some(Method::SpiffeJwt) => spiffe_jwt(&mut reader),
            Some(Method::WorkloadJwt) => {
                workload(&mut reader).map(|(trust, matchers)| LoginFile::WorkloadJwt { trust, matchers })
            }
            Some(Method::WorkloadX509) => {
                workload(&mut reader).map(|(trust, matchers)| LoginFile::WorkloadX509 { trust, matchers })
            }
            Some(Method::TlsClientAuth) => certificate_login::authority(&mut reader),
            Some(Method::SelfSignedTls) => certificate_login::registered(&mut reader),
            Some(Method::SpiffeX509) => certificate_login::svid(&mut reader),
            Some(Method::Secret { basic }) => secret(&mut reader, basic),
            None => {
                reader.take_rest();
                None
            }
        };
        reader.finish();
        login
    }
}

fn take_method(reader: &mut Reader<'_>) -> Option<Method> {
    let found = reader.take_text("method")?;
    if let Some((name, why)) = REFUSED.iter().find(|(name, _)| *name == found.value) {
        reader.desk().complain(Diagnostic::new(found.place, format!("`method` \"{name}\" {why}")));
        return None;
    }
    reader.choose("method", found, &METHODS).map(|method| method.value)
}

fn private_key_jwt(reader: &mut Reader<'_>) -> Option<LoginFile> {
    let found = take_keys(reader);
    let audiences = reader.take_choices("assertion_audience", &[("token_endpoint", true), ("issuer", false)]);
    let token_endpoint_audience = audiences.is_some_and(|all| all.iter().any(|found| found.value));
    let algorithms = match reader.has("algorithms") {
        true => take_named_algorithms(reader),
        false => Some(ASSERTION_ALGORITHMS.into()),
    };
    let (keys, dated) = found?;
    Some(LoginFile::PrivateKeyJwt { keys, token_endpoint_audience, algorithms: algorithms?, dated })
}

/// Exactly one of the three ways to say them. When published keys end is not known here.
fn take_keys(reader: &mut Reader<'_>) -> Option<(ClientJwks, Vec<Dated>)> {
    let uri = reader.has("jwks_uri");
    let found = reader.take_parsed("jwks_uri", jwks_uri).map(|found| ClientJwks::at(found.value));
    match (uri, reader.has("jwks") || reader.has("jwks_file")) {
        (true, false) => found.map(|keys| (keys, Vec::new())),
        (false, true) => take_jwks_text(reader).map(|jwks| {
            let dated = dated::of_keys(AuthMethod::PrivateKeyJwt, &jwks);
            (ClientJwks::from(jwks.set), dated)
        }),
        (both, _) => {
            let _unread = take_jwks(reader);
            let sentence = match both {
                true => "only one of `jwks_uri`, `jwks_file` and `jwks` can be given in [login]",
                false => "`jwks_file`, `jwks` or `jwks_uri` is missing in [login]",
            };
            reader.desk().complain(Diagnostic::new(reader.place().clone(), sentence));
            None
        }
    }
}

fn spiffe_jwt(reader: &mut Reader<'_>) -> Option<LoginFile> {
    reader.need(&["spiffe_id"]);
    let spiffe_id = reader.take_parsed("spiffe_id", SpiffePattern::parse)?;
    Some(LoginFile::SpiffeJwt { spiffe_id })
}

fn workload(reader: &mut Reader<'_>) -> Option<(Located<RuleName>, Vec<MatcherFile>)> {
    reader.need(&["trust", "match"]);
    let place = reader.place_of("match");
    let trust = reader.take_parsed("trust", RuleName::parse);
    let matchers = matcher_file::take(reader, "match")?;
    if matchers.is_empty() {
        let sentence =
            "`match` must say which attestations are this agent's; an empty one would admit every workload of the rule";
        reader.desk().complain(Diagnostic::new(place, sentence));
        return None;
    }
    Some((trust?, matchers))
}

fn secret(reader: &mut Reader<'_>, basic: bool) -> Option<LoginFile> {
    reader.need(&["secret_hash"]);
    reader.refuse("secret", "must not be written down; write `secret_hash`, which `countersign keys` makes");
    let hash = reader.take_parsed("secret_hash", secret_hash)?.value;
    Some(LoginFile::Secret { hash, basic })
}

/// Never repeats what it refuses: it may be the secret itself.
pub(super) fn secret_hash(text: &str) -> Result<Digest, &'static str> {
    const WANTED: &str =
        "must be \"sha256:\" and the SHA-256 of the secret in base64url without padding, which `countersign keys` makes";
    let encoded = text.strip_prefix("sha256:").ok_or(WANTED)?;
    let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| WANTED)?;
    bytes.try_into().map(Digest).map_err(|_| WANTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_kept_as_its_hash_only() {
        assert_eq!(secret_hash("sha256:ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0"), Ok(Digest::of(b"abc")));
        for bad in ["", "abc", "sha256:", "sha256:YWJj", "sha256:ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0="] {
            let refused = secret_hash(bad).err().unwrap_or_default();
            assert!(!refused.is_empty());
        }
    }
}
