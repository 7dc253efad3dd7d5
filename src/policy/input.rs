//! The input of policy: a request that was admitted, or one that somebody assumes to see what would be decided.

use std::sync::Arc;

use super::context::{Attribute, PolicyValue, ScopeContext};
use crate::catalog::Agent;
use crate::oauth::{Intent, Time};
use crate::trust::SET;

/// A request as policy reads it.
pub(super) trait PolicyInput: Clone {
    /// The agent that asks.
    fn client(&self) -> &Arc<Agent>;

    /// The agent that acts.
    fn acting(&self) -> &Arc<Agent>;

    /// The present.
    fn now(&self) -> Time;

    /// True where what is issued is bound to a key.
    fn is_bound(&self) -> bool;

    /// True where as many persons as it takes have approved the request.
    fn is_approved(&self) -> bool;

    /// The same request, approved.
    #[must_use]
    fn approved(&self) -> Self;

    /// The intent that was stated.
    fn intent(&self) -> Option<&Intent>;

    /// The value of one attribute of the context.
    fn value<'b>(&'b self, attribute: Attribute, on: ScopeContext<'b>) -> PolicyValue<'b>;

    /// The subject, as `sub` has it.
    fn subject_id(&self) -> &str;

    /// The attributes of the subject's entity.
    fn subject(&self) -> [(&'static str, &str); 3];

    /// The attributes of the subject by name, those that are sets member by member.
    fn attributes(&self) -> &[(String, String)];

    /// The attributes of the subject that are texts, as its trust rule maps them.
    fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.attributes().iter().map(|(name, value)| (name.as_str(), value.as_str())).filter(|(name, _)| !name.ends_with(SET))
    }

    /// The members of its attributes that are sets, each with the name of its set.
    fn members(&self) -> impl Iterator<Item = (&str, &str)> {
        self.attributes().iter().filter_map(|(name, value)| Some((name.strip_suffix(SET)?, value.as_str())))
    }
}
