//! One native implementation for each contract: what the stored things mean is no concern of this room.

mod clock;
mod keys;

pub use clock::SystemClock;
pub use keys::{KEY_NOTICE, KeyFiles, KeyFilesReason, RingEntry};
