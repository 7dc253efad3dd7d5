//! `POST /introspect` (RFC 7662 §2), with signed answers for who asks for them (RFC 9701 §4).

use actix_web::http::header::{Accept, Header, Quality};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::error_response::refuse;
use super::form::read;
use super::respond;
use crate::exchange::RefusedRequest;
use crate::http::state::AppState;
use crate::introspect;
use crate::mint::AnswerForm;

/// Answers an introspection request.
pub(super) async fn introspect(request: HttpRequest, payload: Payload, state: Data<AppState>) -> HttpResponse {
    let now = state.now();
    let (form, credentials) = match read(&request, payload, &state).await {
        Ok(read) => read,
        Err(reason) => return refuse(&state, RefusedRequest { reason, asked: None }, None, now),
    };
    let world = state.deployment();
    match introspect::introspect(&world, state.commit(), &form, &credentials, wanted(&request), now).await {
        Ok(told) => respond::told(told),
        Err(refused) => refuse(&state, refused, Some(&credentials), now),
    }
}

/// A JWT where `Accept` names it, unless it names JSON with more weight. A wildcard does not name it.
fn wanted(request: &HttpRequest) -> AnswerForm {
    let accept = Accept::parse(request).map(|accept| accept.0).unwrap_or_default();
    let weight = |name: &str| -> Quality {
        let named = accept.iter().filter(|item| item.item.essence_str().eq_ignore_ascii_case(name));
        named.map(|item| item.quality).max().unwrap_or(Quality::ZERO)
    };
    let signed = weight(respond::INTROSPECTION_JWT);
    if signed > Quality::ZERO && signed >= weight("application/json") { AnswerForm::Jwt } else { AnswerForm::Json }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn accepting(accept: &str) -> AnswerForm {
        wanted(&TestRequest::post().insert_header(("Accept", accept)).to_http_request())
    }

    #[test]
    fn a_signed_answer_is_given_to_who_names_it() {
        // RFC 9701 §4: the resource server asks by Accept: application/token-introspection+jwt.
        assert_eq!(wanted(&TestRequest::post().to_http_request()), AnswerForm::Json);
        for accept in ["application/json", "*/*", "application/*", "application/token-introspection+jwt;q=0", "", "/"] {
            assert_eq!(accepting(accept), AnswerForm::Json, "{accept}");
        }
        for accept in [
            "application/token-introspection+jwt",
            "application/json, application/token-introspection+jwt",
            "application/json;q=0.5, Application/Token-Introspection+JWT;q=0.6, */*",
        ] {
            assert_eq!(accepting(accept), AnswerForm::Jwt, "{accept}");
        }
        assert_eq!(accepting("application/json, application/token-introspection+jwt;q=0.9"), AnswerForm::Json);
    }
}
