//! Every bound that requests fill, in one list: how full it is, and how often somebody wanted more than his share. Caches that
//! forget refuse nobody, and nobody has a share of them.

use std::fmt::Write;

use super::state::AppState;
use super::strangers::Strangers;
use crate::commit::{Capacity, Fill};

/// A bound as it is now.
struct FilledBound {
    name: &'static str,
    fill: Fill,
    /// How often somebody wanted more than his share since the start; none where there are no shares.
    exhausted: Option<u64>,
}

/// The bounds of the commit, by its own list, those of the listeners, and the caches.
fn all(state: &AppState) -> Vec<FilledBound> {
    let of_commit = |(name, of): (&'static str, Capacity)| FilledBound {
        name,
        fill: state.commit().fill(of),
        exhausted: Some(of.exhausted()),
    };
    let connections = state.metrics.connections().map(|counts| FilledBound {
        name: "connections",
        fill: Fill::of(counts.open, counts.max),
        exhausted: Some(counts.refused),
    });
    let addresses = FilledBound {
        name: "stranger_addresses",
        fill: Fill::of(state.strangers.addresses(), Strangers::addresses_max()),
        exhausted: Some(state.strangers.turned_away()),
    };
    Capacity::NAMES.into_iter().map(of_commit).chain(connections).chain([addresses]).chain(caches(state)).collect()
}

fn caches(state: &AppState) -> [FilledBound; 3] {
    let deployment = state.deployment();
    let (verified, proofs) = (deployment.own.verified(), &deployment.dpop.known);
    [
        ("verified_tokens", Fill::of(verified.len(), verified.capacity())),
        ("proof_keys", Fill::of(proofs.len(), proofs.capacity())),
        ("subject_keys", state.commit().subject_keys()),
    ]
    .map(|(name, fill)| FilledBound { name, fill, exhausted: None })
}

/// The text to scrape.
pub(super) fn text(state: &AppState) -> String {
    let (bounds, mut text) = (all(state), String::new());
    let mut series = |name: &str, kind: &str, value: &dyn Fn(&FilledBound) -> Option<u64>| {
        let _ = writeln!(text, "# TYPE countersign_{name} {kind}");
        for (bound, value) in bounds.iter().filter_map(|bound| Some((bound.name, value(bound)?))) {
            let _ = writeln!(text, "countersign_{name}{{bound=\"{bound}\"}} {value}");
        }
    };
    series("bound_fill", "gauge", &|bound| Some(bound.fill.taken as u64));
    series("bound_max", "gauge", &|bound| Some(bound.fill.places as u64));
    series("share_exhausted_total", "counter", &|bound| bound.exhausted);
    text
}
