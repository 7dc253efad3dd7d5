//! Answers in plain text, and the route of what is read.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, HttpResponseBuilder, Route, guard};

/// An answer in plain text.
pub(super) fn plain(status: StatusCode) -> HttpResponseBuilder {
    let mut answer = HttpResponse::build(status);
    answer.content_type("text/plain; charset=utf-8");
    answer
}

/// An answer in plain text that no cache keeps.
pub(super) fn plain_unstored(status: StatusCode) -> HttpResponseBuilder {
    let mut answer = plain(status);
    answer.insert_header((header::CACHE_CONTROL, "no-store"));
    answer
}

/// 404 for every address that is not served: clients that try several addresses move on only then.
pub(super) async fn not_found() -> HttpResponse {
    plain(StatusCode::NOT_FOUND).body("not found\n")
}

/// The route of what is read: `HEAD` is answered wherever `GET` is (RFC 9110 §9.3.2).
pub(super) fn reading() -> Route {
    Route::new().guard(guard::Any(guard::Get()).or(guard::Head()))
}
