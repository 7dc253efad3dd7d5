//! An answer of the server, and the token in it.

use serde_json::Value;

use crate::jose::Decoded;

/// A response of the server under test.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The headers in order, names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// The body as text.
    pub(crate) body: String,
    /// The body as JSON, if it is.
    pub(crate) json: Option<Value>,
    /// The issued access token taken apart and verified, or why it could not be; nothing when the body has none.
    pub(crate) token: Option<Result<Decoded, String>>,
}

impl Answer {
    /// The first header of that name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The issued token, if it is a JWT whose signature was right.
    pub(crate) fn verified(&self) -> Option<&Decoded> {
        self.token.as_ref().and_then(|token| token.as_ref().ok())
    }

    /// The value of `NAME.body.access_token`, `NAME.claims.exp`, `NAME.jose.kid` and the like.
    pub(crate) fn at(&self, path: &str) -> Option<&Value> {
        let (root, members) = path.split_once('.')?;
        let root = match root {
            "body" => self.json.as_ref()?,
            "claims" => &self.verified()?.claims,
            "jose" => &self.verified()?.header,
            _ => return None,
        };
        member(root, members.split('.'))
    }
}

/// Follows `path` through objects and, by number, arrays.
pub(crate) fn member<'v, 'p>(value: &'v Value, path: impl IntoIterator<Item = &'p str>) -> Option<&'v Value> {
    path.into_iter().try_fold(value, |value, name| match value {
        Value::Array(items) => items.get(name.parse::<usize>().ok()?),
        other => other.get(name),
    })
}
