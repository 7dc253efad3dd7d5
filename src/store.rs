//! One native implementation for each contract: what the stored things mean is no concern of this room.

mod clock;
mod keys;
mod sqlite;

pub use clock::SystemClock;
pub use keys::{KEY_NOTICE, KeyFiles, KeyFilesReason, RingEntry};
pub use sqlite::{SqliteReader, SqliteStore};
