//! SPIFFE bundles: the keys of JWT-SVIDs and the authorities of X509-SVIDs of one trust domain (SPIFFE Trust Domain and Bundle
//! §4).

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;

use crate::jose::{KeySet, KeySetReason, KeyUse, Object};
use crate::json::string;
use crate::x509::Roots;

/// One version of a trust domain's bundle. Without anything usable in it every SVID of the domain is dead.
#[derive(Clone, Debug)]
pub struct TrustBundle {
    pub(super) keys: Arc<KeySet>,
    pub(super) roots: Arc<Roots>,
}

/// Keys and roots that verify: the keys of tokens, and the roots of certificates.
#[derive(Clone, Debug)]
pub(crate) struct KeyMaterial {
    pub(crate) keys: Arc<KeySet>,
    pub(crate) roots: Option<Arc<Roots>>,
}

/// Why a document is no bundle. `Display` completes a sentence about the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrustBundleReason {
    /// It is no JWK set.
    KeySet(KeySetReason),
    /// It has more certificates than anybody needs.
    Roots,
}

impl TrustBundle {
    /// Reads a bundle. An entry of unknown `use` or type, or with a certificate that cannot be read, is left out, as the
    /// specification asks: leaving out takes trust away and never adds any.
    ///
    /// # Errors
    /// See [`TrustBundleReason`].
    pub fn parse(json: &[u8]) -> Result<Self, TrustBundleReason> {
        let keys = KeySet::parse(json, KeyUse::JwtSvid).map_err(TrustBundleReason::KeySet)?;
        let authorities = KeySet::entries(json).map_err(TrustBundleReason::KeySet)?.into_iter().filter_map(authority);
        let roots = Roots::from_readable(authorities).map_err(|_| TrustBundleReason::Roots)?;
        Ok(Self { keys: Arc::new(keys), roots: Arc::new(roots) })
    }

    /// The keys of JWT-SVIDs.
    pub fn keys(&self) -> &KeySet {
        &self.keys
    }

    /// The authorities of X509-SVIDs.
    pub fn roots(&self) -> &Roots {
        &self.roots
    }
}

impl KeyMaterial {
    pub(super) fn of_bundle(bundle: &TrustBundle) -> Self {
        Self { keys: Arc::clone(&bundle.keys), roots: Some(Arc::clone(&bundle.roots)) }
    }

    pub(super) fn of_roots(roots: &Arc<Roots>) -> Self {
        Self { keys: Arc::new(KeySet::of_signing_keys([])), roots: Some(Arc::clone(roots)) }
    }
}

impl PartialEq for TrustBundle {
    fn eq(&self, other: &Self) -> bool {
        let identity = |bundle: &Self| (bundle.keys.digest(), bundle.roots.digest(), bundle.keys.sequence());
        identity(self) == identity(other)
    }
}

impl Eq for TrustBundle {}

/// The certificate of an entry that is an authority of X509-SVIDs. Only the first one counts (X509-SVID §5.1); an entry without
/// one is left out.
fn authority(entry: &RawValue) -> Option<Vec<u8>> {
    let entry = Object::parse(entry.get()).ok()?;
    let is_authority = entry.text("use").ok().flatten().as_deref() == Some("x509-svid");
    let first = entry.pointer("/x5c/0").and_then(string).filter(|_| is_authority)?;
    STANDARD.decode(first.as_bytes()).ok()
}

impl fmt::Display for TrustBundleReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeySet(reason) => reason.fmt(f),
            Self::Roots => f.write_str("has more than 1024 certificates; authorities that sign no more must be taken out of it"),
        }
    }
}

impl std::error::Error for TrustBundleReason {}
