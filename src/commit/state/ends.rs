//! Which clients ended what is remembered as ended, as far as this process knows: so much of it counts in their shares.

use std::collections::HashMap;

use crate::commit::change::StateChange;
use crate::commit::shares::Shares;
use crate::oauth::{GenerationKey, ShareKey};

/// The client that ended each thing, and how many each client ended.
#[derive(Debug, Default)]
pub(super) struct EndedBy {
    of: HashMap<GenerationKey, ShareKey>,
    shares: Shares,
}

impl EndedBy {
    /// Counts what a client ends by `change`.
    pub(super) fn count(&mut self, change: &StateChange) {
        let (who, StateChange::Revocation(revocation)) = (ShareKey::of(change.by()), change) else { return };
        for thing in revocation.ends.iter().filter(|_| !who.is_nobody()) {
            if self.of.insert(thing.key, who).is_none() {
                self.shares.take(who, 1);
            }
        }
    }

    /// A thing is not remembered any more.
    pub(super) fn forget(&mut self, key: &GenerationKey) {
        if let Some(who) = self.of.remove(key) {
            self.shares.give_back(who, 1);
        }
    }

    /// How many things `who` ended that are remembered.
    pub(super) fn by(&self, who: ShareKey) -> usize {
        self.shares.of(who)
    }
}
