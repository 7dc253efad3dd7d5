#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests fail by panicking")]

use std::path::Path;

use super::*;

#[test]
fn every_shipped_case_parses() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/cases"));
    if let Err(complaints) = load(folder) {
        panic!("{}", complaints.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
    }
}
