//! The names in policies that nothing has. Cedar compares ids and validates none: a slip in one makes a policy that never
//! applies, which of a `forbid` nobody notices.

use super::Policies;
use super::cedar::ParsedPolicy;
use super::cedar::mentions::{Mention, MentionText};
use super::reach::{PolicyForm, ways_around};
use super::vocabulary::{Domain, NameStanding, Vocabulary};
use crate::diagnostic::{Diagnostic, SourceLocation};

/// As many names are listed where none is near.
const LISTED_MAX: usize = 8;

/// The outcome of comparing policies with the names that there are.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// What makes the set unusable.
    pub mistakes: Vec<Diagnostic>,
    /// What may surprise.
    pub warnings: Vec<Diagnostic>,
}

impl Policies {
    /// Compares every name in the policies with those of `vocabulary`, and looks for policies that cannot do what they seem to. A
    /// name that nothing ever had is a mistake, but in a permit that says `@allow_unknown`; one that something once had is told.
    pub fn compare(&self, vocabulary: &Vocabulary) -> Comparison {
        let mut found = Comparison::default();
        let mut forms = Vec::with_capacity(self.policies.len());
        for policy in &self.policies {
            let before = found.mistakes.len();
            policy.mentions.iter().for_each(|mention| found.name(policy, mention, vocabulary));
            // Of a policy with a slip in it nothing more can be said.
            if found.mistakes.len() == before {
                forms.push(PolicyForm::of(policy));
            }
        }
        forms.iter().for_each(|form| found.reach(form));
        let (permits, forbids): (Vec<_>, Vec<_>) = forms.into_iter().partition(|form| form.policy.permits);
        for forbid in forbids.iter().filter(|forbid| !forbid.policy.says("allow_bypass")) {
            let told = |way: String| Diagnostic::new(forbid.policy.location.clone(), way);
            found.warnings.extend(ways_around(forbid, &permits, vocabulary).into_iter().map(told));
        }
        found
    }

    /// A mistake for every id of `required` that no `forbid` goes by: what it pins must not vanish. `at` is where it is required.
    pub fn missing<'a>(&self, required: impl Iterator<Item = (&'a str, &'a SourceLocation)>) -> Vec<Diagnostic> {
        let ids = || self.policies.iter().filter(|policy| !policy.permits).map(ParsedPolicy::id);
        let of = |(id, at): (&'a str, &SourceLocation)| {
            let missing = !ids().any(|known| known == id);
            let sentence = format!("`required` names {id:?}, and no forbid in the policy folder has that @id; put it back");
            missing.then(|| Diagnostic::new(at.clone(), sentence).near(id, ids()))
        };
        required.filter_map(of).collect()
    }
}

impl Comparison {
    fn name(&mut self, policy: &ParsedPolicy, mention: &Mention, vocabulary: &Vocabulary) {
        let (written, standing) = match &mention.text {
            MentionText::Literal(text) | MentionText::Entity(_, text) => {
                (text.clone(), vocabulary.standing(mention.domain, text))
            }
            MentionText::Pattern(pieces) => (pieces.join("*"), vocabulary.standing_of_pattern(mention.domain, pieces)),
        };
        let what = mention.domain.as_str();
        match standing {
            NameStanding::Present => {}
            NameStanding::Once => {
                let sentence =
                    format!("no file has the {what} {written:?} any more; take it out of the policy when it is to stay away");
                self.warnings.push(Diagnostic::new(mention.location.clone(), sentence));
            }
            NameStanding::Never if policy.permits && policy.says("allow_unknown") => {}
            NameStanding::Never => {
                let diagnostic = Diagnostic::new(mention.location.clone(), unknown(policy, mention.domain, &written, vocabulary));
                self.mistakes.push(diagnostic.near(&written, vocabulary.present(mention.domain)));
            }
        }
    }

    fn reach(&mut self, form: &PolicyForm<'_>) {
        let location = form.policy.location.clone();
        if form.permits_all() {
            let sentence = "it permits everything to every agent; say to whom and for what, or under which condition";
            self.warnings.push(Diagnostic::new(location, sentence));
        } else if form.never_applies() {
            let (list, sentence) = match form.policy.permits {
                true => (&mut self.warnings, "its conditions hold for no request, so it never permits; take it out or mend it"),
                false => {
                    (&mut self.mistakes, "its conditions hold for no request, so it forbids nothing; take it out or mend it")
                }
            };
            list.push(Diagnostic::new(location, sentence));
        }
    }
}

/// The sentence about a name that nothing has, with what would help.
fn unknown(policy: &ParsedPolicy, domain: Domain, name: &str, vocabulary: &Vocabulary) -> String {
    let what = domain.as_str();
    let known: Vec<&str> = vocabulary.present(domain).take(LISTED_MAX + 1).collect();
    let known =
        if known.is_empty() || known.len() > LISTED_MAX { String::new() } else { format!(" (there is {})", known.join(", ")) };
    let remedy = match policy.permits {
        true => "so what the policy says of it never applies; write one that is there, or say @allow_unknown(\"why\")",
        false => "so the forbid does not stop what it is to stop; write one that is there, or take it out",
    };
    format!("there is no {what} {name:?}{known}, {remedy}")
}
