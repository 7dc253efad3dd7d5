//! The main settings: `conf/default.toml`, the files given with `--config`, the environment.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::Diagnostic;
use super::desk::Desk;
use super::reader::{Located, Reader};
use super::tls_file::{Proxy, Tls};
use crate::catalog::{Api, Place};
use crate::jose::Algorithm;
use crate::oauth::{CHAIN_DEPTH_CEILING, Issuer};

/// Everything that the settings files say, checked. `conf/default.toml` explains each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Our issuer identifier.
    pub issuer: Issuer,
    /// Where we listen.
    pub listen: Listen,
    /// How clients reach us by TLS.
    pub tls: Tls,
    /// Where else TLS ends, in front of us.
    pub proxies: Vec<Proxy>,
    /// Our signing keys.
    pub keys: Keys,
    /// The tokens that we issue.
    pub tokens: Tokens,
    /// Proofs of keys.
    pub dpop: Dpop,
    /// Tasks.
    pub tasks: Tasks,
    /// The record of every hop.
    pub ledger: Ledger,
    /// What commits.
    pub commit: CommitStore,
    /// Bounds.
    pub limits: Limits,
    /// Where trust rules, agents, APIs and policies are read from.
    pub files: Files,
}

/// `[listen]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// For everybody.
    pub public: SocketAddr,
    /// For operators.
    pub ops: SocketAddr,
}

/// `[keys]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// The folder that holds them.
    pub dir: PathBuf,
    /// For which algorithms keys are made and published.
    pub algorithms: Vec<Algorithm>,
}

/// `[tokens]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// How long a token lives when nothing says less.
    pub lifetime: Duration,
    /// What no API, policy or request may exceed.
    pub lifetime_max: Duration,
    /// How many hops a chain may have; the actors that a foreign token brings along count too.
    pub chain_depth_max: usize,
}

/// `[dpop]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dpop {
    /// How old a proof may be.
    pub proof_age: Duration,
    /// Whether a proof must carry a nonce of ours.
    pub nonce: DpopNonce,
}

/// Whether DPoP proofs must carry a nonce of this server (RFC 9449 §8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DpopNonce {
    /// They need not.
    Off,
    /// They must; a proof without one is answered with one.
    Required,
}

/// `[tasks]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tasks {
    /// How long a task may take where its request does not say.
    pub lifetime: Duration,
    /// How long any task may take.
    pub lifetime_max: Duration,
    /// How many exchanges a task may make where its request does not say.
    pub budget_default: u64,
    /// How many exchanges any task may make.
    pub budget_max: u64,
    /// How many tasks may lie one under the other.
    pub depth: u32,
}

/// `[ledger]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    /// The name of the log in its checkpoints.
    pub origin: String,
    /// How long after the commit a record is in a checkpoint, at most.
    pub checkpoint_interval: Duration,
    /// Who may read checkpoints and hash tiles.
    pub access: LedgerAccess,
}

/// Who may read checkpoints and hash tiles. Entries always need an auditor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LedgerAccess {
    /// Auditors.
    Auditor,
    /// Everybody.
    Public,
}

/// `[store] commit`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitStore {
    /// A SQLite file in the data folder.
    Sqlite,
}

/// `[limits]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request's body.
    pub body_bytes_max: usize,
    /// Parameters of a request.
    pub parameters_max: usize,
    /// Commands that wait for the commit.
    pub queue: usize,
    /// Refusals recorded per agent and minute; the rest is counted.
    pub refusals_per_minute: u32,
    /// Connections that clients may have open at a time.
    pub connections: usize,
    /// How many of them may come from one address.
    pub connections_per_address: usize,
    /// Threads that answer requests; 0 for one per core.
    pub workers: usize,
    /// Verified tokens that are remembered.
    pub verified_tokens: usize,
    /// Single-use values that are remembered until they expire; when there are as many, what spends one is refused.
    pub single_use: usize,
    /// Tasks that are remembered until their deadline is over; when there are as many, none is opened.
    pub tasks: usize,
    /// Tokens that are remembered for status lists until they expire; when there are as many, none is issued that stands in one.
    pub status_tokens: usize,
}

/// `[files]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The folder of trust rules.
    pub trust: Located<PathBuf>,
    /// The folder of agents.
    pub agents: Located<PathBuf>,
    /// The folder of APIs.
    pub apis: Located<PathBuf>,
    /// The folder of policies.
    pub policies: Located<PathBuf>,
}

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_hours(24);

impl Settings {
    /// Reads the settings, or a layer of them. None when anything needed is missing or wrong; the complaints say what.
    pub(super) fn read(mut reader: Reader<'_>) -> Option<Self> {
        reader.need(&["issuer", "listen", "keys", "tokens", "dpop", "tasks", "ledger", "store", "limits", "files"]);
        let issuer = reader.take_parsed("issuer", Issuer::parse);
        let listen_place = reader.place_of("listen");
        let listen = reader.take_table("listen").and_then(Listen::read);
        let tls = if reader.has("tls") { reader.take_table("tls").and_then(Tls::read) } else { Some(Tls::default()) };
        let proxies: Vec<_> = reader.take_tables("proxy").into_iter().map(Proxy::read).collect();
        let keys = reader.take_table("keys").and_then(Keys::read);
        let tokens = reader.take_table("tokens").and_then(Tokens::read);
        let dpop = reader.take_table("dpop").and_then(Dpop::read);
        let tasks = reader.take_table("tasks").and_then(Tasks::read);
        let ledger = reader.take_table("ledger").and_then(Ledger::read);
        let commit = reader.take_table("store").and_then(CommitStore::read);
        let limits = reader.take_table("limits").and_then(Limits::read);
        let files = reader.take_table("files").and_then(Files::read);
        let (desk, partial) = (reader.desk(), reader.is_partial());
        reader.finish();
        let Located { value: issuer, place } = issuer?;
        let settings = Self {
            issuer,
            listen: listen?,
            tls: tls?,
            proxies: proxies.into_iter().collect::<Option<_>>()?,
            keys: keys?,
            tokens: tokens?,
            dpop: dpop?,
            tasks: tasks?,
            ledger: ledger?,
            commit: commit?,
            limits: limits?,
            files: files?,
        };
        if !partial {
            settings.warn_of_plain_http(desk, &place, &listen_place);
        }
        Some(settings)
    }

    /// Tokens and secrets in clear, or an issuer that nobody would reach.
    fn warn_of_plain_http(&self, desk: &Desk, issuer: &Place, listen: &Place) {
        if self.tls.public || !self.proxies.is_empty() {
            return;
        }
        if !self.listen.public.ip().is_loopback() {
            let sentence = "`public` takes plain HTTP from other machines, so tokens travel in clear; \
                            give [tls] a certificate, or name in [[proxy]] what ends TLS in front";
            desk.warn(Diagnostic::new(listen.clone(), sentence));
        }
        if self.issuer.as_str().starts_with("https:") {
            let sentence =
                "`issuer` is an https URL, but there is neither a certificate in [tls] nor a [[proxy]] that ends TLS in front";
            desk.warn(Diagnostic::new(issuer.clone(), sentence));
        }
    }
}

impl Listen {
    fn read(mut reader: Reader<'_>) -> Option<Self> {
        reader.need(&["public", "ops"]);
        let (public, ops) = (reader.take_parsed("public", address), reader.take_parsed("ops", address));
        let desk = reader.desk();
        reader.finish();
        let (public, ops) = (public?, ops?);
        if public.value == ops.value && ops.value.port() != 0 {
            desk.complain(Diagnostic::new(ops.place, "`ops` must be another address than `public`"));
        }
        Some(Self { public: public.value, ops: ops.value })
    }
}

impl Keys {
    fn read(mut reader: Reader<'_>) -> Option<Self> {
        reader.need(&["dir", "algorithms"]);
        let (dir, place) = (reader.take_path("dir"), reader.place_of("algorithms"));
        let algorithms = reader.take_choices("algorithms", &Api::SIGNING_ALGS);
        let desk = reader.desk();
        reader.finish();
        let mut algorithms: Vec<Algorithm> = algorithms?.into_iter().map(|found| found.value).collect();
        algorithms.sort_unstable();
        algorithms.dedup();
        // Validators with a bare key-set address stop at start when it has neither an RSA nor an EC key.
        if !algorithms.iter().any(|algorithm| *algorithm != Algorithm::EdDSA) {
            desk.complain(Diagnostic::new(place, "`algorithms` must have ES256 or RS256"));
        }
        Some(Self { dir: dir?.value, algorithms })
    }
}

impl Tokens {
    fn read(mut reader: Reader<'_>) -> Option<Self> {
        reader.need(&["lifetime", "lifetime_max", "chain_depth_max"]);
        let ceiling = i64::try_from(CHAIN_DEPTH_CEILING).unwrap_or(i64::MAX);
        let lifetime = reader.take_span("lifetime", SECOND..=DAY);
        let lifetime_max = reader.take_span("lifetime_max", SECOND..=DAY);
        let chain_depth_max = reader.take_integer("chain_depth_max", 1..=ceiling);
        let desk = reader.desk();
        reader.finish();
        let (lifetime, lifetime_max) = (lifetime?, lifetime_max?.value);
        if lifetime.value > lifetime_max {
            desk.complain(Diagnostic::new(lifetime.place, "`lifetime` must not exceed `lifetime_max`"));
        }
        Some(Self { lifetime: lifetime.value, lifetime_max, chain_depth_max: size(chain_depth_max)? })
    }
}

impl Dpop {
    fn read(mut reader: Reader<'_>) -> Option<Self> {
        reader.need(&["proof_age", "nonce"]);
        let proof_age = reader.take_span("proof_age", 5 * SECOND..=300 * SECOND);
        let nonce = reader.take_choice("nonce", &[("off", DpopNonce::Off), ("required", DpopNonce::Required)]);
        reader.finish();
        Some(Self { proof_age: proof_age?.value, nonce: nonce?.value })
    }
}

impl Tasks {
    fn read(mut reader: Reader<'_>) -> Option<Self> {
        reader.need(&["lifetime", "lifetime_max", "budget_default", "budget_max", "depth"]);
        let lifetime = reader.take_span("lifetime", SECOND..=90 * DAY);
        let lifetime_max = reader.take_span("lifetime_max", SECOND..=90 * DAY);
        let budget_default = reader.take_integer("budget_default", 1..=1_000_000_000);
        let budget_max = reader.take_integer("budget_max", 1..=1_000_000_000);
        let depth = reader.take_integer("depth", 1..=16);
        let desk = reader.desk();
        reader.finish();
        let (lifetime, lifetime_max) = (lifetime?, lifetime_max?.value);
        let (budget_default, budget_max) = (budget_default?, budget_max?.value);
        if lifetime.value > lifetime_max {
            desk.complain(Diagnostic::new(lifetime.place, "`lifetime` must not exceed `lifetime_max`"));
        }
        if budget_default.value > budget_max {
            desk.complain(Diagnostic::new(budget_default.place, "`budget_default` must not exceed `budget_max`"));
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

impl Ledger {
    fn read(mut reader: Reader<'_>) -> Option<Self> {
        reader.need(&["origin", "checkpoint_interval", "access"]);
        let origin = reader.take_parsed("origin", origin);
        let interval = reader.take_span("checkpoint_interval", Duration::from_millis(50)..=60 * SECOND);
        let access = reader.take_choice("access", &[("auditor", LedgerAccess::Auditor), ("public", LedgerAccess::Public)]);
        reader.finish();
        Some(Self { origin: origin?.value, checkpoint_interval: interval?.value, access: access?.value })
    }
}

impl CommitStore {
    fn read(mut reader: Reader<'_>) -> Option<Self> {
        reader.need(&["commit"]);
        let commit = reader.take_parsed("commit", commit_store);
        for key in ["url", "redis"] {
            reader.refuse(key, "belongs to the PostgreSQL store, which this version does not have");
        }
        reader.finish();
        commit.map(|found| found.value)
    }
}

impl Limits {
    fn read(mut reader: Reader<'_>) -> Option<Self> {
        reader.need(&[
            "body_bytes_max",
            "parameters_max",
            "queue",
            "refusals_per_minute",
            "connections",
            "connections_per_address",
            "workers",
            "verified_tokens",
            "single_use",
            "tasks",
            "status_tokens",
        ]);
        let body_bytes_max = reader.take_integer("body_bytes_max", 4096..=1_048_576);
        let parameters_max = reader.take_integer("parameters_max", 16..=1024);
        let queue = reader.take_integer("queue", 1..=65_536);
        let refusals_per_minute = reader.take_integer("refusals_per_minute", 0..=6000);
        let connections = reader.take_integer("connections", 16..=1_048_576);
        let per_address = reader.take_integer("connections_per_address", 1..=1_048_576);
        let workers = reader.take_integer("workers", 0..=1024);
        let verified_tokens = reader.take_integer("verified_tokens", 0..=1_048_576);
        let single_use = reader.take_integer("single_use", 1000..=16_777_216);
        let tasks = reader.take_integer("tasks", 1..=1_048_576);
        let status_tokens = reader.take_integer("status_tokens", 1..=16_777_216);
        reader.finish();
        Some(Self {
            body_bytes_max: size(body_bytes_max)?,
            parameters_max: size(parameters_max)?,
            queue: size(queue)?,
            refusals_per_minute: u32::try_from(refusals_per_minute?.value).ok()?,
            connections: size(connections)?,
            connections_per_address: size(per_address)?,
            workers: size(workers)?,
            verified_tokens: size(verified_tokens)?,
            single_use: size(single_use)?,
            tasks: size(tasks)?,
            status_tokens: size(status_tokens)?,
        })
    }
}

impl Files {
    fn read(mut reader: Reader<'_>) -> Option<Self> {
        reader.need(&["trust", "agents", "apis", "policies"]);
        let [trust, agents, apis, policies] = ["trust", "agents", "apis", "policies"].map(|key| reader.take_path(key));
        reader.finish();
        Some(Self { trust: trust?, agents: agents?, apis: apis?, policies: policies? })
    }
}

fn size(found: Option<Located<i64>>) -> Option<usize> {
    usize::try_from(found?.value).ok()
}

pub(super) fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "must be an IP address and a port, as in \"127.0.0.1:8693\"")
}

/// C2SP tlog-checkpoint: an origin is a schema-less URL; as a key name of a signed note it has neither blanks nor plus signs.
fn origin(text: &str) -> Result<String, &'static str> {
    let fits = (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'+');
    match fits && !text.contains("://") {
        true => Ok(text.to_owned()),
        false => Err("must be a URL without its scheme, of 1 to 255 visible ASCII characters without '+'"),
    }
}

fn commit_store(text: &str) -> Result<CommitStore, &'static str> {
    match text {
        "sqlite" => Ok(CommitStore::Sqlite),
        "postgres" => Err("cannot be \"postgres\" in this version, which has \"sqlite\" only"),
        _ => Err("must be \"sqlite\""),
    }
}
