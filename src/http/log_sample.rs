//! The log lines that requests cause: of each kind and second a few in full, and one that counts the others.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix_web::rt;

use crate::oauth::Time;

/// Lines of one kind in a second.
const LINES_MAX: u64 = 20;

/// How long after the first line that is left out those are counted.
const SECOND: Duration = Duration::from_secs(1);

/// What was logged of each kind. The kinds are few: error codes, and the agents that the files name.
#[derive(Clone, Debug, Default)]
pub(super) struct LogSample {
    kinds: Arc<Mutex<HashMap<String, Logged>>>,
    left_out: Arc<AtomicU64>,
}

/// The lines of one kind in a second.
#[derive(Clone, Copy, Debug)]
struct Logged {
    second: i64,
    lines: u64,
    left_out: u64,
}

/// What is to be done with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Written,
    /// The first that is left out: those are counted a second later.
    LeftOut,
    /// One more that is left out.
    Counted,
}

impl LogSample {
    /// Has `line` written, unless there were enough of its kind in this second.
    pub(super) fn write(&self, kind: &str, now: Time, line: impl FnOnce()) {
        match self.judge(kind, now) {
            Verdict::Written => line(),
            Verdict::Counted => {}
            Verdict::LeftOut => {
                let (sample, kind) = (self.clone(), kind.to_owned());
                drop(rt::spawn(async move {
                    rt::time::sleep(SECOND).await;
                    let left_out = sample.take_left_out(&kind);
                    tracing::info!(kind, left_out, "refused, too: lines like those before, left out");
                }));
            }
        }
    }

    /// The lines that were left out since the start.
    pub(super) fn left_out(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }

    fn judge(&self, kind: &str, now: Time) -> Verdict {
        let mut kinds = self.kinds();
        if !kinds.contains_key(kind) {
            kinds.insert(kind.to_owned(), Logged { second: now.seconds(), lines: 0, left_out: 0 });
        }
        let Some(logged) = kinds.get_mut(kind) else { return Verdict::Written };
        if logged.second != now.seconds() {
            (logged.second, logged.lines) = (now.seconds(), 0);
        }
        logged.lines += 1;
        if logged.lines <= LINES_MAX {
            return Verdict::Written;
        }
        logged.left_out += 1;
        self.left_out.fetch_add(1, Ordering::Relaxed);
        if logged.left_out == 1 { Verdict::LeftOut } else { Verdict::Counted }
    }

    fn take_left_out(&self, kind: &str) -> u64 {
        self.kinds().get_mut(kind).map_or(0, |logged| std::mem::take(&mut logged.left_out))
    }

    fn kinds(&self) -> MutexGuard<'_, HashMap<String, Logged>> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_forty_thousand_lines_a_few_are_written_and_all_are_counted() {
        let (sample, now) = (LogSample::default(), Time::from_seconds(1_780_272_000));
        let judge = |kind: &str, now: Time| sample.judge(kind, now);
        let verdicts: Vec<Verdict> = (0..40_000).map(|_| judge("invalid_client", now)).collect();
        let count = |wanted: Verdict| verdicts.iter().filter(|verdict| **verdict == wanted).count();
        let counts = [Verdict::Written, Verdict::LeftOut, Verdict::Counted].map(count);
        assert_eq!(counts, [20, 1, 39_979], "and one line tells of the rest");
        assert_eq!(judge("invalid_request", now), Verdict::Written, "another kind has its own");
        assert_eq!(judge("invalid_client", now.plus(SECOND)), Verdict::Written, "and so has another second");
        assert_eq!(sample.left_out(), 39_980);
        assert_eq!((sample.take_left_out("invalid_client"), sample.take_left_out("invalid_client")), (39_980, 0));
        for _ in 0..19 {
            judge("invalid_client", now.plus(SECOND));
        }
        assert_eq!(judge("invalid_client", now.plus(SECOND)), Verdict::LeftOut);
    }
}
