//! A certificate that a client holds: chain and key in one PEM file.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::jose::base64url;

/// Chain and key.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Everything, as it is in the file.
    pub pem: Vec<u8>,
    chain: Vec<String>,
}

impl Shown {
    /// Reads every `NAME.pem` in a folder.
    ///
    /// # Errors
    /// A sentence naming what cannot be read.
    pub fn load_all(folder: &Path) -> Result<BTreeMap<String, Arc<Self>>, String> {
        let named = |error: std::io::Error| format!("{}: {error}", folder.display());
        let mut all = BTreeMap::new();
        for entry in fs::read_dir(folder).map_err(named)? {
            let path = entry.map_err(named)?.path();
            let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".pem"));
            if let Some(name) = name {
                let text = fs::read_to_string(&path).map_err(named)?;
                all.insert(name.to_owned(), Arc::new(Self::new(&text)));
            }
        }
        Ok(all)
    }

    fn new(text: &str) -> Self {
        let sections = text.split("-----BEGIN CERTIFICATE-----").skip(1);
        let body = |section: &str| section.split("-----END").next().map(|body| body.split_whitespace().collect::<String>());
        Self { pem: text.as_bytes().to_vec(), chain: sections.filter_map(body).collect() }
    }

    /// A certificate of the chain, the client's own at 0, as base64 of its DER.
    pub fn base64(&self, position: usize) -> Option<&str> {
        self.chain.get(position).map(String::as_str)
    }

    /// `x5t#S256` (RFC 8705 §3.1).
    pub fn thumbprint(&self) -> Option<String> {
        let der = STANDARD.decode(self.base64(0)?).ok()?;
        Some(base64url(digest(&SHA256, &der)))
    }
}
