//! Everything that a token to be issued depends on: the proof that minting asks for.

use std::borrow::Cow;

use super::admitted::AdmittedExchange;
use super::evidence::{ThingName, counts, last_end};
use super::in_force::Rules;
use super::liveness::join;
use super::reason::AdmissionReason;
use crate::oauth::{Generation, GenerationKey, GenerationKind, Resource};

/// The generations that a token to be issued will depend on, all alive, except its own hop or task and a transaction that begins
/// with it. Made only by [`depend`].
#[derive(Debug)]
pub struct Dependencies(Vec<Generation>);

/// What a token of `admitted` for `apis`, or a task with authority on them, depends on. The scopes of another server's access
/// token vouch for authority on an API, so they must be newer than its last end.
///
/// # Errors
/// `SubjectOutdated`, `NotAlive`.
pub fn depend<'a>(
    admitted: &AdmittedExchange,
    apis: impl Iterator<Item = &'a Resource>,
    rules: &Rules<'_>,
) -> Result<Dependencies, AdmissionReason> {
    let names: Vec<ThingName<'_>> = apis.map(|api| (GenerationKind::Api, Cow::Borrowed(api.as_str()))).collect();
    let mut joining = rules.recorded(&names);
    let subject = admitted.subject();
    let ended = last_end(joining.iter().map(|(_, state)| state));
    if subject.scope_limit().is_some() && !counts(subject.issued(), ended, rules.now) {
        return Err(AdmissionReason::SubjectOutdated);
    }
    let mut generations = admitted.generations().to_vec();
    joining.sort_unstable_by_key(|(key, _)| *key);
    joining.dedup_by_key(|(key, _)| *key);
    let is_epoch = |key: &GenerationKey| *key == GenerationKey::EPOCH;
    // The epoch was named with the evidence; here it only stands among what is asked about.
    let fresh = joining.into_iter().filter(|(key, _)| is_epoch(key) || generations.iter().all(|known| known.key != *key));
    let joined = join(rules.state, Vec::new(), fresh, rules.now).map_err(AdmissionReason::NotAlive)?;
    generations.extend(joined.into_iter().filter(|joined| !is_epoch(&joined.key)));
    Ok(Dependencies(generations))
}

impl Dependencies {
    /// The generations.
    pub fn generations(&self) -> &[Generation] {
        &self.0
    }
}
