//! How much is tidied up in one turn of the sequencer, beside a writer that wants the store too.

use std::ops::Range;
use std::thread;
use std::time::Duration;

/// Bundles that are taken in one turn, at least and at most.
const FEW: u64 = 8;
const MANY: u64 = 64;

/// Of those that wait this part is taken, so that they do not grow in number however fast records come.
const PART: u64 = 8;

/// The store is nobody's between two of them.
const PAUSE: Duration = Duration::from_millis(1);

/// The bundles that are taken in this turn, where so many wait.
pub(super) fn bundles_of(waiting: u64) -> Range<u64> {
    0..waiting.min((waiting / PART).clamp(FEW, MANY))
}

/// Lets the writer have the store before all but the first.
pub(super) fn give_way(turn: u64) {
    if turn > 0 {
        thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At any rate up to the most of a turn what waits stays bounded, and all of it goes when nothing comes any more.
    #[test]
    fn what_waits_does_not_grow_however_fast_records_come() {
        for rate in 1..MANY {
            let (mut waiting, mut most) = (0, 0);
            for _ in 0..10_000 {
                waiting += rate;
                most = most.max(waiting);
                waiting -= bundles_of(waiting).end;
            }
            assert!(most <= (PART + 1) * rate.max(FEW), "{rate}: {most}");
            (0..1_000).for_each(|_| waiting -= bundles_of(waiting).end);
            assert_eq!(waiting, 0, "{rate}");
        }
    }
}
