//! The choice of checkpoints that are kept: each is a commitment that an audit holds the log to.

/// The newest ones are all kept.
const NEWEST: usize = 64;

/// Of the older ones, the last within every so many entries.
const BLOCK: u64 = 65_536;

/// Of the kept `sizes`, in rising order, those to be removed. What stays is bounded by the length of the log: 64, and one for
/// every 65,536 entries.
pub(super) fn superfluous(sizes: &[u64]) -> Vec<u64> {
    let older = sizes.len().saturating_sub(NEWEST);
    let pairs = sizes.iter().zip(sizes.iter().skip(1)).take(older);
    pairs.filter(|(size, next)| *size / BLOCK == *next / BLOCK).map(|(size, _)| *size).collect()
}

/// The kept size from which the records are to be hashed again on start: far enough back to cover the newest block, and no
/// farther than need be.
pub(super) fn replay_from(sizes: &[u64], newest: u64) -> u64 {
    let reach = newest.saturating_sub(BLOCK);
    sizes.iter().copied().filter(|size| *size <= reach).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_bounded_and_reaches_back_to_the_beginning() {
        let mut kept = Vec::new();
        for size in (0..1_000_000).step_by(700) {
            kept.push(size);
            let gone = superfluous(&kept);
            kept.retain(|size| !gone.contains(size));
            assert!(kept.len() <= 64 + 1 + usize::try_from(size / BLOCK).unwrap_or(0), "{size}: {}", kept.len());
        }
        assert_eq!(kept.first(), Some(&(65_535 / 700 * 700)));
        assert!(kept.iter().rev().take(63).zip(kept.iter().rev().skip(1)).all(|(later, earlier)| later - earlier == 700));
    }

    #[test]
    fn the_replay_covers_the_newest_block_and_at_most_two_more() {
        assert_eq!(replay_from(&[0, 10, 65_000, 65_540], 65_545), 0);
        assert_eq!(replay_from(&[0, 10, 65_000, 130_000], 131_000), 65_000);
        assert_eq!(replay_from(&[], 5), 0);
    }
}
