//! The `countersign` binary: parse arguments, run, exit code.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// An exchange makes some hundred short-lived allocations; `docs/benchmarks.md` has what this saves.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    countersign::cli::run()
}
