#![doc = include_str!("../ARCHITECTURE.md")]
// Reading order is import order: a module imports only modules listed above it. `tests/it/tidy.rs` enforces it.

pub mod catalog;
pub mod cli;
pub mod client;
pub mod commit;
pub mod config;
pub mod crypto;
pub mod demo;
pub mod error;
pub mod exchange;
pub mod http;
pub mod jose;
pub mod ledger;
pub mod lifecycle;
pub mod mint;
pub mod oauth;
pub mod policy;
pub mod request;
pub mod store;
pub mod token;
pub mod trust;
