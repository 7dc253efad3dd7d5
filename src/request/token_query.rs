//! A request about one token: introspection (RFC 7662 §2.1) and revocation (RFC 7009 §2.1) ask in the same way.

use super::{Form, RequestReason, token_text};

/// A well-formed request about one token. Made only by [`TokenQuery::parse`].
#[derive(Debug)]
pub struct TokenQuery {
    text: String,
}

impl TokenQuery {
    /// Reads a request about a token. `token_type_hint` may come once and is not looked at: what a token is, it says itself,
    /// and a hint that is wrong or unknown must not change the answer (RFC 7009 §2.2, RFC 7662 §2.1).
    ///
    /// # Errors
    /// `Repeated` or `Missing`.
    pub fn parse(form: &Form) -> Result<Self, RequestReason> {
        if let Some(repeated) = ["token", "token_type_hint"].into_iter().find(|name| form.all(name).nth(1).is_some()) {
            return Err(RequestReason::Repeated(repeated));
        }
        token_text(form, "token").map(|text| Self { text }).ok_or(RequestReason::Missing("token"))
    }

    /// The token, without the trailing white space that some clients send with a token file.
    pub fn text(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    fn parse(body: &str) -> Result<String, RequestReason> {
        TokenQuery::parse(&Form::decode(body.as_bytes(), 8).unwrap()).map(|request| request.text().to_owned())
    }

    #[test]
    fn a_token_comes_once_and_a_hint_at_most_once() {
        assert_eq!(parse("token=a.b.c%0A").unwrap(), "a.b.c");
        assert_eq!(parse("token=a&token_type_hint=nonsense").unwrap(), "a");
        assert_eq!(parse("token_type_hint=access_token"), Err(RequestReason::Missing("token")));
        assert_eq!(parse("token=&token=+"), Err(RequestReason::Missing("token")));
        assert_eq!(parse("token=a&token=b"), Err(RequestReason::Repeated("token")));
        assert_eq!(parse("token=a&token_type_hint=x&token_type_hint=x"), Err(RequestReason::Repeated("token_type_hint")));
    }
}
