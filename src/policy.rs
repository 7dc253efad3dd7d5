//! Policy: whether, and how narrowly. Knows nothing of signatures, HTTP or storage; the same inputs always decide the same.
//!
//! authority(out) ⊆ authority(in) ∩ policy ∩ request: [`authority`](crate::authority) says what the subject token gives,
//! `evaluation` asks the policies about it scope by scope, and [`decide`](decide()) grants the part that both permit and the
//! request wants. [`open`](open()) decides on a task.

mod unknown_scopes;
mod login;
mod outcome;
mod vocabulary;
mod annotations;
mod intent;
mod context;
mod input;
mod request_context;
mod index;
mod cedar;
mod loader;
mod step_up;
mod policies;
mod evaluation;
mod decide;
mod assumed;
mod explain;
mod reach;
mod names;
mod task;
mod recheck;

use std::time::Duration;

use crate::oauth::Issuer;

pub use annotations::{ApproverCount, PolicyException};
pub use assumed::AssumedRequest;
pub use decide::decide;
pub use explain::{PolicyExplanation, PolicyVerdict, ScopeExplanation, UnmetPermit};
pub use login::StepUp;
pub use names::Comparison;
pub use outcome::{Denial, DenialReason, Grant, IntentDenial, PolicyOutcome, ScopeDenial, TaskDenial, TaskGrant};
pub use policies::Policies;
pub use recheck::{CallDecision, recheck};
pub use task::open;
pub use vocabulary::{NameSort, NamesBySort, Vocabulary};

/// The bounds of every token and task of this server.
#[derive(Clone, Debug)]
pub struct TokenLimits {
    /// This server's issuer identifier, by which policy tells its agents from foreign actors.
    pub issuer: Issuer,
    /// The lifetime of a token where its API does not say.
    pub lifetime: Duration,
    /// The longest lifetime of any token.
    pub lifetime_max: Duration,
    /// The bounds of tasks.
    pub tasks: TaskLimits,
}

/// The bounds of tasks.
#[derive(Clone, Debug)]
pub struct TaskLimits {
    /// The time a task may take where its request does not say.
    pub lifetime: Duration,
    /// The time any task may take.
    pub lifetime_max: Duration,
    /// The exchanges a task may make where its request does not say.
    pub budget: u64,
    /// The exchanges any task may make.
    pub budget_max: u64,
    /// The number of tasks that may lie one under the other.
    pub depth: u32,
}

#[cfg(test)]
mod tests;
