//! Life cycle: who may present what, what is alive, and what ends with what. Pure rules over a view of the state.
//!
//! `admit` shows every check of an exchange in order, `task_admission` those of a task, `issued` those of a token that is shown
//! or revoked. All of them end in the one predicate of `liveness`.

mod revocation;
mod task;
pub mod liveness;
pub mod status;
mod reason;
mod evidence;
mod active;
mod in_force;
mod admitted;
mod admit;
mod dependencies;
mod task_admission;
mod issued;
mod call;

pub use active::{ActiveClient, LoginRefusal, require_active};
pub use admit::{AskedFor, admit, presented_for};
pub use admitted::{AdmittedExchange, CurrentActor};
pub use call::{CallableToken, callable};
pub use dependencies::{Dependencies, depend};
pub use evidence::{
    INSTANCE_REMEMBERED, LIFETIME_MAX as EVIDENCE_LIFETIME_MAX, SKEW as EVIDENCE_SKEW, VouchedState, vouched_states,
};
pub use in_force::Rules;
pub use issued::{Visible, revocation, visible, widened};
pub use liveness::{Cause, GenerationState, NotAlive, StateView, alive};
pub use reason::AdmissionReason;
pub use revocation::{InactiveStatus, Revocable, Revocation, StatusChange, Transition};
pub(crate) use task::rank;
pub use task::{TASK_SKEW, Task, TaskStatus, TaskTerms};
pub use task_admission::{AdmittedTask, TaskAction, TaskChange, admit_task, change_task, current_task};
