//! `[keys]`: the source of a rule's keys.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::config::certificate_file::{take_lists, warn_of_unlisted};
use crate::config::duration;
use crate::config::fields::{jwks_uri, line};
use crate::config::keys_file::{take_jwks, warn_of_skipped};
use crate::config::load::LoadContext;
use crate::config::reader::{TableReader, all};
use crate::diagnostic::{Located, SourceLocation};
use crate::keys::{BundleProfile, KeyLocation, KeySource, Reach, RefreshPolicy, TrustBundle, WorkloadApi};
use crate::net::{Network, may_fetch};
use crate::oauth::SpiffeId;
use crate::trust::{IssuerSelector, TrustKind};
use crate::x509::Roots;

/// The keys of a rule of that kind. A platform's are found by discovery unless the file says otherwise.
pub(super) fn take(rule: &mut TableReader<'_>, kind: Option<TrustKind>, selector: Option<&IssuerSelector>) -> Option<KeySource> {
    let Some(kind) = kind else {
        rule.take("keys");
        return None;
    };
    if kind.is_platform() && kind.has_issuer() && !rule.has("keys") {
        return discovery(kind, selector, Vec::new()).map(|location| KeySource::Remote(location, RefreshPolicy::default()));
    }
    let mut reader = rule.take_table("keys")?;
    let keys = match kind {
        TrustKind::Spiffe => take_bundle(&mut reader, selector),
        TrustKind::X509 => take_roots(&mut reader),
        kind => take_jwk_set(&mut reader, kind, selector),
    };
    reader.finish();
    keys
}

fn discovery(kind: TrustKind, selector: Option<&IssuerSelector>, mut hosts: Vec<String>) -> Option<KeyLocation> {
    hosts.extend(kind.default_hosts().iter().map(|host| (*host).to_owned()));
    match selector? {
        IssuerSelector::Issuer(issuer) => Some(KeyLocation::Discovery { issuer: issuer.clone(), hosts }),
        IssuerSelector::TrustDomain(_) | IssuerSelector::Roots => None,
    }
}

fn take_jwk_set(reader: &mut TableReader<'_>, kind: TrustKind, selector: Option<&IssuerSelector>) -> Option<KeySource> {
    for key in ["bundle_file", "bundle_url", "bundle_profile", "endpoint_spiffe_id", "workload_api"] {
        reader.refuse(key, "belongs to kind \"spiffe\"");
    }
    reader.refuse("crl_file", "belongs to kind \"x509\"");
    let given = ["discovery", "jwks_uri", "jwks_file", "jwks"].into_iter().filter(|key| reader.has(key)).count();
    let location = reader.location().clone();
    let remote = reader.has("discovery") || reader.has("jwks_uri");
    let asked = reader.take_boolean("discovery");
    let plain = reader.has("insecure_reason");
    let uri = reader.take_parsed("jwks_uri", |text: &str| if plain { plain_uri(text) } else { jwks_uri(text) });
    let jwks = take_jwks(reader);
    let (hosts, reach, policy) = (take_hosts(reader), take_reach(reader, remote), take_refresh_policy(reader, remote));
    if given != 1 {
        let sentence = "[keys] must have exactly one of `discovery`, `jwks_uri`, `jwks_file` and `jwks`";
        reader.error(location, sentence);
        return None;
    }
    if let Some(Located { value: false, location }) = asked {
        reader.error(location, "`discovery` must be true or left out");
        return None;
    }
    let location = match asked {
        Some(_) => discovery(kind, selector, hosts?),
        None => uri.map(|uri| KeyLocation::Uri(uri.value)),
    };
    let (reach, policy) = (reach?, policy?);
    location
        .map(|location| KeySource::Remote(within(location, reach), policy))
        .or(jwks.map(|jwks| KeySource::Fixed(Arc::new(jwks.set))))
}

fn take_bundle(reader: &mut TableReader<'_>, selector: Option<&IssuerSelector>) -> Option<KeySource> {
    for key in ["discovery", "jwks_uri", "jwks_file", "jwks", "hosts"] {
        reader.refuse(key, "does not belong to kind \"spiffe\", which has `bundle_file`, `bundle_url` and `workload_api`");
    }
    refuse_roots(reader);
    if reader.has("workload_api") {
        return take_workload_api(reader);
    }
    if !reader.has("bundle_url") {
        // Asked for, so that a slip is told from a word that means nothing.
        for key in ["bundle_url", "workload_api"] {
            reader.take(key);
        }
        for key in ["bundle_profile", "endpoint_spiffe_id", "networks"] {
            reader.refuse(key, "belongs to `bundle_url`");
        }
        take_refresh_policy(reader, false);
        if !reader.has("bundle_file") {
            let sentence = "[keys] must have one of `bundle_file`, `bundle_url` and `workload_api`";
            reader.error(reader.location().clone(), sentence);
        }
        let path = reader.take_path("bundle_file")?;
        return bundle(reader.context(), &path).map(KeySource::Bundle);
    }
    reader.need(&["bundle_profile"]);
    let url = reader.take_parsed("bundle_url", jwks_uri);
    let spiffe = reader.take_choice("bundle_profile", &[("https_web", false), ("https_spiffe", true)]);
    let (networks, policy) = (take_networks(reader), take_refresh_policy(reader, true));
    let profile = match spiffe?.value {
        true => take_spiffe_profile(reader, selector)?,
        false => {
            reader.refuse("bundle_file", "is not needed: by `https_web` the public PKI proves the endpoint");
            reader.refuse("endpoint_spiffe_id", "belongs to `https_spiffe`");
            BundleProfile::Web
        }
    };
    Some(KeySource::Remote(
        within(KeyLocation::Bundle { url: url?.value, profile }, Reach { networks: networks?, ..Reach::default() }),
        policy?,
    ))
}

/// The agent proves itself by where it listens, and says itself when something changes.
fn take_workload_api(reader: &mut TableReader<'_>) -> Option<KeySource> {
    for key in ["bundle_file", "bundle_url", "bundle_profile", "endpoint_spiffe_id", "networks"] {
        reader.refuse(key, "is not needed beside `workload_api`, which delivers the whole bundle");
    }
    let (api, policy) = (reader.take_parsed("workload_api", WorkloadApi::parse), take_refresh_policy(reader, true));
    Some(KeySource::Remote(KeyLocation::Workload(api?.value), policy?))
}

/// SPIFFE Federation §5.2.2.2: the endpoint's SPIFFE ID and a bundle to begin with are written down, never inferred.
fn take_spiffe_profile(reader: &mut TableReader<'_>, selector: Option<&IssuerSelector>) -> Option<BundleProfile> {
    reader.need(&["endpoint_spiffe_id", "bundle_file"]);
    let id = reader.take_parsed("endpoint_spiffe_id", SpiffeId::parse);
    let path = reader.take_path("bundle_file")?;
    let bootstrap = bundle(reader.context(), &path)?;
    let id = id?.value;
    let own = matches!(selector?, IssuerSelector::TrustDomain(domain) if domain.as_str() == id.trust_domain());
    Some(BundleProfile::Spiffe { id, bootstrap, own })
}

fn bundle(context: &LoadContext, path: &Located<PathBuf>) -> Option<Arc<TrustBundle>> {
    let json = context.text(&path.value, &path.location)?;
    let location = SourceLocation::line(path.value.to_string_lossy(), 1);
    match TrustBundle::parse(json.as_bytes()) {
        Ok(bundle) => {
            warn_of_skipped(context, bundle.keys(), &location, bundle.roots().is_empty());
            Some(Arc::new(bundle))
        }
        Err(reason) => {
            context.error(location, format!("the bundle {reason}"));
            None
        }
    }
}

fn take_roots(reader: &mut TableReader<'_>) -> Option<KeySource> {
    reader.need(&["ca_file"]);
    let (path, lists) = (reader.take_path("ca_file"), take_lists(reader, "crl_file"));
    let path = path?;
    let pem = reader.context().text(&path.value, &path.location)?;
    match Roots::from_pem(&pem) {
        Ok(roots) => {
            let roots = roots.under(lists?);
            warn_of_unlisted(reader.context(), &path.location, &roots);
            Some(KeySource::Roots(Arc::new(roots)))
        }
        Err(reason) => {
            let location = SourceLocation::line(path.value.to_string_lossy(), 1);
            reader.error(location, format!("has no root certificates: {reason}"));
            None
        }
    }
}

fn refuse_roots(reader: &mut TableReader<'_>) {
    for key in ["ca_file", "crl_file"] {
        reader.refuse(key, "belongs to kind \"x509\"");
    }
}

fn take_hosts(reader: &mut TableReader<'_>) -> Option<Vec<String>> {
    let host = |text: &str| match Url::parse(&format!("https://{text}/")) {
        Ok(url) if url.path() == "/" && url.username().is_empty() && url.query().is_none() => Ok(text.to_owned()),
        _ => Err("must be a host, or a host and a port"),
    };
    match reader.take_each("hosts", host) {
        None => Some(Vec::new()),
        Some(each) => Some(all(each.into_iter())?.into_iter().map(|found| found.value).collect()),
    }
}

/// How keys that are fetched may be reached, beyond what every address may.
pub(super) fn take_reach(reader: &mut TableReader<'_>, remote: bool) -> Option<Reach> {
    if !remote {
        for key in ["networks", "ca_file", "token_file", "insecure_reason", "proxy"] {
            reader.refuse(key, "belongs to keys that are fetched");
        }
        return Some(Reach::default());
    }
    let networks = take_networks(reader);
    let authorities = if reader.has("ca_file") { take_authorities(reader).map(Some) } else { Some(None) };
    let token_file = if reader.has("token_file") { reader.take_path("token_file").map(Some) } else { Some(None) };
    let reason = if reader.has("insecure_reason") { reader.take_parsed("insecure_reason", line).map(Some) } else { Some(None) };
    let proxy = if reader.has("proxy") { reader.take_parsed("proxy", proxy_address).map(Some) } else { Some(None) };
    let (networks, authorities, token_file, reason, proxy) = (networks?, authorities?, token_file?, reason?, proxy?);
    if let Some(proxy) = proxy.as_ref().filter(|_| reason.is_some()) {
        let sentence = "`proxy` cannot go with `insecure_reason`: nobody could tell where plain http leads behind it";
        reader.error(proxy.location.clone(), sentence);
        return None;
    }
    if let Some(token) = token_file.as_ref().filter(|_| reason.is_some()) {
        let sentence = "`token_file` cannot be sent where `insecure_reason` allows plain http: whoever listens would have it";
        reader.error(token.location.clone(), sentence);
        return None;
    }
    let (token_file, proxy) = (token_file.map(|path| path.value), proxy.map(|proxy| proxy.value));
    Some(Reach { networks, authorities, token_file, plain: reason.is_some(), proxy })
}

/// The address of an HTTP proxy. What it is sent is encrypted for the server behind it.
fn proxy_address(text: &str) -> Result<Url, &'static str> {
    const WANTED: &str = "must be the address of an HTTP proxy without a path, as in \"http://proxy.acme.example:3128\"";
    let url = Url::parse(text).map_err(|_| WANTED)?;
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.has_host();
    if bare && matches!(url.scheme(), "http" | "https") { Ok(url) } else { Err(WANTED) }
}

/// The authorities by which one server proves itself.
fn take_authorities(reader: &mut TableReader<'_>) -> Option<Arc<Roots>> {
    let path = reader.take_path("ca_file")?;
    let pem = reader.context().text(&path.value, &path.location)?;
    let roots = Roots::from_pem(&pem).map_err(|reason| {
        let location = SourceLocation::line(path.value.to_string_lossy(), 1);
        reader.error(location, format!("has no root certificates: {reason}"));
    });
    roots.ok().map(Arc::new)
}

/// An address of keys inside a network where plain http may be spoken.
fn plain_uri(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|_| "must be an absolute URL".to_owned())?;
    if url.scheme() == "http" && may_fetch(&url, true) && url.fragment().is_none() { Ok(url) } else { jwks_uri(text) }
}

fn take_networks(reader: &mut TableReader<'_>) -> Option<Vec<Network>> {
    match reader.take_each("networks", Network::parse) {
        None => Some(Vec::new()),
        Some(each) => Some(all(each.into_iter())?.into_iter().map(|found| found.value).collect()),
    }
}

/// The refresh of keys whose publisher sets none, and the time for which the last good ones count.
fn take_refresh_policy(reader: &mut TableReader<'_>, remote: bool) -> Option<RefreshPolicy> {
    if !remote {
        for key in ["refresh", "ceiling"] {
            reader.refuse(key, "belongs to keys that are fetched");
        }
        return Some(RefreshPolicy::default());
    }
    let location = ["ceiling", "refresh"].into_iter().find(|key| reader.has(key)).map(|key| reader.location_of(key));
    let usual = RefreshPolicy::default();
    let interval = duration_or(reader, "refresh", Duration::from_mins(1)..=Duration::from_hours(24), usual.interval);
    let ceiling = duration_or(reader, "ceiling", Duration::from_mins(5)..=Duration::from_hours(30 * 24), usual.max_stale);
    let (interval, ceiling) = (interval?, ceiling?);
    if let Some(location) = location.filter(|_| ceiling < 2 * interval) {
        let sentence = format!(
            "`ceiling` ({}) must be at least twice `refresh` ({}), or one fetch that fails would end all keys",
            duration::show(ceiling),
            duration::show(interval)
        );
        reader.error(location, sentence);
        return None;
    }
    Some(RefreshPolicy { interval, max_stale: ceiling, ..usual })
}

/// The duration at `key`, or the usual one; none when it is wrong.
fn duration_or(
    reader: &mut TableReader<'_>,
    key: &'static str,
    range: RangeInclusive<Duration>,
    usual: Duration,
) -> Option<Duration> {
    let written = reader.has(key);
    match reader.take_duration(key, range) {
        None if written => None,
        found => Some(found.map_or(usual, |found| found.value)),
    }
}

fn within(location: KeyLocation, reach: Reach) -> KeyLocation {
    if reach.is_usual() { location } else { KeyLocation::Within(Box::new(location), Box::new(reach)) }
}
