//! A trust rule as written: who may vouch for whom.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::Complaint;
use super::keys_file::{KeysFile, read, take_jwks};
use super::matcher_file::{self, MatcherFile, claim};
use super::reader::{Found, Reader, all, short};
use super::tree::Value;
use crate::catalog::Place;
use crate::jose::{Algorithm, KeyUse};
use crate::oauth::{ClientId, Issuer, RuleName};
use crate::trust::x509::Roots;
use crate::trust::{SubjectKind, SubjectParts, TemplateReason, TrustDomain};

/// A trust rule, checked as far as it can be alone.
#[derive(Clone, Debug)]
pub struct TrustFile {
    /// What the rule is called; the first part of its subjects.
    pub name: RuleName,
    /// Who issues.
    pub issuer: IssuerFile,
    /// One of them must be in the `aud` of a token.
    pub audiences: Vec<String>,
    /// By which a token may be signed.
    pub algorithms: Vec<Algorithm>,
    /// From `iat` to `exp`, at most.
    pub lifetime_max: Duration,
    /// What a token's claims say about its subject.
    pub subject: SubjectParts,
    /// What else its claims must be.
    pub require: Vec<MatcherFile>,
    /// Who may present attestations of somebody else.
    pub presenters: Vec<Found<ClientId>>,
    /// Whether the rule admits anybody at all.
    pub enabled: bool,
    /// Where the issuer's keys come from.
    pub keys: KeysFile,
    /// Who issues X509-SVIDs, as the bundle of a trust domain says.
    pub authorities: Option<Arc<Roots>>,
    /// Where the rule's name is written.
    pub place: Place,
}

/// Who issues the tokens of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IssuerFile {
    /// Kind `oidc`: an issuer of JWTs, named by their `iss`.
    Oidc(Issuer),
    /// Kind `spiffe`: a trust domain, named by the `sub` of its JWT-SVIDs.
    Spiffe(TrustDomain),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Oidc,
    Spiffe,
}

/// Kinds that are known by name and not offered yet. Those marked can be described by kind `oidc`.
const LATER: [(&str, bool); 9] = [
    ("kubernetes", true),
    ("github", true),
    ("gitlab", true),
    ("gcp", true),
    ("buildkite", true),
    ("azure", true),
    ("aws", false),
    ("x509", false),
    ("oauth", false),
];

const HOUR: Duration = Duration::from_hours(1);

impl TrustFile {
    /// Reads the rule. None when anything needed is missing or wrong; the complaints say what.
    pub(super) fn read(mut reader: Reader<'_>) -> Option<Self> {
        reader.need(&["name", "kind", "audiences", "subject", "keys"]);
        let name = reader.take_parsed("name", RuleName::parse);
        let kind = reader.take_parsed("kind", kind).map(|kind| kind.value);
        let issuer = take_issuer(&mut reader, kind);
        let audiences = take_audiences(&mut reader);
        let algorithms = take_algorithms(&mut reader);
        let lifetime_max = reader.take_span("lifetime_max", Duration::from_secs(1)..=24 * HOUR);
        let subject = reader.take_table("subject").and_then(take_subject);
        let require = matcher_file::take(&mut reader, "require").unwrap_or_default();
        let presenters = reader.take_each("presenters", ClientId::parse).unwrap_or_default().into_iter().flatten().collect();
        let enabled = reader.take_boolean("enabled").is_none_or(|enabled| enabled.value);
        let mut authorities = None;
        let keys = reader.take_table("keys").and_then(|keys| take_keys(keys, kind, &mut authorities));
        reader.refuse("map", "belongs to kind \"oauth\", which this version does not have");
        reader.finish();
        let Found { value: name, place } = name?;
        let lifetime_max = lifetime_max.map_or(HOUR, |found| found.value);
        let (issuer, audiences, algorithms, subject, keys) = (issuer?, audiences?, algorithms?, subject?, keys?);
        Some(Self {
            name,
            issuer,
            audiences,
            algorithms,
            lifetime_max,
            subject,
            require,
            presenters,
            enabled,
            keys,
            authorities,
            place,
        })
    }
}

fn kind(text: &str) -> Result<Kind, String> {
    match text {
        "oidc" => Ok(Kind::Oidc),
        "spiffe" => Ok(Kind::Spiffe),
        _ => Err(match LATER.iter().find(|(name, _)| *name == text) {
            Some((name, true)) => format!("\"{name}\" is not offered in this version; kind \"oidc\" can describe such an issuer"),
            Some((name, false)) => format!("\"{name}\" is not offered in this version"),
            None => format!("must be \"oidc\" or \"spiffe\", not \"{}\"", short(text)),
        }),
    }
}

fn take_issuer(reader: &mut Reader<'_>, kind: Option<Kind>) -> Option<IssuerFile> {
    match kind {
        None => {
            for key in ["issuer", "trust_domain"] {
                reader.take(key);
            }
            None
        }
        Some(Kind::Oidc) => {
            reader.need(&["issuer"]);
            reader.refuse("trust_domain", "belongs to kind \"spiffe\"");
            reader.take_parsed("issuer", Issuer::parse).map(|issuer| IssuerFile::Oidc(issuer.value))
        }
        Some(Kind::Spiffe) => {
            reader.need(&["trust_domain"]);
            reader.refuse("issuer", "belongs to kind \"oidc\"; a JWT-SVID is known by its trust domain");
            reader.take_parsed("trust_domain", TrustDomain::parse).map(|domain| IssuerFile::Spiffe(domain.value))
        }
    }
}

fn take_audiences(reader: &mut Reader<'_>) -> Option<Vec<String>> {
    let wanted = |text: &str| match text {
        "" => Err("must not be empty"),
        "*" => Err("must be one audience; there are no wildcards"),
        _ => Ok(text.to_owned()),
    };
    let audiences = reader.place_of("audiences");
    let each = reader.take_each("audiences", wanted)?;
    if each.is_empty() {
        let sentence = "`audiences` must name who tokens are meant for; a token for somebody else is never accepted";
        reader.desk().complain(Complaint::new(audiences, sentence));
        return None;
    }
    Some(all(each.into_iter())?.into_iter().map(|found| found.value).collect())
}

/// ES256 and RS256 when the file names none: what nearly every issuer signs by.
fn take_algorithms(reader: &mut Reader<'_>) -> Option<Vec<Algorithm>> {
    if !reader.has("algorithms") {
        return Some(vec![Algorithm::ES256, Algorithm::RS256]);
    }
    take_named_algorithms(reader)
}

/// The algorithms that `reader` names.
pub(super) fn take_named_algorithms(reader: &mut Reader<'_>) -> Option<Vec<Algorithm>> {
    let names = Algorithm::ALL.map(|algorithm| (algorithm.name(), algorithm));
    let place = reader.place_of("algorithms");
    let texts = reader.take_texts("algorithms")?;
    if texts.is_empty() {
        reader.desk().complain(Complaint::new(place, "`algorithms` must name at least one, or else nothing could be accepted"));
        return None;
    }
    let chosen =
        texts.into_iter().map(|found| asymmetric(reader, found).and_then(|found| reader.choose("algorithms", found, &names)));
    Some(all(chosen)?.into_iter().map(|found| found.value).collect())
}

/// A spelling near `none` or `HS256` is no help to anybody who wrote that.
fn asymmetric(reader: &Reader<'_>, found: Found<String>) -> Option<Found<String>> {
    let name = found.value.to_ascii_lowercase();
    if name != "none" && !name.starts_with("hs") {
        return Some(found);
    }
    let sentence = "`algorithms` must be signatures with a key pair; unsigned tokens and shared secrets are never accepted";
    reader.desk().complain(Complaint::new(found.place, sentence));
    None
}

fn take_subject(mut reader: Reader<'_>) -> Option<SubjectParts> {
    reader.need(&["kind"]);
    let kind = reader.take_choice("kind", &[("user", SubjectKind::User), ("workload", SubjectKind::Workload)]);
    let id = if reader.has("id") { reader.take_parsed("id", template).map(|id| id.value) } else { Some("{sub}".to_owned()) };
    let instance = reader.take_parsed("instance", template);
    let attributes = reader.take_table("attributes").map(attributes).unwrap_or_default();
    if let (Some(instance), Some(SubjectKind::User)) = (&instance, kind.as_ref().map(|kind| kind.value)) {
        let sentence = "`instance` is for workloads; a person has none";
        reader.desk().complain(Complaint::new(instance.place.clone(), sentence));
    }
    reader.finish();
    Some(SubjectParts { kind: kind?.value, id: id?, instance: instance.map(|found| found.value), attributes })
}

fn attributes(mut reader: Reader<'_>) -> BTreeMap<String, String> {
    let mut attributes = BTreeMap::new();
    for (name, node) in reader.take_rest() {
        let Value::Text(text) = &node.value else {
            let sentence = format!("attribute `{}` must name a claim, not {}", short(&name), node.value.kind());
            reader.desk().complain(Complaint::new(node.place, sentence));
            continue;
        };
        match claim(text) {
            Ok(claim) => drop(attributes.insert(name, claim)),
            Err(reason) => {
                let sentence = format!("the claim of attribute `{}` {reason}", short(&name));
                reader.desk().complain(Complaint::new(node.place, sentence));
            }
        }
    }
    attributes
}

/// Text with claims in braces, as `trust` reads it; told here because here its line is known.
fn template(text: &str) -> Result<String, TemplateReason> {
    let mut parts = text.split('{');
    if parts.next().is_none_or(|literal| literal.contains('}')) {
        return Err(TemplateReason::Braces);
    }
    let mut before = None;
    for part in parts {
        let (name, literal) = part.split_once('}').ok_or(TemplateReason::Braces)?;
        claim(name).map_err(|_| TemplateReason::Braces)?;
        match before.replace(literal) {
            _ if literal.contains('}') => return Err(TemplateReason::Braces),
            Some("") => return Err(TemplateReason::Adjacent),
            _ => {}
        }
    }
    before.map(|_| text.to_owned()).ok_or(TemplateReason::Constant)
}

fn take_keys(mut reader: Reader<'_>, kind: Option<Kind>, authorities: &mut Option<Arc<Roots>>) -> Option<KeysFile> {
    for key in ["bundle_url", "bundle_profile"] {
        reader.refuse(key, "is not offered in this version; `bundle_file` is");
    }
    let keys = match kind {
        Some(Kind::Spiffe) => take_bundle(&mut reader, authorities),
        Some(Kind::Oidc) => take_oidc_keys(&mut reader),
        None => {
            reader.take_rest();
            None
        }
    };
    reader.finish();
    keys
}

fn take_bundle(reader: &mut Reader<'_>, authorities: &mut Option<Arc<Roots>>) -> Option<KeysFile> {
    reader.need(&["bundle_file"]);
    for key in ["discovery", "jwks_uri", "jwks_file", "jwks"] {
        reader.refuse(key, "belongs to kind \"oidc\"; kind \"spiffe\" has `bundle_file`");
    }
    let path = reader.take_path("bundle_file")?;
    *authorities = reader.desk().text(&path.value, &path.place).and_then(|json| self::authorities(reader, &path, &json));
    read(reader.desk(), &path, KeyUse::JwtSvid).map(KeysFile::Given)
}

/// The X.509 side of a bundle. What is no JSON is told when its other side is read.
fn authorities(reader: &Reader<'_>, path: &Found<PathBuf>, json: &str) -> Option<Arc<Roots>> {
    serde_json::from_str::<serde::de::IgnoredAny>(json).ok()?;
    let complain = |reason| {
        let sentence = format!("`x5c` of {}: {reason}", path.value.display());
        reader.desk().complain(Complaint::new(path.place.clone(), sentence));
    };
    Roots::from_bundle(json).map(Arc::new).map_err(complain).ok()
}

fn take_oidc_keys(reader: &mut Reader<'_>) -> Option<KeysFile> {
    reader.refuse("bundle_file", "belongs to kind \"spiffe\"");
    let given = ["discovery", "jwks_uri", "jwks_file", "jwks"].into_iter().filter(|key| reader.has(key)).count();
    let place = reader.place().clone();
    let discovery = reader.take_boolean("discovery");
    let uri = reader.take_parsed("jwks_uri", jwks_uri);
    let jwks = take_jwks(reader);
    if given != 1 {
        let sentence = "[keys] must have exactly one of `discovery`, `jwks_uri`, `jwks_file` and `jwks`";
        reader.desk().complain(Complaint::new(place, sentence));
        return None;
    }
    if let Some(Found { value: false, place }) = discovery {
        reader.desk().complain(Complaint::new(place, "`discovery` must be true or left out"));
        return None;
    }
    let discovery = discovery.map(|_| KeysFile::Discovery);
    discovery.or(uri.map(|uri| KeysFile::JwksUri(uri.value))).or(jwks.map(KeysFile::Given))
}

/// As for issuers, except that a query is allowed.
fn jwks_uri(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|_| "must be an absolute URL".to_owned())?;
    let (address, _) = text.split_once('?').unwrap_or((text, ""));
    Issuer::parse(address).map_err(|reason| reason.to_string())?;
    if url.fragment().is_some() { Err("must not have a fragment".to_owned()) } else { Ok(url) }
}
