//! The client whose agent the record neither suspends nor retires.

use std::sync::Arc;

use super::liveness::StateView;
use super::revocation::InactiveStatus;
use crate::catalog::Agent;
use crate::client::AuthenticatedClient;
use crate::oauth::{GenerationKey, GenerationKind, Pseudonyms, SingleUse};

/// A client that proved itself, and whose agent the record neither suspends nor retires. Made only by [`require_active`].
#[derive(Debug)]
pub struct ActiveClient {
    client: AuthenticatedClient,
    key: GenerationKey,
}

/// Requires that the record neither suspends nor retires the agent of `client`, whatever the files say: the stricter of both
/// counts.
///
/// # Errors
/// The status that the record gives it.
pub fn require_active(
    client: AuthenticatedClient,
    state: &dyn StateView,
    pseudonyms: &Pseudonyms,
) -> Result<ActiveClient, InactiveStatus> {
    let name = client.agent().id.as_str().as_bytes();
    let key = pseudonyms.pseudonym(GenerationKind::Agent, name);
    let keys: Vec<_> = std::iter::once(key).chain(pseudonyms.earlier(GenerationKind::Agent, name)).collect();
    match state.generations(&keys).into_iter().filter_map(|state| state.inactive).max() {
        Some(status) => Err(status),
        None => Ok(ActiveClient { client, key }),
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

    /// The authentication.
    pub fn client(&self) -> &AuthenticatedClient {
        &self.client
    }

    /// The client, and the pseudonym of its agent.
    pub(super) fn into_parts(self) -> (AuthenticatedClient, GenerationKey) {
        (self.client, self.key)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;
    use crate::catalog::{AgentKind, BoundTokens, Status};
    use crate::crypto::MacKey;
    use crate::lifecycle::{GenerationState, Task};
    use crate::oauth::{ClientId, Time};

    /// One thing is inactive.
    struct One(GenerationKey, Option<InactiveStatus>);

    impl StateView for One {
        fn generations(&self, keys: &[GenerationKey]) -> Vec<GenerationState> {
            keys.iter()
                .map(|key| GenerationState { inactive: self.1.filter(|_| *key == self.0), ..GenerationState::default() })
                .collect()
        }
        fn task(&self, _key: &GenerationKey) -> Option<Task> {
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
            bound: BoundTokens::default(),
        }))
    }

    #[test]
    fn an_agent_that_the_record_suspends_or_retires_is_no_active_client() {
        let pseudonyms = Pseudonyms::new(MacKey::new(&[1; 32]), vec![]);
        let key = pseudonyms.pseudonym(GenerationKind::Agent, b"orchestrator");
        for status in [InactiveStatus::Suspended, InactiveStatus::Retired] {
            let state = One(key, Some(status));
            assert_eq!(require_active(client("orchestrator"), &state, &pseudonyms).err(), Some(status));
            assert!(require_active(client("researcher"), &state, &pseudonyms).is_ok());
        }
        assert_eq!(require_active(client("orchestrator"), &One(key, None), &pseudonyms).unwrap().into_parts().1, key);
    }

    #[test]
    fn a_status_recorded_under_an_earlier_key_counts() {
        let before = Pseudonyms::new(MacKey::new(&[1; 32]), vec![]).pseudonym(GenerationKind::Agent, b"orchestrator");
        let after = Pseudonyms::new(MacKey::new(&[2; 32]), vec![MacKey::new(&[3; 32]), MacKey::new(&[1; 32])]);
        let state = One(before, Some(InactiveStatus::Retired));
        assert_eq!(require_active(client("orchestrator"), &state, &after).err(), Some(InactiveStatus::Retired));
        assert!(require_active(client("researcher"), &state, &after).is_ok());
    }
}
