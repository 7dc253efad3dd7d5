//! Fault injection below the program: a library for `LD_PRELOAD` that makes the disk fail while a file exists.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Compiles the failing disk with the system's C compiler into `folder`, and says where it is. Give it to a program as
/// `LD_PRELOAD`, and the path of the file that makes it fail as `FAILING_DISK`; `shim/failing_disk.c` says the rest.
pub(crate) fn failing_disk(folder: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/shim/failing_disk.c");
    let library = folder.join("failing_disk.so");
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let compiled = Command::new(compiler)
        .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
        .args([&library, &source])
        .arg("-ldl")
        .status();
    assert!(compiled.is_ok_and(|status| status.success()), "the failing disk does not compile");
    library
}
