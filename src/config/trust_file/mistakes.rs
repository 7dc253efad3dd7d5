//! The mistakes of rules that are not whole, and the places at which mistakes are written.

use super::TrustFile;
use crate::catalog::{Place, Places};
use crate::config::Diagnostic;
use crate::config::desk::Desk;
use crate::config::matcher_file::MatcherFile;
use crate::trust::{IssuerSelector, Requirement, SubjectMapping, TrustKind, TrustRuleReason, mistakes};

/// The parts that were read of a file that is no whole rule.
pub(super) struct PartialRule<'a> {
    pub(super) kind: Option<TrustKind>,
    pub(super) selector: Option<&'a IssuerSelector>,
    pub(super) audiences: Option<&'a Vec<String>>,
    pub(super) require: Option<&'a Vec<Requirement>>,
    /// Those of them that could be read.
    pub(super) legible: &'a [MatcherFile],
    pub(super) subject: Option<&'a SubjectMapping>,
}

impl PartialRule<'_> {
    /// True when they make a rule, which is looked at as a whole.
    pub(super) fn is_whole(&self) -> bool {
        let read = [self.kind.is_some(), self.selector.is_some(), self.audiences.is_some(), self.require.is_some()];
        read.into_iter().all(|read| read) && self.subject.is_some()
    }

    /// Tells what is wrong in the parts that could be read, so that nobody has to mend the others first.
    pub(super) fn tell(&self, desk: &Desk, places: &Places) {
        let Some(kind) = self.kind else { return };
        let issuer = self.selector.and_then(IssuerSelector::issuer);
        let require: Vec<Requirement> = self.legible.iter().map(|matcher| matcher.requirement.clone()).collect();
        let audiences = self.audiences.map(Vec::as_slice).unwrap_or_default();
        let found = mistakes(kind, issuer, audiences, &require, self.subject);
        // Whose tokens are meant may be what could not be read.
        let told = |reason: &TrustRuleReason| self.require.is_some() || !matches!(reason, TrustRuleReason::Unpinned(_));
        for reason in found.into_iter().filter(told) {
            desk.complain(Diagnostic::new(place_of(&reason, places), reason.to_string()));
        }
    }
}

impl TrustFile {
    /// The place of that mistake, or of what encloses it.
    pub(in crate::config) fn place_of(&self, reason: &TrustRuleReason) -> Place {
        let place = place_of(reason, &self.places);
        if place.line == self.places.of("").line { self.place.clone() } else { place }
    }
}

fn place_of(reason: &TrustRuleReason, places: &Places) -> Place {
    use TrustRuleReason as Reason;
    match reason {
        Reason::Audiences | Reason::ForeignAudience(_) => places.of("audiences"),
        Reason::Algorithms | Reason::SpiffeAlgorithm => places.of("algorithms"),
        Reason::Lifetime => places.of("lifetime_max"),
        Reason::People(_) => places.of("subject"),
        Reason::SpiffeKeys | Reason::KeysUse | Reason::KeysUri => places.of("keys"),
        Reason::Unpinned(_) => places.of("require"),
        Reason::ClaimShape(claim, _) => places.of(&format!("require/{claim}")),
        // Here a claim is matched, or a subject made of it.
        Reason::ChosenClaim(claim) => places.found(&format!("require/{claim}")).unwrap_or_else(|| places.of("subject")),
        _ => places.of(""),
    }
}
