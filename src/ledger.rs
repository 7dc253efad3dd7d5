//! Record schemas, the tree, proofs: pure formats and arithmetic. Knows nothing of tokens, requests, policy or databases.

mod disclosure;
mod hop;
mod opened;
pub mod record;

pub mod merkle;
mod usage;
mod tile;
mod bundle;
mod nodes;
mod frontier;
mod edge;
mod note;
mod checkpoint;
mod proof;
mod audit;

#[cfg(test)]
mod foreign;
#[cfg(test)]
mod oracles;
#[cfg(test)]
mod testlog;

pub use disclosure::{Disclosure, Disclosures};
pub use hop::{Bindings, Evidence, ExchangeMode, Hop, Inputs};
pub use opened::Opened;
pub use record::{Record, RecordReason, Refusal};
pub use usage::{AgentUse, Usage};

pub use audit::{AuditReason, AuditReport, audit};
pub use bundle::{BundleReason, ENTRY_BYTES_MAX, Entries, EntryBundle};
pub use checkpoint::{Checkpoint, CheckpointReason};
pub use edge::{Edge, EdgeReason, HashEdge, TileFile};
pub use frontier::Frontier;
pub use nodes::{NodeReason, TileNodes, tile_bytes};
pub use note::{KeyName, KeyReason, NOTE_BYTES_MAX, NOTE_SIGNATURES_MAX, Note, NoteReason, NoteSigner, NoteVerifier, sign_note};
pub use proof::{EXTRA_BYTES_MAX, ProofReason, TlogProof};
pub use tile::{CHECKPOINT_PATH, Files, TILE_WIDTH, Tile, TileKind, TilePathReason, hashes, tiles, tiles_between};
