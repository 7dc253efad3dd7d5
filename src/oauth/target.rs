//! Where a token is to be used (RFC 8707 §2, RFC 8693 §2.1).

use std::fmt;
use std::sync::Arc;

use url::Url;

/// A `resource`: an absolute URI without a fragment (RFC 8707 §2), kept byte for byte. An API's id is one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Resource(Arc<str>);

/// An `audience`: the logical name of a target, agreed between client and server (RFC 8693 §2.1).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Audience(Arc<str>);

/// Why a string names no target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetReason {
    /// Empty or longer than 2,048 bytes.
    Length,
    /// Not an absolute URI.
    NotAbsolute,
    /// Carries a fragment.
    Fragment,
}

const LENGTH_MAX: usize = 2048;

impl Resource {
    /// Checks `text` and keeps it unchanged.
    ///
    /// # Errors
    /// The rule of RFC 8707 §2 that it breaks.
    pub fn parse(text: &str) -> Result<Self, TargetReason> {
        if text.is_empty() || text.len() > LENGTH_MAX {
            return Err(TargetReason::Length);
        }
        if text.contains('#') {
            return Err(TargetReason::Fragment);
        }
        if text.bytes().any(|byte| !byte.is_ascii_graphic()) || Url::parse(text).is_err() {
            return Err(TargetReason::NotAbsolute);
        }
        Ok(Self(text.into()))
    }

    /// The URI as given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Audience {
    /// Checks `text` and keeps it unchanged.
    ///
    /// # Errors
    /// `Length` when it is empty or longer than 2,048 bytes.
    pub fn parse(text: &str) -> Result<Self, TargetReason> {
        let fits = !text.is_empty() && text.len() <= LENGTH_MAX;
        fits.then(|| Self(text.into())).ok_or(TargetReason::Length)
    }

    /// The name as given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for TargetReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Length => "must have 1 to 2048 bytes",
            Self::NotAbsolute => "must be an absolute URI",
            Self::Fragment => "must not have a fragment",
        })
    }
}
