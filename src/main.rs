//! The `countersign` binary: parse arguments, run, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    countersign::cli::run()
}
