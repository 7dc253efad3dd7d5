//! Whose share of a bound it is that a request fills.

use super::ClientId;
use crate::crypto::Digest;

/// Whoever fills a bound that all share: a client, by 64 bits of the digest of its id. Two clients that met in them would share a
/// share, and nothing else. It is not stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ShareKey(Option<u64>);

impl ShareKey {
    /// Operators and the server itself, whom no share bounds; and whoever held a place before a start, which nobody knows any
    /// more.
    pub const NOBODY: Self = Self(None);

    /// The share of `client`.
    pub fn of(client: &ClientId) -> Self {
        if matches!(client.as_str(), "ops" | "server") {
            return Self::NOBODY;
        }
        let digest = Digest::of(client.as_str().as_bytes());
        Self(digest.0.first_chunk().map(|bytes| u64::from_be_bytes(*bytes)))
    }

    /// True where no share bounds it.
    pub fn is_nobody(self) -> bool {
        self.0.is_none()
    }
}
