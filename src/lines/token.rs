//! The token endpoint (RFC 6749 §3.2): one line, for every grant type.

use super::exchange::exchange;
use super::login::LineContext;
use super::refused::RefusedRequest;
use crate::mint::IssuedToken;
use crate::oauth::GrantType;
use crate::request::{ExchangeRequest, Form, TokenRequest};

/// The values of `grant_type` that are served: `grant_types_supported` of the metadata (RFC 8414 §2).
pub fn grant_types() -> [&'static str; GrantType::NAMES.len()] {
    GrantType::NAMES.map(|(name, _)| name)
}

/// Answers a token request, by the parameters and the error table of its grant type.
///
/// # Errors
/// A malformed request, a grant type that is not served, or the reason of the first stage to refuse.
pub async fn token(context: LineContext<'_>, form: &Form) -> Result<IssuedToken, RefusedRequest> {
    let request = ExchangeRequest::parse(&TokenRequest::parse(form)?)?;
    exchange(context, &request).await
}
