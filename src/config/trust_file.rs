//! A trust rule as written: who may vouch for whom.

mod keys;
mod tables;

use std::time::Duration;

pub(super) use keys::jwks_uri;

use super::Diagnostic;
use super::desk::Desk;
use super::matcher_file::{self, MatcherFile};
use super::reader::{Located, Reader, all};
use crate::catalog::{Place, Places};
use crate::jose::Algorithm;
use crate::oauth::{ClientId, Issuer, RuleName, TrustDomain};
use crate::trust::{
    IssuerSelector, Requirement, SubjectMapping, TrustKind, TrustRuleParts, TrustRuleReason, claim_of, claims_of, mistakes,
};

/// A trust rule, checked as far as it can be alone.
#[derive(Clone, Debug)]
pub struct TrustFile {
    /// The rule as written.
    pub rule: TrustRuleParts,
    /// The places of its presenters, one for one.
    pub presenters: Vec<Place>,
    /// The place of its name.
    pub place: Place,
    /// The places of everything else.
    pub(super) places: Places,
}

/// A little more than a day: managed identities of Azure get tokens of a day, dated five minutes back.
const LIFETIME_MAX: Duration = Duration::from_hours(25);

impl TrustFile {
    /// Reads the rule. None when anything needed is missing or wrong; the complaints say what.
    pub(super) fn read(mut reader: Reader<'_>) -> Option<Self> {
        reader.need(&["name", "kind"]);
        let places = reader.places();
        let name = reader.take_parsed("name", RuleName::parse);
        let kind = reader.take_choice("kind", &TrustKind::ALL).map(|kind| kind.value);
        need_the_rest(&reader, kind);
        let selector = take_selector(&mut reader, kind);
        let audiences = take_audiences(&mut reader, kind);
        let algorithms = take_algorithms(&mut reader, kind);
        let lifetime_max = reader.take_span("lifetime_max", Duration::from_secs(1)..=LIFETIME_MAX);
        let subject = tables::take_subject(&mut reader, kind);
        let written = reader.has("require");
        let matchers = matcher_file::take_each(&mut reader, "require").or((!written).then(Vec::new));
        let legible: Vec<MatcherFile> = matchers.iter().flatten().flatten().cloned().collect();
        let require = matchers.and_then(|matchers| all(matchers.into_iter().map(|matcher| Some(matcher?.requirement))));
        let presenters = reader.take_each("presenters", ClientId::parse).unwrap_or_default().into_iter().flatten();
        let enabled = reader.take_boolean("enabled").is_none_or(|enabled| enabled.value);
        let keys = keys::take(&mut reader, kind, selector.as_ref());
        let scopes = tables::take_scopes(&mut reader, kind);
        warn_of_unknown_claims(&reader, kind, &legible);
        let desk = reader.desk();
        reader.finish();
        let read = PartialRule {
            kind,
            selector: selector.as_ref(),
            audiences: audiences.as_ref(),
            require: require.as_ref(),
            legible: &legible,
            subject: subject.as_ref(),
        };
        let whole = name.is_some() && algorithms.is_some() && keys.is_some() && scopes.is_some() && read.is_whole();
        if !whole {
            read.tell(desk, &places);
        }
        let (Located { value: name, place }, kind) = (name?, kind?);
        let (presenters, presented_at) = presenters.into_iter().map(|found| (found.value, found.place)).unzip();
        let rule = TrustRuleParts {
            name,
            kind,
            selector: selector?,
            audiences: audiences?,
            algorithms: algorithms?,
            lifetime_max: lifetime_max.map_or(kind.default_lifetime(), |found| found.value),
            subject: subject?,
            require: require?,
            presenters,
            enabled,
            keys: keys?,
            scopes: scopes?,
        };
        Some(Self { rule, presenters: presented_at, place, places })
    }

    /// The place of that mistake, or of what encloses it.
    pub(super) fn place_of(&self, reason: &TrustRuleReason) -> Place {
        let place = place_of(reason, &self.places);
        if place.line == self.places.of("").line { self.place.clone() } else { place }
    }
}

/// The parts that were read of a file that is no whole rule.
struct PartialRule<'a> {
    kind: Option<TrustKind>,
    selector: Option<&'a IssuerSelector>,
    audiences: Option<&'a Vec<String>>,
    require: Option<&'a Vec<Requirement>>,
    /// Those of them that could be read.
    legible: &'a [MatcherFile],
    subject: Option<&'a SubjectMapping>,
}

impl PartialRule<'_> {
    /// True when they make a rule, which is looked at as a whole.
    fn is_whole(&self) -> bool {
        let read = [self.kind.is_some(), self.selector.is_some(), self.audiences.is_some(), self.require.is_some()];
        read.into_iter().all(|read| read) && self.subject.is_some()
    }

    /// Tells what is wrong in the parts that could be read, so that nobody has to mend the others first.
    fn tell(&self, desk: &Desk, places: &Places) {
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

/// Complains of what a rule of that kind cannot do without. Platforms have a subject and keys of their own.
fn need_the_rest(reader: &Reader<'_>, kind: Option<TrustKind>) {
    match kind {
        Some(TrustKind::X509) => reader.need(&["subject", "keys"]),
        Some(TrustKind::Spiffe) => reader.need(&["audiences", "keys"]),
        Some(kind) if kind.is_platform() => reader.need(&["audiences"]),
        _ => reader.need(&["audiences", "subject", "keys"]),
    }
}

/// A claim that the platform is not known to write may be new, or a slip.
fn warn_of_unknown_claims(reader: &Reader<'_>, kind: Option<TrustKind>, require: &[MatcherFile]) {
    let Some(kind) = kind.filter(|kind| !claims_of(*kind).is_empty()) else { return };
    for matcher in require {
        let claim = matcher.requirement.claim();
        if claim_of(kind, claim).is_none() && !is_open_ended(claim) && claim != "iss" {
            let sentence =
                format!("claim `{claim}` is none that kind \"{kind}\" is known to have; an absent claim never matches");
            let known = claims_of(kind).iter().map(|fact| fact.path);
            reader.desk().warn(Diagnostic::new(matcher.place.clone(), sentence).near(claim, known));
        }
    }
}

/// Claims that customers of a platform name themselves.
fn is_open_ended(claim: &str) -> bool {
    claim.starts_with("repo_property_") || claim.starts_with("agent_tag:")
}

fn take_selector(reader: &mut Reader<'_>, kind: Option<TrustKind>) -> Option<IssuerSelector> {
    let Some(kind) = kind else {
        for key in ["issuer", "trust_domain"] {
            reader.take(key);
        }
        return None;
    };
    if kind != TrustKind::Spiffe {
        reader.refuse("trust_domain", "belongs to kind \"spiffe\"");
    }
    match kind {
        TrustKind::Spiffe => {
            reader.need(&["trust_domain"]);
            reader.refuse("issuer", "does not belong to kind \"spiffe\"; an SVID is known by its trust domain");
            reader.take_parsed("trust_domain", TrustDomain::parse).map(|domain| IssuerSelector::TrustDomain(domain.value))
        }
        TrustKind::X509 => {
            reader.refuse("issuer", "does not belong to kind \"x509\"; a certificate is known by the roots in [keys]");
            Some(IssuerSelector::Roots)
        }
        kind => take_named_issuer(reader, kind).map(IssuerSelector::Issuer),
    }
}

fn take_named_issuer(reader: &mut Reader<'_>, kind: TrustKind) -> Option<Issuer> {
    match kind.default_issuer().filter(|_| !reader.has("issuer")) {
        Some(issuer) => Issuer::parse(issuer).ok(),
        None => {
            reader.need(&["issuer"]);
            let parse = |text: &str| Issuer::parse(text).map_err(|reason| reason.to_string());
            let checked =
                |text: &str| parse(text).and_then(|issuer| if fits(kind, text) { Ok(issuer) } else { Err(TENANT.into()) });
            Some(reader.take_parsed("issuer", checked)?.value)
        }
    }
}

const TENANT: &str = "must name one tenant by its id, as in https://login.microsoftonline.com/738016bf-…/v2.0; not common";

/// All tenants of Entra share their keys: an issuer that names none would be everybody.
fn fits(kind: TrustKind, issuer: &str) -> bool {
    kind != TrustKind::Azure || crate::trust::tenant(issuer).is_some()
}

fn take_audiences(reader: &mut Reader<'_>, kind: Option<TrustKind>) -> Option<Vec<String>> {
    if kind == Some(TrustKind::X509) {
        reader.refuse("audiences", "does not belong to kind \"x509\"; a certificate is for nobody in particular");
        return Some(Vec::new());
    }
    let wanted = |text: &str| match text {
        "" => Err("must not be empty"),
        "*" => Err("must be one audience; there are no wildcards"),
        _ => Ok(text.to_owned()),
    };
    let audiences = reader.place_of("audiences");
    let each = reader.take_each("audiences", wanted)?;
    if each.is_empty() {
        let sentence = "`audiences` must name who tokens are meant for; a token for somebody else is never accepted";
        reader.desk().complain(Diagnostic::new(audiences, sentence));
        return None;
    }
    Some(all(each.into_iter())?.into_iter().map(|found| found.value).collect())
}

/// The algorithms that the platform signs by, or nearly every issuer, when the file names none.
fn take_algorithms(reader: &mut Reader<'_>, kind: Option<TrustKind>) -> Option<Vec<Algorithm>> {
    if kind == Some(TrustKind::X509) {
        reader.refuse("algorithms", "does not belong to kind \"x509\"");
        return Some(Vec::new());
    }
    if !reader.has("algorithms") {
        return Some(kind.unwrap_or(TrustKind::Oidc).default_algorithms().to_vec());
    }
    take_named_algorithms(reader)
}

/// The algorithms that `reader` names.
pub(super) fn take_named_algorithms(reader: &mut Reader<'_>) -> Option<Vec<Algorithm>> {
    let names = Algorithm::ALL.map(|algorithm| (algorithm.name(), algorithm));
    let place = reader.place_of("algorithms");
    let texts = reader.take_texts("algorithms")?;
    if texts.is_empty() {
        reader.desk().complain(Diagnostic::new(place, "`algorithms` must name at least one, or else nothing could be accepted"));
        return None;
    }
    let chosen =
        texts.into_iter().map(|found| asymmetric(reader, found).and_then(|found| reader.choose("algorithms", found, &names)));
    Some(all(chosen)?.into_iter().map(|found| found.value).collect())
}

/// A spelling near `none` or `HS256` is no help to anybody who wrote that.
fn asymmetric(reader: &Reader<'_>, found: Located<String>) -> Option<Located<String>> {
    let name = found.value.to_ascii_lowercase();
    if name != "none" && !name.starts_with("hs") {
        return Some(found);
    }
    let sentence = "`algorithms` must be signatures with a key pair; unsigned tokens and shared secrets are never accepted";
    reader.desk().complain(Diagnostic::new(found.place, sentence));
    None
}
