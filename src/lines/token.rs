//! The token endpoint (RFC 6749 §3.2): one line for each grant, chosen by `grant_type`.

use std::pin::Pin;

use super::exchange::exchange;
use super::login::LineContext;
use super::refused::RefusedRequest;
use crate::mint::IssuedToken;
use crate::request::{Form, RequestReason, TOKEN_EXCHANGE, TokenRequest};

/// A grant that the token endpoint serves.
struct GrantLine {
    /// The registered value of `grant_type`.
    grant_type: &'static str,
    /// The line that answers its requests.
    line: for<'a> fn(LineContext<'a>, &'a TokenRequest<'a>) -> LineFuture<'a>,
}

type LineFuture<'a> = Pin<Box<dyn Future<Output = Result<IssuedToken, RefusedRequest>> + Send + 'a>>;

/// Every grant that is served, in the order of the metadata.
const GRANTS: [GrantLine; 1] =
    [GrantLine { grant_type: TOKEN_EXCHANGE, line: |context, request| Box::pin(exchange(context, request)) }];

/// The values of `grant_type` that are served: `grant_types_supported` of the metadata (RFC 8414 §2).
pub fn grant_types() -> [&'static str; GRANTS.len()] {
    GRANTS.map(|grant| grant.grant_type)
}

/// Answers a token request by the line of its grant.
///
/// # Errors
/// A malformed request, a grant that is not served, or the reason of the first stage to refuse.
pub async fn token(context: LineContext<'_>, form: &Form) -> Result<IssuedToken, RefusedRequest> {
    let request = TokenRequest::parse(form)?;
    let grant = GRANTS.iter().find(|grant| grant.grant_type == request.grant_type());
    let grant = grant.ok_or(RequestReason::GrantUnsupported)?;
    (grant.line)(context, &request).await
}
