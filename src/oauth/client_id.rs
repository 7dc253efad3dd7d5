//! Client identifiers (RFC 6749 §2.2).

use std::fmt;
use std::sync::Arc;

/// A client identifier: 1 to 255 visible ASCII characters. An agent's id is one; so is the SPIFFE ID a client names itself by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(Arc<str>);

/// Why a string is not a client identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientIdReason;

impl ClientId {
    /// Checks `text` and keeps it unchanged.
    ///
    /// # Errors
    /// When it is empty, longer than 255 bytes, or has a character outside `0x21`–`0x7E` (RFC 6749 appendix A.1, without space).
    pub fn parse(text: &str) -> Result<Self, ClientIdReason> {
        let fits = !text.is_empty() && text.len() <= 255 && text.bytes().all(|byte| (0x21..=0x7e).contains(&byte));
        fits.then(|| Self(text.into())).ok_or(ClientIdReason)
    }

    /// This server itself, where it records what nobody asked for.
    pub fn server() -> Self {
        Self("server".into())
    }

    /// The identifier as registered.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ClientId {
    /// The operators, in whose name the record says that something was done. No agent has this id.
    pub fn operators() -> Self {
        Self("ops".into())
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ClientIdReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("must have 1 to 255 visible ASCII characters")
    }
}
