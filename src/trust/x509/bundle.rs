//! The X.509 authorities in a SPIFFE bundle (SPIFFE Trust Domain and Bundle §4.2).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::{Roots, X509Reason};

#[derive(Deserialize)]
struct Bundle {
    keys: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "use")]
    key_use: Option<String>,
    #[serde(default)]
    x5c: Vec<String>,
}

impl Roots {
    /// The roots in a bundle: of each entry with `use: x509-svid` the first certificate, whatever follows it. Entries without
    /// one are ignored. Empty when there is none: then every X509-SVID of the trust domain is refused.
    ///
    /// # Errors
    /// When the bundle or a certificate in it cannot be read.
    pub fn from_bundle(json: &str) -> Result<Self, X509Reason> {
        let bundle: Bundle = serde_json::from_str(json).map_err(|_| X509Reason::Malformed)?;
        let authorities = bundle.keys.iter().filter(|entry| entry.key_use.as_deref() == Some("x509-svid"));
        let decoded = authorities.filter_map(|entry| entry.x5c.first()).map(|text| STANDARD.decode(text));
        let certificates: Vec<Vec<u8>> = decoded.collect::<Result<_, _>>().map_err(|_| X509Reason::Malformed)?;
        Self::from_der(certificates)
    }
}
