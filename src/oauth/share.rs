//! Whose share of a bound it is that a request fills.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::ClientId;

/// Whoever fills a bound that all share: a client, by a hash of its id, which operators choose. Two clients that met in it would
/// share a share, and nothing else. It is not stored.
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
        let mut hasher = DefaultHasher::new();
        client.hash(&mut hasher);
        Self(Some(hasher.finish()))
    }

    /// True where no share bounds it.
    pub fn is_nobody(self) -> bool {
        self.0.is_none()
    }
}
