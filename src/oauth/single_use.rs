//! Values that count once.

use super::Time;

/// A value that may be accepted once: a client assertion's `jti`, later a proof's. The commit spends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SingleUse {
    /// SHA-256 over what it is single for (its kind, who presented it) and the value itself.
    pub digest: [u8; 32],
    /// When it could no longer be accepted anyway, so that it may be forgotten.
    pub expires: Time,
}
