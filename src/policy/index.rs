//! An index of policies by the constants in their heads: it finds those that could apply to a request. A policy left out would
//! have been false at its head, and a head cannot raise an error, so leaving it out changes neither decision, reasons nor
//! errors.

use std::collections::HashMap;

/// The demands of the head of a policy; none where it demands nothing that is indexed. Entities are written as Cedar prints
/// them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PolicyHead {
    /// `principal ==` or `principal in`.
    pub(super) principal: Option<String>,
    /// `action ==` or `action in`.
    pub(super) actions: Option<Vec<String>>,
    /// `resource ==` or `resource in`.
    pub(super) resource: Option<String>,
}

/// A request, as far as heads can tell requests apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RequestHead {
    /// The principal and everything that it is in.
    pub(super) principals: Vec<String>,
    /// The action.
    pub(super) action: String,
    /// The resource and everything that it is in.
    pub(super) resources: Vec<String>,
}

/// The principal and the resource that a head demands.
type Constants = (Option<String>, Option<String>);

/// The actions that a head demands; none where it admits any.
type Actions = Option<Vec<String>>;

/// The heads of a set of policies by their constants.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// By the constants for principal and resource: the position of each head, and the actions that it demands.
    places: HashMap<Constants, Vec<(usize, Actions)>>,
}

impl Index {
    /// Indexes heads by their position.
    pub(super) fn new<'a>(heads: impl Iterator<Item = &'a PolicyHead>) -> Self {
        let mut index = Self::default();
        for (position, head) in heads.enumerate() {
            let key = (head.principal.clone(), head.resource.clone());
            index.places.entry(key).or_default().push((position, head.actions.clone()));
        }
        index
    }

    /// The positions of all heads that `request` satisfies, in ascending order.
    pub(super) fn applying(&self, request: &RequestHead) -> Vec<usize> {
        let mut found = Vec::new();
        for principal in or_none(&request.principals) {
            for resource in or_none(&request.resources) {
                let here = self.places.get(&(principal.clone(), resource)).into_iter().flatten();
                found.extend(here.filter(|(_, actions)| admits(actions.as_deref(), &request.action)).map(|(at, _)| *at));
            }
        }
        found.sort_unstable();
        found
    }
}

fn or_none(constants: &[String]) -> impl Iterator<Item = Option<String>> {
    constants.iter().cloned().map(Some).chain([None])
}

fn admits(actions: Option<&[String]>, action: &str) -> bool {
    actions.is_none_or(|actions| actions.iter().any(|known| known == action))
}
