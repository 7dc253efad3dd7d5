//! One native implementation for each contract: what the stored things mean is no concern of this room.

mod clock;
mod keys;
mod sqlite;

pub use clock::SystemClock;
pub use keys::*;
pub use sqlite::{SqliteReader, SqliteStore};
