//! The integration tests: one binary, one file per question.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unreachable,
    unreachable_pub,
    reason = "tests fail by panicking, and their modules are not published"
)]

// What the sources look like: order of imports, sizes, banned calls, citations.
mod tidy;
