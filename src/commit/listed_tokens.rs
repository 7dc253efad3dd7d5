//! The tokens that stand in status lists, by what they depend on: a change leads to the tokens that it may touch, and to no
//! others.
//!
//! Things are found by half of their pseudonyms: where two have the same half, which is as good as never, a token more is looked
//! at. Most things have one token, and take a few bytes for that.

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

/// Half of a pseudonym.
type Half = u64;

/// All tokens that are remembered.
#[derive(Debug, Default)]
pub(super) struct ListedTokens {
    tokens: Slots<KnownToken>,
    on: HashMap<Half, Dependents>,
    several: Slots<Several>,
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
    generations: Box<[Generation]>,
}

/// The tokens that depend on a thing.
#[derive(Clone, Copy, Debug)]
enum Dependents {
    /// The token of this number.
    One(Number),
    /// Those that stand at this number.
    Several(Number),
}

/// The tokens that depend on a thing, by number, and some that did. So many have gone since those were taken out.
#[derive(Debug, Default)]
struct Several {
    tokens: Vec<Number>,
    gone: usize,
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
        let things: Vec<Half> = generations.iter().map(|generation| half(&generation.key)).collect();
        let number = self.tokens.insert(KnownToken { place, status: TokenStatus::Valid, expires, share, generations });
        things.into_iter().for_each(|thing| self.join(thing, number));
        self.expiry.add(number, over(expires));
        number
    }

    /// The tokens that depend on any of the things with these keys, in whatever generation.
    pub(super) fn touched(&self, keys: &BTreeSet<GenerationKey>) -> Touched {
        let dependents = || keys.iter().filter_map(|key| self.on.get(&half(key)));
        let count: usize = dependents().map(|dependents| self.numbers_of(dependents).len()).sum();
        if count >= self.len().max(1) {
            return Touched::All;
        }
        let mut numbers: Vec<Number> = dependents().flat_map(|dependents| self.numbers_of(dependents)).copied().collect();
        numbers.sort_unstable();
        numbers.dedup();
        // Others are gone, and their numbers are those of tokens that came later.
        let depends = |known: &KnownToken| known.generations.iter().any(|generation| keys.contains(&generation.key));
        numbers.retain(|number| self.tokens.get(*number).is_some_and(depends));
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
        let known = self.tokens.get_mut(number).filter(|known| known.status != TokenStatus::Invalid)?;
        let before = std::mem::replace(&mut known.status, of(&known.generations));
        (known.status != before).then_some((known.place, known.status))
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
        known.generations.iter().for_each(|generation| self.leave(half(&generation.key), number));
        Some(known.share)
    }

    fn numbers_of<'a>(&'a self, dependents: &'a Dependents) -> &'a [Number] {
        match dependents {
            Dependents::One(number) => std::slice::from_ref(number),
            Dependents::Several(at) => self.several.get(*at).map_or(&[], |several| &several.tokens),
        }
    }

    /// A token depends on a thing from now on.
    fn join(&mut self, thing: Half, token: Number) {
        let Some(dependents) = self.on.get_mut(&thing) else {
            self.on.insert(thing, Dependents::One(token));
            return;
        };
        match *dependents {
            Dependents::One(only) if only == token => {}
            Dependents::One(only) => {
                *dependents = Dependents::Several(self.several.insert(Several { tokens: vec![only, token], gone: 0 }));
            }
            Dependents::Several(at) => {
                let several = self.several.get_mut(at).filter(|several| several.tokens.last() != Some(&token));
                several.into_iter().for_each(|several| several.tokens.push(token));
            }
        }
    }

    /// A token that is gone depends on a thing no more. Of several it is taken out when as many are gone as there are.
    fn leave(&mut self, thing: Half, token: Number) {
        match self.on.get(&thing).copied() {
            Some(Dependents::One(only)) if only == token => drop(self.on.remove(&thing)),
            Some(Dependents::Several(at)) if self.is_left(thing, at) => {
                self.several.remove(at);
                self.on.remove(&thing);
            }
            _ => {}
        }
    }

    /// True where nothing depends on a thing any more, now that one more is gone.
    fn is_left(&mut self, thing: Half, at: Number) -> bool {
        let Some(several) = self.several.get_mut(at) else { return true };
        several.gone += 1;
        if several.gone * 2 > several.tokens.len() {
            let depends = |known: &KnownToken| known.generations.iter().any(|generation| half(&generation.key) == thing);
            let tokens = &mut several.tokens;
            tokens.sort_unstable();
            tokens.dedup();
            tokens.retain(|number| self.tokens.get(*number).is_some_and(depends));
            tokens.shrink_to(2 * tokens.len());
            several.gone = 0;
        }
        several.tokens.is_empty()
    }
}

/// The first half of a pseudonym.
fn half(key: &GenerationKey) -> Half {
    key.0.first_chunk().map_or(0, |bytes| Half::from_be_bytes(*bytes))
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
                // As many that are gone may be among them as are not.
                assert!(2 * all >= plain.len().max(1), "{all} of {}", plain.len());
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
        assert!(tokens.len() == 0 && tokens.on.is_empty() && tokens.several.len() == 0, "nothing is left of what is gone");
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
