//! One native implementation for each contract: what the stored things mean is no concern of this room.

mod clock;

pub use clock::SystemClock;
