//! Just enough JOSE to play issuers and clients: signing with test keys (RFC 7515), and verifying what a server issued.
//!
//! Nothing here is shared with any server, so that no misreading is shared either.

mod key;
mod verify;

pub use key::Key;
pub use verify::{Decoded, decode_and_verify};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// base64url without padding (RFC 7515 §2).
pub fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The bytes that `text` encodes.
///
/// # Errors
/// When `text` is not base64url without padding.
pub fn from_base64url(text: &str) -> Result<Vec<u8>, String> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| "not base64url without padding".to_owned())
}
