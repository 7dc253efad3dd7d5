#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]
use std::convert::Infallible;

use proptest::prelude::*;

use super::*;

/// All hashes of all complete subtrees, by height.
pub(crate) struct Stored(Vec<Vec<Digest>>);

impl Stored {
    /// A tree over entries that are their own numbers.
    pub(crate) fn new(size: u64) -> Self {
        Self::of((0..size).map(|number| leaf_hash(&number.to_be_bytes())).collect())
    }

    pub(crate) fn of(leaves: Vec<Digest>) -> Self {
        let mut heights = vec![leaves];
        while let Some(below) = heights.last().filter(|hashes| hashes.len() > 1) {
            heights.push(below.as_chunks::<2>().0.iter().map(|[left, right]| node_hash(*left, *right)).collect());
        }
        Self(heights)
    }

    pub(crate) fn leaf(&self, index: u64) -> Digest {
        self.0[0][usize::try_from(index).unwrap()]
    }
}

impl Nodes for Stored {
    type Error = Infallible;

    fn node(&mut self, height: u32, index: u64) -> Result<Digest, Infallible> {
        Ok(self.0[height as usize][usize::try_from(index).unwrap()])
    }
}

/// RFC 6962 §2.1 word for word.
fn mth(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => empty_root(),
        [one] => *one,
        many => {
            let k = (1..).map(|n| 1 << n).take_while(|k| *k < many.len()).last().unwrap_or(1);
            node_hash(mth(&many[..k]), mth(&many[k..]))
        }
    }
}

fn digest(hex: &str) -> Digest {
    Digest(std::array::from_fn(|i| u8::from_str_radix(hex.get(2 * i..2 * i + 2).unwrap(), 16).unwrap()))
}

/// The entries of the Certificate Transparency reference tests.
const REFERENCE: [&[u8]; 8] = [
    b"",
    b"\x00",
    b"\x10",
    b"\x20\x21",
    b"\x30\x31",
    b"\x40\x41\x42\x43",
    b"\x50\x51\x52\x53\x54\x55\x56\x57",
    b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
];

const REFERENCE_ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

const H_0_2: &str = "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125";
const H_0_4: &str = "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7";
const H_1: &str = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7";
const H_2_4: &str = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e";
const H_4: &str = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b";
const H_4_6: &str = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a";
const H_4_8: &str = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4";
const H_6_8: &str = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0";

fn reference() -> Stored {
    Stored::of(REFERENCE.iter().map(|entry| leaf_hash(entry)).collect())
}

#[test]
fn roots_are_the_published_ones() {
    for (size, expected) in (0..).zip(REFERENCE_ROOTS) {
        assert_eq!(root(&mut reference(), size).unwrap(), digest(expected), "{size}");
    }
}

#[test]
fn inclusion_proofs_are_the_published_ones() {
    let published: [(u64, u64, &[&str]); 4] =
        [(0, 1, &[]), (0, 8, &[H_1, H_2_4, H_4_8]), (5, 8, &[H_4, H_6_8, H_0_4]), (2, 3, &[H_0_2])];
    for (index, size, expected) in published {
        let path = inclusion(&mut reference(), index, size).unwrap().unwrap();
        assert_eq!(path, expected.iter().map(|hash| digest(hash)).collect::<Vec<_>>(), "{index} of {size}");
    }
    assert_eq!(inclusion(&mut reference(), 8, 8), Ok(None));
}

#[test]
fn consistency_proofs_are_the_published_ones() {
    let published: [(u64, u64, &[&str]); 5] =
        [(1, 1, &[]), (2, 8, &[H_2_4, H_4_8]), (6, 8, &[H_4_6, H_6_8, H_0_4]), (2, 5, &[H_2_4, H_4]), (0, 5, &[])];
    for (old, new, expected) in published {
        let path = consistency(&mut reference(), old, new).unwrap().unwrap();
        assert_eq!(path, expected.iter().map(|hash| digest(hash)).collect::<Vec<_>>(), "{old} to {new}");
    }
    assert_eq!(consistency(&mut reference(), 8, 7), Ok(None));
}

#[test]
fn every_inclusion_proof_of_small_trees_verifies_and_for_nothing_else() {
    let mut nodes = Stored::new(40);
    for size in 1..=40 {
        let tree = root(&mut nodes, size).unwrap();
        for index in 0..size {
            let path = inclusion(&mut nodes, index, size).unwrap().unwrap();
            let leaf = nodes.leaf(index);
            // The size is bound by the checkpoint, not by the path: at another size the same path may lead to the same root.
            for other in 0..=size {
                assert_eq!(includes(leaf, other, &path, size, tree), other == index, "{index} of {size} taken for {other}");
            }
            for broken in broken(&path) {
                assert!(!includes(leaf, index, &broken, size, tree), "{index} of {size}");
            }
        }
    }
}

#[test]
fn every_consistency_proof_of_small_trees_verifies_and_for_nothing_else() {
    let mut nodes = Stored::new(40);
    let mut tree = |size| (size, root(&mut nodes, size).unwrap());
    let trees: Vec<_> = (0..=40).map(&mut tree).collect();
    for old in 0..=40_usize {
        for new in old..=40 {
            let path = consistency(&mut nodes, trees[old].0, trees[new].0).unwrap().unwrap();
            assert!(extends(trees[old], trees[new], &path), "{old} to {new}");
            for broken in broken(&path) {
                assert!(!extends(trees[old], trees[new], &broken), "{old} to {new}");
            }
            for other in (0..=40).filter(|other| *other != old) {
                let forged = (trees[old].0, trees[other].1);
                assert!(!extends(forged, trees[new], &path), "{old} to {new} with the root of {other}");
            }
            for other in (1..=40).filter(|other| *other != new && old > 0) {
                assert!(
                    !extends(trees[old], (trees[new].0, trees[other].1), &path),
                    "{old} to {new} with the new root of {other}"
                );
            }
            assert!(old == new || !extends(trees[new], trees[old], &path), "{new} back to {old}");
        }
    }
}

/// The path with a hash changed, missing, doubled or added.
fn broken(path: &[Digest]) -> Vec<Vec<Digest>> {
    let mut all = vec![[path, &[Digest([0; 32])]].concat(), [&[Digest([0; 32])], path].concat()];
    for at in 0..path.len() {
        let mut changed = path.to_vec();
        changed[at].0[31] ^= 1;
        let mut shorter = path.to_vec();
        shorter.remove(at);
        let mut longer = path.to_vec();
        longer.insert(at, path[at]);
        all.extend([changed, shorter, longer]);
    }
    all
}

#[test]
fn a_path_too_short_for_its_size_proves_nothing() {
    let nodes = Stored::new(2);
    let (one, two) = (nodes.leaf(0), nodes.leaf(1));
    let both = node_hash(one, two);
    assert!(extends((1, one), (2, both), &[two]));
    assert!(includes(one, 0, &[two], 2, both));
    for size in [3, 4, 5, 256] {
        assert!(!extends((1, one), (size, both), &[two]), "{size}");
        assert!(!includes(one, 0, &[two], size, both), "{size}");
    }
}

#[test]
fn sizes_near_the_largest_number_neither_panic_nor_pass() {
    let path = vec![Digest([7; 32]); 64];
    assert!(!includes(Digest([1; 32]), u64::MAX - 1, &path, u64::MAX, Digest([2; 32])));
    assert!(!includes(Digest([1; 32]), u64::MAX, &path, u64::MAX, Digest([2; 32])));
    assert!(!extends((u64::MAX - 1, Digest([1; 32])), (u64::MAX, Digest([2; 32])), &path));
    assert!(!extends((1 << 63, Digest([1; 32])), (u64::MAX, Digest([2; 32])), &path));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn roots_are_the_specification_word_for_word(size in 0..2_000_usize) {
        let leaves: Vec<_> = (0..size as u64).map(|number| leaf_hash(&number.to_be_bytes())).collect();
        let expected = mth(&leaves);
        prop_assert_eq!(root(&mut Stored::of(leaves), size as u64).unwrap(), expected);
    }
}
