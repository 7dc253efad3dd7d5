//! SHA-256 and HMAC-SHA-256.

use std::{fmt, io};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::{digest, hmac};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A SHA-256 digest; displays as base64url without padding.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The SHA-256 of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self::of_parts(&[bytes])
    }

    /// The SHA-256 of the parts in a row. Where parts vary in length the caller separates them.
    pub fn of_parts(parts: &[&[u8]]) -> Self {
        let mut hash = digest::Context::new(&digest::SHA256);
        parts.iter().for_each(|part| hash.update(part));
        let mut out = [0; 32];
        out.copy_from_slice(hash.finish().as_ref());
        Self(out)
    }

    /// The SHA-256 of everything that `from` tells, and how many bytes that is.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of_reader(mut from: impl io::Read) -> io::Result<(Self, u64)> {
        let (mut hash, mut length, mut part) = (digest::Context::new(&digest::SHA256), 0, vec![0; 64 * 1024]);
        loop {
            let read = from.read(&mut part)?;
            if read == 0 {
                let mut out = [0; 32];
                out.copy_from_slice(hash.finish().as_ref());
                return Ok((Self(out), length));
            }
            hash.update(part.get(..read).unwrap_or_default());
            length += read as u64;
        }
    }

    /// Reads what `Display` writes, and nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        (URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()? == 32).then_some(Self(bytes))
    }

    /// True when the two are equal, in a time that does not tell where they differ.
    pub fn same_as(&self, other: &Self) -> bool {
        verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; 43];
        let written = URL_SAFE_NO_PAD.encode_slice(self.0, &mut text).unwrap_or(0);
        f.write_str(text.get(..written).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A key for pseudonyms: live state and indexes know things by these, never by name.
#[derive(Clone)]
pub struct MacKey(hmac::Key);

impl MacKey {
    /// A key from 32 secret bytes.
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// The first 16 bytes of HMAC-SHA-256 over the parts in a row. Where parts vary in length the caller separates them.
    pub fn mac(&self, parts: &[&[u8]]) -> [u8; 16] {
        let mut mac = hmac::Context::with_key(&self.0);
        parts.iter().for_each(|part| mac.update(part));
        let mut short = [0; 16];
        short.iter_mut().zip(mac.sign().as_ref()).for_each(|(to, from)| *to = *from);
        short
    }

    /// A key for one purpose: HMAC-SHA-256 of its name.
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        self.full(&[&[0], purpose.as_bytes()])
    }

    /// HMAC-SHA-256 over the parts in a row.
    pub(super) fn full(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = hmac::Context::with_key(&self.0);
        parts.iter().for_each(|part| mac.update(part));
        let mut out = [0; 32];
        out.iter_mut().zip(mac.sign().as_ref()).for_each(|(to, from)| *to = *from);
        out
    }

    /// The first 16 bytes of HMAC-SHA-256(0x00, purpose, 0x00, message). No pseudonym begins like this: the label of a kind has
    /// no zero byte.
    pub fn tag(&self, purpose: &str, message: &[u8]) -> [u8; 16] {
        self.mac(&[&[0], purpose.as_bytes(), &[0], message])
    }

    /// True when `tag` is the one of `message`, in a time that does not tell where it differs.
    pub fn verifies(&self, purpose: &str, message: &[u8], tag: &[u8]) -> bool {
        verify_slices_are_equal(&self.tag(purpose, message), tag).is_ok()
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_sha_256_in_base64url() {
        // FIPS 180-2 appendix B.1.
        assert_eq!(Digest::of(b"abc").to_string(), "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0");
        assert_eq!(Digest::of_parts(&[b"a", b"bc"]), Digest::of(b"abc"));
        assert!(Digest::of(b"abc").same_as(&Digest::of(b"abc")) && !Digest::of(b"abc").same_as(&Digest::of(b"abd")));
    }
}
