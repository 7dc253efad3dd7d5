//! How commands end and speak.

use std::fmt::{Arguments, Display};
use std::io::Write;
use std::process::ExitCode;

use serde_json::Value;

pub(super) use crate::server::Failure;

/// Prints a line. Whoever reads may have gone, as `head` does; that is no failure of the command.
macro_rules! say {
    ($($words:tt)*) => { $crate::cli::output::say(format_args!($($words)*)) };
}

/// Done, or the answer is no; an error is a matter of usage or configuration.
pub(super) type CommandResult = Result<bool, Failure>;

/// Prints one line, if anybody still reads.
pub(super) fn say(line: Arguments<'_>) {
    let _nobody_reads = writeln!(std::io::stdout(), "{line}");
}

/// Prints a part of a line, if anybody still reads.
pub(super) fn put(part: Arguments<'_>) {
    let _nobody_reads = write!(std::io::stdout(), "{part}");
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
        Err(what) => {
            eprintln!("countersign: {what}");
            ExitCode::from(2)
        }
    }
}
