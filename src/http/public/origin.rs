//! What browsers and the field `Host` ask for, before any endpoint: pages of other origins, and hosts that are none.

use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse};

/// The headers that a page may send to the token endpoint, and those of an answer that it may read.
const SENT: &str = "Authorization, Content-Type, DPoP, MCP-Protocol-Version";
const READ: &str = "DPoP-Nonce, Retry-After, RateLimit, RateLimit-Policy, WWW-Authenticate";

/// For how long a browser need not ask again, in seconds.
const AGE: &str = "3600";

/// Any page may read an answer: no cookie and nothing else that a browser adds by itself proves anybody here, and a browser sends
/// no client certificate where every origin is let in (Fetch §3.2.5).
pub(super) fn open(answer: HttpResponse) -> HttpResponse {
    readable(answer, HeaderValue::from_static("*"))
}

/// Pages of `origins` may read an answer to them, and no others: the origin of who asked, where it is one of them. Never with
/// credentials of the browser.
pub(super) fn open_to(mut answer: HttpResponse, request: &HttpRequest, origins: &[String]) -> HttpResponse {
    if request.headers().contains_key(header::ORIGIN) {
        answer.headers_mut().append(header::VARY, HeaderValue::from_static("Origin"));
    }
    match named(request, origins) {
        Some(origin) => readable(answer, origin.clone()),
        None => answer,
    }
}

/// The answer to a browser that asks whether a page of one of `origins` may post (Fetch §3.2.3). None for any other request.
pub(super) fn preflight(request: &HttpRequest, origins: &[String]) -> Option<HttpResponse> {
    let asks = *request.method() == Method::OPTIONS && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    named(request, origins).filter(|_| asks)?;
    let mut answer = HttpResponse::build(StatusCode::NO_CONTENT);
    answer.insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, "POST"));
    answer.insert_header((header::ACCESS_CONTROL_ALLOW_HEADERS, SENT));
    answer.insert_header((header::ACCESS_CONTROL_MAX_AGE, AGE));
    Some(open_to(answer.finish(), request, origins))
}

/// The origin of the page that asks, where it is byte for byte one of `origins`.
fn named<'a>(request: &'a HttpRequest, origins: &[String]) -> Option<&'a HeaderValue> {
    let mut sent = request.headers().get_all(header::ORIGIN);
    let origin = sent.next().filter(|_| sent.next().is_none())?;
    origins.iter().any(|known| known.as_bytes() == origin.as_bytes()).then_some(origin)
}

fn readable(mut answer: HttpResponse, by: HeaderValue) -> HttpResponse {
    let headers = answer.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, by);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(READ));
    answer
}

/// True where `Host` is no host with an optional port (RFC 9110 §7.2, RFC 3986 §3.2.2), for which RFC 9112 §3.2 wants 400. That
/// it is missing or there twice is told before.
pub(super) fn has_invalid_host(headers: &HeaderMap) -> bool {
    headers.get(header::HOST).is_some_and(|host| !is_host(host.as_bytes()))
}

fn is_host(host: &[u8]) -> bool {
    let (name, port) = match host.iter().rposition(|byte| *byte == b']') {
        Some(end) => host.split_at(end + 1),
        None => host.split_at(host.iter().position(|byte| *byte == b':').unwrap_or(host.len())),
    };
    let port = port.strip_prefix(b":").or_else(|| port.is_empty().then_some(port));
    let literal = name.strip_prefix(b"[").and_then(|name| name.strip_suffix(b"]"));
    let in_literal = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
    // Percent-encoding and sub-delims are of RFC 3986; names in the DNS have none.
    let in_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(byte);
    let named = literal.map_or_else(|| name.iter().all(in_name), |literal| !literal.is_empty() && literal.iter().all(in_literal));
    named && port.is_some_and(|port| port.iter().all(u8::is_ascii_digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_address_with_an_optional_port() {
        for host in ["", "a.example", "a.example:8693", "127.0.0.1:1", "[::1]", "[::1]:8693", "xn--a_b~c.example", "a.example:"] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in
            ["a b", "a.example/x", "a.example?", "a@b", "a:b", "a:1:2", "[::1", "::1", "[]", "[a b]", "a\\b", "\u{e9}", "[::1]x"]
        {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }
}
