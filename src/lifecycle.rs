//! What is alive, what ends with what, and who may present what: pure rules over a view of the state.

mod active;
mod admit;
mod binding;
mod death;
mod hold;
mod in_force;
pub mod liveness;
mod may_act;
mod presenter;
mod reason;
mod revocation;
mod standing;
pub mod status;
mod task;
mod visible;

pub use active::{ActiveClient, unheld};
pub use admit::{Rules, admit};
pub use binding::{BindingReason, SenderConstraint, bind};
pub use death::{Revocable, Revocation};
pub use hold::{StatusChange, Transition};
pub use liveness::{Cause, GenerationState, InactiveStatus, NotAlive, StateView, alive};
pub use reason::AdmissionReason;
pub use revocation::revocation;
pub use standing::{AdmittedExchange, CurrentActor};
pub use task::{AdmittedTask, Task, TaskAction, TaskChange, TaskStatus, TaskTerms, key_of, opening, task_now, tend};
pub use visible::{Visible, visible};
