//! What the black-box tests share: a real server on a generated configuration, and clients that speak plain HTTP to it.

pub mod foreign;
mod http;
pub mod page;
mod party;
pub mod patience;
mod records;
pub mod schema;
mod server;

pub use http::{Reply, exchange_bytes, exchange_over, get, post_form};
pub use party::{Party, claims, declared, form};
pub use records::Ledger;
pub use server::{Server, Site, free, scratch};

/// The number that an environment variable gives, or the default.
pub fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).ok().map_or(default, |value| value.parse().expect(variable))
}
