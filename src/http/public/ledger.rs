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

use super::error_response::{add_share, for_a_while, refuse, refuse_token, turn_away};
use super::form::{read_headers, with_nonce};
use super::respond::{add_nonce, unstored};
use crate::client::{AccessReason, DpopRules, Endpoint, PROOF_ALGORITHMS};
use crate::commit::PublishedCheckpoint;
use crate::commit::contract::{RecordReader, Select, StoreReason};
use crate::deployment::PROOFS_PATH;
use crate::error::{AccessError, ErrorCode, ExchangeError};
use crate::http::plain::{plain, plain_unstored};
use crate::http::socket::Auditor;
use crate::http::state::AppState;
use crate::http::strangers::Visitor;
use crate::jose::Algorithm;
use crate::ledger::{
    CHECKPOINT_PATH, FIRST_PATH, LogFiles, NodeReason, Tile, TileKind, TileNodes, TlogProof, TlogProofReason, tile_bytes,
};
use crate::lines::{self, LineContext, RefusedRequest};
use crate::oauth::{Jti, Time};
use crate::request::RequestReason;

/// Answers for the file whose path begins after `prefix` bytes of the request's.
pub(super) async fn get(request: HttpRequest, state: Data<AppState>, prefix: usize) -> HttpResponse {
    let auditor = request.conn_data::<Auditor>().is_some();
    // The path as sent: what is spelled otherwise, with percent signs too, names no file.
    let path = request.path().get(prefix..).unwrap_or_default();
    if let Some(jti) = path.strip_prefix("proof/") {
        return proof(&request, &state, jti, auditor).await;
    }
    let tile = Tile::parse(path).ok();
    if tile.is_none() && path != CHECKPOINT_PATH && path != FIRST_PATH {
        return not_found();
    }
    let entries = tile.is_some_and(|tile| tile.kind() == TileKind::Entries);
    if !auditor && (entries || !state.ledger.public) {
        return plain_unstored(StatusCode::FORBIDDEN).body("for auditors only, by the socket ops.sock in the data folder\n");
    }
    let Some(published) = state.ledger.sequencer.published() else { return soon("there is no checkpoint yet\n") };
    match tile {
        None if path == FIRST_PATH => first(&state).await,
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

/// The index of the first entry that is here: those before are pruned (C2SP tlog-tiles).
async fn first(state: &Data<AppState>) -> HttpResponse {
    match first_kept(state).await {
        Ok(first) => plain_unstored(StatusCode::OK).body(format!("{first}\n")),
        Err(reason) => failed(&*reason),
    }
}

async fn first_kept(state: &Data<AppState>) -> Result<u64, Box<dyn std::error::Error + Send + Sync>> {
    let records = Arc::clone(&state.ledger.records);
    Ok(web::block(move || records.first()).await??)
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
        Ok(Err(NodeReason::Missing(_))) => match first_kept(state).await {
            Ok(first) if tile.is_pruned(first) => pruned(first),
            _ => not_found(),
        },
        Ok(Err(reason)) => failed(&reason),
        Err(reason) => failed(&reason),
    }
}

async fn proof(request: &HttpRequest, state: &Data<AppState>, jti: &str, auditor: bool) -> HttpResponse {
    let Ok(jti) = Jti::parse(jti) else { return not_found() };
    if auditor {
        return stored_proof(state, jti, true).await;
    }
    let (now, deployment, visitor) = (state.now(), state.deployment(), state.visitor(request));
    if let Err(seconds) = state.strangers.admit(visitor, now) {
        return turn_away(state, seconds);
    }
    let credentials = match read_headers(request, state) {
        Ok(credentials) => credentials,
        Err(ExchangeError::Proof(reason)) => {
            return challenge(&AccessError::Credential(AccessReason::Proof(reason)), state, (&deployment.dpop, visitor, now));
        }
        Err(ExchangeError::Request(RequestReason::Repeated("Authorization"))) => {
            return challenge(&AccessError::Credential(AccessReason::Malformed), state, (&deployment.dpop, visitor, now));
        }
        Err(reason) => return refuse(state, RefusedRequest::before_login(reason), None, (visitor, now)).await,
    };
    let (commit, rates) = (state.commit(), &state.rates);
    let context = LineContext { deployment: &deployment, commit, credentials: &credentials, rates, now };
    let path = format!("{PROOFS_PATH}/{jti}");
    match lines::show_access_token(context, Endpoint::get(&path), jti).await {
        Ok(()) => with_nonce(stored_proof(state, jti, false).await, context),
        Err(reason) => challenge(&reason, state, (&deployment.dpop, visitor, now)),
    }
}

async fn stored_proof(state: &AppState, jti: Jti, auditor: bool) -> HttpResponse {
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
    let failed = |reason: StoreReason| ProofFailure::Failed(reason.into());
    let Some(index) = records.index_of(jti).map_err(failed)? else { return Ok(None) };
    let mut nodes = TileNodes::new(files, published.head.size());
    let proof = TlogProof::build(&mut nodes, index, &published.head, &published.note).map_err(|reason| match reason {
        TlogProofReason::Beyond => ProofFailure::Soon,
        other => ProofFailure::Failed(other.into()),
    })?;
    if !with_record {
        return Ok(Some(proof));
    }
    // By the hop: one that is held may lie before the first record that is kept.
    let Some(found) = records.records(Select::Jti(jti), index, 1).map_err(failed)?.pop() else { return Ok(None) };
    proof.with_extra(found.record).map(Some).map_err(|reason| ProofFailure::Failed(reason.into()))
}

/// The refusal of an access token, with the challenges of RFC 6750 §3 and RFC 9449 §7.1: the one whose scheme the error is of;
/// both where there is no error, because there is no token.
fn challenge(reason: &AccessError, state: &AppState, (rules, visitor, now): (&DpopRules, Visitor<'_>, Time)) -> HttpResponse {
    let code = reason.code();
    let mut answer = unstored(match code {
        Some(ErrorCode::InvalidRequest) => StatusCode::BAD_REQUEST,
        Some(ErrorCode::InsufficientScope) => StatusCode::FORBIDDEN,
        Some(ErrorCode::TemporarilyUnavailable) => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::UNAUTHORIZED,
    });
    if let (Some(ErrorCode::TemporarilyUnavailable), AccessError::Commit(reason)) = (code, reason) {
        answer.status(for_a_while(*reason));
        add_share(&mut answer, *reason);
    }
    let error = code.map(|code| format!(", error=\"{}\"", code.as_str())).unwrap_or_default();
    let dpop = format!("DPoP realm=\"ledger\", algs=\"{}\"{error}", PROOF_ALGORITHMS.map(Algorithm::name).join(" "));
    let bearer = format!("Bearer realm=\"ledger\"{error}");
    match (code, reason) {
        (Some(ErrorCode::TemporarilyUnavailable), AccessError::Commit(reason)) => {
            answer.insert_header((header::RETRY_AFTER, reason.retry_after().unwrap_or(1)))
        }
        (Some(ErrorCode::TemporarilyUnavailable), _) => answer.insert_header((header::RETRY_AFTER, "1")),
        (None, _) => answer.append_header((header::WWW_AUTHENTICATE, bearer)).append_header((header::WWW_AUTHENTICATE, dpop)),
        (_, AccessError::Credential(reason)) if reason.is_proof() => answer.insert_header((header::WWW_AUTHENTICATE, dpop)),
        (_, AccessError::Commit(_)) => answer.insert_header((header::WWW_AUTHENTICATE, dpop)),
        _ => answer.insert_header((header::WWW_AUTHENTICATE, bearer)),
    };
    let mut answer = refuse_token(state, reason, answer, (visitor, now));
    if code == Some(ErrorCode::UseDpopNonce) {
        add_nonce(&mut answer, rules, now);
    }
    answer
}

fn pruned(first: u64) -> HttpResponse {
    let words = format!("the entries before {first} are pruned; whoever keeps this log has them in an archive\n");
    plain_unstored(StatusCode::GONE).body(words)
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
