#![doc = include_str!("../ARCHITECTURE.md")]
// Reading order is import order: a module imports only modules listed above it. `tests/it/tidy.rs` enforces it.

pub mod oauth;
pub mod crypto;
pub mod request;
pub mod jose;
pub mod trust;
pub mod catalog;
pub mod client;
pub mod token;
pub mod ledger;
pub mod lifecycle;
pub mod policy;
pub mod commit;
pub mod mint;
pub mod error;
pub mod deployment;
pub mod lines;
pub mod admin;
pub mod store;
pub mod config;
pub mod http;
pub mod server;
pub mod demo;
pub mod cli;
