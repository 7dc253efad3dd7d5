//! `keys`: the server's signing keys, the ledger's, and hashes of clients' secrets.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Args, Subcommand};
use serde_json::json;

use super::admin::{Admin, AdminOptions, FolderOptions};
use super::output::{CommandResult, Failure, print};
use super::text::instant;
use crate::client::hash_secret;
use crate::commit::contract::StoreReason;
use crate::config::Sources;
use crate::crypto::random;
use crate::jose::Algorithm;
use crate::ledger::{KeyName, NoteVerifier};
use crate::oauth::{Clock, Time};
use crate::server::DataFolder;
use crate::store::{self, KeyClaim, KeyFiles, KeyRole, LedgerKey, LedgerKeys, RingEntry, ServedWith, SystemClock, TileFolder};

/// The options of `keys`.
#[derive(Args)]
pub(super) struct Options {
    #[command(subcommand)]
    command: KeysCommand,
    /// The key folder; without it the one that the data folder was last served with, or that the configuration names
    #[arg(long, global = true, visible_alias = "keys")]
    dir: Option<PathBuf>,
    /// The server's data folder: finds its settings and keys
    #[arg(long, global = true)]
    data: Option<PathBuf>,
    /// A settings file, over conf/default.toml; may repeat
    #[arg(long, global = true)]
    config: Vec<PathBuf>,
    /// Print as JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum KeysCommand {
    /// Make the keys that are missing; the server does so on its first start
    Generate,
    /// Make a key that follows another; a running server takes it up within a second, and what lives goes on
    Rotate(RotateOptions),
    /// End a key that somebody else may have: a signing key by its kid, with every token that it signed; the ledger's by its
    /// verifier key. Another signs at once
    Revoke(RevokeOptions),
    /// Give the keys to another data folder, or to a copy of the one that they belong to; the one before is refused from then on
    Adopt(AdoptOptions),
    /// Take the published checkpoint for the newest one, where `ledger.head` of the key folder is lost
    AcceptCheckpoint(AdoptOptions),
    /// List the signing keys, and the ledger's as verifier keys (vkey)
    List,
    /// Make a client secret and the hash that goes into the agent's file
    Secret,
}

/// The options of `keys rotate`.
#[derive(Args)]
struct RotateOptions {
    /// `signing`: it is published now, signs in two hours, and the one before stays published until its last token has expired;
    /// `ledger`: it signs now, the one before beside it for 30 days; `anc`, `pseudonym` and `root`: it is used from now on
    #[arg(value_parser = ["signing", "ledger", "anc", "pseudonym", "root"], default_value = "signing")]
    role: String,
    /// All of them
    #[arg(long, conflicts_with_all = ["role", "ledger", "alg"])]
    all: bool,
    /// Of the signing keys, the one of ES256, RS256 or EdDSA; ES256 if nothing else is said
    #[arg(long, conflicts_with = "ledger")]
    alg: Option<String>,
    /// As `keys rotate ledger`
    #[arg(long)]
    ledger: bool,
}

/// The options of `keys revoke`.
#[derive(Args)]
struct RevokeOptions {
    /// The kid, or the verifier key (vkey)
    // Names of keys are base64url, which may begin with a hyphen.
    #[arg(allow_hyphen_values = true)]
    key: String,
    /// Why, for the record; nothing personal
    #[arg(long)]
    reason: Option<String>,
}

/// The options of `keys adopt` and `keys accept-checkpoint`.
#[derive(Args)]
struct AdoptOptions {
    /// Say that you know what is given up
    #[arg(long)]
    yes: bool,
}

impl Options {
    /// The data folder that the keys are of, with what else is named.
    fn of_data(&self, data: &Path) -> DataFolder {
        DataFolder { data: data.to_owned(), config: self.config.clone(), keys: self.dir.clone() }
    }

    /// The data folder, which has to be named.
    fn data(&self) -> Result<&Path, Failure> {
        self.data.as_deref().ok_or_else(|| Failure::new("name the data folder, on which no server runs, with --data DIR"))
    }
}

/// Does what was asked and lists the keys.
pub(super) fn run(options: &Options) -> CommandResult {
    let WantedKeys { dir, algorithms, origin } = match &options.command {
        KeysCommand::Secret => return secret(options.json),
        KeysCommand::Revoke(revoke) => return self::revoke(revoke, options),
        KeysCommand::Adopt(adopt) => return self::adopt(adopt, options),
        KeysCommand::AcceptCheckpoint(accept) => return accept_checkpoint(accept, options),
        _ => folder(options)?,
    };
    let now = SystemClock.now();
    let files = match &options.command {
        KeysCommand::Generate => KeyFiles::open_or_create(&dir, &algorithms, now)?,
        KeysCommand::Rotate(rotation) => rotate(&dir, origin.as_ref(), rotation, now)?,
        _ => KeyFiles::open(&dir, now)?,
    };
    let ledger = match (&options.command, &origin) {
        (KeysCommand::Generate, Some(origin)) => LedgerKeys::open_or_create(&dir, origin, now)?,
        _ => LedgerKeys::open(&dir)?,
    };
    list(&files, &ledger, options.json);
    Ok(true)
}

/// A key folder, and the keys that it is to have.
struct WantedKeys {
    dir: PathBuf,
    algorithms: Vec<Algorithm>,
    /// The name of the log, where the configuration was asked.
    origin: Option<KeyName>,
}

/// From the options or from the configuration.
fn folder(options: &Options) -> Result<WantedKeys, Failure> {
    let data = options.data.as_deref().map(|data| options.of_data(data));
    if let Some(dir) = &options.dir {
        data.map(|folder| folder.key_folder()).transpose()?;
        return Ok(WantedKeys { dir: dir.clone(), algorithms: vec![Algorithm::ES256, Algorithm::RS256], origin: None });
    }
    let settings = match data {
        Some(folder) => folder.configuration()?.settings,
        None => Sources::new(options.config.clone()).load().config.map_err(Failure::configuration)?.settings,
    };
    let base = KeyName::parse(&settings.ledger.origin)?;
    let newest = LedgerKeys::open(&settings.keys.dir).map_or(0, |keys| keys.newest_log(&base));
    let origin = base.restored(newest)?;
    Ok(WantedKeys { dir: settings.keys.dir, algorithms: settings.keys.algorithms, origin: Some(origin) })
}

fn rotate(dir: &Path, origin: Option<&KeyName>, options: &RotateOptions, now: Time) -> Result<KeyFiles, Failure> {
    let mut files = KeyFiles::open(dir, now)?;
    let is = |role: &str| options.all || (options.role == role && !options.ledger);
    if is("signing") {
        for algorithm in algorithms(&files, options)? {
            files.rotate(algorithm, now, Duration::ZERO)?;
        }
    }
    if is("ledger") || options.ledger {
        rotate_ledger(dir, origin, now)?;
    }
    for role in [KeyRole::Ancestry, KeyRole::Pseudonym, KeyRole::Root] {
        if is(role.name()) {
            files.rotate_secret(role, now)?;
        }
    }
    Ok(files)
}

/// The algorithms whose signing keys are followed by others.
fn algorithms(files: &KeyFiles, options: &RotateOptions) -> Result<Vec<Algorithm>, Failure> {
    let malformed = || Failure::new("--alg must be ES256, RS256 or EdDSA");
    let mut algorithms = match &options.alg {
        Some(alg) => vec![Algorithm::parse(alg).ok_or_else(malformed)?],
        None if options.all => files.entries().map(RingEntry::algorithm).collect(),
        None => vec![Algorithm::ES256],
    };
    algorithms.sort_unstable();
    algorithms.dedup();
    Ok(algorithms)
}

/// By the socket of the server, or on its folder.
fn revoke(revoke: &RevokeOptions, options: &Options) -> CommandResult {
    let data = options.data.clone().unwrap_or_else(|| PathBuf::from("data"));
    let folder = FolderOptions::new(data, options.config.clone(), options.dir.clone());
    let admin = AdminOptions { folder, json: options.json };
    let answer = Admin::run(&admin, async |admin| admin.revoke_key(&revoke.key, revoke.reason.as_deref()).await)?;
    match &answer {
        Ok(done) => {
            let late = done.get("taken_up").is_some_and(|taken_up| *taken_up == json!(false));
            let late = if late { ". It stays published until the server can take up its configuration: see its log" } else { "" };
            let words = format!("revoked key {}: nothing that it signed is accepted here any more{late}", revoke.key);
            let unrecorded = done.get("recorded").is_some_and(|recorded| *recorded == json!(false));
            let not_yet = "; that is not recorded yet, and until it is nothing is issued";
            let words = if unrecorded { format!("{words}{not_yet}") } else { words };
            print(options.json, &json!({ "ok": !unrecorded, "done": done }), words);
            Ok(!unrecorded)
        }
        Err(why) => {
            print(options.json, &json!({ "ok": false, "reason": why }), format!("no key was revoked: {why}"));
            Ok(false)
        }
    }
}

/// The keys belong to the data folder from now on.
fn adopt(adopt: &AdoptOptions, options: &Options) -> CommandResult {
    let folder = options.data()?;
    let data = folder.display();
    if !adopt.yes {
        return Err(Failure::new(format!(
            "{data} gets the keys for itself alone: what was revoked, suspended or used elsewhere since it was copied is unknown \
             here and counts as never done, and the data folder that had the keys is refused from then on; say --yes to do it"
        )));
    }
    if !store::is_used(folder) {
        return Err(Failure::new(format!("{data}: no server ever ran on this folder; it needs no keys of another")));
    }
    let dir = match &options.dir {
        Some(dir) => dir.clone(),
        None => options.of_data(folder).configuration_of_any()?.settings.keys.dir,
    };
    let before = KeyClaim::adopt(&dir, folder)?;
    if let Some(served) = ServedWith::of(folder)? {
        served.with_keys(&dir)?.remember(folder)?;
    }
    let words = match &before {
        Some(before) => format!("{} belongs to {data} now, and no longer to {}", dir.display(), before.display()),
        None => format!("{} belongs to {data} now", dir.display()),
    };
    print(options.json, &json!({ "data": folder, "before": before }), words);
    Ok(true)
}

/// The rollback check begins anew with what is published.
fn accept_checkpoint(accept: &AdoptOptions, options: &Options) -> CommandResult {
    let (folder, wanted) = (options.data()?, folder(options)?);
    let data = folder.display();
    if !accept.yes {
        return Err(Failure::new(format!(
            "if {data} is an older copy of the data, what was recorded and revoked since is lost, and nothing here will tell; \
             compare its checkpoint with one that a witness or an auditor keeps. Say --yes to go on"
        )));
    }
    let _claim = KeyClaim::take(&wanted.dir, folder)?;
    let keys = LedgerKeys::open(&wanted.dir)?;
    let newest = keys.entries().last().and_then(|key| NoteVerifier::parse(&key.vkey).ok());
    let origin = wanted.origin.or_else(|| newest.map(|key| key.name().clone()));
    let origin = origin.ok_or_else(|| Failure::new("the ledger has no key, so it signed no checkpoint"))?;
    let log = TileFolder::new(folder, &wanted.dir).map_err(|reason| Failure::at(folder, &reason))?;
    let accepted = log.accept_published(&origin, &keys.verifiers(&origin));
    let size = accepted.map_err(|reason| match reason {
        StoreReason::Locked => Failure::new("ledger.head is there; nothing is lost"),
        other => Failure::at(folder, &other),
    })?;
    print(options.json, &json!({ "size": size }), format!("the checkpoint over {size} records is the newest that is known now"));
    Ok(true)
}

/// Without a configuration the newest key tells which log is meant.
fn rotate_ledger(dir: &Path, origin: Option<&KeyName>, now: Time) -> Result<(), Failure> {
    let mut keys = LedgerKeys::open(dir)?;
    let newest = keys.entries().last().and_then(|key| NoteVerifier::parse(&key.vkey).ok());
    let origin = origin.cloned().or_else(|| newest.map(|key| key.name().clone()));
    let origin = origin.ok_or_else(|| Failure::new("the ledger has no key yet; the server makes it on its first start"))?;
    keys.rotate(&origin, now)?;
    Ok(())
}

fn list(files: &KeyFiles, ledger: &LedgerKeys, json: bool) {
    let line = |entry: &RingEntry| {
        let retires = match (entry.revoked(), entry.retires()) {
            (Some(time), _) => format!("no more: revoked {}", instant(time.seconds())),
            (None, Some(time)) => format!("until {}", instant(time.seconds())),
            (None, None) => "in use".to_owned(),
        };
        say!(
            "{:<6} {}  signs from {}  published {retires}",
            entry.algorithm().name(),
            entry.kid,
            instant(entry.signs_from().seconds())
        );
    };
    match json {
        true => say!("{}", json!(files.all_entries().map(as_json).chain(ledger.entries().map(ledger_json)).collect::<Vec<_>>())),
        false => {
            files.all_entries().for_each(line);
            ledger.entries().for_each(|key| {
                let until = key.retires().map(|time| format!("  signs until {}", instant(time.seconds())));
                let revoked = key.revoked().map(|time| format!("  revoked {}", instant(time.seconds())));
                let until = revoked.or(until).unwrap_or_default();
                say!("ledger {}{until}", key.vkey);
            });
        }
    }
}

fn ledger_json(key: &LedgerKey) -> serde_json::Value {
    json!({
        "vkey": key.vkey,
        "alg": "Ed25519",
        "signs_from": key.created().seconds(),
        "signs_until": key.retires().map(|time| time.seconds()),
        "revoked": key.revoked().map(|time| time.seconds()),
    })
}

fn as_json(entry: &RingEntry) -> serde_json::Value {
    json!({
        "kid": entry.kid,
        "alg": entry.algorithm().name(),
        "signs_from": entry.signs_from().seconds(),
        "published_until": entry.retires().map(|time| time.seconds()),
        "revoked": entry.revoked().map(|time| time.seconds()),
    })
}

/// 256 random bits, which is why a plain hash is enough; letters that survive both encodings of Basic.
fn secret(json: bool) -> CommandResult {
    let bytes: [u8; 32] = random()?;
    let secret = URL_SAFE_NO_PAD.encode(bytes);
    let hash = format!("sha256:{}", hash_secret(&secret));
    let words = format!(
        "secret       {secret}\nsecret_hash  {hash}\n\nGive the secret to the client, once; write the hash into the agent's file."
    );
    print(json, &json!({"secret": secret, "secret_hash": hash}), words);
    Ok(true)
}
