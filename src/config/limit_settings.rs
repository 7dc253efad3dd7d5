//! `[limits]`: the bounds of everything that requests can fill.

use super::fields::RATES;
use super::reader::TableReader;
use crate::diagnostic::Located;

/// `[limits]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitSettings {
    /// Bytes of a request's body.
    pub body_bytes_max: usize,
    /// Parameters of a request.
    pub parameters_max: usize,
    /// Commands that wait for the commit.
    pub queue: usize,
    /// Requests per second of a client whose file says nothing; 0 for as many as it likes.
    pub requests_per_second: u32,
    /// Refusals recorded per agent and minute; the rest is counted.
    pub refusals_per_minute: u32,
    /// Connections that clients may have open at a time.
    pub connections: usize,
    /// The most of them that may come from one address.
    pub connections_per_address: usize,
    /// Refusals of strangers from one address in a second, in the long run; beyond them it is told to wait.
    pub strangers_per_second: u32,
    /// The same at once.
    pub strangers_burst: u32,
    /// Threads that answer requests; 0 for one per core.
    pub workers: usize,
    /// Verified tokens that are remembered.
    pub verified_tokens: usize,
    /// Single-use values that are remembered until they expire; when there are as many, what spends one is refused.
    pub single_use: usize,
    /// Things that are remembered as ended, suspended or retired; when there are as many, nothing is issued.
    /// A revocation is never refused for it.
    pub live_entries: usize,
    /// Tasks that are not over; when there are as many, none is opened.
    pub tasks: usize,
    /// Tokens that are remembered for status lists until they expire; when there are as many, none is issued that stands in one.
    pub status_tokens: usize,
}

impl LimitSettings {
    /// Reads the table.
    pub(super) fn read(mut reader: TableReader<'_>) -> Option<Self> {
        reader.need(&[
            "body_bytes_max",
            "parameters_max",
            "queue",
            "refusals_per_minute",
            "connections",
            "connections_per_address",
            "strangers_per_second",
            "strangers_burst",
            "requests_per_second",
            "workers",
            "verified_tokens",
            "single_use",
            "live_entries",
            "tasks",
            "status_tokens",
        ]);
        let body_bytes_max = reader.take_integer("body_bytes_max", 4096..=1_048_576);
        let parameters_max = reader.take_integer("parameters_max", 16..=1024);
        let queue = reader.take_integer("queue", 1..=65_536);
        let refusals_per_minute = reader.take_integer("refusals_per_minute", 0..=6000);
        let requests_per_second = reader.take_integer("requests_per_second", RATES);
        let connections = reader.take_integer("connections", 16..=1_048_576);
        let per_address = reader.take_integer("connections_per_address", 1..=1_048_576);
        let strangers_per_second = reader.take_integer("strangers_per_second", 1..=1_000_000);
        let strangers_burst = reader.take_integer("strangers_burst", 1..=1_000_000);
        let workers = reader.take_integer("workers", 0..=1024);
        let verified_tokens = reader.take_integer("verified_tokens", 0..=1_048_576);
        let single_use = reader.take_integer("single_use", 1000..=16_777_216);
        let live_entries = reader.take_integer("live_entries", 1000..=16_777_216);
        let tasks = reader.take_integer("tasks", 1..=1_048_576);
        let status_tokens = reader.take_integer("status_tokens", 1..=16_777_216);
        reader.finish();
        Some(Self {
            body_bytes_max: size(body_bytes_max)?,
            parameters_max: size(parameters_max)?,
            queue: size(queue)?,
            refusals_per_minute: u32::try_from(refusals_per_minute?.value).ok()?,
            requests_per_second: u32::try_from(requests_per_second?.value).ok()?,
            connections: size(connections)?,
            connections_per_address: size(per_address)?,
            strangers_per_second: u32::try_from(strangers_per_second?.value).ok()?,
            strangers_burst: u32::try_from(strangers_burst?.value).ok()?,
            workers: size(workers)?,
            verified_tokens: size(verified_tokens)?,
            single_use: size(single_use)?,
            live_entries: size(live_entries)?,
            tasks: size(tasks)?,
            status_tokens: size(status_tokens)?,
        })
    }
}

/// A number that was found to be within its range, as a size.
pub(super) fn size(found: Option<Located<i64>>) -> Option<usize> {
    usize::try_from(found?.value).ok()
}
