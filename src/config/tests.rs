#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests fail by panicking")]

mod diagnostics;
mod access_tokens;
mod attesters;
mod dated;
mod platforms;
mod policies;
mod reviews;
mod revocation;
mod scene;
mod whole;
mod tls;
mod watch;
