//! The one liveness predicate.

use std::fmt;

use crate::oauth::{Generation, GenerationKey, Time};

/// A view of which life everything is in. The commit owns the truth; its mirror in memory implements this.
pub trait State: Send + Sync {
    /// The present life of the thing behind each key, in order; a thing that never ended is in life 0.
    fn lives(&self, keys: &[GenerationKey]) -> Vec<Life>;
}

/// The present life of one thing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Life {
    /// How often it was ended.
    pub number: u64,
    /// When it was last ended.
    pub ended: Option<Time>,
}

/// Something that a token depends on has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dead {
    /// Of what, as a pseudonym: for the log and the record, not for the caller.
    pub key: GenerationKey,
}

/// Whether every generation is still the current one. Every path that issues, introspects, lists or completes asks this, and the
/// commit asks it once more, atomically.
///
/// # Errors
/// Names the first thing that ended.
pub fn alive(state: &dyn State, generations: &[Generation]) -> Result<(), Dead> {
    let keys: Vec<GenerationKey> = generations.iter().map(|generation| generation.key).collect();
    let ended = generations.iter().zip(state.lives(&keys)).find(|(generation, life)| generation.number != life.number);
    ended.map_or(Ok(()), |(generation, _)| Err(Dead { key: generation.key }))
}

impl fmt::Display for Dead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("something that this token depends on has ended")
    }
}

impl std::error::Error for Dead {}
