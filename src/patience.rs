//! Waiting in unit tests. A test waits for an event and never assumes how long one takes: a machine under load is no defect of
//! what is tested. `tests/it/tidy/banned.rs` lets no other test read a clock or sleep.
#![allow(clippy::panic, reason = "tests fail by panicking")]

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

/// After so long an event is taken for one that never comes. Nothing passes or fails by what it takes before that.
pub(crate) const PATIENCE: Duration = Duration::from_secs(240);

/// The pause between two looks.
const AGAIN: Duration = Duration::from_millis(5);

/// An instant, for tests of what only compares instants.
pub(crate) fn an_instant() -> Instant {
    Instant::now()
}

/// Waits until `holds`.
///
/// # Panics
/// When it does not in [`PATIENCE`], with what was waited for.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "waited in vain: {what}");
        thread::sleep(AGAIN);
    }
}

/// Waits until `holds`, and lets the tasks of the runtime run meanwhile.
///
/// # Panics
/// As [`until`].
pub(crate) async fn until_async(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let held = async {
        while !holds().await {
            pass_async(AGAIN).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, held).await.is_ok(), "waited in vain: {what}");
}

/// Lets real time pass where nothing tells that enough has passed. It may take longer.
pub(crate) fn pass(time: Duration) {
    thread::sleep(time);
}

/// As [`pass`], and lets the tasks of the runtime run meanwhile.
pub(crate) async fn pass_async(time: Duration) {
    tokio::time::sleep(time).await;
}

/// The result of work that waits for nobody.
///
/// # Panics
/// When it is not done at its first step.
pub(crate) fn at_once<T>(work: impl Future<Output = T>) -> T {
    match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => panic!("it waits"),
    }
}

/// The start of something that rests between its steps. The bound of their number that follows only widens on a slow machine.
pub(crate) struct Began(Instant);

impl Began {
    pub(crate) fn now() -> Self {
        Self(Instant::now())
    }

    /// How many pauses of this length fit between then and now.
    pub(crate) fn room_for(&self, pause: Duration) -> u64 {
        u64::try_from(self.0.elapsed().as_millis() / pause.as_millis()).unwrap_or(u64::MAX)
    }
}
