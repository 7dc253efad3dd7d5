//! `GET /ledger/…`: the log as C2SP tlog-tiles says, and proofs (C2SP tlog-proof).
//!
//! | who asks | checkpoint, tiles of hashes | bundles of entries | proof |
//! |---|---|---|---|
//! | anybody | with `access = "public"` | no | no |
//! | who shows the token itself | as anybody | no | of that token's hop |
//! | an auditor, by the socket | yes | yes | yes, with the record |

use std::sync::Arc;

use actix_web::http::{StatusCode, header};
use actix_web::web::{self, Data};
use actix_web::{HttpRequest, HttpResponse};

use crate::commit::PublishedCheckpoint;
use crate::commit::contract::{RecordReader, Select, Stored};
use crate::http::plain::{plain, plain_unstored};
use crate::http::socket::Auditor;
use crate::http::state::AppState;
use crate::ledger::{CHECKPOINT_PATH, LogFiles, NodeReason, Tile, TileKind, TileNodes, TlogProof, TlogProofReason, tile_bytes};
use crate::oauth::Jti;

/// Answers for the file whose path begins after `prefix` bytes of the request's.
pub(super) async fn get(request: HttpRequest, state: Data<AppState>, prefix: usize) -> HttpResponse {
    let auditor = request.conn_data::<Auditor>().is_some();
    // The path as sent: what is spelled otherwise, with percent signs too, names no file.
    let path = request.path().get(prefix..).unwrap_or_default();
    if let Some(jti) = path.strip_prefix("proof/") {
        return proof(&request, &state, jti, auditor).await;
    }
    let tile = Tile::parse(path).ok();
    if tile.is_none() && path != CHECKPOINT_PATH {
        return not_found();
    }
    let entries = tile.is_some_and(|tile| tile.kind() == TileKind::Entries);
    if !auditor && (entries || !state.ledger.public) {
        return plain_unstored(StatusCode::FORBIDDEN).body("for auditors only, by the socket ops.sock in the data folder\n");
    }
    let Some(published) = state.ledger.sequencer.published() else { return soon("there is no checkpoint yet\n") };
    match tile {
        None => checkpoint(&published),
        Some(tile) if tile.is_within(published.head.size()) => file(&state, tile).await,
        Some(_) => not_found(),
    }
}

/// It changes, so nobody keeps it for long.
fn checkpoint(published: &PublishedCheckpoint) -> HttpResponse {
    let fresh = (header::CACHE_CONTROL, "max-age=1, must-revalidate");
    plain(StatusCode::OK).insert_header(fresh).body(published.note.clone())
}

/// A tile never changes; a partial one may give way to the full one that begins with it.
async fn file(state: &Data<AppState>, tile: Tile) -> HttpResponse {
    let files = Arc::clone(&state.ledger.files);
    match web::block(move || tile_bytes(&*files, tile)).await {
        Ok(Ok(bytes)) => {
            let mut answer = HttpResponse::Ok();
            answer.content_type("application/octet-stream");
            let scope = if tile.kind() == TileKind::Entries { "private" } else { "public" };
            answer.insert_header((header::CACHE_CONTROL, format!("{scope}, max-age=31536000, immutable")));
            answer.body(bytes)
        }
        Ok(Err(NodeReason::Missing(_))) => not_found(),
        Ok(Err(reason)) => failed(&reason),
        Err(reason) => failed(&reason),
    }
}

async fn proof(request: &HttpRequest, state: &Data<AppState>, jti: &str, auditor: bool) -> HttpResponse {
    let Ok(jti) = Jti::parse(jti) else { return not_found() };
    if !auditor && let Some(refusal) = refused(request, state, jti) {
        return refusal;
    }
    let Some(published) = state.ledger.sequencer.published() else { return soon("there is no checkpoint yet\n") };
    let (files, records) = (Arc::clone(&state.ledger.files), Arc::clone(&state.ledger.records));
    match web::block(move || build(&*files, &*records, &published, jti, auditor)).await {
        Ok(Ok(Some(proof))) => plain_unstored(StatusCode::OK).body(proof.to_string()),
        Ok(Ok(None)) => not_found(),
        Ok(Err(ProofFailure::Soon)) => soon("the record is not in a published checkpoint yet\n"),
        Ok(Err(ProofFailure::Failed(reason))) => failed(&*reason),
        Err(reason) => failed(&reason),
    }
}

/// The reasons why a record that is there has no proof.
enum ProofFailure {
    Soon,
    Failed(Box<dyn std::error::Error + Send + Sync>),
}

/// The proof of the hop's record. With it an auditor gets the record; a token's holder does not, for it says more than the
/// token does.
fn build(
    files: &dyn LogFiles,
    records: &dyn RecordReader,
    published: &PublishedCheckpoint,
    jti: Jti,
    with_record: bool,
) -> Result<Option<TlogProof>, ProofFailure> {
    let found = records.records(Select::Jti(jti), 0, 1).map_err(|reason| ProofFailure::Failed(reason.into()))?;
    let Some(Stored { index, record, .. }) = found.into_iter().next() else { return Ok(None) };
    let mut nodes = TileNodes::new(files, published.head.size());
    let proof = TlogProof::build(&mut nodes, index, &published.head, &published.note).map_err(|reason| match reason {
        TlogProofReason::Beyond => ProofFailure::Soon,
        other => ProofFailure::Failed(other.into()),
    })?;
    if !with_record {
        return Ok(Some(proof));
    }
    proof.with_extra(record).map(Some).map_err(|reason| ProofFailure::Failed(reason.into()))
}

/// The refusal, unless the request shows the token of the hop itself: genuine, even if it has run out.
fn refused(request: &HttpRequest, state: &AppState, jti: Jti) -> Option<HttpResponse> {
    let challenge = |challenge: &'static str| {
        let mut answer = plain_unstored(StatusCode::UNAUTHORIZED);
        answer.insert_header((header::WWW_AUTHENTICATE, challenge));
        Some(
            answer.body("for auditors by the socket ops.sock in the data folder, or with the token itself as the bearer token\n"),
        )
    };
    let Some(token) = bearer(request) else { return challenge("Bearer realm=\"ledger\"") };
    match state.deployment().own.hop_of(token) {
        Ok(hop) if hop == jti => None,
        Ok(_) => Some(plain_unstored(StatusCode::FORBIDDEN).body("the token is another hop's\n")),
        Err(_) => challenge("Bearer realm=\"ledger\", error=\"invalid_token\""),
    }
}

/// The one bearer token of the request (RFC 6750 §2.1).
fn bearer(request: &HttpRequest) -> Option<&str> {
    let mut headers = request.headers().get_all(header::AUTHORIZATION);
    let value = headers.next().filter(|_| headers.next().is_none())?;
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim())
}

fn not_found() -> HttpResponse {
    plain_unstored(StatusCode::NOT_FOUND).body("not found\n")
}

fn soon(what: &'static str) -> HttpResponse {
    plain_unstored(StatusCode::SERVICE_UNAVAILABLE).insert_header((header::RETRY_AFTER, "1")).body(what)
}

fn failed(reason: &dyn std::error::Error) -> HttpResponse {
    tracing::error!(%reason, "a file of the ledger cannot be served");
    plain_unstored(StatusCode::INTERNAL_SERVER_ERROR).body("the ledger cannot be read; see the log\n")
}
