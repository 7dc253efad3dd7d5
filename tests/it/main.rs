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

// A real server on a generated configuration, and clients for it. Every test below that is not marked otherwise uses it.
mod support;

// What the standards and our own promises say, one text file per rule.
mod conformance;

// What must hold when the process is killed at any moment.
mod crash;

// What must hold when the disk is full or does not flush.
mod disk;

// The days on which something went wrong, done as their pages in the document stand.
mod bad_days;

// A clock that is wrong: what is not recorded by it, and the way out.
mod wrong_clock;

// The log as served, verified, and tampered with.
mod ledger;

// HTTPS, client certificates, and crowds of clients.
mod tls;

// What policies decide, asked beforehand.
mod policy;

// What stands before a server: browsers, load balancers, hosts that are none.
mod fronts;

// What strangers may cost: connections, refusals, log lines.
mod strangers;

// One that is hostile in each of many ways, and who gets what meanwhile.
mod hostile;

// Input that is wrong in every way: errors, memory, records.
mod backup;
mod bad_input;

// What must not be found in anything that a server writes.
mod secrets;

// Every member that the schema of the records documents.
mod records;

// Our own keys: whose they are, how they follow one another, how they end.
mod own_keys;

// Tools know the house: what a data folder is served with, whose files are, what is read at all.
mod tools;

// What is not done for every request.
mod keys_once;

// Issuers that cannot be reached, rules that come and go, and what `trust check` says of them.
mod trust;

// In process: random chains through the whole line, against a model.
mod chains;

// Status lists: after a crash, after a reload, and while everything happens at once.
mod status;

// What is refused when as much is remembered as the configuration allows.
mod limits;

// How many tokens an agent is issued in an hour, by what can be done with them.
mod velocity;

// The first configuration of one's own: the document, done as it stands.
mod first_configuration;

// Operators: by the socket and on the folder; what the files end, and what a reload may not change.
mod agents;

// Files that are rewritten, taken away, put back, accepted; and a server that is started elsewhere.
mod files;

// Operators: what is revoked, suspended and compromised, and what is said of it.
mod repeating;
mod restore;
mod revoking;

// In process: what ends with what, on every path that issues or tells.
mod life;

// In process: evidence from before an end.
mod fences;

// Proofs of keys: nonces that are required, and one success however many present the same at once.
mod proofs;

// Every endpoint with every kind of credential: one answer per kind.
mod doors;

// One token by every grant type: the same verdict.
mod grant_types;

// In process: every claim that is read, with every JSON type.
mod readers;

// In process: parsers are total.
mod parsers;
