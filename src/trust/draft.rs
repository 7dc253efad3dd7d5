//! The draft of a trust rule for an issuer, by what it publishes and by a token of it: the kind, and the safest matchers that the
//! token supports. Ids that are never given to somebody else stand before names, and a claim has to be exactly what it is there.

mod kind;
mod matchers;

pub use matchers::DraftMatcher;

use std::time::Duration;

use super::{Provider, SubjectKind, TrustKind};
use crate::jose::{Compact, Object};
use crate::json::strings;

/// A rule to be written, with the reason of each line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleDraft {
    /// The kind.
    pub kind: TrustKind,
    /// How the kind is known.
    pub known_by: &'static str,
    /// The provider of its access tokens, where the issuer does not tell it.
    pub provider: Option<Provider>,
    /// The trust domain of kind `spiffe`.
    pub trust_domain: Option<String>,
    /// The kind of party that it vouches for; none where the kind of rule says that.
    pub subject: Option<SubjectKind>,
    /// The template of the subject's id; none where the kind of rule has its own.
    pub id: Option<String>,
    /// The audiences; none where neither a token nor anybody tells.
    pub audiences: Vec<String>,
    /// The longest lifetime, where it is more than is usual.
    pub lifetime: Option<Duration>,
    /// The algorithm of the sample, where the kind does not allow it by itself.
    pub algorithm: Option<&'static str>,
    /// The requirements, the most decisive first.
    pub require: Vec<DraftMatcher>,
    /// The scopes of the sample, which mean nothing here before they are mapped.
    pub scopes: Vec<String>,
    /// The client that obtained the sample, for a token about a person.
    pub client: Option<String>,
    /// False where `require` has to be filled in by somebody who knows.
    pub complete: bool,
}

/// A value that no claim has: it stands where somebody has to write the right one.
const TO_BE_FILLED: &str = r#""to be filled in""#;

impl RuleDraft {
    /// A rule for the issuer `issuer`, whose discovery document is `metadata`, by a token of it. `audience` is the one that its
    /// tokens must be for; without it the sample tells it.
    pub fn new(issuer: &str, metadata: Option<&Object>, sample: Option<&Compact<'_>>, audience: Option<&str>) -> Self {
        let claims = sample.and_then(|sample| sample.unverified_claims().ok());
        let known = kind::recognise(issuer, metadata, sample.zip(claims));
        let subject = kind::subject(&known, claims);
        let mut draft = Self {
            kind: known.kind,
            known_by: known.by,
            provider: known.provider.filter(|provider| Provider::of_issuer(issuer) != Some(*provider)),
            trust_domain: claims.and_then(super::verify::spiffe_id).map(|id| id.trust_domain().to_owned()),
            id: subject.map(|_| matchers::id(known.provider, claims)),
            subject,
            audiences: audience.map_or_else(|| sole_audience(claims), |audience| vec![audience.to_owned()]),
            lifetime: None,
            algorithm: sample.and_then(|sample| sample.algorithm().ok()).map(|algorithm| algorithm.name()),
            require: Vec::new(),
            scopes: Vec::new(),
            client: None,
            complete: false,
        };
        draft.algorithm =
            draft.algorithm.filter(|name| draft.kind.default_algorithms().iter().all(|usual| usual.name() != *name));
        match claims {
            Some(claims) => draft.fit(&known, claims),
            None => draft.leave_open(),
        }
        draft
    }

    fn fit(&mut self, known: &kind::KnownIssuer, claims: &Object) {
        let usual = known.provider.and_then(Provider::lifetime).unwrap_or_else(|| self.kind.default_lifetime());
        let lives = claims.date("exp").ok().flatten().zip(claims.date("iat").ok().flatten());
        self.lifetime = lives.map(|(expires, issued)| expires.since(issued)).filter(|lives| *lives > usual).map(rounded);
        self.require = matchers::of(self.kind, self.subject, known.provider, claims);
        let form = known.provider.map(Provider::access_tokens).unwrap_or_default();
        if self.kind == TrustKind::Oauth {
            self.scopes = form.scopes(claims).unwrap_or_default();
        }
        if self.subject == Some(SubjectKind::User) {
            let obtained = match self.kind {
                TrustKind::Oauth => form.client(claims).map(Into::into),
                _ => claims.text("azp").ok().flatten().map(Into::into).or_else(|| sole_audience(Some(claims)).pop()),
            };
            self.client = obtained;
        }
        self.complete = !self.require.is_empty() || self.subject == Some(SubjectKind::User);
    }

    /// Without a sample nobody is admitted before somebody has said whom.
    fn leave_open(&mut self) {
        let (claim, why) = matchers::decisive(self.kind);
        self.require = vec![DraftMatcher { claim: claim.to_owned(), value: TO_BE_FILLED.to_owned(), why }];
    }
}

/// The whole hours, or minutes, that hold it.
fn rounded(lives: Duration) -> Duration {
    let step = if lives > Duration::from_hours(2) { 3600 } else { 60 };
    Duration::from_secs(lives.as_secs().div_ceil(step) * step)
}

/// The audience of a token that has one alone.
fn sole_audience(claims: Option<&Object>) -> Vec<String> {
    let found = claims.and_then(|claims| claims.raw("aud")).and_then(strings).unwrap_or_default();
    match found.as_slice() {
        [one] => vec![one.clone().into_owned()],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
