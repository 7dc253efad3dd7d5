//! The place of a token's status in a status list (draft-ietf-oauth-status-list-21 §6.2).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

/// One status list: the last part of its address, 22 characters of base64url.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ListId([u8; 16]);

/// Why a string is no identifier of a status list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListIdReason;

/// One place in one status list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusPlace {
    /// The index, from 0.
    pub index: u32,
    /// The list.
    pub list: ListId,
}

impl ListId {
    /// From the sixteen bytes of an identifier.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The sixteen bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Parses the form that `Display` writes and no other.
    ///
    /// # Errors
    /// When `text` is anything else.
    pub fn parse(text: &str) -> Result<Self, ListIdReason> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| ListIdReason)?;
        bytes.try_into().map(Self).map_err(|_| ListIdReason)
    }
}

impl fmt::Display for ListId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl TryFrom<String> for ListId {
    type Error = ListIdReason;

    fn try_from(text: String) -> Result<Self, ListIdReason> {
        Self::parse(&text)
    }
}

impl From<ListId> for String {
    fn from(list: ListId) -> Self {
        list.to_string()
    }
}

impl fmt::Display for ListIdReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a status list is named by 22 characters of base64url")
    }
}

impl std::error::Error for ListIdReason {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    #[test]
    fn a_list_has_one_name() {
        let list = ListId::from_bytes([0xfb; 16]);
        let text = list.to_string();
        assert_eq!(ListId::parse(&text), Ok(list));
        let other_last_bits = format!("{}x", text.strip_suffix(|_| true).unwrap());
        for bad in ["", "A", &text.to_uppercase(), &format!("{text}A"), &format!("{text}=="), &other_last_bits] {
            assert!(ListId::parse(bad).is_err() || ListId::parse(bad).unwrap().to_string() == bad, "{bad}");
        }
        assert!(ListId::parse(&other_last_bits).is_err(), "the spare bits of the last character are not ours to ignore");
    }
}
