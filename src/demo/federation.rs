//! The configuration folder of the demonstration.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::issuers::{DemoReason, Issuers, JwksServer};
use super::party::FILES;
use crate::files::{self, Access};

/// The addresses of the demonstration's server and issuers.
pub struct Federation {
    /// The server's issuer identifier.
    pub issuer: String,
    /// Its public listener.
    pub public: SocketAddr,
    /// Its operators' listener.
    pub ops: SocketAddr,
    /// The issuer identifier of the identity provider.
    pub idp: String,
    /// The issuer identifier of the cluster.
    pub cluster: String,
    /// The address of the trust domain's bundle.
    pub bundle: String,
}

impl Federation {
    /// A server at `public` that trusts the issuers served by `jwks`.
    pub fn new(public: SocketAddr, ops: SocketAddr, jwks: &JwksServer) -> Self {
        Self { issuer: format!("http://{public}"), public, ops, idp: jwks.idp(), cluster: jwks.cluster(), bundle: jwks.bundle() }
    }
}

/// Writes the whole configuration below `folder` and answers the path of its main file.
///
/// # Errors
/// When a file cannot be written.
pub fn write_configuration(folder: &Path, federation: &Federation, issuers: &Issuers) -> Result<PathBuf, DemoReason> {
    for (name, template) in FILES {
        let text = template
            .replace("{issuer}", &federation.issuer)
            .replace("{public}", &federation.public.to_string())
            .replace("{ops}", &federation.ops.to_string())
            .replace("{idp}", &federation.idp)
            .replace("{cluster}", &federation.cluster)
            .replace("{bundle}", &federation.bundle);
        write(&folder.join("conf").join(name), &text)?;
    }
    write(&folder.join("conf/orchestrator.jwks.json"), &issuers.orchestrator_jwks())?;
    Ok(folder.join("conf/countersign.toml"))
}

fn write(file: &Path, text: &str) -> Result<(), DemoReason> {
    let failed = |error: std::io::Error| DemoReason(format!("cannot write {}: {error}", file.display()));
    files::replace(file, text.as_bytes(), Access::Owner).map_err(failed)
}
