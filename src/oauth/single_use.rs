//! Values that count once.

use super::{ShareKey, Time};

/// The longest `jti` of a client assertion or a DPoP proof, in bytes.
pub const JTI_BYTES_MAX: usize = 255;

/// A value that may be accepted once: the `jti` of a client assertion, of a DPoP proof or of an identity assertion grant. The
/// commit spends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SingleUse {
    /// SHA-256 over what it is single for (its kind, who presented it) and the value itself.
    pub digest: [u8; 32],
    /// When it could no longer be accepted anyway, so that it may be forgotten.
    pub expires: Time,
    /// When it was made, or the earliest that it can have been. Not stored: it tells whether it can have been spent before what
    /// was lost.
    pub issued: Time,
    /// Its kind. Not stored: it only tells whoever presents it again what was wrong.
    pub kind: SingleUseKind,
    /// Who presented it, in whose share of the memory it counts. Not stored.
    pub share: ShareKey,
}

/// The kinds of single-use values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SingleUseKind {
    /// A client assertion (RFC 7523 §3).
    #[default]
    Assertion,
    /// A DPoP proof (RFC 9449 §11.1).
    Proof,
    /// An identity assertion grant (RFC 7523 §3).
    Grant,
}
