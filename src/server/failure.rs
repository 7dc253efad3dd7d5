//! The failures of composition and of commands.

use std::error::Error;
use std::fmt::{self, Display};
use std::path::Path;

use crate::commit::contract::StoreReason;
use crate::diagnostic::Diagnostics;

/// Sentences that say what went wrong, where, and what to do about it.
#[derive(Debug)]
pub struct Failure(String);

impl Failure {
    /// A failure that says `what`.
    pub fn new(what: impl Display) -> Self {
        Self(what.to_string())
    }

    /// All complaints about the configuration.
    pub fn configuration(complaints: Diagnostics) -> Self {
        Self(format!("the configuration cannot be used:\n{complaints}"))
    }

    /// A folder or file, and the reason with its causes.
    pub fn at(place: &Path, reason: &dyn Error) -> Self {
        Self(format!("{}: {}", place.display(), with_causes(reason)))
    }

    /// A store of the data folder that does not open.
    pub(super) fn store(data: &Path, reason: &StoreReason) -> Self {
        match reason {
            StoreReason::Corrupt(_) => Self(format!("{reason}; countersign ledger verify {} says where", data.display())),
            StoreReason::Diverged(_) | StoreReason::Unrecorded => Self(format!(
                "{reason}. Nobody is served on it. Find out who changed it; countersign state rebuild --data {} makes it anew \
                 from the records",
                data.display()
            )),
            other => Self::at(data, other),
        }
    }
}

/// An error and what caused it, on one line.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        text = format!("{text}: {deeper}");
        cause = deeper.source();
    }
    text
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<E: Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}
