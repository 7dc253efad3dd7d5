//! The main settings: `conf/default.toml`, the files given with `--config`, the environment.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::fields::address;
use super::folder_settings::FolderSettings;
use super::limit_settings::{LimitSettings, size};
use super::load::LoadContext;
use super::policy_folder::PolicySettings;
use super::reader::TableReader;
use super::tls_file::{Proxy, TlsSettings};
use super::web_settings::WebSettings;
use crate::catalog::Api;
use crate::diagnostic::{Located, SourceLocation};
use crate::jose::Algorithm;
use crate::oauth::{CHAIN_DEPTH_CEILING, Issuer};

/// Everything that the settings files say, checked. `conf/default.toml` explains each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Our issuer identifier.
    pub issuer: Issuer,
    /// The addresses that we listen at.
    pub listen: ListenSettings,
    /// TLS at those addresses.
    pub tls: TlsSettings,
    /// The proxies that end TLS in front of us.
    pub proxies: Vec<Proxy>,
    /// The metadata, and the pages of browsers.
    pub web: WebSettings,
    /// Our signing keys.
    pub keys: KeySettings,
    /// The tokens that we issue.
    pub tokens: TokenSettings,
    /// DPoP proofs (RFC 9449).
    pub dpop: DpopSettings,
    /// Proofs of client attestations.
    pub client_attestation: ClientAttestationSettings,
    /// Tasks.
    pub tasks: TaskSettings,
    /// Policies.
    pub policies: PolicySettings,
    /// The record of every hop.
    pub ledger: LedgerSettings,
    /// The store of record.
    pub commit: StoreEngine,
    /// Bounds.
    pub limits: LimitSettings,
    /// The folders of trust rules, agents, APIs and policies.
    pub files: FolderSettings,
}

/// `[listen]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenSettings {
    /// For everybody.
    pub public: SocketAddr,
    /// For operators.
    pub ops: SocketAddr,
}

/// `[keys]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySettings {
    /// The folder that holds them.
    pub dir: PathBuf,
    /// Algorithms that keys are made and published for.
    pub algorithms: Vec<Algorithm>,
    /// The age at which a signing key, or the key of ancestries, is followed by another.
    pub rotate_after: Duration,
    /// The age at which the key of the pseudonyms, or the root key, is.
    pub rotate_secrets_after: Duration,
}

/// `[tokens]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenSettings {
    /// Lifetime of a token when nothing says less.
    pub lifetime: Duration,
    /// The longest lifetime that an API, a policy or a request may set.
    pub lifetime_max: Duration,
    /// The most hops that a chain may have, actors that a foreign token brings along included.
    pub chain_depth_max: usize,
}

/// `[dpop]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DpopSettings {
    /// The greatest age of a proof, by its own `iat`.
    pub proof_age: Duration,
    /// True where a proof must carry a nonce of this server (RFC 9449 §8).
    pub nonce_required: bool,
}

/// `[client_attestation]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAttestationSettings {
    /// The greatest age of a proof, by its own `iat`.
    pub proof_age: Duration,
    /// True where a proof must carry a challenge of this server (draft-ietf-oauth-attestation-based-client-auth §6).
    pub challenge_required: bool,
}

/// `[tasks]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskSettings {
    /// Lifetime of a task whose request sets none.
    pub lifetime: Duration,
    /// The longest lifetime of a task.
    pub lifetime_max: Duration,
    /// Exchanges of a task whose request sets no budget.
    pub budget_default: u64,
    /// The most exchanges of a task.
    pub budget_max: u64,
    /// The most tasks one under the other.
    pub depth: u32,
}

/// `[ledger]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerSettings {
    /// The name of the log in its checkpoints.
    pub origin: String,
    /// The longest time from the commit of a record to a checkpoint that covers it.
    pub checkpoint_interval: Duration,
    /// Readers of checkpoints and hash tiles.
    pub access: LedgerAccess,
    /// The time for which records are kept once they are archived, and personal values in any case; none for ever.
    pub keep: Option<Duration>,
}

/// Readers of checkpoints and hash tiles. Entries always need an auditor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LedgerAccess {
    /// Auditors.
    Auditor,
    /// Everybody.
    Public,
}

/// `[store] commit`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreEngine {
    /// A SQLite file in the data folder.
    Sqlite,
}

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_hours(24);

impl Settings {
    /// Reads the settings, or a layer of them. None when anything needed is missing or wrong; the diagnostics say what.
    pub(super) fn read(mut reader: TableReader<'_>) -> Option<Self> {
        reader.need(&[
            "issuer",
            "listen",
            "metadata",
            "cors",
            "keys",
            "tokens",
            "dpop",
            "client_attestation",
            "tasks",
            "policies",
            "ledger",
            "store",
            "limits",
            "files",
        ]);
        let issuer = reader.take_parsed("issuer", Issuer::parse);
        let listen_place = reader.location_of("listen");
        let listen = reader.take_table("listen").and_then(ListenSettings::read);
        let tls =
            if reader.has("tls") { reader.take_table("tls").and_then(TlsSettings::read) } else { Some(TlsSettings::default()) };
        let proxies: Vec<_> = reader.take_tables("proxy").into_iter().map(Proxy::read).collect();
        let web = WebSettings::read(&mut reader);
        let keys = reader.take_table("keys").and_then(KeySettings::read);
        let tokens = reader.take_table("tokens").and_then(TokenSettings::read);
        let dpop = reader.take_table("dpop").and_then(DpopSettings::read);
        let client_attestation = reader.take_table("client_attestation").and_then(ClientAttestationSettings::read);
        let tasks = reader.take_table("tasks").and_then(TaskSettings::read);
        let policies = reader.take_table("policies").and_then(PolicySettings::read);
        let ledger = reader.take_table("ledger").and_then(LedgerSettings::read);
        let commit = reader.take_table("store").and_then(StoreEngine::read);
        let limits = reader.take_table("limits").and_then(LimitSettings::read);
        let files = reader.take_table("files").and_then(FolderSettings::read);
        let (context, partial) = (reader.context(), reader.is_partial());
        reader.finish();
        let Located { value: issuer, location } = issuer?;
        let settings = Self {
            issuer,
            listen: listen?,
            tls: tls?,
            proxies: proxies.into_iter().collect::<Option<_>>()?,
            web: web?,
            keys: keys?,
            tokens: tokens?,
            dpop: dpop?,
            client_attestation: client_attestation?,
            tasks: tasks?,
            policies: policies?,
            ledger: ledger?,
            commit: commit?,
            limits: limits?,
            files: files?,
        };
        if !partial {
            settings.warn_of_plain_http(context, &location, &listen_place);
        }
        Some(settings)
    }

    /// Warns of tokens and secrets in clear, or an issuer that nobody would reach.
    fn warn_of_plain_http(&self, context: &LoadContext, issuer: &SourceLocation, listen: &SourceLocation) {
        if self.tls.public || !self.proxies.is_empty() {
            return;
        }
        if !self.listen.public.ip().is_loopback() {
            let sentence = "`public` takes plain HTTP from other machines, so tokens travel in clear; \
                            give [tls] a certificate, or name in [[proxy]] what ends TLS in front";
            context.warn(listen.clone(), sentence);
        }
        if self.issuer.as_str().starts_with("https:") {
            let sentence =
                "`issuer` is an https URL, but there is neither a certificate in [tls] nor a [[proxy]] that ends TLS in front";
            context.warn(issuer.clone(), sentence);
        }
    }
}

impl ListenSettings {
    fn read(mut reader: TableReader<'_>) -> Option<Self> {
        reader.need(&["public", "ops"]);
        let (public, ops) = (reader.take_parsed("public", address), reader.take_parsed("ops", address));
        let context = reader.context();
        reader.finish();
        let (public, ops) = (public?, ops?);
        if public.value == ops.value && ops.value.port() != 0 {
            context.error(ops.location, "`ops` must be another address than `public`");
        }
        Some(Self { public: public.value, ops: ops.value })
    }
}

impl KeySettings {
    fn read(mut reader: TableReader<'_>) -> Option<Self> {
        reader.need(&["dir", "algorithms", "rotate_after", "rotate_secrets_after"]);
        let (dir, location) = (reader.take_path("dir"), reader.location_of("algorithms"));
        let algorithms = reader.take_choices("algorithms", &Api::SIGNING_ALGS);
        let rotate_after = reader.take_duration("rotate_after", 3 * DAY..=3650 * DAY);
        let rotate_secrets_after = reader.take_duration("rotate_secrets_after", 30 * DAY..=3650 * DAY);
        let context = reader.context();
        reader.finish();
        let mut algorithms: Vec<Algorithm> = algorithms?.into_iter().map(|found| found.value).collect();
        algorithms.sort_unstable();
        algorithms.dedup();
        // Validators with a bare key-set address stop at start when it has neither an RSA nor an EC key.
        if !algorithms.iter().any(|algorithm| *algorithm != Algorithm::EdDSA) {
            context.error(location, "`algorithms` must have ES256 or RS256");
        }
        let (rotate_after, rotate_secrets_after) = (rotate_after?.value, rotate_secrets_after?.value);
        Some(Self { dir: dir?.value, algorithms, rotate_after, rotate_secrets_after })
    }
}

impl TokenSettings {
    fn read(mut reader: TableReader<'_>) -> Option<Self> {
        reader.need(&["lifetime", "lifetime_max", "chain_depth_max"]);
        let ceiling = i64::try_from(CHAIN_DEPTH_CEILING).unwrap_or(i64::MAX);
        let lifetime = reader.take_duration("lifetime", SECOND..=DAY);
        let lifetime_max = reader.take_duration("lifetime_max", SECOND..=DAY);
        let chain_depth_max = reader.take_integer("chain_depth_max", 1..=ceiling);
        let context = reader.context();
        reader.finish();
        let (lifetime, lifetime_max) = (lifetime?, lifetime_max?.value);
        if lifetime.value > lifetime_max {
            context.error(lifetime.location, "`lifetime` must not exceed `lifetime_max`");
        }
        Some(Self { lifetime: lifetime.value, lifetime_max, chain_depth_max: size(chain_depth_max)? })
    }
}

impl DpopSettings {
    fn read(mut reader: TableReader<'_>) -> Option<Self> {
        reader.need(&["proof_age", "nonce"]);
        let proof_age = reader.take_duration("proof_age", 5 * SECOND..=300 * SECOND);
        let nonce = reader.take_choice("nonce", &[("off", false), ("required", true)]);
        reader.finish();
        Some(Self { proof_age: proof_age?.value, nonce_required: nonce?.value })
    }
}

impl ClientAttestationSettings {
    fn read(mut reader: TableReader<'_>) -> Option<Self> {
        reader.need(&["proof_age", "challenge"]);
        let proof_age = reader.take_duration("proof_age", 5 * SECOND..=300 * SECOND);
        let challenge = reader.take_choice("challenge", &[("off", false), ("required", true)]);
        reader.finish();
        Some(Self { proof_age: proof_age?.value, challenge_required: challenge?.value })
    }
}

impl TaskSettings {
    fn read(mut reader: TableReader<'_>) -> Option<Self> {
        reader.need(&["lifetime", "lifetime_max", "budget_default", "budget_max", "depth"]);
        let lifetime = reader.take_duration("lifetime", SECOND..=90 * DAY);
        let lifetime_max = reader.take_duration("lifetime_max", SECOND..=90 * DAY);
        let budget_default = reader.take_integer("budget_default", 1..=1_000_000_000);
        let budget_max = reader.take_integer("budget_max", 1..=1_000_000_000);
        let depth = reader.take_integer("depth", 1..=16);
        let context = reader.context();
        reader.finish();
        let (lifetime, lifetime_max) = (lifetime?, lifetime_max?.value);
        let (budget_default, budget_max) = (budget_default?, budget_max?.value);
        if lifetime.value > lifetime_max {
            context.error(lifetime.location, "`lifetime` must not exceed `lifetime_max`");
        }
        if budget_default.value > budget_max {
            context.error(budget_default.location, "`budget_default` must not exceed `budget_max`");
        }
        Some(Self {
            lifetime: lifetime.value,
            lifetime_max,
            budget_default: u64::try_from(budget_default.value).ok()?,
            budget_max: u64::try_from(budget_max).ok()?,
            depth: u32::try_from(depth?.value).ok()?,
        })
    }
}

impl LedgerSettings {
    fn read(mut reader: TableReader<'_>) -> Option<Self> {
        reader.need(&["origin", "checkpoint_interval", "access"]);
        let origin = reader.take_parsed("origin", origin);
        let interval = reader.take_duration("checkpoint_interval", Duration::from_millis(50)..=60 * SECOND);
        let access = reader.take_choice("access", &[("auditor", LedgerAccess::Auditor), ("public", LedgerAccess::Public)]);
        let keeps = reader.has("keep");
        let keep = if keeps { reader.take_duration("keep", 60 * SECOND..=36_500 * DAY) } else { None };
        reader.finish();
        let keep = if keeps { Some(keep?.value) } else { None };
        Some(Self { origin: origin?.value, checkpoint_interval: interval?.value, access: access?.value, keep })
    }
}

impl StoreEngine {
    fn read(mut reader: TableReader<'_>) -> Option<Self> {
        reader.need(&["commit"]);
        let commit = reader.take_parsed("commit", commit_store);
        for key in ["url", "redis"] {
            reader.refuse(key, "belongs to the PostgreSQL store, which this version does not have");
        }
        reader.finish();
        commit.map(|found| found.value)
    }
}

/// C2SP tlog-checkpoint: an origin is a schema-less URL; as a key name of a signed note it has neither blanks nor plus signs.
fn origin(text: &str) -> Result<String, &'static str> {
    let fits = (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'+');
    match fits && !text.contains("://") {
        true => Ok(text.to_owned()),
        false => Err("must be a URL without its scheme, of 1 to 255 visible ASCII characters without '+'"),
    }
}

fn commit_store(text: &str) -> Result<StoreEngine, &'static str> {
    match text {
        "sqlite" => Ok(StoreEngine::Sqlite),
        "postgres" => Err("cannot be \"postgres\" in this version, which has \"sqlite\" only"),
        _ => Err("must be \"sqlite\""),
    }
}
