//! Counters, in the text format of Prometheus.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::ErrorCode;
use crate::jose::keys_parsed;

/// The requests of clients that were granted and refused since the start.
#[derive(Default)]
pub(super) struct Metrics {
    issued: AtomicU64,
    refused: [AtomicU64; ErrorCode::NAMES.len()],
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

    /// The text to scrape.
    pub(super) fn text(&self) -> String {
        let mut text = String::from("# TYPE countersign_tokens_issued_total counter\n");
        let _ = writeln!(text, "countersign_tokens_issued_total {}", self.issued.load(Ordering::Relaxed));
        text.push_str("# TYPE countersign_requests_refused_total counter\n");
        for ((error, _), counter) in ErrorCode::NAMES.iter().zip(&self.refused) {
            let count = counter.load(Ordering::Relaxed);
            let _ = writeln!(text, "countersign_requests_refused_total{{error=\"{error}\"}} {count}");
        }
        text.push_str("# TYPE countersign_keys_parsed_total counter\n");
        let _ = writeln!(text, "countersign_keys_parsed_total {}", keys_parsed());
        text
    }
}
