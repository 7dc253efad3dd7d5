#![doc = include_str!("../ARCHITECTURE.md")]
// Reading order is import order: a module imports only modules listed above it. `tests/it/tidy.rs` enforces it.

#[cfg(test)]
mod patience;

#[macro_use]
mod named;

pub mod crypto;
pub mod json;
pub mod oauth;
pub mod diagnostic;
pub mod files;
pub mod request;
pub mod jose;
pub mod x509;
pub mod net;
pub mod keys;
pub mod trust;
pub mod catalog;
pub mod client;
pub mod token;
pub mod ledger;
pub mod lifecycle;
pub mod authority;
pub mod binding;
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
