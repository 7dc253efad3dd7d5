//! Hashes of sets, kept up to date element by element.

use super::{Digest, MacKey, SealReason, random};

/// The number of lanes of a [`SetHash`]; with 16 bits each, over 200 bits of security (Lewi, Kim, Maykov, Weis: "Securing Update
/// Propagation with Homomorphic Hashing", 2019, §5).
const LANES: usize = 1024;

/// The hash of a set that anybody can compute: LtHash16, the sum of its elements, each expanded by BLAKE3 to 2,048 bytes. Nobody
/// can find two sets with one hash, not even by choosing elements. Elements are distinct: one that was added 65,536 times would
/// count as absent.
#[derive(Clone, PartialEq, Eq)]
pub struct SetHash(Box<[u16; LANES]>);

impl Default for SetHash {
    fn default() -> Self {
        Self(Box::new([0; LANES]))
    }
}

impl SetHash {
    /// Adds an element that is not in the set.
    pub fn add(&mut self, element: &[u8]) {
        self.mix(element, u16::wrapping_add);
    }

    /// Removes an element that is in the set.
    pub fn remove(&mut self, element: &[u8]) {
        self.mix(element, u16::wrapping_sub);
    }

    /// Adds every element of a set that has none in common with this one.
    pub fn join(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0.iter()).for_each(|(lane, other)| *lane = lane.wrapping_add(*other));
    }

    /// SHA-256 of the lanes, each in little-endian order.
    pub fn digest(&self) -> Digest {
        let bytes: Vec<u8> = self.0.iter().flat_map(|lane| lane.to_le_bytes()).collect();
        Digest::of(&bytes)
    }

    fn mix(&mut self, element: &[u8], with: impl Fn(u16, u16) -> u16) {
        let mut expanded = [0; LANES * 2];
        blake3::Hasher::new().update(element).finalize_xof().fill(&mut expanded);
        let (pairs, _) = expanded.as_chunks();
        self.0.iter_mut().zip(pairs).for_each(|(lane, pair)| *lane = with(*lane, u16::from_le_bytes(*pair)));
    }
}

impl std::fmt::Debug for SetHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.digest().fmt(f)
    }
}

/// The hash of a multiset under a secret key: the sum of HMAC-SHA-256 of its elements, modulo 2²⁵⁶ (Clarke et al.: "Incremental
/// Multiset Hash Functions and Their Application to Memory Integrity Checking", 2003, §5, MSet-Add-Hash). It is stored only
/// [masked](Self::masked), so that whoever reads the store learns nothing to forge one with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyedSum([u64; 4]);

impl KeyedSum {
    /// The bytes of a masked sum: a nonce of 16, and 32.
    pub const MASKED_BYTES: usize = 48;

    /// The sum of one element, given in parts. Where parts vary in length the caller separates them.
    pub fn of(key: &MacKey, element: &[&[u8]]) -> Self {
        Self::read(&key.full(element))
    }

    /// Adds every element of another multiset.
    pub fn add(&mut self, other: Self) {
        let mut carry = false;
        for (word, other) in self.0.iter_mut().zip(other.0) {
            let (sum, first) = word.overflowing_add(other);
            let (sum, second) = sum.overflowing_add(u64::from(carry));
            (*word, carry) = (sum, first || second);
        }
    }

    /// Removes every element of a multiset that is part of this one.
    pub fn remove(&mut self, other: Self) {
        let mut negative = Self(other.0.map(|word| !word));
        negative.add(Self([1, 0, 0, 0]));
        self.add(negative);
    }

    /// The sum as it may be stored: a random nonce, and the sum of this and of HMAC-SHA-256 of the nonce.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn masked(mut self, key: &MacKey) -> Result<[u8; Self::MASKED_BYTES], SealReason> {
        let nonce: [u8; 16] = random()?;
        self.add(Self::mask(key, &nonce));
        let mut masked = [0; Self::MASKED_BYTES];
        let bytes = nonce.into_iter().chain(self.0.into_iter().flat_map(u64::to_le_bytes));
        masked.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        Ok(masked)
    }

    /// The sum that was stored; none where that is not its form.
    pub fn unmasked(key: &MacKey, masked: &[u8]) -> Option<Self> {
        let (nonce, words) = masked.split_first_chunk::<16>()?;
        let mut sum = Self::read(&<[u8; 32]>::try_from(words).ok()?);
        sum.remove(Self::mask(key, nonce));
        Some(sum)
    }

    fn mask(key: &MacKey, nonce: &[u8; 16]) -> Self {
        Self::read(&key.full(&[b"mask", nonce]))
    }

    fn read(bytes: &[u8; 32]) -> Self {
        let (words, _) = bytes.as_chunks();
        let mut sum = Self::default();
        sum.0.iter_mut().zip(words).for_each(|(to, word)| *to = u64::from_le_bytes(*word));
        sum
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    #[test]
    fn a_set_has_one_hash_whatever_the_way_to_it() {
        let mut one = SetHash::default();
        ["a", "b", "c"].iter().for_each(|element| one.add(element.as_bytes()));
        let mut other = SetHash::default();
        ["c", "x", "a"].iter().for_each(|element| other.add(element.as_bytes()));
        assert_ne!(one, other);
        other.remove(b"x");
        let mut rest = SetHash::default();
        rest.add(b"b");
        other.join(&rest);
        assert_eq!(one, other);
        assert_eq!(one.digest(), other.digest());
        ["a", "b", "c"].iter().for_each(|element| one.remove(element.as_bytes()));
        assert_eq!(one, SetHash::default());
    }

    /// The definition: BLAKE3's extended output as little-endian lanes. The first bytes of it for the empty input are those of
    /// BLAKE3's own test vectors.
    #[test]
    fn an_element_stands_as_its_extended_output() {
        let mut hash = SetHash::default();
        hash.add(b"");
        assert_eq!(hash.0.first().copied(), Some(u16::from_le_bytes([0xaf, 0x13])));
        assert_eq!(hash.0.get(1).copied(), Some(u16::from_le_bytes([0x49, 0xb9])));
    }

    #[test]
    fn a_keyed_sum_forgets_what_is_removed_and_its_stored_form_is_its_own() {
        let key = MacKey::new(&[7; 32]);
        let of = |elements: &[&[u8]]| {
            let mut sum = KeyedSum::default();
            elements.iter().for_each(|element| sum.add(KeyedSum::of(&key, &[element])));
            sum
        };
        let mut sum = of(&[b"a", b"b", b"c"]);
        sum.remove(of(&[b"b"]));
        assert_eq!(sum, of(&[b"c", b"a"]));
        let masked = sum.masked(&key).unwrap();
        assert_eq!(KeyedSum::unmasked(&key, &masked), Some(sum));
        assert_ne!(masked, sum.masked(&key).unwrap(), "two forms of one sum tell nothing");
        assert_ne!(KeyedSum::unmasked(&MacKey::new(&[8; 32]), &masked), Some(sum));
        for (at, _) in masked.iter().enumerate() {
            let mut flipped = masked;
            flipped.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1);
            assert_ne!(KeyedSum::unmasked(&key, &flipped), Some(sum), "{at}");
        }
        assert_eq!(KeyedSum::unmasked(&key, &[]), None);
        assert_eq!(KeyedSum::unmasked(&key, masked.get(..47).unwrap()), None);
    }
}
