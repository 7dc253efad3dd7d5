//! Rules that could never mean what they say, by what is known of the platform.

use crate::trust::platform::{self, Nature, Shape};
use crate::trust::{Literal, Matcher, Requirement, SubjectParts, TrustKind, TrustRuleReason, claim_of};

/// What is wrong with a rule of `kind` beyond its single parts, as far as they could be read.
pub fn mistakes(
    kind: TrustKind,
    issuer: Option<&str>,
    audiences: &[String],
    require: &[Requirement],
    subject: Option<&SubjectParts>,
) -> Vec<TrustRuleReason> {
    let foreign = audiences.iter().filter(|audience| platform::is_foreign_audience(kind, issuer.unwrap_or_default(), audience));
    let mut reasons: Vec<_> = foreign.map(|audience| TrustRuleReason::ForeignAudience(audience.clone())).collect();
    reasons.extend(require.iter().filter_map(|requirement| mistaken(kind, requirement)));
    let templates = subject.into_iter().flat_map(|subject| [Some(&subject.id), subject.instance.as_ref()]).flatten();
    let attributes = subject.into_iter().flat_map(|subject| subject.attributes.values().map(String::as_str));
    let chosen = templates.flat_map(|template| claims_in(template)).chain(attributes).filter(|claim| is_chosen(kind, claim));
    reasons.extend(chosen.map(|claim| TrustRuleReason::ChosenClaim(claim.to_owned())));
    let unpinned = !require.iter().any(|requirement| identifies(kind, requirement));
    if platform::is_shared(kind) && unpinned {
        reasons.push(TrustRuleReason::Unpinned(kind));
    }
    reasons
}

/// Whether every token that meets it is of parties that the rule names.
fn identifies(kind: TrustKind, requirement: &Requirement) -> bool {
    let known = claim_of(kind, requirement.claim()).is_some_and(|fact| matches!(fact.nature, Nature::Id | Nature::Name));
    known && !matches!(requirement.matcher(), Matcher::Present)
}

/// A value of another type than the claim has never matches, and a claim that its sender chooses proves nothing.
pub fn mistaken(kind: TrustKind, requirement: &Requirement) -> Option<TrustRuleReason> {
    let claim = || requirement.claim().to_owned();
    let fact = claim_of(kind, requirement.claim())?;
    if fact.nature == Nature::Chosen {
        return Some(TrustRuleReason::ChosenClaim(claim()));
    }
    let wanted: &[Literal] = match requirement.matcher() {
        Matcher::Is(literal) => std::slice::from_ref(literal),
        Matcher::OneOf(literals) => literals,
        Matcher::Prefix(_) if fact.shape != Shape::Text && fact.shape != Shape::Object => {
            return Some(TrustRuleReason::ClaimShape(claim(), fact.shape));
        }
        Matcher::Prefix(_) | Matcher::Present => &[],
    };
    wanted.iter().any(|literal| !fits(literal, fact.shape)).then(|| TrustRuleReason::ClaimShape(claim(), fact.shape))
}

fn is_chosen(kind: TrustKind, claim: &str) -> bool {
    claim_of(kind, claim).is_some_and(|fact| fact.nature == Nature::Chosen)
}

fn fits(literal: &Literal, shape: Shape) -> bool {
    matches!(
        (literal, shape),
        (_, Shape::Object)
            | (Literal::Text(_), Shape::Text)
            | (Literal::Number(_), Shape::Integer)
            | (Literal::Bool(_), Shape::Boolean)
    )
}

/// The claims in the braces of a template, malformed ones left out: the template's own check tells those.
fn claims_in(template: &str) -> impl Iterator<Item = &str> {
    template.split('{').skip(1).filter_map(|part| part.split_once('}')).map(|(claim, _)| claim)
}
