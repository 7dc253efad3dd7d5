//! Waiting. A test waits for an event and never assumes how long one takes: a machine under load is no defect of what is tested.
//! `tests/it/tidy/banned.rs` lets nothing else here read a clock or sleep.

use std::thread;
use std::time::{Duration, Instant};

/// After so long an event is taken for one that never comes. Nothing passes or fails by what it takes before that.
pub const PATIENCE: Duration = Duration::from_secs(240);

/// The pause between two looks.
const AGAIN: Duration = Duration::from_millis(5);

/// Waits until `holds`.
///
/// # Panics
/// When it does not in [`PATIENCE`], with what was waited for.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "waited in vain: {what}");
        thread::sleep(AGAIN);
    }
}

/// Waits until `holds`, and lets the tasks of the runtime run meanwhile.
///
/// # Panics
/// As [`until`].
pub async fn until_async(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "waited in vain: {what}");
        tokio::time::sleep(AGAIN).await;
    }
}

/// Lets real time pass where time itself is what is tested, or so that what comes next falls on any moment. It may take longer.
pub fn pass(time: Duration) {
    thread::sleep(time);
}
