//! Record schemas, the tree, proofs: pure formats and arithmetic. Knows nothing of tokens, requests, policy or databases.

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
mod evidence;

#[cfg(test)]
mod foreign;
#[cfg(test)]
mod oracles;
#[cfg(test)]
mod testlog;

pub use record::{Record, RecordReason};
pub use usage::{AgentUse, Usage};

pub use audit::{AuditReason, AuditReport, audit, audit_from};
pub use bundle::{BundleEntries, ENTRY_BYTES_MAX, EntryBundle, EntryBundleReason};
pub use checkpoint::{Checkpoint, CheckpointReason};
pub use edge::{Edge, EdgeReason, HashEdge, TileFile};
pub use evidence::{EVIDENCE_BYTES_MAX, EVIDENCE_FORMAT, EarlierCheckpoint, EvidenceBundle, EvidenceReason, ProvedRecord};
pub use frontier::Frontier;
pub use nodes::{NodeReason, TileNodes, tile_bytes};
pub use note::{
    KeyName, NOTE_BYTES_MAX, NOTE_SIGNATURES_MAX, Note, NoteKeyReason, NoteReason, NoteSigner, NoteVerifier, sign_note,
};
pub use proof::{EXTRA_BYTES_MAX, TlogProof, TlogProofReason};
pub use tile::{CHECKPOINT_PATH, FIRST_PATH, LogFiles, TILE_WIDTH, Tile, TileKind, TilePathReason, hashes, tiles, tiles_between};
