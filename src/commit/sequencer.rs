//! The tree behind the commit: reads what has become durable, writes tiles, signs a checkpoint, publishes it. In a thread of
//! its own; the writer never waits for it, and no token does.
//!
//! The order is fixed: tiles durable → checkpoint swapped → checkpoint published. A crash between any two leaves files that
//! belong to no checkpoint yet (written again, the same), or a swapped checkpoint that is not published (published next).
//! Recovery is the beginning of the very function that does the work.

mod kept;
mod log;
mod pace;
mod parts;
mod proving;
mod retention;

use std::fmt;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use super::alarm::Alarm;
use super::contract::StoreReason;
use log::LogWriter;
pub use parts::{LogKeys, LogParts, PublishedCheckpoint, SequencerReason};
use retention::Retention;
pub use retention::RetentionParts;

/// After failures the pause between two attempts grows up to this.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// A handle on the thread; clones are handles on the same. It ends when it is closed, or with the last handle.
#[derive(Clone)]
pub struct Sequencer {
    shared: Arc<SequencerShared>,
}

struct SequencerShared {
    orders: Sender<Order>,
    seen: Arc<LogProgress>,
    thread: Mutex<Option<JoinHandle<()>>>,
    alarm: Alarm,
}

/// The part of its work that the thread shows.
#[derive(Default)]
struct LogProgress {
    published: RwLock<Option<Arc<PublishedCheckpoint>>>,
    failure: RwLock<Option<String>>,
}

enum Order {
    Keys(LogKeys),
    Close,
}

impl Sequencer {
    /// Verifies the log against its newest checkpoint and the records, mends what can be mended from them, and starts the thread,
    /// which sees to `retention` too.
    ///
    /// # Errors
    /// See [`SequencerReason`]; then nothing was signed.
    pub fn start(parts: LogParts, retention: Option<RetentionParts>) -> Result<Self, SequencerReason> {
        let (interval, retention) = (parts.interval, retention.map(Retention::new));
        let mut log = LogWriter::new(parts);
        let seen = Arc::new(LogProgress::default());
        seen.publish(log.recover()?);
        let (orders, received) = channel();
        let theirs = Arc::clone(&seen);
        let work = move || Work { log, retention, seen: theirs, interval }.run(&received);
        let alarm = Alarm::default();
        let thread = alarm.spawn("sequencer", work);
        let thread = thread.map_err(|cause| SequencerReason::Store(StoreReason::Failed(cause.into())))?;
        Ok(Self { shared: Arc::new(SequencerShared { orders, seen, thread: Mutex::new(Some(thread)), alarm }) })
    }

    /// The newest published checkpoint; none until the first.
    pub fn published(&self) -> Option<Arc<PublishedCheckpoint>> {
        self.shared.seen.published.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The reason for which nothing is being published now, if so.
    pub fn failure(&self) -> Option<String> {
        self.shared.seen.failure.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The alarm that the thread is dead.
    pub fn alarm(&self) -> &Alarm {
        &self.shared.alarm
    }

    /// Signs with these keys from now on; a checkpoint that they did not all sign is signed again.
    pub fn rekey(&self, keys: LogKeys) {
        let _closed = self.shared.orders.send(Order::Keys(keys));
    }

    /// Publishes what is durable, and ends. Waits for that.
    pub fn close(&self) {
        let _closed = self.shared.orders.send(Order::Close);
        let thread = self.shared.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let _panicked = thread.map(JoinHandle::join);
    }
}

impl fmt::Debug for Sequencer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sequencer").field("published", &self.published()).finish_non_exhaustive()
    }
}

impl LogProgress {
    fn publish(&self, published: Option<Arc<PublishedCheckpoint>>) {
        *self.published.write().unwrap_or_else(PoisonError::into_inner) = published;
    }

    fn fail(&self, failure: Option<String>) {
        *self.failure.write().unwrap_or_else(PoisonError::into_inner) = failure;
    }
}

/// The thread.
struct Work {
    log: LogWriter,
    retention: Option<Retention>,
    seen: Arc<LogProgress>,
    interval: Duration,
}

impl Work {
    fn run(mut self, orders: &Receiver<Order>) {
        // Half of the interval is for waiting, the other half for the work.
        let pause = self.interval / 2;
        let mut wait = Duration::ZERO;
        loop {
            match orders.recv_timeout(wait) {
                Ok(Order::Keys(keys)) => self.log.rekey(keys),
                Ok(Order::Close) | Err(RecvTimeoutError::Disconnected) => {
                    self.advance();
                    return;
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            wait = if self.advance() { pause } else { (wait * 2).clamp(pause, PAUSE_MAX) };
            // Not at the end: by then the store is closed, and nobody's.
            self.log.trim();
            if let Some(first) = self.retention.as_mut().and_then(Retention::turn) {
                self.log.pruned(first);
            }
        }
    }

    fn advance(&mut self) -> bool {
        let outcome = self.log.advance();
        match &outcome {
            Ok(published) => {
                self.seen.publish(Some(Arc::clone(published)));
                self.seen.fail(None);
            }
            Err(reason) => {
                tracing::error!(cause = ?reason, "the ledger publishes nothing new: {reason}");
                self.seen.fail(Some(reason.to_string()));
            }
        }
        outcome.is_ok()
    }
}

#[cfg(test)]
mod tests;
