//! How commands end and speak.

use std::fmt::{self, Display};
use std::io::Write;
use std::process::ExitCode;

/// Whether the answer was yes; an error is a matter of usage or configuration.
pub(super) type Outcome = Result<bool, Failed>;

/// What went wrong, in sentences that say what to do.
#[derive(Debug)]
pub(super) struct Failed(String);

impl Failed {
    /// A failure that says `what`.
    pub(super) fn new(what: impl Display) -> Self {
        Self(what.to_string())
    }
}

impl Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<E: std::error::Error> From<E> for Failed {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// Prints one line, if anybody still reads.
pub(super) fn say(line: fmt::Arguments<'_>) {
    let _nobody_reads = writeln!(std::io::stdout(), "{line}");
}

/// 0 done, 1 the answer is no, 2 usage or configuration.
pub(super) fn exit(outcome: Outcome) -> ExitCode {
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(Failed(what)) => {
            eprintln!("countersign: {what}");
            ExitCode::from(2)
        }
    }
}
