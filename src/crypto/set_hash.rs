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
/// Multiset Hash Functions and Their Application to Memory Integrity Checking", 2003, §5, MSet-Add-Hash). It is compared and
/// shown only as a [`tag`](Self::tag), so that whoever reads the store learns nothing to forge one with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyedSum([u64; 4]);

impl KeyedSum {
    /// The bytes of a tag: 16 of a random nonce, 32 of the tag.
    pub const TAG_BYTES: usize = 48;

    /// The sum of one element, given in parts. Where parts vary in length the caller separates them.
    pub fn of(key: &MacKey, element: &[&[u8]]) -> Self {
        let mac = key.full(element);
        let (words, _) = mac.as_chunks();
        let mut sum = Self::default();
        sum.0.iter_mut().zip(words).for_each(|(to, word)| *to = u64::from_le_bytes(*word));
        sum
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

    /// The tag of this multiset: a nonce, and HMAC-SHA-256 of nonce and sum.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn tag(&self, key: &MacKey) -> Result<[u8; Self::TAG_BYTES], SealReason> {
        let nonce: [u8; 16] = random()?;
        let mut tag = [0; Self::TAG_BYTES];
        tag.iter_mut().zip(nonce.into_iter().chain(self.mac(key, &nonce))).for_each(|(to, from)| *to = from);
        Ok(tag)
    }

    /// True where `tag` is one of this multiset.
    pub fn has_tag(&self, key: &MacKey, tag: &[u8]) -> bool {
        tag.split_first_chunk::<16>().is_some_and(|(nonce, mac)| {
            <[u8; 32]>::try_from(mac).is_ok_and(|mac| Digest(mac).same_as(&Digest(self.mac(key, nonce))))
        })
    }

    fn mac(&self, key: &MacKey, nonce: &[u8; 16]) -> [u8; 32] {
        let sum: Vec<u8> = self.0.iter().flat_map(|word| word.to_le_bytes()).collect();
        key.full(&[b"sum\0", nonce, &sum])
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
    fn a_keyed_sum_forgets_what_is_removed_and_its_tag_is_its_own() {
        let key = MacKey::new(&[7; 32]);
        let of = |elements: &[&[u8]]| {
            let mut sum = KeyedSum::default();
            elements.iter().for_each(|element| sum.add(KeyedSum::of(&key, &[element])));
            sum
        };
        let mut sum = of(&[b"a", b"b", b"c"]);
        sum.remove(of(&[b"b"]));
        assert_eq!(sum, of(&[b"c", b"a"]));
        let tag = sum.tag(&key).unwrap();
        assert!(sum.has_tag(&key, &tag));
        assert_ne!(tag, sum.tag(&key).unwrap(), "two tags of one sum tell nothing");
        assert!(!of(&[b"a"]).has_tag(&key, &tag) && !sum.has_tag(&MacKey::new(&[8; 32]), &tag));
        for (at, _) in tag.iter().enumerate() {
            let mut flipped = tag;
            flipped.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1);
            assert!(!sum.has_tag(&key, &flipped), "{at}");
        }
        assert!(!sum.has_tag(&key, &[]) && !sum.has_tag(&key, tag.get(..47).unwrap()));
    }
}
