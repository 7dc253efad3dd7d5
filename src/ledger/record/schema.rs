//! The schema of records, version 1: kinds, bounds, and why bytes are no record.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::crypto::SealReason;

/// The most bytes that a record may have.
pub const RECORD_BYTES_MAX: usize = 65_535;

/// The most bytes that the record of a refusal may have.
pub const REFUSAL_BYTES_MAX: usize = 1_024;

/// The version of the schema that this program writes and reads: the member `v`.
pub const VERSION: u32 = 1;

/// The greatest integer that every JSON reader holds exactly (RFC 7493 §2.2).
pub(super) const INTEGER_MAX: u64 = (1 << 53) - 1;

/// The member `kind` of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// An issued token: one delegation step.
    Hop,
    /// A task that was opened.
    Task,
    /// A refused request.
    Refusal,
    /// A hop whose token never left.
    Withheld,
    /// A revocation.
    Death,
    /// A suspension.
    Suspension,
    /// The end of a suspension.
    Resumption,
    /// A revocation that lasts for ever.
    Retirement,
    /// The digest of the state.
    State,
    /// A change of what the configuration has in force.
    Configuration,
    /// An event in the life of a key of this server.
    Key,
    /// The beginning of an epoch.
    Epoch,
    /// A step by which records are archived, held, released or pruned.
    Retention,
}

/// Why bytes are no record, or a record cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordReason {
    /// More bytes than a record of its kind may have.
    Long,
    /// Not one JSON object with the members of a known kind, or a value that is not what its member holds.
    Malformed,
    /// A time before 1970 or after 9999: the clock is wrong.
    Time,
    /// A version that this program does not know.
    Version,
    /// The right content in a form other than the canonical one (RFC 8785).
    NotCanonical,
    /// An actor named by this server carries members that it never writes.
    Actor,
    /// There is no randomness for salts.
    Salt,
}

/// Writes `record`, whose members stand in canonical order.
///
/// # Errors
/// `Long` beyond `bytes_max`; `Time` for a time before 1970 or after 9999.
pub(super) fn written(record: &impl Serialize, bytes_max: usize) -> Result<Vec<u8>, RecordReason> {
    let mut bytes = Vec::with_capacity(1536);
    // Nothing else of a record can fail to be written.
    serde_json::to_writer(&mut bytes, record).map_err(|_| RecordReason::Time)?;
    if bytes.len() > bytes_max { Err(RecordReason::Long) } else { Ok(bytes) }
}

/// True when digests stand in the order of their bytes, each once (RFC 9901 §4.2.4.1).
pub(super) fn ascending<T: PartialOrd>(digests: &[T]) -> bool {
    digests.is_sorted_by(|earlier, later| earlier < later)
}

impl fmt::Display for RecordReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Long => "the record has too many bytes",
            Self::Malformed => "the record is not a JSON object of a known kind",
            Self::Time => "a time in the record lies before 1970 or after 9999; set the clock of the server right",
            Self::Version => "the record has a version that this program does not know",
            Self::NotCanonical => "the record is not in its canonical form",
            Self::Actor => "an actor of this server carries members that it never writes",
            Self::Salt => "there is no randomness for salts",
        })
    }
}

impl std::error::Error for RecordReason {}

impl From<SealReason> for RecordReason {
    fn from(_: SealReason) -> Self {
        Self::Salt
    }
}
