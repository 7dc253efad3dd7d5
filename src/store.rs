//! One native implementation for each contract: what the stored things mean is no concern of this room.

mod clock;
mod keys;
mod sequences;
mod sqlite;
mod tiles;

pub use clock::SystemClock;
pub use keys::{KEY_NOTICE, KeyFiles, KeyFilesReason, LEDGER_OVERLAP, LedgerKey, LedgerKeys, RingEntry};
pub use sequences::{SEQUENCES_FILE, SequenceFile};
pub use sqlite::{SqliteReader, SqliteStore};
pub use tiles::{LEDGER_FOLDER, LogFolder, TileFolder, VKEY_PATH};
