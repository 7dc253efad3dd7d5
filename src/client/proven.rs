//! The keys that a request proved (RFC 9449 §4.3, RFC 8705 §3).

use std::fmt;

use crate::crypto::Digest;
use crate::oauth::{Confirmation, ConfirmationMethod, SingleUse};

/// The keys that a request proved that it holds: by a DPoP proof, by the handshake of its connection, by both or by neither.
/// Only the stage that authenticates clients fills it.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProvenKeys {
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
    /// The value that the commit must spend.
    pub single_use: SingleUse,
}

/// A credential is bound to a key that the request did not prove. `Display` says what was expected and what was found, to stand
/// behind the name of the credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MissingProof {
    /// The kind of proof that was expected.
    pub kind: ConfirmationMethod,
    /// True when another key of that kind was proved; else none was.
    pub other: bool,
}

impl ProvenKeys {
    /// The missing proof where a credential is bound by `binding`; nothing where its key was proved, or it is bound to none.
    pub fn missed(&self, binding: Option<Confirmation>) -> Option<MissingProof> {
        let kind = binding.filter(|binding| !self.holds(binding))?.kind();
        let other = match kind {
            ConfirmationMethod::Dpop => self.dpop.is_some(),
            ConfirmationMethod::Certificate => self.certificate.is_some(),
        };
        Some(MissingProof { kind, other })
    }

    /// True when the request proved the very key that `binding` names.
    pub fn holds(&self, binding: &Confirmation) -> bool {
        match binding {
            Confirmation::Dpop(key) => self.dpop.is_some_and(|proof| proof.key.same_as(key)),
            Confirmation::Certificate(certificate) => self.certificate.is_some_and(|proved| proved.same_as(certificate)),
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

impl fmt::Display for MissingProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.kind, self.other) {
            (ConfirmationMethod::Dpop, false) => {
                "is bound by its cnf.jkt: a DPoP proof by that key was expected and there was none"
            }
            (ConfirmationMethod::Dpop, true) => {
                "is bound by its cnf.jkt: a DPoP proof by that key was expected and one by another key came"
            }
            (ConfirmationMethod::Certificate, false) => {
                "is bound by its cnf.x5t#S256: that client certificate was expected and the connection has none"
            }
            (ConfirmationMethod::Certificate, true) => {
                "is bound by its cnf.x5t#S256: that client certificate was expected and the connection has another"
            }
        })
    }
}

#[cfg(test)]
impl ProvenKeys {
    /// As if these had been proved.
    pub(crate) fn for_tests(dpop: Option<Digest>, certificate: Option<Digest>) -> Self {
        use crate::oauth::{ShareKey, SingleUseKind, Time};
        let single_use = |key: Digest| SingleUse {
            digest: key.0,
            expires: Time::from_seconds(0),
            issued: Time::from_seconds(0),
            kind: SingleUseKind::Proof,
            share: ShareKey::NOBODY,
        };
        let dpop = dpop.map(|key| DpopProof { key, evidence: key, single_use: single_use(key) });
        Self { dpop, certificate }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_key_is_held() {
        let (one, other) = (Digest::of(b"one"), Digest::of(b"other"));
        let proven = ProvenKeys::for_tests(Some(one), Some(other));
        assert!(proven.holds(&Confirmation::Dpop(one)) && proven.holds(&Confirmation::Certificate(other)));
        assert!(!proven.holds(&Confirmation::Dpop(other)) && !proven.holds(&Confirmation::Certificate(one)));
        assert!(!ProvenKeys::default().holds(&Confirmation::Dpop(one)));
    }
}
