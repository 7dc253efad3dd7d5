//! `GET /status/{list}` (draft-ietf-oauth-status-list-21 §8) and `GET /status`, which names all lists (§9).
//!
//! A list is signed when somebody asks and it has changed, or was signed half its `ttl` ago; in between everybody gets the same.
//! A list is true at its `iat`: while the lists are not kept current, none is served.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{self, Accept, Header, HeaderMap, Quality};
use actix_web::http::{Method, StatusCode};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use serde_json::json;

use crate::commit::ShownList;
use crate::crypto::Digest;
use crate::http::state::{AppState, CachedList};
use crate::mint::{self, MintReason, status_uri};
use crate::oauth::{ListId, Time};

const STATUS_LIST_JWT: &str = "application/statuslist+jwt";

/// The longest time since the lists were brought up to date, after which they are not served.
const UNCHECKED_MAX: Duration = Duration::from_secs(3);

/// Answers for one list.
pub(super) async fn list(request: HttpRequest, name: Path<String>, state: Data<AppState>) -> HttpResponse {
    // Lists of another time are not served (§8.4).
    if has_time(&request) {
        return plain(StatusCode::NOT_IMPLEMENTED).body("status lists of the past are not kept\n");
    }
    let register = state.commit().status_lists();
    let Some(shown) = ListId::parse(&name).ok().and_then(|list| register.shown(&list)) else {
        return plain(StatusCode::NOT_FOUND).body("not found\n");
    };
    if !accepts(&request) {
        return plain(StatusCode::NOT_ACCEPTABLE).body("a status list is application/statuslist+jwt\n");
    }
    let (now, checked) = (state.now(), register.checked());
    if now.since(checked) > UNCHECKED_MAX {
        return unavailable("the status lists are behind");
    }
    match signed(&state, &shown, checked, now) {
        Ok(signed) => answer(&request, &signed, now),
        Err(reason) => unavailable(&reason.to_string()),
    }
}

/// Names every list that there is.
pub(super) async fn aggregation(state: Data<AppState>) -> HttpResponse {
    let deployment = state.deployment();
    let lists = state.commit().status_lists().all();
    let lists: Vec<String> = lists.iter().map(|list| status_uri(&deployment.issuer, list)).collect();
    let mut answer = open(StatusCode::OK);
    answer.insert_header((header::CACHE_CONTROL, "public, max-age=10"));
    answer.json(json!({ "status_lists": lists }))
}

fn signed(state: &AppState, shown: &ShownList, checked: Time, now: Time) -> Result<Arc<CachedList>, MintReason> {
    let deployment = state.deployment();
    let id = shown.key.id();
    let version = (shown.version, Arc::as_ptr(&deployment) as usize);
    let kept = state.status_lists.get(&id);
    let fresh = |signed: &Arc<CachedList>| signed.version == version && now.since(signed.list.issued_at) * 2 < signed.list.ttl;
    if let Some(signed) = kept.filter(fresh) {
        return Ok(signed);
    }
    let list = mint::status_list(shown, &deployment.minting(), &deployment.catalog, checked, now)?;
    let etag = format!("\"{}\"", Digest::of(list.jwt.as_bytes()));
    let signed = Arc::new(CachedList { list, version, etag });
    let register = state.commit().status_lists();
    state.status_lists.put(id, Arc::clone(&signed), |list| register.shown(list).is_some());
    Ok(signed)
}

fn answer(request: &HttpRequest, signed: &CachedList, now: Time) -> HttpResponse {
    let matches = known(request.headers(), &signed.etag);
    let mut answer = open(if matches { StatusCode::NOT_MODIFIED } else { StatusCode::OK });
    // A cache on the way must not make it live longer than its `ttl` says.
    let left = signed.list.ttl.saturating_sub(now.since(signed.list.issued_at)).as_secs();
    answer.insert_header((header::CACHE_CONTROL, format!("public, max-age={left}, must-revalidate")));
    answer.insert_header((header::ETAG, signed.etag.clone())).insert_header((header::VARY, "Accept"));
    match (matches, request.method() == Method::HEAD) {
        (true, _) => answer.finish(),
        (false, head) => {
            answer.insert_header((header::CONTENT_TYPE, STATUS_LIST_JWT));
            if head { answer.no_chunking(signed.list.jwt.len() as u64).finish() } else { answer.body(signed.list.jwt.clone()) }
        }
    }
}

/// Tells whether the client takes a status list as a JWT (§8.1); it does so unless it says what it takes.
fn accepts(request: &HttpRequest) -> bool {
    if !request.headers().contains_key(header::ACCEPT) {
        return true;
    }
    let accept = Accept::parse(request).map(|accept| accept.0).unwrap_or_default();
    // The most precise of what names it counts (RFC 9110 §12.5.1).
    let named = |name: &str| accept.iter().find(|item| item.item.essence_str().eq_ignore_ascii_case(name));
    let item = [STATUS_LIST_JWT, "application/*", "*/*"].into_iter().find_map(named);
    item.is_some_and(|item| item.quality > Quality::ZERO)
}

/// Tells whether the client has the representation of `etag` already (RFC 9110 §13.1.2).
fn known(headers: &HeaderMap, etag: &str) -> bool {
    let values = headers.get_all(header::IF_NONE_MATCH).filter_map(|value| value.to_str().ok());
    let mut tags = values.flat_map(|value| value.split(',')).map(|tag| tag.trim());
    tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

fn has_time(request: &HttpRequest) -> bool {
    let mut parameters = request.query_string().split('&').map(|pair| pair.split('=').next().unwrap_or_default());
    parameters.any(|name| name == "time")
}

/// Pages of any origin may read it (§8.1).
fn open(status: StatusCode) -> HttpResponseBuilder {
    let mut answer = HttpResponse::build(status);
    answer.insert_header((header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"));
    answer
}

fn plain(status: StatusCode) -> HttpResponseBuilder {
    let mut answer = open(status);
    answer.content_type("text/plain; charset=utf-8").insert_header((header::CACHE_CONTROL, "no-store"));
    answer
}

fn unavailable(why: &str) -> HttpResponse {
    tracing::error!(why, "a status list is not told");
    plain(StatusCode::SERVICE_UNAVAILABLE).insert_header((header::RETRY_AFTER, "1")).body("try again shortly\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn a_list_is_given_to_who_takes_it() {
        assert!(accepts(&TestRequest::get().to_http_request()));
        let accepting = |accept: &str| accepts(&TestRequest::get().insert_header(("Accept", accept)).to_http_request());
        for accept in ["application/statuslist+jwt", "*/*", "application/*;q=0.1", "text/html, Application/StatusList+JWT;q=0.5"]
        {
            assert!(accepting(accept), "{accept}");
        }
        for accept in
            ["application/statuslist+cwt", "text/html", "application/json, text/*", "*/*, application/statuslist+jwt;q=0"]
        {
            assert!(!accepting(accept), "{accept}");
        }
    }

    #[test]
    fn what_a_client_has_is_not_sent_again() {
        let has =
            |value: &str| known(TestRequest::get().insert_header(("If-None-Match", value)).to_http_request().headers(), "\"a\"");
        for value in ["\"a\"", "W/\"a\"", "\"b\", \"a\"", "*"] {
            assert!(has(value), "{value}");
        }
        for value in ["\"b\"", "a", "\"a", ""] {
            assert!(!has(value), "{value}");
        }
    }

    #[test]
    fn the_past_is_asked_for_by_time() {
        let asked = |uri: &str| has_time(&TestRequest::get().uri(uri).to_http_request());
        assert!(
            asked("/status/x?time=1686925000")
                && asked("/status/x?a=b&time")
                && !asked("/status/x?timer=1")
                && !asked("/status/x")
        );
    }
}
