//! The frontier of a Merkle tree, enough to append to it: the roots of its complete subtrees, at most 64 hashes.

use super::merkle::{Nodes, empty_root, node_hash};
use crate::crypto::Digest;

/// The tree over the entries so far. Appending costs two hashes on average, the root one per complete subtree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// One root for each bit set in `size`, the widest subtree first.
    peaks: Vec<Digest>,
}

impl Frontier {
    /// The tree without entries.
    pub fn empty() -> Self {
        Self { size: 0, peaks: Vec::new() }
    }

    /// The tree over the first `size` entries.
    ///
    /// # Errors
    /// When a hash is not at hand.
    pub fn load<N: Nodes>(nodes: &mut N, size: u64) -> Result<Self, N::Error> {
        let heights = (0..u64::BITS).rev().filter(|height| size >> height & 1 == 1);
        // The subtree of a set bit begins where those of the higher bits end: at `size` with this and all lower bits cleared.
        let peaks = heights.map(|height| nodes.node(height, (size >> height) - 1)).collect::<Result<_, _>>()?;
        Ok(Self { size, peaks })
    }

    /// Appends the entry with hash `leaf`. `grown` is told each hash of a complete subtree that this brought about, with its
    /// height, lowest first.
    pub fn append(&mut self, leaf: Digest, mut grown: impl FnMut(u32, Digest)) {
        let mut hash = leaf;
        grown(0, hash);
        for height in 1..=self.size.trailing_ones() {
            let Some(left) = self.peaks.pop() else { break };
            hash = node_hash(left, hash);
            grown(height, hash);
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// The number of entries.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root of the tree.
    pub fn root(&self) -> Digest {
        let hashes = self.peaks.iter().rev().copied();
        hashes.reduce(|right, left| node_hash(left, right)).unwrap_or_else(empty_root)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;
    use crate::ledger::merkle::{self, tests::Stored};

    #[test]
    fn the_root_is_that_of_the_whole_tree_and_survives_a_restart() {
        let mut nodes = Stored::new(1_025);
        let mut frontier = Frontier::empty();
        for size in 0..=1_025 {
            assert_eq!(frontier.root(), merkle::root(&mut nodes, size).unwrap(), "{size}");
            assert_eq!(Frontier::load(&mut nodes, size).unwrap(), frontier, "{size}");
            if size < 1_025 {
                frontier.append(nodes.leaf(size), |_, _| ());
            }
        }
    }

    #[test]
    fn every_complete_subtree_is_told_once_in_order() {
        let mut nodes = Stored::new(300);
        let mut frontier = Frontier::empty();
        let mut told = vec![0; 9];
        for size in 0..300 {
            frontier.append(nodes.leaf(size), |height, hash| {
                let count: &mut u64 = told.get_mut(height as usize).unwrap();
                assert_eq!(nodes.node(height, *count).unwrap(), hash);
                *count += 1;
            });
        }
        assert_eq!(told, [300, 150, 75, 37, 18, 9, 4, 2, 1]);
    }
}
