//! Salted digests of personal values, as selective disclosure does it (RFC 9901 §4.2): a record holds the digest, the clear value
//! travels beside it as a disclosure.
//!
//! Salts have 128 bits (RFC 9901 §9.3). They are consecutive pieces of one long draw of random bytes, so that they are as
//! independent as the bytes are, at the cost of one call to the generator for up to sixteen disclosures.

use serde::Serialize;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::record::RecordReason;
use crate::crypto::{Digest, random};

const SALT_BYTES: usize = 16;
const SALTS_PER_DRAW: usize = 16;

/// The clear values behind the digests of one record: a JSON array of disclosures, wiped from memory when dropped.
#[derive(Debug)]
pub struct Disclosures {
    json: Zeroizing<Vec<u8>>,
}

/// One disclosure read back.
#[derive(Debug)]
pub struct Disclosure {
    /// What stands in the record.
    pub digest: Digest,
    /// The member's name; none for an element of an array.
    pub name: Option<String>,
    /// The value as JSON.
    pub value: Box<RawValue>,
}

impl Disclosures {
    /// One JSON array of strings; empty when nothing was disclosed. To be stored encrypted.
    pub fn into_json(self) -> Zeroizing<Vec<u8>> {
        self.json
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.json.is_empty()
    }
}

impl Disclosure {
    /// Reads what [`Disclosures::into_json`] wrote. The digests are computed here: a disclosure belongs to a record only if its
    /// digest stands in it.
    ///
    /// # Errors
    /// `Malformed` when anything is not a disclosure.
    pub fn parse_all(json: &[u8]) -> Result<Vec<Self>, RecordReason> {
        if json.is_empty() {
            return Ok(Vec::new());
        }
        let texts: Vec<&str> = serde_json::from_slice(json).map_err(|_| RecordReason::Malformed)?;
        texts.into_iter().map(Self::parse).collect()
    }

    /// Reads one disclosure: `base64url([salt, name, value])`, or `[salt, value]` for an element of an array.
    ///
    /// # Errors
    /// `Malformed` when it is something else.
    pub fn parse(text: &str) -> Result<Self, RecordReason> {
        let json = URL_SAFE_NO_PAD.decode(text).map_err(|_| RecordReason::Malformed)?;
        let digest = Digest::of(text.as_bytes());
        if let Ok((_, name, value)) = serde_json::from_slice::<(String, String, Box<RawValue>)>(&json) {
            return Ok(Self { digest, name: Some(name), value });
        }
        let element = serde_json::from_slice::<(String, Box<RawValue>)>(&json).map_err(|_| RecordReason::Malformed)?;
        Ok(Self { digest, name: None, value: element.1 })
    }
}

/// Collects disclosures while a record is written.
pub(super) struct Discloser {
    json: Zeroizing<Vec<u8>>,
    salts: Zeroizing<[u8; SALT_BYTES * SALTS_PER_DRAW]>,
    used: usize,
}

impl Discloser {
    pub(super) fn new() -> Self {
        Self { json: Zeroizing::default(), salts: Zeroizing::new([0; _]), used: SALTS_PER_DRAW }
    }

    /// The digest under which the member `name` with `value` stands in a record (RFC 9901 §4.2.1).
    pub(super) fn member(&mut self, name: &str, value: &(impl Serialize + ?Sized)) -> Result<Digest, RecordReason> {
        let salt = self.salt()?;
        self.add(&(salt.as_str(), name, value))
    }

    /// The digest under which an element of an array stands in a record (RFC 9901 §4.2.2).
    pub(super) fn element(&mut self, value: &(impl Serialize + ?Sized)) -> Result<Digest, RecordReason> {
        let salt = self.salt()?;
        self.add(&(salt.as_str(), value))
    }

    pub(super) fn finish(mut self) -> Disclosures {
        if !self.json.is_empty() {
            self.json.push(b']');
        }
        Disclosures { json: self.json }
    }

    fn add(&mut self, disclosure: &impl Serialize) -> Result<Digest, RecordReason> {
        let clear = Zeroizing::new(serde_json::to_vec(disclosure).map_err(|_| RecordReason::Malformed)?);
        let text = Zeroizing::new(URL_SAFE_NO_PAD.encode(clear.as_slice()));
        let opening = if self.json.is_empty() { b"[\"" } else { b",\"" };
        self.json.extend_from_slice(opening);
        self.json.extend_from_slice(text.as_bytes());
        self.json.push(b'"');
        Ok(Digest::of(text.as_bytes()))
    }

    fn salt(&mut self) -> Result<String, RecordReason> {
        if self.used == SALTS_PER_DRAW {
            (*self.salts, self.used) = (random()?, 0);
        }
        let salt = self.salts.chunks_exact(SALT_BYTES).nth(self.used).ok_or(RecordReason::Salt)?;
        self.used += 1;
        Ok(URL_SAFE_NO_PAD.encode(salt))
    }
}
