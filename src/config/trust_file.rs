//! A trust rule as written: who may vouch for whom.

mod access_token;
mod keys;
mod review;
mod tables;

use std::time::Duration;

use super::load::LoadContext;
use super::reader::{TableReader, all};
use super::{fields, matcher_file};
use crate::diagnostic::{Diagnostic, FieldLocations, Located, SourceLocation};
use crate::jose::Algorithm;
use crate::keys::KeySource;
use crate::lifecycle::EVIDENCE_LIFETIME_MAX;
use crate::oauth::{ClientId, Issuer, RuleName, TrustDomain};
use crate::trust::{
    IssuerSelector, Requirement, SubjectMapping, TrustKind, TrustRuleParts, TrustRuleReason, claim_of, claims_of, mistakes,
};

/// A trust rule, checked as far as it can be alone.
#[derive(Clone, Debug)]
pub struct TrustFile {
    /// The rule as written.
    pub rule: TrustRuleParts,
    /// The locations of its presenters, one for one.
    pub presenters: Vec<SourceLocation>,
    /// The location of its name.
    pub location: SourceLocation,
    /// The locations of everything else.
    pub(super) locations: FieldLocations,
}

impl TrustFile {
    /// Reads the rule. None when anything needed is missing or wrong; the diagnostics say what.
    pub(super) fn read(mut reader: TableReader<'_>) -> Option<Self> {
        reader.need(&["name", "kind"]);
        let locations = reader.locations();
        let name = reader.take_parsed("name", RuleName::parse);
        let kind = reader.take_choice("kind", &TrustKind::ALL).map(|kind| kind.value);
        need_the_rest(&reader, kind);
        let selector = take_selector(&mut reader, kind);
        let audiences = take_audiences(&mut reader, kind);
        let algorithms = take_algorithms(&mut reader, kind);
        let lifetime_max = reader.take_duration("lifetime_max", Duration::from_secs(1)..=EVIDENCE_LIFETIME_MAX);
        let subject = tables::take_subject(&mut reader, kind);
        let written = reader.has("require");
        let matchers = matcher_file::take_each(&mut reader, "require").or((!written).then(Vec::new));
        let legible: Vec<Located<Requirement>> = matchers.iter().flatten().flatten().cloned().collect();
        let require = matchers.and_then(|matchers| all(matchers.into_iter().map(|matcher| Some(matcher?.value))));
        let (presenters, presented_at, agent) = take_agents(&mut reader);
        let enabled = reader.take_boolean("enabled").is_none_or(|enabled| enabled.value);
        let keys = keys::take(&mut reader, kind, selector.as_ref());
        let scopes = tables::take_scopes(&mut reader, kind);
        let issuer = selector.as_ref().and_then(IssuerSelector::issuer);
        let named = issuer.is_none_or(|issuer| check_issuer(reader.context(), locations.of("issuer"), issuer, keys.as_ref()));
        let provider = access_token::take_provider(&mut reader, kind, issuer);
        let access_tokens = access_token::take_form(&mut reader, kind, provider);
        let review = review::take(&mut reader, kind, keys.as_ref());
        warn_of_unknown_claims(&reader, kind, &legible);
        let context = reader.context();
        reader.finish();
        let read = PartialRule {
            kind,
            selector: selector.as_ref(),
            audiences: audiences.as_ref(),
            require: require.as_ref(),
            legible: &legible,
            subject: subject.as_ref(),
        };
        let tables = scopes.is_some() && access_tokens.is_some() && review.is_some();
        let others = [named, name.is_some(), algorithms.is_some(), keys.is_some(), tables];
        if !(others.into_iter().all(|read| read) && read.is_whole()) {
            read.tell(context, &locations);
        }
        let (Located { value: name, location }, kind) = (name?, kind?);
        let rule = TrustRuleParts {
            name,
            kind,
            selector: selector?,
            audiences: audiences?,
            algorithms: algorithms?,
            lifetime_max: lifetime_max.map_or(access_token::usual_lifetime(kind, provider), |found| found.value),
            subject: subject?,
            require: require?,
            presenters,
            agent,
            enabled,
            keys: keys?,
            scopes: scopes?,
            access_tokens: access_tokens?,
            review: review?,
        };
        Some(Self { rule, presenters: presented_at, location, locations })
    }

    /// The location of that mistake; the rule's name for a mistake of the rule as a whole.
    pub(super) fn location_of(&self, reason: &TrustRuleReason) -> SourceLocation {
        let location = location_of(reason, &self.locations);
        if location.line == self.locations.of("").line { self.location.clone() } else { location }
    }
}

/// The parts that were read of a file that is no whole rule.
struct PartialRule<'a> {
    kind: Option<TrustKind>,
    selector: Option<&'a IssuerSelector>,
    audiences: Option<&'a Vec<String>>,
    require: Option<&'a Vec<Requirement>>,
    /// Those of them that could be read.
    legible: &'a [Located<Requirement>],
    subject: Option<&'a SubjectMapping>,
}

impl PartialRule<'_> {
    /// True when they make a rule, which is looked at as a whole.
    fn is_whole(&self) -> bool {
        let read = [self.kind.is_some(), self.selector.is_some(), self.audiences.is_some(), self.require.is_some()];
        read.into_iter().all(|read| read) && self.subject.is_some()
    }

    /// Tells what is wrong in the parts that could be read, so that nobody has to mend the others first.
    fn tell(&self, context: &LoadContext, locations: &FieldLocations) {
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

fn location_of(reason: &TrustRuleReason, locations: &FieldLocations) -> SourceLocation {
    use TrustRuleReason as Reason;
    match reason {
        Reason::Audiences | Reason::ForeignAudience(_) => locations.of("audiences"),
        Reason::Algorithms | Reason::SpiffeAlgorithm => locations.of("algorithms"),
        Reason::AgentMisplaced | Reason::AgentOfAll => locations.of("agent"),
        Reason::Lifetime => locations.of("lifetime_max"),
        Reason::People(_) => locations.of("subject"),
        Reason::SpiffeKeys | Reason::KeysUse | Reason::KeysUri => locations.of("keys"),
        Reason::Unpinned(_) => locations.of("require"),
        Reason::Unmarked => locations.of("access_token"),
        Reason::ClaimShape(claim, _) => locations.of(&format!("require/{claim}")),
        // Here a claim is matched, or a subject made of it.
        Reason::ChosenClaim(claim) => {
            locations.find(&format!("require/{claim}")).cloned().unwrap_or_else(|| locations.of("subject"))
        }
        _ => locations.of(""),
    }
}

/// The agents that may present its tokens, with their locations, and the one that its workloads log in.
fn take_agents(reader: &mut TableReader<'_>) -> (Vec<ClientId>, Vec<SourceLocation>, Option<ClientId>) {
    let presenters = reader.take_each("presenters", ClientId::parse).unwrap_or_default().into_iter().flatten();
    let (presenters, locations) = presenters.map(|found| (found.value, found.location)).unzip();
    (presenters, locations, reader.take_parsed("agent", ClientId::parse).map(|found| found.value))
}

/// Reports the keys that a rule of that kind lacks. Platforms have a subject and keys of their own.
fn need_the_rest(reader: &TableReader<'_>, kind: Option<TrustKind>) {
    match kind {
        Some(TrustKind::X509) => reader.need(&["subject", "keys"]),
        Some(TrustKind::Spiffe) => reader.need(&["audiences", "keys"]),
        Some(TrustKind::ClientAttester) => reader.need(&["keys"]),
        Some(kind) if kind.is_platform() => reader.need(&["audiences"]),
        _ => reader.need(&["audiences", "subject", "keys"]),
    }
}

/// A claim that the platform is not known to write may be new, or a slip.
fn warn_of_unknown_claims(reader: &TableReader<'_>, kind: Option<TrustKind>, require: &[Located<Requirement>]) {
    let Some(kind) = kind.filter(|kind| !claims_of(*kind).is_empty()) else { return };
    for matcher in require {
        let claim = matcher.value.claim();
        if claim_of(kind, claim).is_none() && !is_open_ended(claim) && claim != "iss" {
            let sentence =
                format!("claim `{claim}` is none that kind \"{kind}\" is known to have; an absent claim never matches");
            let known = claims_of(kind).iter().map(|fact| fact.path);
            reader.context().report_warning(Diagnostic::new(matcher.location.clone(), sentence).near(claim, known));
        }
    }
}

/// Claims that customers of a platform name themselves.
fn is_open_ended(claim: &str) -> bool {
    claim.starts_with("repo_property_") || claim.starts_with("agent_tag:")
}

fn take_selector(reader: &mut TableReader<'_>, kind: Option<TrustKind>) -> Option<IssuerSelector> {
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

fn take_named_issuer(reader: &mut TableReader<'_>, kind: TrustKind) -> Option<Issuer> {
    match kind.default_issuer().filter(|_| !reader.has("issuer")) {
        Some(issuer) => Issuer::parse(issuer).ok(),
        None => {
            reader.need(&["issuer"]);
            let parse = |text: &str| match text.starts_with("spiffe://") {
                true => {
                    Err("must not be a SPIFFE ID; SVIDs are for kind \"spiffe\", which knows them by trust_domain".to_owned())
                }
                false => Issuer::named(text).map_err(|reason| reason.to_string()),
            };
            let checked =
                |text: &str| parse(text).and_then(|issuer| if fits(kind, text) { Ok(issuer) } else { Err(TENANT.into()) });
            Some(reader.take_parsed("issuer", checked)?.value)
        }
    }
}

/// True for an issuer whose keys can be found. One that is no address may call itself as it likes where its keys are told.
fn check_issuer(context: &LoadContext, location: SourceLocation, issuer: &str, keys: Option<&KeySource>) -> bool {
    let (Err(reason), Some(keys)) = (Issuer::parse(issuer), keys) else { return true };
    let plain = issuer.starts_with("http://");
    match keys {
        KeySource::Remote(keys, _) if keys.is_discovered() && !(plain && keys.reach().is_some_and(|reach| reach.plain)) => {
            let help = if plain { ", or `insecure_reason` with the `networks` that it is in" } else { "" };
            let sentence =
                format!("`issuer` {reason}, as its keys are found by it; `jwks_uri` or `jwks_file` tells them too{help}");
            context.error(location, sentence);
            false
        }
        _ => {
            context.warn(location, format!("`issuer` {reason} by the standards; here it is a name that `iss` has to the letter"));
            true
        }
    }
}

const TENANT: &str = "must name one tenant by its id, as in https://login.microsoftonline.com/738016bf-…/v2.0; not common";

/// All tenants of Entra share their keys: an issuer that names none would be everybody.
fn fits(kind: TrustKind, issuer: &str) -> bool {
    kind != TrustKind::Azure || crate::trust::tenant(issuer).is_some()
}

fn take_audiences(reader: &mut TableReader<'_>, kind: Option<TrustKind>) -> Option<Vec<String>> {
    if kind == Some(TrustKind::X509) {
        reader.refuse("audiences", "does not belong to kind \"x509\"; a certificate is for nobody in particular");
        return Some(Vec::new());
    }
    if kind == Some(TrustKind::ClientAttester) {
        reader.refuse("audiences", "does not belong to kind \"client_attester\"; an attestation is for nobody in particular");
        reader.refuse("subject", "does not belong to kind \"client_attester\"; sub is the agent's id, its key the instance");
        reader.refuse("presenters", "does not belong to kind \"client_attester\", whose attestations log in and nothing else");
        return Some(Vec::new());
    }
    if kind == Some(TrustKind::IdJag) {
        reader.refuse("presenters", "does not belong to kind \"id_jag\": client_id of a grant says who redeems it");
    }
    let wanted = |text: &str| match text {
        "" => Err("must not be empty"),
        "*" => Err("must be one audience; there are no wildcards"),
        _ => Ok(text.to_owned()),
    };
    let audiences = reader.location_of("audiences");
    let each = reader.take_each("audiences", wanted)?;
    if each.is_empty() {
        let sentence = "`audiences` must name who tokens are meant for; a token for somebody else is never accepted";
        reader.error(audiences, sentence);
        return None;
    }
    Some(all(each.into_iter())?.into_iter().map(|found| found.value).collect())
}

/// The algorithms that the platform signs by, or nearly every issuer, when the file names none.
fn take_algorithms(reader: &mut TableReader<'_>, kind: Option<TrustKind>) -> Option<Vec<Algorithm>> {
    if kind == Some(TrustKind::X509) {
        reader.refuse("algorithms", "does not belong to kind \"x509\"");
        return Some(Vec::new());
    }
    if !reader.has("algorithms") {
        return Some(kind.unwrap_or(TrustKind::Oidc).default_algorithms().to_vec());
    }
    fields::take_algorithms(reader)
}
