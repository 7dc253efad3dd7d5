//! Evidence: a credential that somebody issued, the client itself or whoever vouches for it. What it vouches for, and since when
//! it must have been issued to count.

use std::time::Duration;

use super::revocation::instance_name;
use crate::crypto::MacKey;
use crate::oauth::{ClientId, GenerationKey, GenerationKind, Subject, Time};

/// The most by which the clock of whoever issued evidence may differ from ours.
pub const SKEW: Duration = Duration::from_secs(60);

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

impl VouchedFor<'_> {
    /// The pseudonyms of all of them, in no order: agent, instance, subject, trust rule.
    pub(super) fn keys(&self, pseudonyms: &MacKey) -> Vec<GenerationKey> {
        let key = |kind, name: &str| pseudonyms.pseudonym(kind, name.as_bytes());
        let instance = self.agent.zip(self.instance).map(|(agent, instance)| instance_name(agent, instance));
        let named = [
            (GenerationKind::Agent, self.agent.map(ClientId::as_str)),
            (GenerationKind::Instance, instance.as_deref()),
            (GenerationKind::Subject, self.subject.map(Subject::as_str)),
            (GenerationKind::Rule, self.subject.and_then(Subject::rule).map(|rule| rule.as_str())),
        ];
        named.into_iter().filter_map(|(kind, name)| Some(key(kind, name?))).collect()
    }
}

/// True where evidence that says it was issued at `issued` counts although what it vouches for `ended` at some time: it was
/// issued later, by more than clocks may differ. What claims to come from the future is of now, when it is presented.
pub(super) fn counts(issued: Time, ended: Option<Time>, now: Time) -> bool {
    ended.is_none_or(|ended| issued.min(now) > ended.plus(SKEW))
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
