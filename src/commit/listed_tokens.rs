//! The tokens that stand in status lists, by what they depend on: a change leads to the tokens that it may touch, and to no
//! others.
//!
//! What tokens depend on is kept once for all of them; a token has the numbers of it, four bytes each, and its own place among
//! the tokens that depend on it, so that it is taken out again without a search.

use std::collections::{BTreeSet, HashMap};

use super::expiry::{ExpiryQueue, is_over};
use crate::lifecycle::status::{ListKey, TokenStatus};
use crate::oauth::{Generation, GenerationKey, ShareKey, StatusPlace, Time};

/// A token on its way into the memory of the lists.
#[derive(Debug)]
pub(super) struct ListedToken {
    /// Where its status stands.
    pub(super) place: StatusPlace,
    /// Its `exp`.
    pub(super) expires: Time,
    /// In whose share it counts.
    pub(super) share: ShareKey,
    /// Everything that it depends on.
    pub(super) generations: Box<[Generation]>,
}

/// The number of a token or of a thing, while it is remembered.
type Number = u32;

/// All tokens that are remembered.
#[derive(Debug, Default)]
pub(super) struct ListedTokens {
    tokens: Slots<KnownToken>,
    things: Slots<KnownThing>,
    /// Of the generations of a thing that tokens depend on, the first; each names the next.
    first: HashMap<GenerationKey, Number>,
    expiry: ExpiryQueue<Number>,
}

/// Tokens to look at.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Touched {
    /// These, each once.
    Some(Vec<Number>),
    /// All of them: that is less than to look at each once for every change.
    All,
}

#[derive(Debug)]
struct KnownToken {
    place: StatusPlace,
    status: TokenStatus,
    expires: Time,
    share: ShareKey,
    /// The numbers of what it depends on, each with its own place there.
    on: Box<[(Number, u32)]>,
}

/// One generation of a thing, and the tokens that depend on it.
#[derive(Debug)]
struct KnownThing {
    generation: Generation,
    next: Option<Number>,
    tokens: Vec<Number>,
}

/// Things by numbers that are given again once they are free.
#[derive(Debug)]
struct Slots<T> {
    of: Vec<Option<T>>,
    free: Vec<Number>,
}

impl ListedToken {
    /// The time at which it is forgotten: the first whole second at which nobody takes it any more.
    pub(super) fn forgotten(&self) -> Time {
        Time::from_seconds(over(self.expires).seconds().saturating_add(1))
    }
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { of: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slots<T> {
    fn len(&self) -> usize {
        self.of.len() - self.free.len()
    }

    fn get(&self, number: Number) -> Option<&T> {
        self.of.get(number as usize)?.as_ref()
    }

    fn get_mut(&mut self, number: Number) -> Option<&mut T> {
        self.of.get_mut(number as usize)?.as_mut()
    }

    fn insert(&mut self, thing: T) -> Number {
        let number = self.free.pop();
        match number.and_then(|number| Some((number, self.of.get_mut(number as usize)?))) {
            Some((number, slot)) => {
                *slot = Some(thing);
                number
            }
            None => {
                self.of.push(Some(thing));
                // A token takes hundreds of bytes, so there are never so many.
                Number::try_from(self.of.len() - 1).unwrap_or(Number::MAX)
            }
        }
    }

    fn remove(&mut self, number: Number) -> Option<T> {
        let thing = self.of.get_mut(number as usize)?.take()?;
        self.free.push(number);
        Some(thing)
    }

    fn numbers(&self) -> impl Iterator<Item = Number> + use<T> {
        0..Number::try_from(self.of.len()).unwrap_or(Number::MAX)
    }
}

impl ListedTokens {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Remembers a token, as valid, and tells its number.
    pub(super) fn add(&mut self, token: ListedToken) -> Number {
        let ListedToken { place, expires, share, generations } = token;
        let known = KnownToken { place, status: TokenStatus::Valid, expires, share, on: Box::default() };
        let number = self.tokens.insert(known);
        let mut on: Vec<(Number, u32)> = Vec::with_capacity(generations.len());
        for generation in &generations {
            let thing = self.thing(generation);
            if on.iter().all(|(known, _)| *known != thing) {
                on.push((thing, self.join(thing, number)));
            }
        }
        if let Some(known) = self.tokens.get_mut(number) {
            known.on = on.into();
        }
        self.expiry.add(number, over(expires));
        number
    }

    /// The tokens that depend on any of the things with these keys, in whatever generation.
    pub(super) fn touched(&self, keys: &BTreeSet<GenerationKey>) -> Touched {
        let of_key = |key: &GenerationKey| std::iter::successors(self.first.get(key).copied(), |at| self.things.get(*at)?.next);
        let things = || keys.iter().flat_map(of_key).filter_map(|number| self.things.get(number));
        let count: usize = things().map(|thing| thing.tokens.len()).sum();
        if count >= self.len().max(1) {
            return Touched::All;
        }
        let mut numbers: Vec<Number> = things().flat_map(|thing| thing.tokens.iter().copied()).collect();
        numbers.sort_unstable();
        numbers.dedup();
        Touched::Some(numbers)
    }

    /// The numbers of all that there are, and of some that are free.
    pub(super) fn numbers(&self) -> impl Iterator<Item = Number> + use<> {
        self.tokens.numbers()
    }

    /// Gives a token the status that `of` says by what it depends on, unless it is over for good. Returns its place if the status
    /// is another one.
    pub(super) fn look(
        &mut self,
        number: Number,
        of: impl FnOnce(&[Generation]) -> TokenStatus,
    ) -> Option<(StatusPlace, TokenStatus)> {
        let known = self.tokens.get(number).filter(|known| known.status != TokenStatus::Invalid)?;
        let things = known.on.iter().filter_map(|(thing, _)| self.things.get(*thing));
        let generations: Vec<Generation> = things.map(|thing| thing.generation).collect();
        let (known, status) = (self.tokens.get_mut(number)?, of(&generations));
        let changed = known.status != status;
        known.status = status;
        changed.then_some((known.place, status))
    }

    /// The time at which the next token is forgotten.
    pub(super) fn next_over(&self) -> Option<Time> {
        self.expiry.first()
    }

    /// Forgets the tokens that are over at `now`, and tells in whose shares they were.
    pub(super) fn forget(&mut self, now: Time) -> Vec<ShareKey> {
        let due = self.expiry.due(now);
        // A number that was given again since has another time.
        let gone = |tokens: &Slots<KnownToken>, number| tokens.get(number).is_some_and(|known| is_over(over(known.expires), now));
        due.into_iter().filter_map(|number| gone(&self.tokens, number).then(|| self.remove(number))?).collect()
    }

    /// Forgets the token in `place`, if there is one, and tells in whose share it was.
    pub(super) fn release(&mut self, place: StatusPlace) -> Option<ShareKey> {
        let here = |number: &Number| self.tokens.get(*number).is_some_and(|known| known.place == place);
        let number = self.numbers().find(here)?;
        self.remove(number)
    }

    fn remove(&mut self, number: Number) -> Option<ShareKey> {
        let known = self.tokens.remove(number)?;
        known.on.iter().for_each(|(thing, at)| self.leave(*thing, *at));
        Some(known.share)
    }

    /// The number of a generation, which is remembered from now on.
    fn thing(&mut self, generation: &Generation) -> Number {
        let first = self.first.get(&generation.key).copied();
        let mut next = first;
        while let Some((number, thing)) = next.and_then(|number| Some((number, self.things.get(number)?))) {
            if thing.generation.number == generation.number {
                return number;
            }
            next = thing.next;
        }
        let number = self.things.insert(KnownThing { generation: *generation, next: first, tokens: Vec::with_capacity(1) });
        self.first.insert(generation.key, number);
        number
    }

    /// A token depends on a thing from now on: its place there.
    fn join(&mut self, thing: Number, token: Number) -> u32 {
        let Some(thing) = self.things.get_mut(thing) else { return 0 };
        thing.tokens.push(token);
        u32::try_from(thing.tokens.len() - 1).unwrap_or(u32::MAX)
    }

    /// The token at a place of a thing does not depend on it any more: the last one there takes its place.
    fn leave(&mut self, number: Number, at: u32) {
        let Some(thing) = self.things.get_mut(number).filter(|thing| (at as usize) < thing.tokens.len()) else { return };
        thing.tokens.swap_remove(at as usize);
        let (moved, last) = (thing.tokens.get(at as usize).copied(), u32::try_from(thing.tokens.len()).unwrap_or(u32::MAX));
        let is_unused = thing.tokens.is_empty();
        if thing.tokens.capacity() > 4 * (thing.tokens.len() + 1) {
            thing.tokens.shrink_to(2 * thing.tokens.len());
        }
        let moved = moved.and_then(|moved| self.tokens.get_mut(moved));
        let place = moved.and_then(|moved| moved.on.iter_mut().find(|(thing, place)| *thing == number && *place == last));
        if let Some((_, place)) = place {
            *place = at;
        }
        if is_unused {
            self.forget_thing(number);
        }
    }

    /// Nothing depends on this generation any more.
    fn forget_thing(&mut self, number: Number) {
        let Some(gone) = self.things.remove(number) else { return };
        let key = gone.generation.key;
        if self.first.get(&key) == Some(&number) {
            match gone.next {
                Some(next) => self.first.insert(key, next),
                None => self.first.remove(&key),
            };
            return;
        }
        let mut at = self.first.get(&key).copied();
        while let Some(thing) = at.and_then(|number| self.things.get_mut(number)) {
            if thing.next == Some(number) {
                thing.next = gone.next;
                return;
            }
            at = thing.next;
        }
    }
}

/// The time from which on nobody takes a token any more: validators allow some leeway.
fn over(expires: Time) -> Time {
    expires.plus(ListKey::LEEWAY)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]
    use super::*;
    use crate::oauth::ListId;

    const KEYS: u8 = 12;

    /// Numbers as they fall (Knuth's MMIX generator), the same each time.
    struct Draws(u64);

    impl Draws {
        fn below(&mut self, bound: u32) -> u32 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) as u32 % bound
        }
    }

    fn place(index: u32) -> StatusPlace {
        StatusPlace { index, list: ListId::from_bytes([0; 16]) }
    }

    fn key(id: u8) -> GenerationKey {
        GenerationKey([id; 16])
    }

    fn token(index: u32, expires: i64, on: &[(u8, u64)]) -> ListedToken {
        let generations = on.iter().map(|(id, number)| Generation { key: key(*id), number: *number }).collect();
        ListedToken { place: place(index), expires: Time::from_seconds(expires), share: ShareKey::NOBODY, generations }
    }

    /// What is remembered of tokens without any index.
    type Plain = Vec<(u32, i64, Vec<(u8, u64)>)>;

    /// The places of the tokens that these keys lead to.
    fn led_to(tokens: &ListedTokens, keys: &BTreeSet<GenerationKey>) -> BTreeSet<u32> {
        let place = |number: Number| tokens.tokens.get(number).map(|known| known.place.index);
        match tokens.touched(keys) {
            Touched::Some(numbers) => numbers.into_iter().map(|number| place(number).unwrap()).collect(),
            Touched::All => tokens.numbers().filter_map(place).collect(),
        }
    }

    /// Every token that a change could touch is looked at, whatever came and went before; and no others, unless as many as all.
    fn assert_agrees(tokens: &ListedTokens, plain: &Plain, keys: &[u8]) {
        let wanted: BTreeSet<GenerationKey> = keys.iter().map(|id| key(*id)).collect();
        let touches = |on: &[(u8, u64)]| on.iter().any(|(id, _)| keys.contains(id));
        let expected: BTreeSet<u32> = plain.iter().filter(|(.., on)| touches(on)).map(|(index, ..)| *index).collect();
        let found = led_to(tokens, &wanted);
        match tokens.touched(&wanted) {
            Touched::Some(_) => assert_eq!(found, expected),
            Touched::All => {
                let joins =
                    |on: &[(u8, u64)]| on.iter().collect::<BTreeSet<_>>().iter().filter(|(id, _)| keys.contains(id)).count();
                let all: usize = plain.iter().map(|(.., on)| joins(on)).sum();
                assert!(all >= plain.len().max(1), "{all} of {}", plain.len());
                assert!(expected.is_subset(&found));
            }
        }
    }

    #[test]
    fn however_tokens_come_and_go_a_change_leads_to_those_that_it_touches() {
        let (mut draws, mut tokens, mut plain) = (Draws(15), ListedTokens::default(), Plain::new());
        let mut now = 0;
        for round in 0..6_000_u32 {
            match draws.below(10) {
                0 => {
                    now += i64::from(draws.below(40));
                    let gone = tokens.forget(Time::from_seconds(now)).len();
                    let before = plain.len();
                    plain.retain(|(_, expires, _)| expires + 60 + 1 > now);
                    assert_eq!(gone, before - plain.len());
                }
                1 if !plain.is_empty() => {
                    let (index, ..) = plain.swap_remove(draws.below(plain.len() as u32) as usize);
                    assert!(tokens.release(place(index)).is_some());
                }
                _ => {
                    let count = 1 + draws.below(6);
                    let on: Vec<(u8, u64)> =
                        (0..count).map(|_| (draws.below(u32::from(KEYS)) as u8, u64::from(draws.below(3)))).collect();
                    let expires = now + i64::from(draws.below(100));
                    tokens.add(token(round, expires, &on));
                    plain.push((round, expires, on));
                }
            }
            let keys: Vec<u8> = (0..draws.below(3)).map(|_| draws.below(u32::from(KEYS)) as u8).collect();
            assert_agrees(&tokens, &plain, &keys);
            assert_eq!(tokens.len(), plain.len());
        }
        tokens.forget(Time::from_seconds(now + 1_000));
        assert!(tokens.len() == 0 && tokens.first.is_empty() && tokens.things.len() == 0, "nothing is left of what is gone");
    }

    #[test]
    fn a_status_is_told_when_it_changes_and_what_is_invalid_stays_so() {
        let mut tokens = ListedTokens::default();
        let number = tokens.add(token(7, 10, &[(1, 0), (2, 5)]));
        let mut seen = Vec::new();
        let mut look = |status| {
            tokens.look(number, |generations| {
                seen = generations.to_vec();
                status
            })
        };
        assert_eq!(look(TokenStatus::Valid), None);
        assert_eq!(look(TokenStatus::Suspended), Some((place(7), TokenStatus::Suspended)));
        assert_eq!(look(TokenStatus::Invalid), Some((place(7), TokenStatus::Invalid)));
        assert_eq!(look(TokenStatus::Valid), None);
        assert_eq!(seen, [(1, 0), (2, 5)].map(|(id, number)| Generation { key: key(id), number }));
    }
}
