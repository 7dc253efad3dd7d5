//! Whether requests that are in order would be refused for reasons of this server's own.

use std::fmt;
use std::time::Duration;

use super::state::AppState;
use crate::commit::Hindrance;

/// The commit answers within this, or does not work.
const ANSWER: Duration = Duration::from_secs(2);

/// A reason for which the server is not ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotReady {
    /// The commit would refuse.
    Commit(Hindrance),
    /// What the server was started with is not in force yet.
    Configuration,
    /// No key signs for some API.
    SigningKey,
}

impl NotReady {
    /// Every reason that there may be.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        Hindrance::NAMES.into_iter().map(|(_, hindrance)| Self::Commit(hindrance)).chain([Self::Configuration, Self::SigningKey])
    }

    /// The name, for machines.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Commit(hindrance) => hindrance.as_str(),
            Self::Configuration => "configuration",
            Self::SigningKey => "signing_key",
        }
    }
}

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.name())?;
        match self {
            Self::Commit(hindrance) => hindrance.fmt(f),
            Self::Configuration => {
                f.write_str("the configuration that the server was started with is not in force yet; see the log")
            }
            Self::SigningKey => f.write_str("no key of the key folder signs now for every API"),
        }
    }
}

/// Every reason that holds now.
pub(super) async fn not_ready(state: &AppState) -> Vec<NotReady> {
    let asked = tokio::time::timeout(ANSWER, state.commit().hindrances()).await;
    let found = asked.unwrap_or_else(|_| vec![Hindrance::Stalled]);
    let (deployment, now) = (state.deployment(), state.now());
    let unsigned = deployment.catalog.apis().any(|api| deployment.signers.ready(api.signing_alg, now).is_none());
    let others = [(state.board.refuses(), NotReady::Configuration), (unsigned, NotReady::SigningKey)];
    let others = others.into_iter().filter(|(holds, _)| *holds).map(|(_, reason)| reason);
    found.into_iter().map(NotReady::Commit).chain(others).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_reason_has_a_name_and_a_sentence_of_its_own() {
        let names: BTreeSet<&str> = NotReady::all().map(NotReady::name).collect();
        let sentences: BTreeSet<String> = NotReady::all().map(|reason| reason.to_string()).collect();
        assert_eq!((names.len(), sentences.len()), (NotReady::all().count(), NotReady::all().count()));
        assert!(names.iter().all(|name| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')));
    }
}
