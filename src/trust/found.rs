//! The finding in a token that is refused, beside what its rule wants: for the log, whose reader can mend either. Of claims
//! that may be personal it tells the type and not the value.

use std::fmt;

use super::subject::Template;
use super::{PlatformReason, Requirement, TrustReason, TrustRule};
use crate::jose::{Compact, JoseReason, KeySet, Object};
use crate::json::kind_of;
use crate::oauth::{RuleName, Time, is_printable};

/// A clause for the log about a token. No answer has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusalDetail(Box<str>);

/// A foreign token that is refused: why, and what was found in it.
#[derive(Clone, PartialEq, Eq)]
pub struct TrustRefusal {
    reason: TrustReason,
    found: Option<RefusalDetail>,
}

/// A token under a rule that refuses it.
pub(super) struct Seen<'a> {
    pub(super) rule: &'a TrustRule,
    pub(super) token: &'a Compact<'a>,
    pub(super) claims: &'a Object,
    pub(super) keys: Option<&'a KeySet>,
    pub(super) now: Time,
}

/// The longest text of a token that is told, in characters, and the most items of a list.
const SHOWN: usize = 200;
const LISTED: usize = 8;

impl TrustRefusal {
    /// Why it is refused.
    pub fn reason(&self) -> TrustReason {
        self.reason
    }

    /// The finding, where the reason does not tell it.
    pub fn found(&self) -> Option<&RefusalDetail> {
        self.found.as_ref()
    }

    /// True when nobody can tell now, so that the answer is to come back and not that it is refused.
    pub fn is_no_verdict(&self) -> bool {
        self.reason.is_no_verdict()
    }

    /// A token that no rule is for: `iss` is of `issuer`, and the rules are for `known`.
    pub(super) fn of_stranger<'a>(issuer: Option<&str>, mut known: impl Iterator<Item = &'a str>) -> Self {
        let same = |one: &str, other: &str| one.trim_end_matches('/').eq_ignore_ascii_case(other.trim_end_matches('/'));
        let near = issuer.and_then(|issuer| known.find(|known| same(known, issuer)));
        let near = near.map(|near| format!("; a rule is for {near:?}, which is another issuer")).unwrap_or_default();
        let found = issuer.map_or("it has no iss".to_owned(), |issuer| format!("its iss is {}{near}", shown(issuer)));
        Self { reason: TrustReason::Issuer, found: Some(RefusalDetail(found.into())) }
    }

    /// There is no rule of that name.
    pub(super) fn of_no_rule(name: &RuleName) -> Self {
        Self { reason: TrustReason::Issuer, found: Some(RefusalDetail(format!("there is no rule {name}").into())) }
    }

    /// A token that its cluster was asked about, and what came of that.
    pub(super) fn of_review(reason: TrustReason, rule: &RuleName, found: &str) -> Self {
        Self { reason, found: Some(RefusalDetail(format!("rule {rule}: {found}").into())) }
    }

    /// A token that a rule refuses.
    pub(super) fn of(reason: TrustReason, seen: &Seen<'_>) -> Self {
        let found = seen.found(reason).map(|found| RefusalDetail(format!("rule {}: {found}", seen.rule.name()).into()));
        Self { reason, found }
    }
}

impl Seen<'_> {
    /// The finding, where the reason does not tell it.
    pub(super) fn found(&self, reason: TrustReason) -> Option<String> {
        let rule = self.rule;
        Some(match reason {
            TrustReason::Typ | TrustReason::AccessTyp | TrustReason::AttestationTyp | TrustReason::IdJagTyp => {
                format!("its typ is {}", self.token.typ().map_or("absent".into(), shown))
            }
            TrustReason::AccessToken => format!("it has scope or scp, and the kind of the rule is {}", rule.kind()),
            TrustReason::Expired => format!("it expired {} s ago", self.now.since(self.date("exp")?).as_secs()),
            TrustReason::Early => format!("its iat or nbf is {} s ahead", self.ahead()?),
            TrustReason::Lifetime => self.lifetime()?,
            TrustReason::Jose(reason) => self.of_jose(reason)?,
            TrustReason::Platform(reason) => self.of_platform(reason)?,
            TrustReason::Audience => format!("its aud is {}; audiences has {}", self.audience(), list(rule.audiences())),
            TrustReason::Requirement => self.unmet(rule.require())?,
            TrustReason::SubjectId => rule.subject().id.unfilled(self.claims)?,
            TrustReason::Instance => rule.subject().instance.as_ref().and_then(|of: &Template| of.unfilled(self.claims))?,
            _ => return None,
        })
    }

    fn of_jose(&self, reason: JoseReason) -> Option<String> {
        match reason {
            JoseReason::UnknownKey => {
                let keys = self.keys?;
                let kids: Vec<&str> = keys.keys().iter().filter_map(|key| key.kid()).collect();
                let left_out = keys.left_out().len();
                let kid = self.token.kid().map_or("absent".into(), shown);
                Some(format!("its kid is {kid}; the keys are {}, and {left_out} were left out", list(&kids)))
            }
            JoseReason::AlgorithmNotAllowed => {
                let allowed: Vec<&str> = self.rule.algorithms().iter().map(|algorithm| algorithm.name()).collect();
                Some(format!("its alg is {}; algorithms has {}", self.token.algorithm().ok()?, list(&allowed)))
            }
            JoseReason::ClaimType(claim) => Some(format!("{claim} is {}", kind_of(self.claims.find(claim)?))),
            _ => None,
        }
    }

    fn of_platform(&self, reason: PlatformReason) -> Option<String> {
        let form = self.rule.access_tokens();
        match reason {
            PlatformReason::Claim(claim) => Some(format!("{claim} is {}", self.claims.find(claim).map_or("absent", kind_of))),
            PlatformReason::Unmarked => self.unmet(&form?.marks),
            PlatformReason::Client => Some(format!("looked for {}", list(&form?.client))),
            PlatformReason::Scopes => Some(format!("{} is {}", form?.scope, kind_of(self.claims.find(&form?.scope)?))),
            PlatformReason::Audience => Some(format!("its aud is {}", self.audience())),
            _ => None,
        }
    }

    /// The first of `requirements` that does not hold.
    fn unmet(&self, requirements: &[Requirement]) -> Option<String> {
        let unmet = requirements.iter().find(|requirement| !requirement.holds(self.claims))?;
        let found = self.claims.find(unmet.claim()).map_or("absent", kind_of);
        Some(format!("it is required that {unmet}; {} is {found}", unmet.claim()))
    }

    fn audience(&self) -> String {
        match self.claims.strings("aud") {
            Ok(Some(audiences)) => list(&audiences),
            Ok(None) => "absent".to_owned(),
            Err(_) => self.claims.raw("aud").map_or("absent", kind_of).to_owned(),
        }
    }

    fn lifetime(&self) -> Option<String> {
        let issued = self.date("iat").unwrap_or(self.now);
        let lives = self.date("exp")?.since(issued).as_secs();
        Some(format!("it lives {lives} s; lifetime_max is {} s", self.rule.lifetime_max().as_secs()))
    }

    fn ahead(&self) -> Option<u64> {
        let ahead = ["iat", "nbf"].into_iter().filter_map(|claim| self.date(claim)).max()?;
        Some(ahead.since(self.now).as_secs())
    }

    fn date(&self, claim: &'static str) -> Option<Time> {
        self.claims.date(claim).ok().flatten()
    }
}

/// A value of a token for whoever holds it: as it is written, cut where it is long, with every character visible.
pub(crate) fn visible(raw: &str) -> String {
    let mut told = String::new();
    for character in raw.chars().take(SHOWN) {
        match is_printable(character.encode_utf8(&mut [0; 4])) {
            true => told.push(character),
            false => told.extend(character.escape_unicode()),
        }
    }
    if raw.chars().nth(SHOWN).is_some() { told + "…" } else { told }
}

/// A text of a token, where it can be shown.
pub(super) fn shown(text: &str) -> String {
    match text.chars().count() > SHOWN || !is_printable(text) {
        true => "a text that cannot be shown".to_owned(),
        false => format!("{text:?}"),
    }
}

pub(super) fn list<T: AsRef<str>>(texts: &[T]) -> String {
    let more = texts.len().saturating_sub(LISTED);
    let named: Vec<String> = texts.iter().take(LISTED).map(|text| shown(text.as_ref())).collect();
    match (named.is_empty(), more) {
        (true, _) => "nothing".to_owned(),
        (false, 0) => named.join(", "),
        (false, more) => format!("{} and {more} more", named.join(", ")),
    }
}

impl From<TrustReason> for TrustRefusal {
    fn from(reason: TrustReason) -> Self {
        Self { reason, found: None }
    }
}

impl fmt::Display for RefusalDetail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for RefusalDetail {}

impl fmt::Display for TrustRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl fmt::Debug for TrustRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl std::error::Error for TrustRefusal {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.found {
            Some(found) => Some(found),
            None => self.reason.source(),
        }
    }
}
