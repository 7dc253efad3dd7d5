//! `init`: a first configuration of one's own, small and commented, that `check` accepts.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use url::{Host, Url};

use super::output::{CommandResult, Failure};
use crate::files::{self, Access};
use crate::jose::{Algorithm, SigningKey, generate_key};
use crate::oauth::Issuer;

/// The options of `init`.
#[derive(Args)]
pub(super) struct Options {
    /// The folder to write; it must not exist yet, or be empty
    folder: PathBuf,
    /// The issuer identifier of the server
    #[arg(long, default_value = "http://127.0.0.1:8693")]
    issuer: String,
    /// The issuer identifier of the identity provider where people sign in
    #[arg(long, default_value = PLACEHOLDER)]
    idp: String,
    /// The client there as which the agent obtains ID tokens: their `aud`
    #[arg(long, default_value = "assistant")]
    idp_client: String,
    /// Print the files and the next commands as JSON
    #[arg(long)]
    json: bool,
}

/// Stands for an identity provider that is not named yet.
const PLACEHOLDER: &str = "https://login.example.com";

/// The main file.
const SETTINGS: &str = "countersign.toml";

/// The private key of the agent: nothing that the server reads.
const AGENT_KEY: &str = "assistant.key.pem";

/// Every file with what it says, for the summary, and its text. Words between @ are replaced.
const FILES: [(&str, &str, &str); 6] = [
    (SETTINGS, "issuer, addresses and folders", include_str!("init/countersign.toml")),
    ("trust/people.toml", "who vouches for people", include_str!("init/trust/people.toml")),
    ("agents/assistant.toml", "an agent and how it logs in", include_str!("init/agents/assistant.toml")),
    ("apis/notes.toml", "an API and its scopes", include_str!("init/apis/notes.toml")),
    ("policies/assistants.cedar", "what may be issued", include_str!("init/policies/assistants.cedar")),
    (
        "policies/schema.cedarschema",
        "what policies can speak of, to be read",
        include_str!("../../conf/policies/schema.cedarschema"),
    ),
];

/// Writes the files, and says what comes next. Nothing that is there already is changed.
pub(super) fn run(options: &Options) -> CommandResult {
    let folder = &options.folder;
    let values = values(options)?;
    let pem = generate_key(Algorithm::ES256)?;
    let public = SigningKey::from_pem(&pem, Algorithm::ES256)?.public_jwk();
    claim(folder)?;
    let mut written = Vec::new();
    for (file, says, template) in FILES {
        write(folder, file, &filled(template, &values), Access::Everybody)?;
        written.push((file, says));
    }
    write(folder, "agents/assistant.jwks.json", &format!("{{\"keys\":[{public}]}}\n"), Access::Everybody)?;
    write(folder, AGENT_KEY, &pem, Access::Owner)?;
    written.push(("agents/assistant.jwks.json", "the agent's public key"));
    written.push((AGENT_KEY, "its private key: for the agent, not for the server"));
    tell(options, &written);
    Ok(true)
}

/// The template with values for its words; a word in a value is none.
fn filled(template: &str, values: &[(&str, String)]) -> String {
    let (mut text, mut rest) = (String::new(), template);
    loop {
        let found = values.iter().filter_map(|(word, value)| Some((rest.split_once(word)?, value)));
        let Some(((before, after), value)) = found.min_by_key(|((before, _), _)| before.len()) else { break };
        text.extend([before, value]);
        rest = after;
    }
    text + rest
}

/// Words of the templates and what stands for them, as TOML.
fn values(options: &Options) -> Result<[(&'static str, String); 6], Failure> {
    let parse = |name: &str, text: &str| Issuer::parse(text).map_err(|reason| Failure::new(format!("{name} {reason}")));
    let (issuer, idp) = (parse("--issuer", &options.issuer)?, parse("--idp", &options.idp)?);
    if issuer == idp {
        return Err(Failure::new("--idp must be another issuer than --issuer: it is the one that vouches for people"));
    }
    let url = Url::parse(issuer.as_str())?;
    let public = listen(&url);
    let ops = SocketAddr::from((Ipv4Addr::LOCALHOST, if public.port() == 8694 { 8695 } else { 8694 }));
    let host_and_path = issuer.as_str().split_once("://").map_or("", |(_, rest)| rest.trim_end_matches('/'));
    // A JSON string is a TOML string, but for the one control character that JSON lets stand.
    let quoted = |text: &str| json!(text).to_string().replace('\u{7f}', "\\u007f");
    Ok([
        ("@ISSUER@", quoted(issuer.as_str())),
        ("@IDP@", quoted(idp.as_str())),
        ("@CLIENT@", quoted(&options.idp_client)),
        ("@PUBLIC@", quoted(&public.to_string())),
        ("@OPS@", quoted(&ops.to_string())),
        ("@ORIGIN@", quoted(&format!("{host_and_path}/ledger"))),
    ])
}

/// The address of an issuer on this machine; for any other the usual one, for something that ends TLS in front.
fn listen(issuer: &Url) -> SocketAddr {
    let host = match issuer.host() {
        Some(Host::Ipv4(address)) if address.is_loopback() => IpAddr::from(address),
        Some(Host::Ipv6(address)) if address.is_loopback() => IpAddr::from(address),
        _ => IpAddr::from(Ipv4Addr::LOCALHOST),
    };
    let port = Some(issuer).filter(|issuer| issuer.scheme() == "http").and_then(Url::port_or_known_default);
    SocketAddr::from((host, port.unwrap_or(8693)))
}

/// Makes the folder, for its owner alone.
fn claim(folder: &Path) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::new(format!("{}: {error}", folder.display()));
    files::make_folder(folder, Access::Owner).map_err(failed)?;
    if fs::read_dir(folder).map_err(failed)?.next().is_some() {
        return Err(Failure::new(format!(
            "{} is not empty, and nothing in it is overwritten: name a new folder, or move away what is there",
            folder.display()
        )));
    }
    Ok(())
}

fn write(folder: &Path, file: &str, text: &str, access: Access) -> Result<(), Failure> {
    let path = folder.join(file);
    let failed = |error: std::io::Error| Failure::new(format!("{}: {error}", path.display()));
    files::create(&path, text.as_bytes(), access).map_err(failed)
}

/// A path as a shell reads it as one word.
fn shell_word(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-+:@%,=".contains(&byte));
    if plain { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

fn tell(options: &Options, written: &[(&str, &str)]) {
    let folder = &options.folder;
    let (settings, data) = (shell_word(&folder.join(SETTINGS)), shell_word(&folder.join("data")));
    let next = [format!("countersign check --config {settings}"), format!("countersign serve --config {settings} --data {data}")];
    if options.json {
        let files: Vec<_> = written.iter().map(|(file, _)| folder.join(file).display().to_string()).collect();
        say!("{}", json!({"files": files, "next": next}));
        return;
    }
    written.iter().for_each(|(file, says)| say!("{:<28} {says}", file));
    say!("\nwritten below {}. Next:", folder.display());
    if options.idp == PLACEHOLDER {
        say!("  name your identity provider in {}", folder.join("trust/people.toml").display());
    }
    next.iter().for_each(|command| say!("  {command}"));
    say!("Every file explains its fields. docs/first-configuration.md goes on from here.");
}
