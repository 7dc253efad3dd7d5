//! Shares of what is bounded: nobody holds more of it than is left free, so whoever takes all that he can leaves as much again
//! to everybody else, and n who do so leave one part of n + 1. Buffers of switches are shared so (dynamic thresholds, Choudhury
//! and Hahne 1998). There is nothing to configure, and nothing lies idle that somebody could use alone.

use std::collections::HashMap;

use super::capacity::Capacity;
use super::receipt::CommitReason;
use crate::oauth::ShareKey;

/// The places of one bound, and who holds how many. What nobody's share bounds counts for all.
#[derive(Clone, Debug, Default)]
pub(super) struct Shares {
    held: usize,
    of: HashMap<ShareKey, usize>,
}

impl Shares {
    /// Passes where `who` may take `more` places of so many. `retry` is the time in seconds after which the next place is given
    /// back.
    ///
    /// # Errors
    /// `Full` where there are not so many; `Share` where `who` would then hold more than was left.
    pub(super) fn room(
        &self,
        (of, places): (Capacity, usize),
        who: ShareKey,
        more: usize,
        retry: impl FnOnce() -> u32,
    ) -> Result<(), CommitReason> {
        let free = places.saturating_sub(self.held);
        if more > free {
            return Err(CommitReason::Full(of, retry()));
        }
        let own = self.of(who);
        // The first places of all are nobody's share: of few, one would have none else.
        if who.is_nobody() || own == 0 || own + more <= free {
            return Ok(());
        }
        of.note_exhausted();
        Err(CommitReason::Share(of, retry()))
    }

    /// `who` takes so many places, room or not.
    pub(super) fn take(&mut self, who: ShareKey, places: usize) {
        self.held += places;
        if !who.is_nobody() {
            *self.of.entry(who).or_default() += places;
        }
    }

    /// `who` gives back so many places.
    pub(super) fn give_back(&mut self, who: ShareKey, places: usize) {
        self.held = self.held.saturating_sub(places);
        if let Some(own) = self.of.get_mut(&who) {
            *own = own.saturating_sub(places);
            if *own == 0 {
                self.of.remove(&who);
            }
        }
    }

    /// The places that `who` holds.
    pub(super) fn of(&self, who: ShareKey) -> usize {
        self.of.get(&who).copied().unwrap_or_default()
    }

    /// The places that are taken.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Everything is given back; then so many places are taken that are nobody's.
    pub(super) fn reset(&mut self, held: usize) {
        self.of.clear();
        self.held = held;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::ClientId;

    fn who(name: &str) -> ShareKey {
        ClientId::parse(name).map_or(ShareKey::NOBODY, |id| ShareKey::of(&id))
    }

    /// Whoever takes all that is given, until nothing more is.
    fn greedy(shares: &mut Shares, of: (Capacity, usize), who: ShareKey) -> usize {
        let mut taken = 0;
        while shares.room(of, who, 1, || 1).is_ok() {
            shares.take(who, 1);
            taken += 1;
        }
        taken
    }

    /// For every number of clients that take all they can, in turn and at once: whoever comes then has as much as each of them.
    #[test]
    fn however_many_are_greedy_others_have_as_much_as_each_of_them() {
        for hostile in 1..=20_usize {
            let (mut shares, of) = (Shares::default(), (Capacity::Tasks, 10_000));
            let names: Vec<ShareKey> = (0..hostile).map(|number| who(&format!("hostile-{number}"))).collect();
            while names.iter().any(|name| shares.room(of, *name, 1, || 1).is_ok()) {
                for name in &names {
                    if shares.room(of, *name, 1, || 1).is_ok() {
                        shares.take(*name, 1);
                    }
                }
            }
            let free = 10_000 - shares.held();
            assert!(free + 1 >= 10_000 / (hostile + 1), "{hostile}: {free}");
            assert!(greedy(&mut shares, of, who("honest")) >= free / 2, "{hostile}");
            assert!(names.iter().all(|name| shares.room(of, *name, 1, || 7) == Err(CommitReason::Share(Capacity::Tasks, 7))));
        }
    }

    #[test]
    fn one_after_the_other_leaves_half_of_the_rest() {
        let (mut shares, of) = (Shares::default(), (Capacity::Queue, 1024));
        let taken: Vec<usize> = ["a", "b", "c"].iter().map(|name| greedy(&mut shares, of, who(name))).collect();
        assert_eq!(taken, [512, 256, 128]);
        shares.give_back(who("a"), 512);
        assert_eq!((greedy(&mut shares, of, who("a")), greedy(&mut shares, of, who("b"))), (320, 32));
    }

    #[test]
    fn the_last_places_are_anybodys_and_nobody_has_no_share() {
        let (mut shares, of) = (Shares::default(), (Capacity::SingleUse, 2));
        assert_eq!(greedy(&mut shares, of, who("a")), 1);
        assert_eq!(greedy(&mut shares, of, who("b")), 1);
        assert_eq!(shares.room(of, who("c"), 1, || 3), Err(CommitReason::Full(Capacity::SingleUse, 3)));
        shares.reset(0);
        assert_eq!(greedy(&mut shares, of, ShareKey::NOBODY), 2);
        shares.give_back(ShareKey::NOBODY, 1);
        assert_eq!(greedy(&mut shares, of, who("a")), 1);
        assert!(shares.of.len() == 1 && who("ops").is_nobody() && who("server").is_nobody());
    }
}
