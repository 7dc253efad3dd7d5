//! How the commands that ask a server authenticate as a client, and prove a key by DPoP (RFC 9449 §4).

use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde_json::json;

use super::http_client::TlsOptions;
use super::output::Failure;
use crate::crypto::random;
use crate::files::{self, Access};
use crate::jose::{Algorithm, SigningKey, generate_key};
use crate::oauth::{Clock, Jti};
use crate::store::SystemClock;

/// No token, key or certificate is longer.
const FILE_BYTES_MAX: u64 = 64 * 1024;

const ASSERTION_PREFIX: &str = "urn:ietf:params:oauth:client-assertion-type:";

/// How the client authenticates; without any of these the subject token itself is its login.
#[derive(Args)]
pub(super) struct ClientAuthOptions {
    /// The client's id
    #[arg(long)]
    client_id: Option<String>,
    /// A client certificate (PEM, with those that lead to its root), to log in with or to bind the token to; its key is in --key,
    /// or in the same file
    #[arg(long)]
    cert: Option<PathBuf>,
    /// Who may have issued the server's certificate (PEM); without it, those that this machine trusts
    #[arg(long)]
    cacert: Option<PathBuf>,
    /// private_key_jwt: a file with the client's private key (PKCS#8 PEM); with --cert, the key of the certificate
    #[arg(long, requires = "client_id")]
    key: Option<PathBuf>,
    /// The algorithm of that key
    #[arg(long, default_value = "ES256")]
    alg: String,
    /// A file with an attestation to log in with (JWT-SVID or another workload's token)
    #[arg(long, conflicts_with = "secret_file")]
    assertion: Option<PathBuf>,
    /// Its type: jwt-bearer or jwt-spiffe
    #[arg(long, default_value = "jwt-bearer")]
    assertion_type: String,
    /// client_secret_basic: a file with the client's secret
    #[arg(long, requires = "client_id")]
    secret_file: Option<PathBuf>,
}

impl ClientAuthOptions {
    /// The certificates of the connection.
    pub(super) fn tls(&self) -> Result<TlsOptions, Failure> {
        let authorities = self.cacert.as_deref().map(read).transpose()?.map(String::into_bytes);
        let parts = self.cert.iter().chain(self.key.iter().filter(|_| self.cert.is_some())).map(|file| read(file));
        let parts: Vec<String> = parts.collect::<Result<_, _>>()?;
        let identity = Some(parts.join("\n")).filter(|_| self.cert.is_some()).map(String::into_bytes);
        Ok(TlsOptions { authorities, identity })
    }

    /// Tells whether the client shows a certificate.
    pub(super) fn shows_certificate(&self) -> bool {
        self.cert.is_some()
    }

    /// Adds what proves the client to the server `issuer`; answers the `Authorization` header where the method uses one.
    pub(super) fn prove(&self, issuer: &str, form: &mut Vec<(&'static str, String)>) -> Result<Option<String>, Failure> {
        if self.key.is_some() && self.cert.is_none() && (self.assertion.is_some() || self.secret_file.is_some()) {
            return Err(Failure::new("--key goes with --assertion or --secret-file only as the key of --cert"));
        }
        if let (Some(file), Some(id)) = (&self.secret_file, &self.client_id) {
            let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            let pair = format!("{}:{}", encoded(id), encoded(&read(file)?));
            return Ok(Some(format!("Basic {}", STANDARD.encode(pair))));
        }
        form.extend(self.client_id.iter().map(|id| ("client_id", id.clone())));
        let key = self.key.as_ref().filter(|_| self.cert.is_none());
        let assertion = match (key, &self.client_id, &self.assertion) {
            (Some(key), Some(id), _) => Some(assertion(key, &self.alg, id, issuer)?),
            (_, _, Some(file)) => Some(read(file)?),
            _ => None,
        };
        if let Some(assertion) = assertion {
            form.push(("client_assertion", assertion));
            form.push(("client_assertion_type", full(&self.assertion_type, ASSERTION_PREFIX)));
        }
        Ok(None)
    }
}

/// A client assertion for the issuer alone, good for one minute (RFC 7523 §2.2).
fn assertion(key: &Path, alg: &str, id: &str, issuer: &str) -> Result<String, Failure> {
    let algorithm = Algorithm::parse(alg).ok_or_else(|| Failure::new("--alg must be ES256, RS256 or EdDSA"))?;
    let key = SigningKey::from_pem(&read(key)?, algorithm)?;
    let now = SystemClock.now();
    let jti = Jti::new(now, random()?).to_string();
    let (iat, exp) = (now.seconds(), now.seconds() + 60);
    let claims = json!({"iss": id, "sub": id, "aud": issuer, "iat": iat, "exp": exp, "jti": jti});
    Ok(key.sign("client-authentication+jwt", claims.to_string().as_bytes())?)
}

/// The key that the token is to be bound to by DPoP, if any.
#[derive(Args)]
pub(super) struct DpopOptions {
    /// Bind the token to a key by DPoP (RFC 9449)
    #[arg(long)]
    dpop: bool,
    /// The file of that key (ES256, PKCS#8 PEM), made if it is not there; without it the key is gone when the command ends
    #[arg(long, requires = "dpop")]
    dpop_key: Option<PathBuf>,
}

/// Signs DPoP proofs.
pub(super) struct Prover(SigningKey);

impl DpopOptions {
    /// The signer of the proofs, where a binding is wanted.
    ///
    /// # Errors
    /// When the key's file cannot be read or made.
    pub(super) fn prover(&self) -> Result<Option<Prover>, Failure> {
        if !self.dpop {
            return Ok(None);
        }
        let pem = match &self.dpop_key {
            Some(file) => kept(file)?,
            None => {
                eprintln!("the key of the proof ends with this command, and the token with it; --dpop-key FILE keeps it");
                generate_key(Algorithm::ES256)?.to_string()
            }
        };
        Ok(Some(Prover(SigningKey::from_pem(&pem, Algorithm::ES256)?)))
    }
}

/// The key in `file`; a new one, for the owner's eyes only, where there is none.
fn kept(file: &Path) -> Result<String, Failure> {
    let named = |error: std::io::Error| Failure::new(format!("{}: {error}", file.display()));
    match files::read_argument(file, FILE_BYTES_MAX) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let pem = generate_key(Algorithm::ES256)?;
            files::create(file, pem.as_bytes(), Access::Owner).map_err(named)?;
            Ok(pem.to_string())
        }
        read => read.map_err(named),
    }
}

impl Prover {
    /// A fresh proof for one POST to `url`, with the nonce that the server asked for.
    pub(super) fn proof(&self, url: &str, nonce: Option<&str>) -> Result<String, Failure> {
        let now = SystemClock.now();
        let mut claims = json!({
            "jti": Jti::new(now, random()?).to_string(), "htm": "POST", "htu": url, "iat": now.seconds(),
        });
        if let (Some(nonce), Some(claims)) = (nonce, claims.as_object_mut()) {
            claims.insert("nonce".to_owned(), nonce.into());
        }
        Ok(self.0.sign_with_key("dpop+jwt", claims.to_string().as_bytes())?)
    }
}

/// The text of a file without white space at its end; `-` is standard input.
pub(super) fn read(file: &Path) -> Result<String, Failure> {
    let named = |error: std::io::Error| Failure::new(format!("cannot read {}: {error}", file.display()));
    let text = match file.as_os_str().to_str() {
        Some("-") => {
            let mut text = String::new();
            std::io::stdin().take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(named)?;
            text
        }
        _ => files::read_argument(file, FILE_BYTES_MAX).map_err(named)?,
    };
    Ok(text.trim_end().to_owned())
}

/// The URI of a short name; a URI stands for itself.
pub(super) fn full(name: &str, prefix: &str) -> String {
    if name.contains(':') { name.to_owned() } else { format!("{prefix}{name}") }
}
