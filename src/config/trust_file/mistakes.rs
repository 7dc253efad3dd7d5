//! The mistakes of rules that are not whole, and the locations at which mistakes are written.

use crate::config::load::LoadContext;
use crate::diagnostic::{FieldLocations, Located, SourceLocation};
use crate::trust::{IssuerSelector, Requirement, SubjectMapping, TrustKind, TrustRuleReason, mistakes};

/// The parts that were read of a file that is no whole rule.
pub(super) struct PartialRule<'a> {
    pub(super) kind: Option<TrustKind>,
    pub(super) selector: Option<&'a IssuerSelector>,
    pub(super) audiences: Option<&'a Vec<String>>,
    pub(super) require: Option<&'a Vec<Requirement>>,
    /// Those of them that could be read.
    pub(super) legible: &'a [Located<Requirement>],
    pub(super) subject: Option<&'a SubjectMapping>,
}

impl PartialRule<'_> {
    /// True when they make a rule, which is looked at as a whole.
    pub(super) fn is_whole(&self) -> bool {
        let read = [self.kind.is_some(), self.selector.is_some(), self.audiences.is_some(), self.require.is_some()];
        read.into_iter().all(|read| read) && self.subject.is_some()
    }

    /// Tells what is wrong in the parts that could be read, so that nobody has to mend the others first.
    pub(super) fn tell(&self, context: &LoadContext, locations: &FieldLocations) {
        let Some(kind) = self.kind else { return };
        let issuer = self.selector.and_then(IssuerSelector::issuer);
        let require: Vec<Requirement> = self.legible.iter().map(|matcher| matcher.value.clone()).collect();
        let audiences = self.audiences.map(Vec::as_slice).unwrap_or_default();
        let found = mistakes(kind, issuer, audiences, &require, self.subject);
        // Whose tokens are meant may be what could not be read.
        let told = |reason: &TrustRuleReason| self.require.is_some() || !matches!(reason, TrustRuleReason::Unpinned(_));
        for reason in found.into_iter().filter(told) {
            context.error(location_of(&reason, locations), reason.to_string());
        }
    }
}

/// The location of that mistake, or of what encloses it.
pub(super) fn location_of(reason: &TrustRuleReason, locations: &FieldLocations) -> SourceLocation {
    use TrustRuleReason as Reason;
    match reason {
        Reason::Audiences | Reason::ForeignAudience(_) => locations.of("audiences"),
        Reason::Algorithms | Reason::SpiffeAlgorithm => locations.of("algorithms"),
        Reason::Lifetime => locations.of("lifetime_max"),
        Reason::People(_) => locations.of("subject"),
        Reason::SpiffeKeys | Reason::KeysUse | Reason::KeysUri => locations.of("keys"),
        Reason::Unpinned(_) => locations.of("require"),
        Reason::ClaimShape(claim, _) => locations.of(&format!("require/{claim}")),
        // Here a claim is matched, or a subject made of it.
        Reason::ChosenClaim(claim) => {
            locations.find(&format!("require/{claim}")).cloned().unwrap_or_else(|| locations.of("subject"))
        }
        _ => locations.of(""),
    }
}
