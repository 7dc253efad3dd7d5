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
pub use binding::{BindingReason, Bound, bind};
pub use death::{Death, Ending};
pub use hold::{Holding, Turn};
pub use liveness::{Cause, Dead, Hold, Life, State, alive};
pub use reason::StandingReason;
pub use revocation::revocation;
pub use standing::{Acting, Standing};
pub use task::{FixedTask, Opening, Task, TaskStatus, Tending, Wish, key_of, opening, task_now, tend};
pub use visible::{Visible, visible};
