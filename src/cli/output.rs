//! How commands end and speak.

use std::fmt::{self, Display};
use std::io::Write;
use std::process::ExitCode;

use serde_json::Value;

use crate::server::StartError;

/// Prints a line. Whoever reads may have gone, as `head` does; that is no failure of the command.
macro_rules! say {
    ($($words:tt)*) => { $crate::cli::output::say(format_args!($($words)*)) };
}

/// Done, or the answer is no; an error is a matter of usage or configuration.
pub(super) type CommandResult = Result<bool, Failed>;

/// Sentences that say what went wrong and what to do.
#[derive(Debug)]
pub(super) struct Failed(String);

impl Failed {
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

impl From<StartError> for Failed {
    fn from(error: StartError) -> Self {
        Self::new(error)
    }
}

/// Prints one line, if anybody still reads.
pub(super) fn say(line: fmt::Arguments<'_>) {
    let _nobody_reads = writeln!(std::io::stdout(), "{line}");
}

/// Prints `data` on one line where JSON is wanted, or else the `words`.
pub(super) fn print(as_json: bool, data: &Value, words: impl Display) {
    match as_json {
        true => say!("{data}"),
        false => say!("{words}"),
    }
}

/// 0 done, 1 the answer is no, 2 usage or configuration.
pub(super) fn exit(result: CommandResult) -> ExitCode {
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(Failed(what)) => {
            eprintln!("countersign: {what}");
            ExitCode::from(2)
        }
    }
}
