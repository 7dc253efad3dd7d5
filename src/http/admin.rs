//! `/ops/…`: local administration, by the socket only. Whoever reaches it is the user that the server runs as, or the superuser.

use std::fmt;
use std::future::{Ready, ready};
use std::sync::PoisonError;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::rt::time::timeout;
use actix_web::web::{self, Bytes, Data, Path, ServiceConfig};
use actix_web::{FromRequest, HttpRequest, HttpResponse, ResponseError};
use serde::Serialize;
use serde_json::json;

use super::socket::Auditor;
use super::state::AppState;
use crate::admin::{
    self, AdminReason, AgentQuery, ArchivedRecords, FindQuery, FoundPage, RevokeTarget, RevokedTarget, SubjectFinder, TrialGround,
};
use crate::commit::{CommitReason, Transition};
use crate::crypto::Digest;
use crate::jose::Compact;
use crate::ledger::record::StateCause;
use crate::oauth::{ClientId, RuleName, TaskId, Txn};
use crate::request::Form;
use crate::store::{self, KeyFiles, KeyFilesReason};

/// The most parameters of a command.
const PARAMETERS_MAX: usize = 16;

/// The longest body of a command, in bytes.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// How often, and with what pause, it is looked whether the server has taken up a change of its keys.
const TAKEN_UP_LOOKS: u32 = 100;
const TAKEN_UP_PAUSE: Duration = Duration::from_millis(50);

/// How long a look at the configuration's files is waited for.
const LOOK: Duration = Duration::from_secs(10);

/// The routes below `/ops/`.
pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(
        web::scope("/ops")
            .app_data(web::PayloadConfig::new(BODY_BYTES_MAX))
            .route("/agents", web::get().to(agents))
            .route("/agents/{transition}", web::post().to(change_agent))
            .route("/tasks", web::get().to(tasks))
            .route("/clock/accept", web::post().to(accept_clock))
            .route("/clock/correct", web::post().to(correct_clock))
            .route("/configuration", web::get().to(configuration))
            .route("/configuration/accept", web::post().to(accept_configuration))
            .route("/ledger/find", web::post().to(find_records))
            .route("/ledger/state", web::post().to(record_state))
            .route("/ledger/archived", web::post().to(archived))
            .route("/ledger/holds", web::get().to(holds))
            .route("/ledger/hold", web::post().to(hold))
            .route("/ledger/release", web::post().to(release))
            .route("/keys/revoke", web::post().to(revoke_key))
            .route("/policy/explain", web::post().to(explain_policy))
            .route("/trust/grants", web::get().to(grants))
            .route("/trust/try", web::post().to(try_token))
            .route("/revoke", web::post().to(revoke)),
    );
}

/// A page of the inventory of agents: those after the parameter `after`, or the one that `id` names.
async fn agents(_operator: Auditor, request: HttpRequest, state: Data<AppState>) -> Result<HttpResponse, AdminError> {
    let form = query(&request)?;
    let counted = web::block(move || {
        let mut usage = state.usage.lock().unwrap_or_else(PoisonError::into_inner);
        admin::catch_up(&mut usage, &*state.ledger.records)?;
        let wanted = form.get("id").map_or(AgentQuery::After(form.get("after").unwrap_or_default()), AgentQuery::One);
        Ok(admin::inventory(&state.deployment(), state.commit(), &usage, wanted, state.now()))
    });
    let agents = counted.await.map_err(|reason| AdminError(StatusCode::INTERNAL_SERVER_ERROR, reason.to_string()))?;
    Ok(HttpResponse::Ok().json(agents.map_err(AdminError::of)?))
}

/// A page of the tasks that are remembered: those opened before the parameter `after`, `limit` at most.
async fn tasks(_operator: Auditor, request: HttpRequest, state: Data<AppState>) -> Result<HttpResponse, AdminError> {
    let form = query(&request)?;
    let after = form.get("after").map(TaskId::parse).transpose();
    let after = after.map_err(|_| AdminError::malformed("after must be the id of a task, the next of the page before"))?;
    let limit = form.get("limit").map_or(Ok(admin::TASK_PAGE_MAX), str::parse);
    let limit = limit.map_err(|_| AdminError::malformed("limit must be a number"))?;
    Ok(HttpResponse::Ok().json(admin::task_page(&state.deployment(), state.commit(), after, limit, state.now())))
}

/// A page of the grants of third parties: those of the rules after the parameter `after`.
async fn grants(_operator: Auditor, request: HttpRequest, state: Data<AppState>) -> Result<HttpResponse, AdminError> {
    let form = query(&request)?;
    let counted = web::block(move || {
        let mut usage = state.usage.lock().unwrap_or_else(PoisonError::into_inner);
        admin::catch_up(&mut usage, &*state.ledger.records)?;
        Ok(admin::grants(&state.deployment(), &*state.commit().state(), &usage, form.get("after").unwrap_or_default()))
    });
    let grants = counted.await.map_err(|reason| AdminError(StatusCode::INTERNAL_SERVER_ERROR, reason.to_string()))?;
    Ok(HttpResponse::Ok().json(grants.map_err(AdminError::of)?))
}

/// Tries the parameter `token` under the rules and keys in force, or under the rule that `rule` names. It is recorded nowhere.
async fn try_token(_operator: Auditor, body: Bytes, state: Data<AppState>) -> Result<HttpResponse, AdminError> {
    let form = Form::decode(&body, PARAMETERS_MAX).map_err(AdminError::malformed)?;
    let token = Compact::parse(form.get("token").unwrap_or_default());
    let token = token.map_err(|reason| AdminError::malformed(format!("the token {reason}")))?;
    let rule = form.get("rule").map(RuleName::parse).transpose();
    let rule = rule.map_err(|reason| AdminError::malformed(format!("the rule {reason}")))?;
    let (deployment, recorded) = (state.deployment(), state.commit().state());
    let ground = TrialGround::of(&deployment, Some(&*recorded));
    let tried = admin::try_token(ground, &token, rule.as_ref(), state.now()).await;
    let waits = state.board.shown().is_some();
    Ok(HttpResponse::Ok().json(json!({ "tried": tried, "waits": waits })))
}

/// Decides on the parameter `request` by the policies in force, as if it came now. It is recorded nowhere.
async fn explain_policy(_operator: Auditor, body: Bytes, state: Data<AppState>) -> Result<HttpResponse, AdminError> {
    let form = Form::decode(&body, PARAMETERS_MAX).map_err(AdminError::malformed)?;
    let (deployment, now) = (state.deployment(), state.now());
    let decided = web::block(move || {
        let request = form.get("request").unwrap_or_default();
        admin::explain_policy(&deployment.policies, &deployment.catalog, request, now)
    });
    let explained = decided.await.map_err(|reason| AdminError(StatusCode::INTERNAL_SERVER_ERROR, reason.to_string()))?;
    Ok(HttpResponse::Ok().json(explained.map_err(AdminError::of)?))
}

/// The parameters in the address.
fn query(request: &HttpRequest) -> Result<Form, AdminError> {
    Form::decode(request.query_string().as_bytes(), PARAMETERS_MAX).map_err(AdminError::malformed)
}

/// The configuration that is not in force yet, as the files are now, and not as they were at the last look.
async fn configuration(_operator: Auditor, state: Data<AppState>) -> HttpResponse {
    let waits = timeout(LOOK, state.board.look()).await;
    HttpResponse::Ok().json(json!({ "waits": waits.unwrap_or_else(|_| state.board.shown()) }))
}

/// Accepts the configuration that the parameter `digest` names, and answers when it is in force, or says that it is not yet.
async fn accept_configuration(_operator: Auditor, body: Bytes, state: Data<AppState>) -> Result<HttpResponse, AdminError> {
    let form = Form::decode(&body, PARAMETERS_MAX).map_err(AdminError::malformed)?;
    let digest = Digest::parse(form.get("digest").unwrap_or_default());
    let digest = digest.ok_or_else(|| AdminError::malformed("digest must be that of the configuration that waits"))?;
    if !state.board.accept(digest) {
        return Err(AdminError(StatusCode::CONFLICT, "that configuration does not wait any more; look again".to_owned()));
    }
    let waits = || state.board.shown().is_some_and(|shown| shown.digest == digest);
    for _ in 0..TAKEN_UP_LOOKS {
        if !waits() {
            break;
        }
        actix_web::rt::time::sleep(TAKEN_UP_PAUSE).await;
    }
    Ok(HttpResponse::Ok().json(json!({ "digest": digest.to_string(), "in_force": state.board.is_in_force(&digest) })))
}

/// Suspends, resumes or retires the agent `id`, or suspends or resumes its running copy `instance`; or ends everything of it.
async fn change_agent(
    _operator: Auditor,
    name: Path<String>,
    body: Bytes,
    state: Data<AppState>,
) -> Result<HttpResponse, AdminError> {
    let transition = match name.as_str() {
        "suspend" => Some(Transition::Suspend),
        "resume" => Some(Transition::Resume),
        "retire" => Some(Transition::Retire),
        "compromise" => None,
        _ => return Err(AdminError(StatusCode::NOT_FOUND, "an agent can be suspended, resumed or retired".to_owned())),
    };
    let form = Form::decode(&body, PARAMETERS_MAX).map_err(AdminError::malformed)?;
    let agent = ClientId::parse(form.get("id").unwrap_or_default());
    let agent = agent.map_err(|_| AdminError::malformed("id must be the id of an agent"))?;
    let (deployment, commit, reason) = (state.deployment(), state.commit(), form.get("reason"));
    let Some(transition) = transition else {
        let done = admin::compromise(&deployment, commit, &agent, reason).await;
        return done.map(|done| HttpResponse::Ok().json(done)).map_err(AdminError::of);
    };
    let instance = form.get("instance").filter(|instance| !instance.is_empty());
    let done = admin::change_status(&deployment, commit, (&agent, instance), transition, reason).await.map_err(AdminError::of)?;
    let target = match instance {
        Some(instance) => RevokeTarget::Instance(agent, instance.to_owned()),
        None => RevokeTarget::Agent(agent),
    };
    recognised(done, target, state).await
}

/// Believes the clock of the machine as it is, and records that it is so late.
async fn accept_clock(_operator: Auditor, state: Data<AppState>) -> HttpResponse {
    let doubted = state.clock().doubt().is_some();
    state.clock().accept();
    let recorded = state.commit().checkpoint(StateCause::Interval).await.is_ok();
    let now = state.now().seconds();
    tracing::warn!(now, doubted, "an operator says that the clock is right");
    HttpResponse::Ok().json(json!({ "now": now, "doubted": doubted, "recorded": recorded }))
}

/// Ends the epoch of a clock that was wrong, for the `reason` that is given.
async fn correct_clock(_operator: Auditor, body: Bytes, state: Data<AppState>) -> Result<HttpResponse, AdminError> {
    let form = Form::decode(&body, PARAMETERS_MAX).map_err(AdminError::malformed)?;
    let done = admin::correct_clock(state.commit(), state.clock(), form.get("reason")).await.map_err(AdminError::of)?;
    Ok(HttpResponse::Ok().json(done))
}

/// Ends the one thing that the parameters `what` and `value` name.
async fn revoke(_operator: Auditor, body: Bytes, state: Data<AppState>) -> Result<HttpResponse, AdminError> {
    let form = Form::decode(&body, PARAMETERS_MAX).map_err(AdminError::malformed)?;
    let (name, value) = (form.get("what").unwrap_or_default(), form.get("value").unwrap_or_default());
    let target = RevokeTarget::parse(name, value, form.get("agent")).map_err(AdminError::of)?;
    let done = admin::revoke(&state.deployment(), state.commit(), &*state.ledger.records, &target, form.get("reason")).await;
    recognised(done.map_err(AdminError::of)?, target, state).await
}

/// What is done, with whether anything knows the name; the records may have to be read for that.
async fn recognised<T: Serialize + Send + 'static>(
    done: T,
    target: RevokeTarget,
    state: Data<AppState>,
) -> Result<HttpResponse, AdminError> {
    let looked = web::block(move || admin::recognised(done, &target, &state.deployment(), &*state.ledger.records));
    let told = looked.await.map_err(|reason| AdminError(StatusCode::INTERNAL_SERVER_ERROR, reason.to_string()))?;
    Ok(HttpResponse::Ok().json(told))
}

/// Revokes the key of this server that the parameter `key` names, and answers when it is out of use, or says that it is not yet.
async fn revoke_key(_operator: Auditor, body: Bytes, state: Data<AppState>) -> Result<HttpResponse, AdminError> {
    let form = Form::decode(&body, PARAMETERS_MAX).map_err(AdminError::malformed)?;
    let (name, now) = (form.get("key").unwrap_or_default().to_owned(), state.now());
    store::find_key(&state.keys, &name, now).map_err(AdminError::of_keys)?;
    let done = admin::revoke_key(&state.deployment(), state.commit(), &name, now, form.get("reason")).await;
    let (folder, key) = (state.keys.clone(), name.clone());
    // Also where its end is not recorded yet: what acts, acts.
    let revoked = web::block(move || store::revoke_key(&folder, &key, now)).await;
    revoked.map_err(|reason| AdminError(StatusCode::INTERNAL_SERVER_ERROR, reason.to_string()))?.map_err(AdminError::of_keys)?;
    let done = done.map_err(AdminError::of)?;
    let mut taken_up = false;
    for _ in 0..TAKEN_UP_LOOKS {
        taken_up = !state.deployment().signers.has(&name);
        if taken_up {
            break;
        }
        actix_web::rt::time::sleep(TAKEN_UP_PAUSE).await;
    }
    let RevokedTarget { ended, name, recorded, .. } = done;
    Ok(HttpResponse::Ok().json(json!({ "ended": ended, "name": name, "recorded": recorded, "taken_up": taken_up })))
}

/// The records that the parameters ask for; with `disclose=true` what is personal in them too.
async fn find_records(_operator: Auditor, body: Bytes, state: Data<AppState>) -> Result<HttpResponse, AdminError> {
    let form = Form::decode(&body, PARAMETERS_MAX).map_err(AdminError::malformed)?;
    let found = web::block(move || found_records(&form, &state)).await;
    let found = found.map_err(|reason| AdminError(StatusCode::INTERNAL_SERVER_ERROR, reason.to_string()))?;
    Ok(HttpResponse::Ok().json(found?))
}

fn found_records(form: &Form, state: &AppState) -> Result<FoundPage, AdminError> {
    let disclose = form.get("disclose") == Some("true");
    let query = FindQuery::parse(form.pairs().filter(|(name, _)| *name != "disclose")).map_err(AdminError::of)?;
    let keys = KeyFiles::open(&state.keys, state.now()).map_err(AdminError::of_keys)?;
    let (root, pseudonyms) = (keys.root().map_err(AdminError::of_keys)?, keys.pseudonyms().map_err(AdminError::of_keys)?);
    let finder = SubjectFinder { root: &root, pseudonyms: &pseudonyms };
    let records = &*state.ledger.records;
    let mut index = store::find_index(&state.ledger.data).map_err(|reason| AdminError::of(AdminReason::Store(reason)))?;
    let found = admin::find(&mut *index, records, &query, Some(&finder)).map_err(AdminError::of)?;
    found.told(records, disclose.then_some(&root)).map_err(AdminError::of)
}

/// Records the digest of the state, which is stored with it: what is archived ends there.
async fn record_state(_operator: Auditor, state: Data<AppState>) -> Result<HttpResponse, AdminError> {
    let recorded = state.commit().checkpoint(StateCause::Interval).await;
    recorded.map_err(|reason| AdminError::of(AdminReason::Commit(reason)))?;
    Ok(HttpResponse::Ok().json(json!({ "recorded": true })))
}

/// Records that archives have the records before `until`, and the state that the record at `snapshot` names.
async fn archived(_operator: Auditor, body: Bytes, state: Data<AppState>) -> Result<HttpResponse, AdminError> {
    let form = Form::decode(&body, PARAMETERS_MAX).map_err(AdminError::malformed)?;
    let number = |name: &str| form.get(name).and_then(|text| text.parse::<u64>().ok());
    let numbers = number("until").zip(number("snapshot"));
    let (until, snapshot) = numbers.ok_or_else(|| AdminError::malformed("until and snapshot must be numbers"))?;
    let signed = state.ledger.sequencer.published().map_or(0, |published| published.head.size());
    let archive = ArchivedRecords { until, snapshot };
    let done = admin::archived(state.commit(), &*state.ledger.records, signed, archive).await.map_err(AdminError::of)?;
    Ok(HttpResponse::Ok().json(done))
}

/// Every transaction that is held.
async fn holds(_operator: Auditor, state: Data<AppState>) -> HttpResponse {
    HttpResponse::Ok().json(json!({ "holds": admin::holds(state.commit()) }))
}

/// Holds the transaction `txn`.
async fn hold(_operator: Auditor, body: Bytes, state: Data<AppState>) -> Result<HttpResponse, AdminError> {
    let form = Form::decode(&body, PARAMETERS_MAX).map_err(AdminError::malformed)?;
    let done = admin::hold(state.commit(), &*state.ledger.records, transaction(&form)?, form.get("reason")).await;
    Ok(HttpResponse::Ok().json(done.map_err(AdminError::of)?))
}

/// Holds the transaction `txn` no longer.
async fn release(_operator: Auditor, body: Bytes, state: Data<AppState>) -> Result<HttpResponse, AdminError> {
    let form = Form::decode(&body, PARAMETERS_MAX).map_err(AdminError::malformed)?;
    let txn = transaction(&form)?;
    admin::release(state.commit(), txn, form.get("reason")).await.map_err(AdminError::of)?;
    Ok(HttpResponse::Ok().json(json!({ "txn": txn.to_string() })))
}

fn transaction(form: &Form) -> Result<Txn, AdminError> {
    let txn = Txn::parse(form.get("txn").unwrap_or_default());
    txn.map_err(|_| AdminError::malformed("txn must be the txn of a token, a UUID"))
}

/// Everybody else is refused.
impl FromRequest for Auditor {
    type Error = AdminError;
    type Future = Ready<Result<Self, AdminError>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let refusal = || AdminError(StatusCode::FORBIDDEN, "for the user that the server runs as".to_owned());
        ready(request.conn_data::<Self>().copied().ok_or_else(refusal))
    }
}

/// A refusal with its sentence.
#[derive(Debug)]
pub(super) struct AdminError(StatusCode, String);

impl AdminError {
    fn malformed(what: impl fmt::Display) -> Self {
        Self(StatusCode::BAD_REQUEST, what.to_string())
    }

    fn of_keys(reason: KeyFilesReason) -> Self {
        let status = match reason {
            KeyFilesReason::Unknown(..) => StatusCode::NOT_FOUND,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self(status, reason.to_string())
    }

    fn of(reason: AdminReason) -> Self {
        let status = match reason {
            AdminReason::Malformed(_) | AdminReason::Commit(CommitReason::TooLarge) => StatusCode::BAD_REQUEST,
            AdminReason::Unknown(_) => StatusCode::NOT_FOUND,
            AdminReason::Retired | AdminReason::Commit(CommitReason::Retired | CommitReason::ClockRight | CommitReason::Kept) => {
                StatusCode::CONFLICT
            }
            AdminReason::Commit(_) | AdminReason::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self(status, reason.to_string())
    }
}

impl fmt::Display for AdminError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.1)
    }
}

impl ResponseError for AdminError {
    fn status_code(&self) -> StatusCode {
        self.0
    }

    fn error_response(&self) -> HttpResponse {
        HttpResponse::build(self.0).json(json!({ "error": self.1 }))
    }
}
