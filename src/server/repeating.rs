//! How often agents ask again for what they still hold, as the records of the last hour have it.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;

use super::records_since::records_since;
use crate::commit::contract::StoreReason;
use crate::crypto::Digest;
use crate::ledger::Record;
use crate::oauth::{ClientId, Resource, Scopes, Time};
use crate::store;

/// An agent that asks for a token for each call, or nearly.
#[derive(Debug, PartialEq, Eq)]
pub struct RepeatingAgent {
    /// Its id.
    pub agent: ClientId,
    /// Its tokens of the hour.
    pub hops: u64,
    /// Those of them that it asked for while the one before, for the same, was good for 30 seconds longer.
    pub repeated: u64,
}

/// As far back as it is looked, in seconds, and the most records of that time.
const HOUR: i64 = 3_600;
const RECORDS_MAX: u64 = 200_000;

/// A token that ends within so many seconds is renewed in good time.
const RENEWED_IN_TIME: i64 = 30;

/// Fewer repeats than this are no rhythm.
const REPEATS_MIN: u64 = 20;

/// The agents of which most tokens of the hour before `now` were asked for again too early, by the records in the data folder
/// `data`, in the order of their ids.
///
/// # Errors
/// When the store cannot be read.
pub fn repeating_agents(data: &Path, now: Time) -> Result<Vec<RepeatingAgent>, StoreReason> {
    let reader = store::reader(data)?;
    let mut counts = RepeatCounts::default();
    let since = Time::from_seconds(now.seconds() - HOUR);
    records_since(&*reader, (since, RECORDS_MAX), |record, at| counts.add_record(record, at))?;
    Ok(counts.told())
}

/// What one token was asked for: who asked, with which subject token, for which APIs and scopes.
type AskedToken = (ClientId, Digest, Vec<Resource>, Scopes);

#[derive(Default)]
struct RepeatCounts {
    ends: HashMap<AskedToken, Time>,
    agents: BTreeMap<ClientId, (u64, u64)>,
}

impl RepeatCounts {
    fn add_record(&mut self, record: &Record<'_>, at: Time) {
        let Record::Hop(hop) = record else { return };
        if let Some(subject_token) = hop.evidence.subject_token {
            self.add((hop.client.clone(), subject_token, hop.audience.clone(), hop.scope.clone()), hop.expires, at);
        }
    }

    fn add(&mut self, asked: AskedToken, expires: Time, at: Time) {
        let (hops, repeated) = self.agents.entry(asked.0.clone()).or_default();
        let before = self.ends.insert(asked, expires);
        *hops += 1;
        *repeated += u64::from(before.is_some_and(|ends| ends.seconds() > at.seconds() + RENEWED_IN_TIME));
    }

    fn told(self) -> Vec<RepeatingAgent> {
        let often = |(_, (hops, repeated)): &(ClientId, (u64, u64))| *repeated >= REPEATS_MIN && repeated * 2 >= *hops;
        let agents = self.agents.into_iter().filter(often);
        agents.map(|(agent, (hops, repeated))| RepeatingAgent { agent, hops, repeated }).collect()
    }
}

impl fmt::Display for RepeatingAgent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { agent, hops, repeated } = self;
        write!(
            f,
            "agent \"{agent}\" asked for {repeated} of its {hops} tokens of the last hour while the one before was still good: \
             it keeps none, or its library renews long before a token ends; see docs/clients.md, or give the API a longer \
             `lifetime`"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The report of an agent that asks `asks` times, each time `apart` seconds later, for tokens of 300 seconds.
    fn repeating(asks: i64, apart: i64) -> Vec<RepeatingAgent> {
        let mut counts = RepeatCounts::default();
        for ask in 0..asks {
            let at = Time::from_seconds(1_795_176_000 + ask * apart);
            let asked = (ClientId::operators(), Digest([1; 32]), Vec::new(), Scopes::default());
            counts.add(asked, Time::from_seconds(at.seconds() + 300), at);
        }
        counts.told()
    }

    #[test]
    fn one_token_for_each_call_is_told_and_renewal_in_time_is_not() {
        let told = repeating(100, 2);
        assert_eq!(told.iter().map(|agent| (agent.hops, agent.repeated)).collect::<Vec<_>>(), [(100, 99)]);
        assert_eq!(repeating(100, 180).len(), 1, "renewed two minutes early: a token for each call that comes later");
        assert_eq!(repeating(100, 290), []);
        assert_eq!(repeating(20, 2), [], "too few to be a rhythm");
    }
}
