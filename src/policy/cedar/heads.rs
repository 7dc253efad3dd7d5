//! The heads of policies: what they demand of principal, action and resource before any condition.

use cedar_policy::{ActionConstraint, EntityTypeName, Policy, PrincipalConstraint, ResourceConstraint};
use serde_json::json;

use crate::policy::index::PolicyHead;

/// The head of a policy.
pub(super) fn head(policy: &Policy) -> PolicyHead {
    let kind = |kind: &EntityTypeName| Some(kind.to_string());
    let (principal_kind, principal) = match policy.principal_constraint() {
        PrincipalConstraint::Any => (None, None),
        PrincipalConstraint::Is(name) => (kind(&name), None),
        PrincipalConstraint::IsIn(name, uid) => (kind(&name), Some(uid.to_string())),
        PrincipalConstraint::Eq(uid) | PrincipalConstraint::In(uid) => (None, Some(uid.to_string())),
    };
    let (resource_kind, resource) = match policy.resource_constraint() {
        ResourceConstraint::Any => (None, None),
        ResourceConstraint::Is(name) => (kind(&name), None),
        ResourceConstraint::IsIn(name, uid) => (kind(&name), Some(uid.to_string())),
        ResourceConstraint::Eq(uid) | ResourceConstraint::In(uid) => (None, Some(uid.to_string())),
    };
    let actions = match policy.action_constraint() {
        ActionConstraint::Any => None,
        ActionConstraint::Eq(uid) => Some(vec![uid.to_string()]),
        ActionConstraint::In(uids) => Some(uids.iter().map(ToString::to_string).collect()),
    };
    PolicyHead { principal, actions, resource, kinds: (principal_kind, resource_kind) }
}

/// The policy without its head, for questions that meet it: its conditions decide the same there, for less. The policy itself
/// where it has no such form.
pub(super) fn without_head(policy: &Policy) -> Policy {
    let bare = || {
        let mut form = policy.to_json().ok()?;
        for part in ["principal", "action", "resource"] {
            *form.get_mut(part)? = json!({ "op": "All" });
        }
        Policy::from_json(Some(policy.id().clone()), form).ok()
    };
    bare().unwrap_or_else(|| policy.clone())
}
