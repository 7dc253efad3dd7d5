//! `/ops/ledger/find`: a page of the records that an investigator asks for.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{self, Bytes, Data};
use serde_json::Value;

use super::{AdminError, PARAMETERS_MAX};
use crate::admin::{self, AdminReason, FindQuery, SubjectFinder};
use crate::http::socket::Auditor;
use crate::http::state::AppState;
use crate::request::Form;
use crate::store::{self, KeyFiles};

/// The records that the parameters ask for; with `disclose=true` what is personal in them too.
pub(super) async fn find(_operator: Auditor, body: Bytes, state: Data<AppState>) -> Result<HttpResponse, AdminError> {
    let form = Form::decode(&body, PARAMETERS_MAX).map_err(AdminError::malformed)?;
    let found = web::block(move || answered(&form, &state)).await;
    let found = found.map_err(|reason| AdminError(StatusCode::INTERNAL_SERVER_ERROR, reason.to_string()))?;
    Ok(HttpResponse::Ok().json(found?))
}

fn answered(form: &Form, state: &AppState) -> Result<Value, AdminError> {
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
