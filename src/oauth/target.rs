//! The target of a token: the service where it is to be used (RFC 8707 §2, RFC 8693 §2.1).

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
        let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        let absolute = visible && (is_plain(text) || Url::parse(text).is_ok());
        absolute.then(|| Self(text.into())).ok_or(TargetReason::NotAbsolute)
    }

    /// The URI as given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The URI as all its equivalent spellings have it (RFC 3986 §6.2.2 and §6.2.3): scheme and host in lower case, no default
    /// port, and `/` for an empty path. None for what is no URL.
    pub fn common_form(&self) -> Option<String> {
        Url::parse(&self.0).ok().map(String::from)
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

/// The common form, seen to be a URI without the full parser, which costs more than all else that is done with an identifier:
/// https, a name of two labels or more, the last of them of letters only, and at most a path of unreserved characters
/// (RFC 3986 §2.3).
fn is_plain(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("https://") else { return false };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let Some((front, last)) = host.rsplit_once('.') else { return false };
    let plain = |label: &str| label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) && !label.is_empty();
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    let letters = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_lowercase());
    host.len() < 200 && letters && front.split('.').all(plain) && path.bytes().all(unreserved)
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_plainly_a_uri_is_one(
            text in "https://[a-z0-9.-]{0,12}(\\.[a-z0-9]{0,5})?(:[0-9]{1,6})?(/[a-zA-Z0-9._~/%?@-]{0,12})?",
        ) {
            prop_assert!(!is_plain(&text) || Url::parse(&text).is_ok(), "{}", text);
        }
    }

    #[test]
    fn a_resource_is_an_absolute_uri_without_fragment() {
        for plain in ["https://crm.example", "https://a.b.c.example/x/y-z", "https://api2.example/"] {
            assert!(is_plain(plain) && Resource::parse(plain).is_ok(), "{plain}");
        }
        for other in ["urn:example:crm", "https://crm.example:8443/x?y", "https://[::1]/", "http://127.0.0.1:1"] {
            assert!(!is_plain(other) && Resource::parse(other).is_ok(), "{other}");
        }
        for (text, reason) in [
            ("", TargetReason::Length),
            ("crm", TargetReason::NotAbsolute),
            ("https://", TargetReason::NotAbsolute),
            ("https://crm.example/a b", TargetReason::NotAbsolute),
            ("https://crm.example/#x", TargetReason::Fragment),
            ("https://crm.example:port", TargetReason::NotAbsolute),
        ] {
            assert_eq!(Resource::parse(text), Err(reason), "{text}");
        }
    }
}
