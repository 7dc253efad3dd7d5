//! Evidence: a credential that somebody issued, the client itself or whoever vouches for it. What it vouches for, and since when
//! it must have been issued to count.

use std::borrow::Cow;
use std::time::Duration;

use super::liveness::{GenerationState, StateView};
use super::revocation::{InactiveStatus, instance_name};
use crate::oauth::{ClientId, GenerationKey, GenerationKind, Pseudonyms, Subject, Time};

/// The most by which the clock of whoever issued evidence may differ from ours.
pub const SKEW: Duration = Duration::from_secs(60);

/// The most that a trust rule may allow for the lifetime of evidence, certificates aside: a little more than a day, for managed
/// identities of Azure get tokens of a day, dated five minutes back.
pub const LIFETIME_MAX: Duration = Duration::from_hours(25);

/// How long the end of a running copy is remembered: as long as evidence that does not count after it could be presented, or a
/// token from before it. Tasks that could depend on it are asked for besides.
pub const INSTANCE_REMEMBERED: Duration = LIFETIME_MAX.saturating_add(SKEW).saturating_add(SKEW);

/// The things that a credential vouches for, as far as it names them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct VouchedFor<'a> {
    /// The agent that it logs in.
    pub(super) agent: Option<&'a ClientId>,
    /// The running copy of that agent.
    pub(super) instance: Option<&'a str>,
    /// The party by the name that its issuer has for it, under the trust rule that accepted the credential.
    pub(super) subject: Option<&'a Subject>,
}

/// A thing that can end, by its kind and name.
pub(super) type ThingName<'a> = (GenerationKind, Cow<'a, str>);

/// A thing under its current pseudonym, and its state.
pub(super) type ThingState = (GenerationKey, GenerationState);

impl<'a> VouchedFor<'a> {
    /// All of them: agent, instance, subject, trust rule.
    pub(super) fn names(&self) -> Vec<ThingName<'a>> {
        let instance = self.agent.zip(self.instance).map(|(agent, instance)| Cow::Owned(instance_name(agent, instance)));
        let named = [
            (GenerationKind::Agent, self.agent.map(|agent| Cow::Borrowed(agent.as_str()))),
            (GenerationKind::Instance, instance),
            (GenerationKind::Subject, self.subject.map(|subject| Cow::Borrowed(subject.as_str()))),
            (GenerationKind::Rule, self.subject.and_then(Subject::rule).map(|rule| Cow::Borrowed(rule.as_str()))),
        ];
        named.into_iter().filter_map(|(kind, name)| Some((kind, name?))).collect()
    }
}

/// The present state of each named thing under its current pseudonym, with the latest end and the strictest status that are
/// recorded under any of its pseudonyms; and the present epoch, whose beginning is an end of everything.
pub(super) fn recorded(state: &dyn StateView, pseudonyms: &Pseudonyms, names: &[ThingName<'_>]) -> Vec<ThingState> {
    let mut keys: Vec<GenerationKey> = names.iter().flat_map(|(kind, name)| pseudonyms.every(*kind, name.as_bytes())).collect();
    let each = keys.len().checked_div(names.len()).unwrap_or(1).max(1);
    // The last chunk is its alone.
    keys.push(GenerationKey::EPOCH);
    let states = state.generations(&keys);
    let merged = |(keys, states): (&[GenerationKey], &[GenerationState])| {
        let first = states.first().copied().unwrap_or_default();
        let ended = last_end(states.iter());
        let inactive = states.iter().filter_map(|state| state.inactive).max();
        keys.first().map(|key| (*key, GenerationState { ended, inactive, ..first }))
    };
    keys.chunks(each).zip(states.chunks(each)).filter_map(merged).collect()
}

/// The last instant at which any of them ended.
pub(super) fn last_end<'a>(states: impl Iterator<Item = &'a GenerationState>) -> Option<Time> {
    states.filter_map(|state| state.ended).max()
}

/// True where evidence that says it was issued at `issued` counts although what it vouches for `ended` at some time: it was
/// issued later, by more than clocks may differ. What claims to come from the future is of now, when it is presented.
pub(super) fn counts(issued: Time, ended: Option<Time>, now: Time) -> bool {
    ended.is_none_or(|ended| issued.min(now) > ended.plus(SKEW))
}

/// The recorded state of one thing that evidence vouches for, for people who ask why it does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VouchedState {
    /// The thing in a word: `agent`, `instance`, `subject`, `rule` or `epoch`.
    pub thing: &'static str,
    /// Its last end. Evidence from before does not count, nor from a minute after, by which clocks may differ.
    pub ended: Option<Time>,
    /// Its status, where that keeps it from acting.
    pub inactive: Option<InactiveStatus>,
    /// False where evidence of that age does not count.
    pub counts: bool,
}

/// The recorded states of what evidence vouches for that was `issued` then: the subject under its trust rule, and the agent that
/// it logs in, with its running copy.
pub fn vouched_states(
    (state, pseudonyms): (&dyn StateView, &Pseudonyms),
    (subject, agent, instance): (&Subject, Option<&ClientId>, Option<&str>),
    issued: Time,
    now: Time,
) -> Vec<VouchedState> {
    let names = VouchedFor { agent, instance, subject: Some(subject) }.names();
    let words = names.iter().map(|(kind, _)| match kind {
        GenerationKind::Agent => "agent",
        GenerationKind::Instance => "instance",
        GenerationKind::Rule => "rule",
        _ => "subject",
    });
    let states = recorded(state, pseudonyms, &names);
    let told = words.chain(["epoch"]).zip(&states).map(|(thing, (_, state))| {
        let (ended, inactive) = (state.ended, state.inactive);
        VouchedState { thing, ended, inactive, counts: inactive.is_none() && counts(issued, ended, now) }
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_counts_if_it_was_issued_after_the_end_by_more_than_clocks_differ() {
        let at = Time::from_millis;
        let counts = |issued, now| counts(at(issued), Some(at(1_000_000)), at(now));
        for issued in [0, 999_999, 1_000_000, 1_000_001, 1_060_000] {
            assert!(!counts(issued, 2_000_000), "{issued}");
        }
        assert!(counts(1_060_001, 2_000_000));
        assert!(!counts(1_060_001, 1_060_000), "what was issued in the future was issued now");
        assert!(counts(1_120_000, 1_060_001));
        assert!(super::counts(at(0), None, at(2_000_000)), "nothing ended");
    }
}
