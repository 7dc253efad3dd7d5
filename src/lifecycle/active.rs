//! The client whose login counts: the record neither suspends nor retires it, and its evidence is no older than its last end.

use std::sync::Arc;

use super::evidence::{ThingState, VouchedFor, counts, last_end, recorded};
use super::liveness::StateView;
use super::revocation::InactiveStatus;
use crate::catalog::Agent;
use crate::client::AuthenticatedClient;
use crate::oauth::{Pseudonyms, SingleUse, Time};

/// A client that proved itself by evidence that counts, and whose agent and running copy the record neither suspends nor retires.
/// Made only by [`require_active`].
#[derive(Debug)]
pub struct ActiveClient {
    client: AuthenticatedClient,
    login: Vec<ThingState>,
}

/// The reason for which a client that proved itself is not active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginRefusal {
    /// The status that the record gives to its agent or running copy; the stricter.
    Inactive(InactiveStatus),
    /// What it logged in with was issued before something that it vouches for was ended.
    Outdated,
}

/// Requires that the record neither suspends nor retires the agent and the running copy of `client`, whatever the files say: the
/// stricter of both counts; and that the evidence of its login is newer than the last end of anything it vouches for.
///
/// # Errors
/// See [`LoginRefusal`].
pub fn require_active(
    client: AuthenticatedClient,
    state: &dyn StateView,
    pseudonyms: &Pseudonyms,
    now: Time,
) -> Result<ActiveClient, LoginRefusal> {
    let subject = client.attested().map(|attested| &attested.subject);
    let vouched = VouchedFor { agent: Some(&client.agent().id), instance: client.instance(), subject };
    let login = recorded(state, pseudonyms, &vouched.names());
    if let Some(status) = login.iter().filter_map(|(_, state)| state.inactive).max() {
        return Err(LoginRefusal::Inactive(status));
    }
    let ended = last_end(login.iter().map(|(_, state)| state));
    match client.issued().is_none_or(|issued| counts(issued, ended, now)) {
        true => Ok(ActiveClient { client, login }),
        false => Err(LoginRefusal::Outdated),
    }
}

impl ActiveClient {
    /// The agent.
    pub fn agent(&self) -> &Arc<Agent> {
        self.client.agent()
    }

    /// The single-use values that the commit must spend for this request.
    pub fn spends(&self) -> Vec<SingleUse> {
        self.client.spends()
    }

    /// The single-use values without which this is nobody.
    pub fn login_values(&self) -> Vec<SingleUse> {
        self.client.login_values()
    }

    /// The authentication.
    pub fn client(&self) -> &AuthenticatedClient {
        &self.client
    }

    /// The client, and all that its login vouches for as it was when the evidence was judged: its agent, and where they are
    /// attested its running copy, its name and the trust rule. What ends later has ended under this request.
    pub(super) fn into_parts(self) -> (AuthenticatedClient, Vec<ThingState>) {
        (self.client, self.login)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;
    use crate::catalog::{AgentKind, BoundTokens, Status};
    use crate::crypto::MacKey;
    use crate::lifecycle::{GenerationState, Task};
    use crate::oauth::{ClientId, GenerationKey, GenerationKind, TaskId};

    /// One thing is inactive.
    struct One(GenerationKey, Option<InactiveStatus>);

    impl StateView for One {
        fn generations(&self, keys: &[GenerationKey]) -> Vec<GenerationState> {
            keys.iter()
                .map(|key| GenerationState { inactive: self.1.filter(|_| *key == self.0), ..GenerationState::default() })
                .collect()
        }
        fn task(&self, _: &TaskId) -> Option<Task> {
            None
        }
        fn floor(&self) -> Time {
            Time::from_millis(0)
        }
    }

    fn client(id: &str) -> AuthenticatedClient {
        AuthenticatedClient::for_tests(Arc::new(Agent {
            id: ClientId::parse(id).unwrap(),
            owner: "dana@acme.example".into(),
            team: "research".into(),
            kind: AgentKind::AiAgent,
            status: Status::Active,
            foreign_clients: vec![],
            requests_per_second: None,
            default_target: None,
            velocity: crate::catalog::VelocityLimits::default(),
            bound: BoundTokens::default(),
        }))
    }

    fn active(client: AuthenticatedClient, state: &One, pseudonyms: &Pseudonyms) -> Result<ActiveClient, LoginRefusal> {
        require_active(client, state, pseudonyms, Time::from_millis(0))
    }

    #[test]
    fn an_agent_that_the_record_suspends_or_retires_is_no_active_client() {
        let pseudonyms = Pseudonyms::new(MacKey::new(&[1; 32]), vec![]);
        let key = pseudonyms.pseudonym(GenerationKind::Agent, b"orchestrator");
        for status in [InactiveStatus::Suspended, InactiveStatus::Retired] {
            let state = One(key, Some(status));
            assert_eq!(active(client("orchestrator"), &state, &pseudonyms).err(), Some(LoginRefusal::Inactive(status)));
            assert!(active(client("researcher"), &state, &pseudonyms).is_ok());
        }
        assert_eq!(
            active(client("orchestrator"), &One(key, None), &pseudonyms).unwrap().into_parts().1,
            [(key, GenerationState::default()), (GenerationKey::EPOCH, GenerationState::default())]
        );
    }

    #[test]
    fn a_status_recorded_under_an_earlier_key_counts() {
        let before = Pseudonyms::new(MacKey::new(&[1; 32]), vec![]).pseudonym(GenerationKind::Agent, b"orchestrator");
        let after = Pseudonyms::new(MacKey::new(&[2; 32]), vec![MacKey::new(&[3; 32]), MacKey::new(&[1; 32])]);
        let state = One(before, Some(InactiveStatus::Retired));
        assert_eq!(active(client("orchestrator"), &state, &after).err(), Some(LoginRefusal::Inactive(InactiveStatus::Retired)));
        assert!(active(client("researcher"), &state, &after).is_ok());
    }
}
