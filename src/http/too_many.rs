//! The requests that were answered 429 (RFC 6585 §4), by the limit that they were over and the client that was. Both are from
//! closed sets: nothing that a stranger makes up is a label.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::catalog::{Catalog, ScopeEffect};
use crate::commit::{Capacity, CommitReason};
use crate::error::ExchangeError;
use crate::oauth::ClientId;

/// A limit that one client or address can be over while others are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    /// Its share of something.
    Share(Capacity),
    /// Its requests per second.
    Requests,
    /// Its tokens in an hour with a scope of an effect.
    Velocity(ScopeEffect),
    /// The refusals of strangers from one address.
    Refused,
}

/// The number of limits.
const LIMITS: usize = Capacity::NAMES.len() + ScopeEffect::NAMES.len() + 2;

/// The labels of those that are no client: no id has a space in it.
const STRANGER: &str = "a stranger";
const FORMER: &str = "no client any more";

/// How often each client was answered 429, by limit; under none those who proved to be nobody.
#[derive(Debug, Default)]
pub(super) struct TooMany(Mutex<BTreeMap<Option<ClientId>, [u64; LIMITS]>>);

impl Limit {
    /// Every limit.
    fn all() -> impl Iterator<Item = Self> {
        let velocities = ScopeEffect::NAMES.into_iter().map(|(_, effect)| Self::Velocity(effect));
        Capacity::NAMES.into_iter().map(|(_, of)| Self::Share(of)).chain(velocities).chain([Self::Requests, Self::Refused])
    }

    /// The limit that a refusal is about, where it is about one.
    pub(super) fn of(reason: &ExchangeError) -> Option<Self> {
        match reason {
            ExchangeError::Commit(reason) => Self::of_commit(*reason),
            ExchangeError::Rate(_) => Some(Self::Requests),
            _ => None,
        }
    }

    /// The same of what the commit refuses.
    pub(super) fn of_commit(reason: CommitReason) -> Option<Self> {
        match reason {
            CommitReason::Share(of, _) => Some(Self::Share(of)),
            CommitReason::Velocity(effect, ..) => Some(Self::Velocity(effect)),
            _ => None,
        }
    }

    /// Its name, in headers and metrics.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Share(of) => of.as_str(),
            Self::Requests => "requests",
            Self::Velocity(ScopeEffect::Read) => "velocity_read",
            Self::Velocity(ScopeEffect::Reversible) => "velocity_reversible",
            Self::Velocity(ScopeEffect::Recoverable) => "velocity_recoverable",
            Self::Velocity(ScopeEffect::Irreversible) => "velocity_irreversible",
            Self::Refused => "refused_of_address",
        }
    }
}

impl TooMany {
    /// Counts an answer to `client`, or to a stranger.
    pub(super) fn count(&self, limit: Limit, client: Option<&ClientId>) {
        let (mut counts, at) = (self.counts(), Limit::all().position(|known| known == limit));
        let of_client = counts.entry(client.cloned()).or_default();
        at.and_then(|at| of_client.get_mut(at)).into_iter().for_each(|count| *count += 1);
    }

    /// The text to scrape: of strangers everything, of the clients in `catalog` what there was, and of all others together.
    pub(super) fn text(&self, catalog: &Catalog) -> String {
        let mut text = String::from("# TYPE countersign_too_many_requests_total counter\n");
        let (counts, mut former) = (self.counts(), [0; LIMITS]);
        write_row(&mut text, STRANGER, counts.get(&None).unwrap_or(&[0; LIMITS]), true);
        for (client, row) in counts.iter().filter_map(|(client, row)| Some((client.as_ref()?, row))) {
            match catalog.agent(client).is_some() {
                true => write_row(&mut text, client.as_str(), row, false),
                false => former.iter_mut().zip(row).for_each(|(sum, count)| *sum += count),
            }
        }
        write_row(&mut text, FORMER, &former, false);
        text
    }

    fn counts(&self) -> MutexGuard<'_, BTreeMap<Option<ClientId>, [u64; LIMITS]>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A line for each limit of a client; those without a count only `whole`.
fn write_row(text: &mut String, client: &str, row: &[u64; LIMITS], whole: bool) {
    // Prometheus' text format: the quote and the backslash are escaped, and an id may have both.
    let client = client.replace('\\', "\\\\").replace('"', "\\\"");
    for (limit, count) in Limit::all().zip(row).filter(|(_, count)| whole || **count > 0) {
        let limit = limit.as_str();
        let _ = writeln!(text, "countersign_too_many_requests_total{{limit=\"{limit}\",client=\"{client}\"}} {count}");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;
    use crate::catalog::{Agent, AgentKind, Api, BoundTokens, Status, VelocityLimits};

    fn agent(id: &str) -> Agent {
        Agent {
            id: ClientId::parse(id).unwrap(),
            owner: "a@b.example".to_owned(),
            team: "t".to_owned(),
            kind: AgentKind::Service,
            status: Status::Active,
            foreign_clients: Vec::new(),
            bound: BoundTokens::default(),
            requests_per_second: None,
            default_target: None,
            velocity: VelocityLimits::default(),
        }
    }

    #[test]
    fn labels_are_limits_configured_clients_and_two_that_no_client_can_be_called() {
        let (counts, named) = (TooMany::default(), |id: &str| ClientId::parse(id).unwrap());
        let catalog = Catalog::new(vec![agent("a\"\\")], Vec::<Api>::new(), &[]).unwrap();
        for id in ["a\"\\", "gone", "gone-too"] {
            counts.count(Limit::Requests, Some(&named(id)));
        }
        counts.count(Limit::Refused, None);
        let text = counts.text(&catalog);
        let row = |limit: &str, client: &str, count: u64| {
            let line = format!("countersign_too_many_requests_total{{limit=\"{limit}\",client=\"{client}\"}} {count}");
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        };
        row("requests", "a\\\"\\\\", 1);
        row("requests", FORMER, 2);
        row("refused_of_address", STRANGER, 1);
        assert_eq!(text.lines().count(), 1 + LIMITS + 2, "{text}");
        assert!([STRANGER, FORMER].iter().all(|label| ClientId::parse(label).is_err()));
    }

    #[test]
    fn every_limit_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<&str> = Limit::all().map(Limit::as_str).collect();
        assert_eq!((names.len(), Limit::all().count()), (LIMITS, LIMITS));
    }
}
