//! A request to open a task: a subject token, and one `authorization_details` of type `task` (RFC 9396 §2).

use super::{Form, PresentedToken, RequestReason, required_token};
use crate::oauth::{DetailsReason, TaskSpec};

/// A well-formed request to open a task. Made only by [`TaskRequest::parse`].
#[derive(Debug)]
pub struct TaskRequest {
    subject: PresentedToken,
    wanted: TaskSpec,
}

/// Parameters of an exchange that have no meaning here: refused by name, never ignored.
const OTHERS: [&str; 9] = [
    "actor_token",
    "actor_token_type",
    "requested_token_type",
    "resource",
    "audience",
    "scope",
    "scope_mode",
    "impersonate",
    "grant_type",
];

impl TaskRequest {
    /// Reads a request to open a task.
    ///
    /// # Errors
    /// A parameter that is missing, repeated or not of this request; `Task` for its details.
    pub fn parse(form: &Form) -> Result<Self, RequestReason> {
        let once = ["subject_token", "subject_token_type", "authorization_details"];
        if let Some(repeated) = once.into_iter().find(|name| form.all(name).nth(1).is_some()) {
            return Err(RequestReason::Repeated(repeated));
        }
        if let Some(other) = OTHERS.iter().find(|name| form.get(name).is_some()) {
            return Err(RequestReason::Unsupported(other));
        }
        let subject = required_token(form)?;
        let details = form.get("authorization_details").ok_or(RequestReason::Task(DetailsReason::Malformed))?;
        let wanted = TaskSpec::parse(details).map_err(RequestReason::Task)?;
        Ok(Self { subject, wanted })
    }

    /// On whose behalf, or the task under which a child is opened: `subject_token`.
    pub fn subject(&self) -> &PresentedToken {
        &self.subject
    }

    /// The task.
    pub fn wanted(&self) -> &TaskSpec {
        &self.wanted
    }
}
