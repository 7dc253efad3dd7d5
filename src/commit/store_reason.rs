//! The reasons for which a store cannot serve, as sentences for the operator.

use std::fmt;

use crate::ledger::record::KeyCheck;

/// The reason for which a store cannot serve.
#[derive(Debug)]
pub enum StoreReason {
    /// Another process uses the same data folder.
    Locked,
    /// The data folder cannot be used as it is.
    Folder(std::io::Error),
    /// Written by a newer version of this program.
    Newer,
    /// The stored data contradict themselves.
    Corrupt(&'static str),
    /// The records do not lead to the state that is stored.
    Diverged(String),
    /// The key folder lacks keys that records name.
    Keys(Vec<KeyCheck>),
    /// What no record holds is not what was written.
    Unrecorded,
    /// The keys of subjects are wrapped under root keys of these ids, which are not there.
    Roots(Vec<String>),
    /// The entry bundle at this path of the log cannot be read for the records that lie in it alone, for this reason.
    Bundle(String, String),
    /// The clock is not believed, so that nothing can be recorded.
    ClockDoubted,
    /// The engine failed.
    Failed(Box<dyn std::error::Error + Send + Sync>),
}

impl fmt::Display for StoreReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked => f.write_str("another server uses this data folder"),
            Self::Folder(_) => f.write_str("the data folder cannot be used"),
            Self::Newer => f.write_str("the data folder was written by a newer version of this program"),
            Self::Corrupt(what) => write!(f, "the stored data is damaged: {what}"),
            Self::Diverged(what) => write!(f, "the state is not what the records say: {what}"),
            Self::Keys(missing) => tell_missing(f, missing),
            Self::Unrecorded => f.write_str(
                "single-use values, heartbeats or places in status lists were changed or deleted outside of this program, unless \
                 state.key of the key folder is another than before",
            ),
            Self::Roots(ids) => write!(
                f,
                "subjects.sqlite is from before the root key {} was destroyed, or another server's, and nothing here opens the \
                 keys in it; put its newest copy back, or, where it is lost for good, an empty file of that name in its place",
                ids.join(", ")
            ),
            Self::Bundle(path, what) => write!(
                f,
                "{path} of the ledger {what}, and the records in it lie nowhere else; put that file back from a backup of the \
                 data folder, or from an export of its ledger"
            ),
            Self::ClockDoubted => f.write_str(
                "the clock of this machine stands more than 30 days after the newest record, so nothing is recorded; put it \
                 right, or, where it is right, say so by countersign clock accept",
            ),
            Self::Failed(_) => f.write_str("the store failed"),
        }
    }
}

impl std::error::Error for StoreReason {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Folder(cause) => Some(cause),
            Self::Failed(cause) => Some(cause.as_ref()),
            Self::Locked | Self::Newer | Self::Corrupt(_) | Self::Diverged(_) => None,
            Self::Keys(_) | Self::Unrecorded | Self::Roots(_) | Self::ClockDoubted | Self::Bundle(..) => None,
        }
    }
}

/// The sentence about keys that records name and the key folder lacks.
fn tell_missing(f: &mut fmt::Formatter<'_>, missing: &[KeyCheck]) -> fmt::Result {
    let named: Vec<String> = missing.iter().take(4).map(|check| format!("the {} key {}", check.of.name(), check.id)).collect();
    let more = missing.len().saturating_sub(named.len());
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    write!(
        f,
        "the key folder lacks keys that the records name: {}{more}. With other keys the records would mean something else: put \
         the files of that time back from a backup",
        named.join(", ")
    )
}
