//! The truth about a change that was asked for: whether it acts, whether it is recorded, and since when evidence counts again.

use crate::commit::{Commit, CommitReason, Revocable};
use crate::lifecycle::{EVIDENCE_SKEW, GenerationState, INSTANCE_REMEMBERED, StateView};
use crate::oauth::{GenerationKey, GenerationKind, Time};

use super::reason::AdminReason;

/// Waits for `done`, a change of `things`: true when it is durable, false when it acts in memory only, and nothing is issued
/// until it is recorded.
///
/// # Errors
/// `Commit` when it does not act.
pub(super) async fn acts(
    commit: &Commit,
    things: &[Revocable],
    done: impl Future<Output = Result<(), CommitReason>>,
) -> Result<bool, AdminReason> {
    let before = states(commit, things);
    match done.await {
        Ok(()) => Ok(true),
        Err(CommitReason::Unavailable | CommitReason::ClockDoubted) if states(commit, things) != before => Ok(false),
        Err(reason) => Err(AdminReason::Commit(reason)),
    }
}

/// The first whole second since 1970 such that evidence that is issued then counts although `things` ended; none where they never
/// did.
pub(super) fn counts_from(commit: &Commit, things: &[Revocable]) -> Option<i64> {
    let ended = states(commit, things).into_iter().filter_map(|state| state.ended).max()?;
    Some(ended.plus(EVIDENCE_SKEW).seconds() + 1)
}

/// The second since 1970 until which the end of `things` is remembered, at least; `until` was asked for.
pub(super) fn remembered_until(commit: &Commit, things: &[Revocable], until: Time) -> Option<i64> {
    let of_instance = things.iter().any(|thing| thing.kind == GenerationKind::Instance);
    let ended = states(commit, things).into_iter().filter_map(|state| state.ended).max().filter(|_| of_instance);
    Some(ended.map_or(until, |ended| ended.plus(INSTANCE_REMEMBERED).max(until)).seconds())
}

fn states(commit: &Commit, things: &[Revocable]) -> Vec<GenerationState> {
    let keys: Vec<GenerationKey> = things.iter().map(|thing| thing.key).collect();
    commit.state().generations(&keys)
}
