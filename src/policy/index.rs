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
    /// `principal is` and `resource is`.
    pub(super) kinds: (Option<String>, Option<String>),
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
    /// The types of principal and resource.
    pub(super) kinds: (&'static str, &'static str),
}

/// The principal and the resource that a head demands.
type Constants = (Option<String>, Option<String>);

/// A head whose constants are met: its position, and what else it demands.
#[derive(Debug)]
struct IndexedHead {
    position: usize,
    /// None where it admits any action.
    actions: Option<Vec<String>>,
    kinds: (Option<String>, Option<String>),
}

/// The heads of a set of policies by their constants.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// By the constants for principal and resource.
    places: HashMap<Constants, Vec<IndexedHead>>,
}

impl Index {
    /// Indexes heads by their position.
    pub(super) fn new<'a>(heads: impl Iterator<Item = &'a PolicyHead>) -> Self {
        let mut index = Self::default();
        for (position, head) in heads.enumerate() {
            let key = (head.principal.clone(), head.resource.clone());
            let place = IndexedHead { position, actions: head.actions.clone(), kinds: head.kinds.clone() };
            index.places.entry(key).or_default().push(place);
        }
        index
    }

    /// The positions of all heads that `request` satisfies, in ascending order.
    pub(super) fn applying(&self, request: &RequestHead) -> Vec<usize> {
        let mut found = Vec::new();
        for principal in or_none(&request.principals) {
            for resource in or_none(&request.resources) {
                let here = self.places.get(&(principal.clone(), resource)).into_iter().flatten();
                found.extend(here.filter(|place| place.admits(request)).map(|place| place.position));
            }
        }
        found.sort_unstable();
        found
    }
}

fn or_none(constants: &[String]) -> impl Iterator<Item = Option<String>> {
    constants.iter().cloned().map(Some).chain([None])
}

impl IndexedHead {
    fn admits(&self, request: &RequestHead) -> bool {
        let is = |demanded: &Option<String>, kind| demanded.as_deref().is_none_or(|demanded| demanded == kind);
        let action = self.actions.as_ref().is_none_or(|actions| actions.contains(&request.action));
        action && is(&self.kinds.0, request.kinds.0) && is(&self.kinds.1, request.kinds.1)
    }
}
