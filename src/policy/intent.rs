//! The intent of a request against what its chain is bound to: a purpose that was stated stays, and a task is not left by saying
//! something else.

use super::outcome::IntentDenial;
use crate::lifecycle::AdmittedExchange;
use crate::oauth::Intent;
use crate::token::TaskMembership;

/// An intent that its chain allows, and the purpose that holds with it.
#[derive(Clone, Copy, Debug)]
pub(super) struct StatedIntent<'a> {
    pub(super) intent: Option<&'a Intent>,
    /// Empty where nobody stated one.
    pub(super) purpose: &'a str,
}

/// The purpose that is settled before the request: that of the task, or what an intent before it in the chain stated.
pub(super) fn settled_purpose(admitted: &AdmittedExchange) -> Option<&str> {
    let stated = || admitted.subject().own().map(|own| own.purpose.as_str()).filter(|purpose| !purpose.is_empty());
    admitted.task().map(|task| task.purpose.as_str()).or_else(stated)
}

/// Compares an intent with what was settled before.
///
/// # Errors
/// The first member that goes beyond it.
pub(super) fn stated<'a>(admitted: &'a AdmittedExchange, intent: Option<&'a Intent>) -> Result<StatedIntent<'a>, IntentDenial> {
    let (settled, wanted) = (settled_purpose(admitted), intent.and_then(Intent::purpose));
    if settled.zip(wanted).is_some_and(|(settled, wanted)| settled != wanted) {
        return Err(IntentDenial::Purpose);
    }
    if !within_task(admitted.task(), intent.map(Intent::data_classes).unwrap_or_default()) {
        return Err(IntentDenial::DataClasses);
    }
    Ok(StatedIntent { intent, purpose: settled.or(wanted).unwrap_or_default() })
}

/// True where a task may touch all these classes of data; outside of tasks policy alone says so.
pub(super) fn within_task(task: Option<&TaskMembership>, classes: &[String]) -> bool {
    task.is_none_or(|task| classes.iter().all(|class| task.data_classes.contains(class)))
}
