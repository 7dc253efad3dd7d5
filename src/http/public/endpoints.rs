//! The OAuth endpoints: `POST /token` (RFC 6749 §3.2), `POST /introspect` (RFC 7662 §2; signed answers by RFC 9701 §4) and
//! `POST /revoke` (RFC 7009 §2).

use actix_web::http::header::{Accept, Header, Quality};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::error_response::refuse;
use super::form::{handle, read};
use super::origin::open_to;
use super::respond;
use crate::http::state::AppState;
use crate::lines::{self, LineContext};
use crate::mint::{AnswerForm, IssuedToken};
use crate::request::Form;

/// Answers a token request.
pub(super) async fn token(request: HttpRequest, payload: Payload, state: Data<AppState>) -> HttpResponse {
    let answer = |token: IssuedToken, _: LineContext<'_>| {
        state.metrics.issued();
        respond::issued(&token)
    };
    let line = async |context: LineContext<'_>, form: &Form| {
        let token = lines::token(context, form).await?;
        state.metrics.repeats().granted(form, context.now, token.expires_in());
        Ok(token)
    };
    let answered = handle(state.visitor(&request), &state, read(&request, payload, &state), line, answer).await;
    open_to(answered, &request, &state.deployment().origins)
}

/// Answers an introspection request.
pub(super) async fn introspect(request: HttpRequest, payload: Payload, state: Data<AppState>) -> HttpResponse {
    let wanted = wanted(&request);
    let line = async |context: LineContext<'_>, form: &Form| lines::introspect(context, form, wanted).await;
    handle(state.visitor(&request), &state, read(&request, payload, &state), line, |response, _| respond::introspected(response))
        .await
}

/// Answers a revocation request. That a token is not the client's to revoke is recorded and logged, and answered like the rest.
pub(super) async fn revoke(request: HttpRequest, payload: Payload, state: Data<AppState>) -> HttpResponse {
    let visitor = state.visitor(&request).ending();
    let line = async |context: LineContext<'_>, form: &Form| match lines::revoke(context, form).await {
        Err(refused) if refused.is_hidden() => {
            let _untold = refuse(&state, refused, Some(context.credentials), (visitor, context.now)).await;
            Ok(())
        }
        told => told,
    };
    handle(visitor, &state, read(&request, payload, &state), line, |(), _| respond::revoked()).await
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
