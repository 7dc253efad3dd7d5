//! Token type identifiers (RFC 8693 §3).

use std::fmt;

/// A token type identifier (RFC 8693 §3): one of the registered ones, or a well-formed URI that names something we do not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenType {
    /// An access token that this server issued.
    AccessToken,
    /// A refresh token; we issue none.
    RefreshToken,
    /// An OpenID Connect ID Token.
    IdToken,
    /// A base64url-encoded SAML 1.1 assertion.
    Saml1,
    /// A base64url-encoded SAML 2.0 assertion.
    Saml2,
    /// A JWT, whoever issued it.
    Jwt,
    /// An identity assertion authorization grant (draft-ietf-oauth-identity-assertion-authz-grant).
    IdJag,
    /// A transaction token (draft-ietf-oauth-transaction-tokens).
    TxnToken,
    /// Some other absolute URI.
    Other,
}

/// Why a string is not a token type identifier: it is not an absolute URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenTypeReason;

const NAMES: [(&str, TokenType); 8] = [
    ("urn:ietf:params:oauth:token-type:access_token", TokenType::AccessToken),
    ("urn:ietf:params:oauth:token-type:refresh_token", TokenType::RefreshToken),
    ("urn:ietf:params:oauth:token-type:id_token", TokenType::IdToken),
    ("urn:ietf:params:oauth:token-type:saml1", TokenType::Saml1),
    ("urn:ietf:params:oauth:token-type:saml2", TokenType::Saml2),
    ("urn:ietf:params:oauth:token-type:jwt", TokenType::Jwt),
    ("urn:ietf:params:oauth:token-type:id-jag", TokenType::IdJag),
    ("urn:ietf:params:oauth:token-type:txn_token", TokenType::TxnToken),
];

impl TokenType {
    /// Recognises `text`, compared as a string.
    ///
    /// # Errors
    /// When it is not an absolute URI at all (RFC 8693 §3).
    pub fn parse(text: &str) -> Result<Self, TokenTypeReason> {
        if let Some((_, known)) = NAMES.iter().find(|(name, _)| *name == text) {
            return Ok(*known);
        }
        let absolute = text.len() <= 2048 && url::Url::parse(text).is_ok();
        absolute.then_some(Self::Other).ok_or(TokenTypeReason)
    }

    /// The registered identifier; for `Other` a placeholder that is never put on the wire.
    pub fn as_str(self) -> &'static str {
        NAMES.iter().find(|(_, known)| *known == self).map_or("another type", |(name, _)| name)
    }
}

impl fmt::Display for TokenType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
