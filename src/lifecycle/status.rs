//! The status list that a token stands in, and its status in it (draft-ietf-oauth-status-list-21 §4, §7).
//!
//! There is one list per API, kind of list and window of expiry. All lists have the same number of places, taken in random
//! order and filled to three quarters at most, so that neither a place nor the length of a list tells how many tokens there
//! are; what does not fit stands in a further part.

use std::time::Duration;

use super::liveness::{StateView, alive};
use crate::catalog::StatusBits;
use crate::crypto::Digest;
use crate::oauth::{Generation, ListId, Resource, Time};

/// Places of every list: 16 KiB at one bit.
pub const PLACES: u32 = 1 << 17;

/// So many of them are taken at most.
pub const TAKEN_MAX: u32 = PLACES / 4 * 3;

/// Tokens that expire within the same span stand in the same list.
const WINDOW: Duration = Duration::from_mins(15);

/// The key of a status list. No two lists have the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ListKey {
    /// The API whose tokens stand in it.
    pub api: Resource,
    /// The number of bits per token.
    pub bits: StatusBits,
    /// The end of its window: all its tokens have expired by then.
    pub until: Time,
    /// The number of the list among those of the window, from 0.
    pub part: u32,
}

/// The status of a token; the numbers are those of the wire (draft-ietf-oauth-status-list-21 §7.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum TokenStatus {
    /// Nothing that it rests on has ended.
    #[default]
    Valid = 0,
    /// Something that it rests on has ended.
    Invalid = 1,
    /// Something that it rests on is suspended, and may come back.
    Suspended = 2,
}

impl ListKey {
    /// The time after its expiry for which a token still counts: validators allow some.
    pub const LEEWAY: Duration = Duration::from_secs(60);

    /// The first list for tokens of `api` that expire at `expires`.
    pub fn first(api: &Resource, bits: StatusBits, expires: Time) -> Self {
        let window = i64::try_from(WINDOW.as_millis()).unwrap_or(i64::MAX);
        let until = expires.millis().div_euclid(window).saturating_add(1).saturating_mul(window);
        Self { api: api.clone(), bits, until: Time::from_millis(until), part: 0 }
    }

    /// The list that goes on where this one is full.
    #[must_use]
    pub fn next_part(self) -> Self {
        Self { part: self.part.saturating_add(1), ..self }
    }

    /// The identifier: the first 16 bytes of SHA-256(`countersign status list v1`, bits, end of the window, part, API).
    pub fn id(&self) -> ListId {
        let numbers = [[self.bits.count()].as_slice(), &self.until.millis().to_be_bytes(), &self.part.to_be_bytes()].concat();
        let digest = Digest::of_parts(&[b"countersign status list v1\0", &numbers, self.api.as_str().as_bytes()]);
        let mut id = [0; 16];
        id.iter_mut().zip(digest.0).for_each(|(to, from)| *to = from);
        ListId::from_bytes(id)
    }

    /// The time after which nobody needs the list any more, and its places need not be remembered as taken.
    pub fn forgettable(&self) -> Time {
        self.until.plus(Self::LEEWAY)
    }
}

impl TokenStatus {
    /// The status, at `now`, of a token that depends on `generations`.
    pub fn of(state: &dyn StateView, generations: &[Generation], now: Time) -> Self {
        match alive(state, generations, now) {
            Ok(()) => Self::Valid,
            Err(dead) if dead.is_final() => Self::Invalid,
            Err(_) => Self::Suspended,
        }
    }

    /// The value in a list with so many bits: where there is no value for suspended, it is not valid.
    pub fn within(self, bits: StatusBits) -> u8 {
        match (bits, self) {
            (StatusBits::One, Self::Suspended) => Self::Invalid as u8,
            _ => self as u8,
        }
    }
}

/// The bytes of a list in which every token is valid.
pub fn all_valid(bits: StatusBits) -> Vec<u8> {
    vec![0; (PLACES / 8) as usize * usize::from(bits.count())]
}

/// Writes `value` at place `index` of `bytes`, lowest bits first (draft-ietf-oauth-status-list-21 §4.1).
pub fn put(bytes: &mut [u8], bits: StatusBits, index: u32, value: u8) {
    let width = u32::from(bits.count());
    let per_byte = 8 / width;
    let (at, shift) = ((index / per_byte) as usize, index % per_byte * width);
    let mask = ((1u8 << width) - 1) << shift;
    if let Some(byte) = bytes.get_mut(at) {
        *byte = *byte & !mask | value << shift & mask;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;
    use crate::lifecycle::{GenerationState, InactiveStatus, Task};
    use crate::oauth::{GenerationKey, TaskId};

    #[test]
    fn bits_stand_as_the_specification_packs_them() {
        // draft-ietf-oauth-status-list-21 §4.1, both examples.
        let one = [1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1];
        let mut bytes = vec![0; 2];
        one.iter().zip(0..).for_each(|(value, index)| put(&mut bytes, StatusBits::One, index, *value));
        assert_eq!(bytes, [0xb9, 0xa3]);
        let two = [1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3];
        let mut bytes = vec![0xff; 3];
        two.iter().zip(0..).for_each(|(value, index)| put(&mut bytes, StatusBits::Two, index, *value));
        assert_eq!(bytes, [0xc9, 0x44, 0xf9]);
    }

    #[test]
    fn every_place_of_a_list_is_in_it_and_no_other() {
        for bits in [StatusBits::One, StatusBits::Two] {
            let mut bytes = all_valid(bits);
            put(&mut bytes, bits, PLACES - 1, 1);
            assert_eq!(*bytes.last().unwrap(), if bits == StatusBits::One { 0x80 } else { 0x40 });
            let before = bytes.clone();
            put(&mut bytes, bits, PLACES, 1);
            assert_eq!(bytes, before);
        }
    }

    #[test]
    fn a_list_is_one_window_of_one_api_and_outlives_its_tokens() {
        let api = |text| Resource::parse(text).unwrap();
        let at = |millis| ListKey::first(&api("https://crm.example"), StatusBits::One, Time::from_millis(millis));
        assert_eq!(at(0).id(), at(899_999).id());
        assert_eq!(at(0).until, Time::from_millis(900_000));
        assert_eq!(at(900_000).until, Time::from_millis(1_800_000), "a token is over at its expiry, its list later");
        let others = [
            at(900_000),
            at(0).next_part(),
            ListKey { bits: StatusBits::Two, ..at(0) },
            ListKey { api: api("https://crm.example/"), ..at(0) },
        ];
        for other in others {
            assert_ne!(other.id(), at(0).id(), "{other:?}");
        }
    }

    #[test]
    fn a_status_is_what_the_predicate_says() {
        struct One(GenerationState);
        impl StateView for One {
            fn generations(&self, keys: &[GenerationKey]) -> Vec<GenerationState> {
                vec![self.0; keys.len()]
            }

            fn task(&self, _: &TaskId) -> Option<Task> {
                None
            }

            fn floor(&self) -> Time {
                Time::from_millis(0)
            }
        }
        let now = Time::from_millis(1_000);
        let of = |life| TokenStatus::of(&One(life), &[Generation { key: GenerationKey([1; 16]), number: 0 }], now);
        assert_eq!(of(GenerationState::default()), TokenStatus::Valid);
        assert_eq!(of(GenerationState { number: 1, ..GenerationState::default() }), TokenStatus::Invalid);
        assert_eq!(
            of(GenerationState { inactive: Some(InactiveStatus::Retired), ..GenerationState::default() }),
            TokenStatus::Invalid
        );
        assert_eq!(of(GenerationState { until: Some(now), ..GenerationState::default() }), TokenStatus::Invalid);
        let suspended = of(GenerationState { inactive: Some(InactiveStatus::Suspended), ..GenerationState::default() });
        assert_eq!(
            (suspended, suspended.within(StatusBits::One), suspended.within(StatusBits::Two)),
            (TokenStatus::Suspended, 1, 2)
        );
    }
}
