//! Issuer identifiers (RFC 8414 §2, OpenID Connect Discovery §3).

use std::fmt;
use std::sync::Arc;

use url::Url;

use super::is_printable;

/// An issuer identifier: an `https` URL without query, fragment or user information, kept byte for byte because issuers are
/// compared as strings. Plain `http` is allowed for loopback hosts only.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Issuer(Arc<str>);

/// Why a string is not an issuer identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IssuerReason {
    /// Longer than 2,048 bytes or empty.
    Length,
    /// Not an absolute URL.
    NotUrl,
    /// A scheme other than `https`, or `http` away from loopback.
    Scheme,
    /// Carries a query, a fragment or user information.
    Extra,
    /// Begins or ends with a blank, or has a character that cannot be seen.
    Unseen,
}

impl Issuer {
    /// Checks `text` and keeps it unchanged.
    ///
    /// # Errors
    /// The first rule of RFC 8414 §2 that it breaks.
    pub fn parse(text: &str) -> Result<Self, IssuerReason> {
        if text.is_empty() || text.len() > 2048 {
            return Err(IssuerReason::Length);
        }
        let url = Url::parse(text).map_err(|_| IssuerReason::NotUrl)?;
        if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
            return Err(IssuerReason::Extra);
        }
        match url.scheme() {
            "https" => Ok(Self(text.into())),
            "http" if is_loopback(&url) => Ok(Self(text.into())),
            _ => Err(IssuerReason::Scheme),
        }
    }

    /// The name of another issuer, which calls itself as it likes in `iss`: any text that can be seen.
    ///
    /// # Errors
    /// `Length` or `Unseen`.
    pub fn named(text: &str) -> Result<Self, IssuerReason> {
        match text {
            _ if text.is_empty() || text.len() > 2048 => Err(IssuerReason::Length),
            _ if text.trim() != text || !is_printable(text) => Err(IssuerReason::Unseen),
            _ => Ok(Self(text.into())),
        }
    }

    /// The identifier as configured.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path of the identifier without its trailing slash: what metadata addresses and endpoints are built on.
    pub fn path(&self) -> String {
        Url::parse(&self.0).map(|url| url.path().trim_end_matches('/').to_owned()).unwrap_or_default()
    }

    /// An address under this issuer: the identifier, without a trailing slash, followed by `path`.
    pub fn join(&self, path: &str) -> String {
        format!("{}{path}", self.0.trim_end_matches('/'))
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for IssuerReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Length => "must have 1 to 2048 bytes",
            Self::NotUrl => "must be an absolute URL",
            Self::Scheme => "must use https (http only on a loopback host)",
            Self::Unseen => "must not begin or end with a blank, nor have characters that cannot be seen",
            Self::Extra => "must not have a query, a fragment or user information",
        })
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}
