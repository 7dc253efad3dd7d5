//! Counters, in the text format of Prometheus.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::connection_limit::{ConnectionCounts, ConnectionPlaces};
use super::repeats::Repeats;
use super::too_many::{Limit, TooMany};
use crate::catalog::Catalog;
use crate::error::ErrorCode;
use crate::jose::keys_parsed;
use crate::oauth::ClientId;

/// The requests of clients that were granted and refused since the start.
#[derive(Default)]
pub(super) struct Metrics {
    issued: AtomicU64,
    refused: [AtomicU64; ErrorCode::NAMES.len()],
    evaluated: [AtomicU64; 2],
    too_many: TooMany,
    repeats: Repeats,
    connections: OnceLock<Arc<ConnectionPlaces>>,
}

impl Metrics {
    pub(super) fn issued(&self) {
        self.issued.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn refused(&self, code: ErrorCode) {
        let counter =
            ErrorCode::NAMES.iter().position(|(_, known)| *known == code).and_then(|position| self.refused.get(position));
        counter.map(|counter| counter.fetch_add(1, Ordering::Relaxed));
    }

    /// A use of a token was decided on.
    pub(super) fn evaluated(&self, permitted: bool) {
        let [denied, granted] = &self.evaluated;
        if permitted { granted } else { denied }.fetch_add(1, Ordering::Relaxed);
    }

    /// The requests that were granted and not needed.
    pub(super) fn repeats(&self) -> &Repeats {
        &self.repeats
    }

    /// A `client` that proved itself, or a stranger, is over a limit and is answered 429.
    pub(super) fn too_many(&self, limit: Limit, client: Option<&ClientId>) {
        self.too_many.count(limit, client);
    }

    /// Tells of the clients' connections from now on.
    pub(super) fn count_connections(&self, places: &Arc<ConnectionPlaces>) {
        let _first = self.connections.get_or_init(|| Arc::clone(places));
    }

    /// The text to scrape.
    pub(super) fn text(&self, catalog: &Catalog) -> String {
        let mut text = String::from("# TYPE countersign_tokens_issued_total counter\n");
        let _ = writeln!(text, "countersign_tokens_issued_total {}", self.issued.load(Ordering::Relaxed));
        text.push_str("# TYPE countersign_requests_refused_total counter\n");
        for ((error, _), counter) in ErrorCode::NAMES.iter().zip(&self.refused) {
            let count = counter.load(Ordering::Relaxed);
            let _ = writeln!(text, "countersign_requests_refused_total{{error=\"{error}\"}} {count}");
        }
        text.push_str("# TYPE countersign_evaluations_total counter\n");
        for (decision, counter) in ["false", "true"].iter().zip(&self.evaluated) {
            let count = counter.load(Ordering::Relaxed);
            let _ = writeln!(text, "countersign_evaluations_total{{decision=\"{decision}\"}} {count}");
        }
        text.push_str("# TYPE countersign_keys_parsed_total counter\n");
        let _ = writeln!(text, "countersign_keys_parsed_total {}", keys_parsed());
        text + &self.repeats.text() + &self.too_many.text(catalog) + &self.connections_text()
    }

    /// The connections of clients, once there is a listener.
    pub(super) fn connections(&self) -> Option<ConnectionCounts> {
        self.connections.get().map(|places| places.counts())
    }

    fn connections_text(&self) -> String {
        let Some(counts) = self.connections() else { return String::new() };
        format!(
            "# TYPE countersign_connections_configured gauge\ncountersign_connections_configured {}\n\
             # TYPE countersign_connections_yielded_total counter\ncountersign_connections_yielded_total {}\n",
            counts.configured, counts.yielded
        )
    }
}
