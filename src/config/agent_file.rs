//! An agent and its ways to log in, as written.

use super::fields::{RATES, VELOCITIES, jwks_uri, line, secret_hash, take_algorithms, take_entries};
use super::keys_file::{Jwks, take_jwks};
use super::reader::{TableReader, value};
use super::{certificate_login, dated, matcher_file};
use crate::catalog::{Agent, AgentKind, BoundTokens, ScopeEffect, Status, VelocityLimits};
use crate::client::{AuthMethod, ClientAuth, Dated};
use crate::diagnostic::{Declared, Located, SourceLocation};
use crate::jose::Algorithm;
use crate::keys::ClientJwks;
use crate::oauth::{ClientId, Resource, RuleName, SpiffePattern};
use crate::trust::Requirement;

/// An agent and its ways to log in.
#[derive(Clone, Debug)]
pub(super) struct AgentFile {
    /// The agent, with the locations of its fields.
    pub(super) agent: Declared<Agent>,
    /// Its logins, in the order of the file.
    pub(super) logins: Vec<LoginFile>,
}

impl AgentFile {
    /// Reads the agent. None when anything needed is missing or wrong; the diagnostics say what.
    pub(super) fn read(mut reader: TableReader<'_>) -> Option<Self> {
        reader.need(&["id", "owner", "team", "kind"]);
        let mut locations = reader.locations();
        let id = reader.take_parsed("id", ClientId::parse);
        let owner = reader.take_parsed("owner", line);
        let team = reader.take_parsed("team", line);
        let kind = reader.take_choice("kind", &AgentKind::NAMES);
        let status = reader.take_choice("status", &Status::NAMES);
        let foreign_clients = take_entries(&mut reader, &mut locations, "foreign_clients", foreign_client);
        let default_target = reader.take_parsed("default_target", Resource::parse);
        let bound = take_bound(&mut reader);
        let requests_per_second = reader.take_integer("requests_per_second", RATES);
        let velocity = take_velocity(&mut reader);
        let logins = take_entries(&mut reader, &mut locations, "login", LoginFile::read);
        reader.finish();
        let (id, owner, team, kind) = (id?.value, owner?.value, team?.value, kind?.value);
        let status = status.map_or(Status::Active, |status| status.value);
        let requests_per_second = requests_per_second.and_then(|found| u32::try_from(found.value).ok());
        let default_target = value(default_target);
        let entry =
            Agent { id, owner, team, kind, status, foreign_clients, default_target, bound, requests_per_second, velocity };
        Some(Self { agent: Declared { entry, locations }, logins })
    }
}

/// Named as in client metadata (RFC 9449 §5.2, RFC 8705 §3.4).
fn take_bound(reader: &mut TableReader<'_>) -> BoundTokens {
    let mut flag = |key| reader.take_boolean(key).is_some_and(|found| found.value);
    BoundTokens { dpop: flag("dpop_bound_access_tokens"), certificate: flag("tls_client_certificate_bound_access_tokens") }
}

/// How many tokens in an hour, by the effect of their scopes.
fn take_velocity(reader: &mut TableReader<'_>) -> VelocityLimits {
    let Some(mut table) = reader.take_table("velocity") else { return VelocityLimits::default() };
    let mut limit = |(name, effect)| {
        let found = table.take_integer(name, VELOCITIES)?;
        Some((effect, u32::try_from(found.value).ok()?))
    };
    let limits = ScopeEffect::NAMES.into_iter().filter_map(&mut limit).collect();
    table.finish();
    VelocityLimits::new(limits)
}

fn foreign_client(mut reader: TableReader<'_>) -> Option<(RuleName, String)> {
    reader.need(&["trust", "client"]);
    let trust = reader.take_parsed("trust", RuleName::parse);
    let client = reader.take_parsed("client", line);
    reader.finish();
    Some((trust?.value, client?.value))
}

/// One `[[login]]`, checked as far as it can be alone.
#[derive(Clone, Debug)]
pub struct LoginFile {
    /// The authentication method and what it needs.
    pub auth: ClientAuth,
    /// `tls_client_auth` without `ca_file`: the authority is that of `[tls]`.
    pub shared_authority: bool,
    /// Its `trust` or `spiffe_id`; the table where it has neither.
    pub location: SourceLocation,
    /// The locations of the matchers that it has.
    pub matchers: Vec<SourceLocation>,
    /// Those of its keys, certificates and authorities that end by themselves.
    pub dated: Vec<Dated>,
}

type ReadMethod = fn(&mut TableReader<'_>) -> Option<LoginFile>;

const METHODS: [(&str, ReadMethod); 12] = [
    ("private_key_jwt", private_key_jwt),
    ("spiffe_jwt", |reader| spiffe(reader, |id| ClientAuth::SpiffeJwt { id })),
    ("workload_jwt", |reader| workload(reader, |rule, matchers| ClientAuth::WorkloadJwt { rule, matchers })),
    ("tls_client_auth", tls_client_auth),
    ("self_signed_tls_client_auth", self_signed_tls_client_auth),
    ("spiffe_x509", |reader| spiffe(reader, |id| ClientAuth::SpiffeX509 { id })),
    ("workload_x509", |reader| workload(reader, |rule, matchers| ClientAuth::WorkloadX509 { rule, matchers })),
    ("attest_jwt_client_auth", |reader| attested(reader, false)),
    ("attest_jwt_client_auth_dpop", |reader| attested(reader, true)),
    ("client_secret", |reader| secret(reader, (true, true))),
    ("client_secret_basic", |reader| secret(reader, (true, false))),
    ("client_secret_post", |reader| secret(reader, (false, true))),
];

/// Known by name and not offered, with what to do instead.
const REFUSED: [(&str, &str); 2] = [
    ("client_secret_jwt", "is not offered, because it would need the secret in clear; \"private_key_jwt\" is"),
    ("none", "is not offered: an agent must prove itself"),
];

/// Algorithms by which a client assertion may be signed, unless the file of the agent names some.
pub const ASSERTION_ALGORITHMS: [Algorithm; 4] = [Algorithm::ES256, Algorithm::RS256, Algorithm::PS256, Algorithm::EdDSA];

impl LoginFile {
    /// Reads one `[[login]]`. None when anything needed is missing or wrong; the diagnostics say what.
    pub(super) fn read(mut reader: TableReader<'_>) -> Option<Self> {
        reader.need(&["method"]);
        let login = match take_method(&mut reader) {
            Some(read) => read(&mut reader),
            None => {
                reader.take_rest();
                None
            }
        };
        reader.finish();
        login
    }

    fn new(auth: ClientAuth, location: SourceLocation, dated: Vec<Dated>) -> Self {
        Self { auth, shared_authority: false, location, matchers: Vec::new(), dated }
    }
}

fn take_method(reader: &mut TableReader<'_>) -> Option<ReadMethod> {
    let found = reader.take_text("method")?;
    if let Some((name, why)) = REFUSED.iter().find(|(name, _)| *name == found.value) {
        reader.error(found.location, format!("`method` \"{name}\" {why}"));
        return None;
    }
    value(reader.choose("method", found, &METHODS))
}

fn private_key_jwt(reader: &mut TableReader<'_>) -> Option<LoginFile> {
    let found = take_keys(reader);
    let audiences = reader.take_choices("assertion_audience", &[("token_endpoint", true), ("issuer", false)]);
    let accept_token_endpoint = audiences.is_some_and(|all| all.iter().any(|found| found.value));
    let algorithms = match reader.has("algorithms") {
        true => take_algorithms(reader),
        false => Some(ASSERTION_ALGORITHMS.into()),
    };
    let (keys, dated) = found?;
    let auth = ClientAuth::PrivateKeyJwt { keys, algorithms: algorithms?, accept_token_endpoint };
    Some(LoginFile::new(auth, reader.location().clone(), dated))
}

/// The keys, said in exactly one of the three ways. When published keys end is not known here.
fn take_keys(reader: &mut TableReader<'_>) -> Option<(ClientJwks, Vec<Dated>)> {
    let uri = reader.has("jwks_uri");
    let found = reader.take_parsed("jwks_uri", jwks_uri).map(|found| ClientJwks::at(found.value));
    let written = reader.has("jwks") || reader.has("jwks_file");
    let jwks = take_jwks(reader);
    let sentence = match (uri, written) {
        (true, false) => return found.map(|keys| (keys, Vec::new())),
        (false, true) => {
            let dated = |jwks: &Jwks| dated::of_keys(AuthMethod::PrivateKeyJwt, jwks);
            return jwks.map(|jwks| (dated(&jwks), ClientJwks::from(jwks.set))).map(|(dated, keys)| (keys, dated));
        }
        (true, true) => "only one of `jwks_uri`, `jwks_file` and `jwks` can be given in [login]",
        (false, false) => "`jwks_file`, `jwks` or `jwks_uri` is missing in [login]",
    };
    reader.error(reader.location().clone(), sentence);
    None
}

fn spiffe(reader: &mut TableReader<'_>, auth: fn(SpiffePattern) -> ClientAuth) -> Option<LoginFile> {
    reader.need(&["spiffe_id"]);
    let Located { value, location } = reader.take_parsed("spiffe_id", SpiffePattern::parse)?;
    Some(LoginFile::new(auth(value), location, Vec::new()))
}

fn workload(reader: &mut TableReader<'_>, auth: fn(RuleName, Vec<Requirement>) -> ClientAuth) -> Option<LoginFile> {
    reader.need(&["trust", "match"]);
    let location = reader.location_of("match");
    let trust = reader.take_parsed("trust", RuleName::parse);
    let found = matcher_file::take(reader, "match")?;
    if found.is_empty() {
        let sentence =
            "`match` must say which attestations are this agent's; an empty one would admit every workload of the rule";
        reader.error(location, sentence);
        return None;
    }
    let Located { value: rule, location } = trust?;
    let (requirements, matchers) = found.into_iter().map(|matcher| (matcher.value, matcher.location)).unzip();
    Some(LoginFile { matchers, ..LoginFile::new(auth(rule, requirements), location, Vec::new()) })
}

fn attested(reader: &mut TableReader<'_>, dpop: bool) -> Option<LoginFile> {
    reader.need(&["trust"]);
    reader.refuse("match", "is not needed: the sub of a client attestation is the agent's id");
    let Located { value: rule, location } = reader.take_parsed("trust", RuleName::parse)?;
    Some(LoginFile::new(ClientAuth::ClientAttestation { rule, dpop }, location, Vec::new()))
}

fn tls_client_auth(reader: &mut TableReader<'_>) -> Option<LoginFile> {
    let (name, roots, dated) = certificate_login::authority(reader)?;
    let shared_authority = roots.is_none();
    let auth = ClientAuth::TlsClientAuth { roots: roots.unwrap_or_default(), name };
    Some(LoginFile { shared_authority, ..LoginFile::new(auth, reader.location().clone(), dated) })
}

fn self_signed_tls_client_auth(reader: &mut TableReader<'_>) -> Option<LoginFile> {
    let (auth, dated) = certificate_login::registered(reader)?;
    Some(LoginFile::new(auth, reader.location().clone(), dated))
}

/// A secret for `client_secret_basic`, for `client_secret_post`, or for both.
fn secret(reader: &mut TableReader<'_>, (basic, post): (bool, bool)) -> Option<LoginFile> {
    reader.need(&["secret_hash"]);
    reader.refuse("secret", "must not be written down; write `secret_hash`, which `countersign keys` makes");
    let Located { value: digest, location } = reader.take_parsed("secret_hash", secret_hash)?;
    Some(LoginFile::new(ClientAuth::Secret { digest, basic, post }, location, Vec::new()))
}
