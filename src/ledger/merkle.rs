//! The Merkle tree of RFC 6962 §2.1 over SHA-256: roots, inclusion and consistency proofs and their verification. Only
//! arithmetic: where hashes are kept is the business of whoever implements [`Nodes`].

use crate::crypto::Digest;

/// The hash of one entry (RFC 6962 §2.1).
pub fn leaf_hash(entry: &[u8]) -> Digest {
    Digest::of_parts(&[&[0], entry])
}

/// The hash of two neighbouring subtrees (RFC 6962 §2.1).
pub fn node_hash(left: Digest, right: Digest) -> Digest {
    let mut both = [1; 65];
    let parts = left.0.iter().chain(&right.0);
    both.iter_mut().skip(1).zip(parts).for_each(|(to, from)| *to = *from);
    Digest::of(&both)
}

/// The root of the tree without entries: the hash of nothing (RFC 6962 §2.1).
pub fn empty_root() -> Digest {
    Digest::of(&[])
}

/// The hashes of complete subtrees.
pub trait Nodes {
    /// Why a hash could not be given.
    type Error;

    /// The hash of the complete subtree over the 2^`height` entries from `index`·2^`height` on.
    ///
    /// # Errors
    /// When that hash is not at hand.
    fn node(&mut self, height: u32, index: u64) -> Result<Digest, Self::Error>;
}

/// The root of the tree over the first `size` entries.
///
/// # Errors
/// When a hash is not at hand.
pub fn root<N: Nodes>(nodes: &mut N, size: u64) -> Result<Digest, N::Error> {
    if size == 0 { Ok(empty_root()) } else { span(nodes, 0, size) }
}

/// The audit path of entry `index` in the tree of `size` entries, from the leaf's sibling up (RFC 6962 §2.1.1); `None` unless
/// `index < size`.
///
/// # Errors
/// When a hash is not at hand.
pub fn inclusion<N: Nodes>(nodes: &mut N, index: u64, size: u64) -> Result<Option<Vec<Digest>>, N::Error> {
    if index >= size {
        return Ok(None);
    }
    let (mut start, mut end, mut path) = (0, size, Vec::new());
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            path.push(span(nodes, middle, end)?);
            end = middle;
        } else {
            path.push(span(nodes, start, middle)?);
            start = middle;
        }
    }
    path.reverse();
    Ok(Some(path))
}

/// The proof that the tree of `new` entries begins with the tree of `old` (RFC 6962 §2.1.2); `None` unless `old <= new`.
///
/// # Errors
/// When a hash is not at hand.
pub fn consistency<N: Nodes>(nodes: &mut N, old: u64, new: u64) -> Result<Option<Vec<Digest>>, N::Error> {
    if old > new {
        return Ok(None);
    }
    let (mut start, mut end, mut path) = (0, new, Vec::new());
    while old != 0 && old != end {
        let middle = start + split(end - start);
        if old <= middle {
            path.push(span(nodes, middle, end)?);
            end = middle;
        } else {
            path.push(span(nodes, start, middle)?);
            start = middle;
        }
    }
    // Whoever checks the proof knows the old tree's root already, but not that of a part of it.
    if start > 0 {
        path.push(span(nodes, start, end)?);
    }
    path.reverse();
    Ok(Some(path))
}

/// True when `path` proves that the entry with hash `leaf` is number `index` in the tree of `size` entries and this `root` (RFC
/// 9162 §2.1.3.2).
pub fn includes(leaf: Digest, index: u64, path: &[Digest], size: u64, root: Digest) -> bool {
    if index >= size {
        return false;
    }
    let (mut at, mut last, mut hash) = (index, size - 1, leaf);
    for sibling in path {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            hash = node_hash(*sibling, hash);
            climb_right_edge(&mut at, &mut last);
        } else {
            hash = node_hash(hash, *sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && hash == root
}

/// True when `path` proves that the tree of `new.0` entries with root `new.1` begins with the tree of `old.0` entries with root
/// `old.1` (RFC 9162 §2.1.4.2).
pub fn extends(old: (u64, Digest), new: (u64, Digest), path: &[Digest]) -> bool {
    if old.0 == 0 || old.0 >= new.0 {
        let same = if old.0 == 0 { old.1 == empty_root() && (new.0 > 0 || new.1 == old.1) } else { old == new };
        return same && path.is_empty();
    }
    let (mut at, mut last) = (old.0 - 1, new.0 - 1);
    let trailing = at.trailing_ones();
    at >>= trailing;
    last >>= trailing;
    let mut path = path.iter().copied();
    // A complete old tree is itself the first hash of the proof, and is left out.
    let seed = if at == 0 { Some(old.1) } else { path.next() };
    let Some(seed) = seed else { return false };
    let (mut of_old, mut of_new) = (seed, seed);
    for sibling in path {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            of_old = node_hash(sibling, of_old);
            of_new = node_hash(sibling, of_new);
            climb_right_edge(&mut at, &mut last);
        } else {
            of_new = node_hash(of_new, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && of_old == old.1 && of_new == new.1
}

/// The root of a complete subtree from its 2ⁿ hashes; `None` for any other number of them.
pub fn complete(hashes: &[Digest]) -> Option<Digest> {
    match hashes {
        [] => None,
        [one] => Some(*one),
        many => {
            let (left, right) = many.split_at(many.len() / 2);
            if left.len() != right.len() {
                return None;
            }
            Some(node_hash(complete(left)?, complete(right)?))
        }
    }
}

/// On the right edge, levels without a sibling are skipped: the node is its own parent there.
fn climb_right_edge(at: &mut u64, last: &mut u64) {
    while *at & 1 == 0 && *at != 0 {
        *at >>= 1;
        *last >>= 1;
    }
}

/// The hash of the entries from `start` up to `end`; `start < end`, and `start` is a multiple of the widest complete subtree
/// between them.
fn span<N: Nodes>(nodes: &mut N, start: u64, end: u64) -> Result<Digest, N::Error> {
    let width = end - start;
    if width.is_power_of_two() {
        let height = width.trailing_zeros();
        return nodes.node(height, start >> height);
    }
    let middle = start + split(width);
    Ok(node_hash(span(nodes, start, middle)?, span(nodes, middle, end)?))
}

/// The largest power of two below `width`, which is at least 2 (RFC 6962 §2.1).
fn split(width: u64) -> u64 {
    1 << (width - 1).checked_ilog2().unwrap_or(0)
}

#[cfg(test)]
pub(crate) mod tests;
