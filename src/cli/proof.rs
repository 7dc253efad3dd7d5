//! DPoP proofs of the commands that ask a server (RFC 9449 §4).

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::output::Failed;
use crate::crypto::random;
use crate::jose::{Algorithm, SigningKey, generate_key};
use crate::oauth::{Clock, Jti};
use crate::store::SystemClock;

/// Whether and to which key the token is to be bound.
#[derive(Args)]
pub(super) struct ProofOptions {
    /// Bind the token to a key by DPoP (RFC 9449)
    #[arg(long)]
    dpop: bool,
    /// The file of that key (ES256, PKCS#8 PEM), made if it is not there; without it the key is gone when the command ends
    #[arg(long, requires = "dpop")]
    dpop_key: Option<PathBuf>,
}

/// Signs proofs.
pub(super) struct Prover(SigningKey);

impl ProofOptions {
    /// Who signs the proofs, where a binding is wanted.
    ///
    /// # Errors
    /// When the key's file cannot be read or made.
    pub(super) fn prover(&self) -> Result<Option<Prover>, Failed> {
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
fn kept(file: &Path) -> Result<String, Failed> {
    let named = |error: std::io::Error| Failed::new(format!("{}: {error}", file.display()));
    match fs::read_to_string(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let pem = generate_key(Algorithm::ES256)?;
            let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
            made.and_then(|mut made| made.write_all(pem.as_bytes())).map_err(named)?;
            Ok(pem.to_string())
        }
        read => read.map_err(named),
    }
}

impl Prover {
    /// A fresh proof for one POST to `url`, with the nonce that the server asked for.
    pub(super) fn proof(&self, url: &str, nonce: Option<&str>) -> Result<String, Failed> {
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
