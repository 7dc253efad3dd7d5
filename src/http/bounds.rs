//! Every bound that requests fill and that refuses somebody when it is full, in one list: how full it is, and how often somebody
//! wanted more than his share. Caches that forget what was used least refuse nobody, and are none.

use std::fmt::Write;

use super::state::AppState;
use super::strangers::Strangers;
use crate::commit::{Capacity, Fill};

/// A bound as it is now.
struct FilledBound {
    name: &'static str,
    fill: Fill,
    /// How often somebody wanted more than his share since the start.
    exhausted: u64,
}

/// The bounds of the commit, by its own list, and those of the listeners.
fn all(state: &AppState) -> Vec<FilledBound> {
    let of_commit =
        |(name, of): (&'static str, Capacity)| FilledBound { name, fill: state.commit().fill(of), exhausted: of.exhausted() };
    let connections = state.metrics.connections().map(|counts| FilledBound {
        name: "connections",
        fill: Fill::of(counts.open, counts.max),
        exhausted: counts.refused,
    });
    let addresses = FilledBound {
        name: "stranger_addresses",
        fill: Fill::of(state.strangers.addresses(), Strangers::addresses_max()),
        exhausted: state.strangers.turned_away(),
    };
    Capacity::NAMES.into_iter().map(of_commit).chain(connections).chain([addresses]).collect()
}

/// The text to scrape.
pub(super) fn text(state: &AppState) -> String {
    let (bounds, mut text) = (all(state), String::new());
    let mut series = |name: &str, kind: &str, value: &dyn Fn(&FilledBound) -> u64| {
        let _ = writeln!(text, "# TYPE countersign_{name} {kind}");
        for bound in &bounds {
            let _ = writeln!(text, "countersign_{name}{{bound=\"{}\"}} {}", bound.name, value(bound));
        }
    };
    series("bound_fill", "gauge", &|bound| bound.fill.taken as u64);
    series("bound_max", "gauge", &|bound| bound.fill.places as u64);
    series("share_exhausted_total", "counter", &|bound| bound.exhausted);
    text
}
