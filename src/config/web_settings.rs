//! `[metadata]` and `[cors]`: what clients discover of us, and which pages of browsers may ask for tokens.

use url::Url;

use super::reader::TableReader;

/// `[metadata]` and `[cors]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebSettings {
    /// True where the metadata lists the scopes of all APIs: `scopes_supported` (RFC 8414 §2).
    pub scopes_supported: bool,
    /// The origins whose pages may read answers of the token endpoint, as `Origin` has them (Fetch §3.2).
    pub origins: Vec<String>,
}

impl WebSettings {
    /// Reads both tables of the settings.
    pub(super) fn read(reader: &mut TableReader<'_>) -> Option<Self> {
        let scopes_supported = reader.take_table("metadata").and_then(|mut table| {
            table.need(&["scopes_supported"]);
            let found = table.take_boolean("scopes_supported");
            table.finish();
            found
        });
        let origins = reader.take_table("cors").and_then(|mut table| {
            table.need(&["origins"]);
            let found = table.take_each("origins", origin);
            table.finish();
            found
        });
        let origins = origins?.into_iter().flatten().map(|found| found.value).collect();
        Some(Self { scopes_supported: scopes_supported?.value, origins })
    }
}

/// An origin byte for byte as browsers serialise it (RFC 6454 §6.2), since it is compared with what they send.
fn origin(text: &str) -> Result<String, String> {
    let parsed = Url::parse(text).map(|url| url.origin().ascii_serialization()).ok();
    match parsed {
        Some(same) if same == text && !text.contains('*') => Ok(same),
        Some(other) if other != "null" && other != text => {
            Err(format!("must be an origin as browsers send it, \"{other}\", not \"{text}\""))
        }
        _ => Err("must be the origin of a page, such as \"https://app.example\"; neither \"*\" nor \"null\" is one".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_scheme_host_and_port_and_nothing_else() {
        for text in ["https://app.example", "http://localhost:6274", "https://app.example:8443", "http://[::1]:1"] {
            assert_eq!(origin(text).as_deref(), Ok(text));
        }
        for text in [
            "null",
            "*",
            "",
            "app.example",
            "https://",
            "https://*.example",
            "file:///x",
            "data:x",
            "https://app.example/",
            "https://app.example:443",
            "https://App.example",
            "https://app.example/x",
            "https://a@app.example",
        ] {
            assert!(origin(text).is_err(), "{text}");
        }
    }
}
