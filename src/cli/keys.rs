//! `keys`: the server's signing keys, and hashes of clients' secrets.

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Args, Subcommand};
use serde_json::json;

use super::inspect::instant;
use super::output::{Failed, Outcome};
use crate::client::hash_secret;
use crate::config::Sources;
use crate::crypto::random;
use crate::jose::Algorithm;
use crate::oauth::Clock;
use crate::store::{KeyFiles, RingEntry, SystemClock};

/// The options of `keys`.
#[derive(Args)]
pub(super) struct Options {
    #[command(subcommand)]
    command: KeysCommand,
    /// The key folder; without it the one that the configuration names
    #[arg(long, global = true)]
    dir: Option<PathBuf>,
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
    /// Publish a new key that signs in two hours; the one before stays published until its last token has expired
    Rotate {
        /// ES256, RS256 or EdDSA
        #[arg(long, default_value = "ES256")]
        alg: String,
    },
    /// List the signing keys
    List,
    /// Make a client secret and the hash that goes into the agent's file
    Secret,
}

/// Does what was asked and lists the keys.
pub(super) fn run(options: &Options) -> Outcome {
    let (dir, algorithms) = place(options)?;
    let now = SystemClock.now();
    let files = match &options.command {
        KeysCommand::Secret => return secret(options.json),
        KeysCommand::Generate => KeyFiles::open_or_create(&dir, &algorithms, now)?,
        KeysCommand::List => KeyFiles::open(&dir, now)?,
        KeysCommand::Rotate { alg } => {
            let algorithm = Algorithm::parse(alg).ok_or_else(|| Failed::new("--alg must be ES256, RS256 or EdDSA"))?;
            let mut files = KeyFiles::open(&dir, now)?;
            files.rotate(algorithm, now, Duration::ZERO)?;
            files
        }
    };
    list(&files, options.json);
    Ok(true)
}

/// The folder and the algorithms, from the options or from the configuration.
fn place(options: &Options) -> Result<(PathBuf, Vec<Algorithm>), Failed> {
    let both = vec![Algorithm::ES256, Algorithm::RS256];
    if let Some(dir) = &options.dir {
        return Ok((dir.clone(), both));
    }
    let config = Sources::new(options.config.clone()).load().config.map_err(super::launch::complaints)?;
    Ok((config.settings.keys.dir, config.settings.keys.algorithms))
}

fn list(files: &KeyFiles, json: bool) {
    let line = |entry: &RingEntry| {
        let retires = entry.retires().map_or_else(|| "in use".to_owned(), |time| format!("until {}", instant(time.seconds())));
        println!(
            "{:<6} {}  signs from {}  published {retires}",
            entry.algorithm().name(),
            entry.kid,
            instant(entry.signs_from().seconds())
        );
    };
    match json {
        true => println!("{}", json!(files.entries().map(as_json).collect::<Vec<_>>())),
        false => files.entries().for_each(line),
    }
}

fn as_json(entry: &RingEntry) -> serde_json::Value {
    json!({
        "kid": entry.kid,
        "alg": entry.algorithm().name(),
        "signs_from": entry.signs_from().seconds(),
        "published_until": entry.retires().map(|time| time.seconds()),
    })
}

/// 256 random bits, which is why a plain hash is enough; letters that survive both encodings of Basic.
fn secret(json: bool) -> Outcome {
    let bytes: [u8; 32] = random()?;
    let secret = URL_SAFE_NO_PAD.encode(bytes);
    let hash = format!("sha256:{}", hash_secret(&secret));
    match json {
        true => println!("{}", json!({"secret": secret, "secret_hash": hash})),
        false => {
            println!("secret       {secret}\nsecret_hash  {hash}\n");
            println!("Give the secret to the client, once; write the hash into the agent's file.");
        }
    }
    Ok(true)
}
