//! Which transaction is meant: by its own id, or by something in it.

use std::path::Path;

use crate::admin::{self, FindQuery};
use crate::cli::log::records_of;
use crate::cli::output::Failure;
use crate::commit::contract::Select;
use crate::ledger::record::{Field, Term};
use crate::oauth::{Jti, TaskId, Txn};
use crate::store;

/// The transaction that `id` names: its `txn`, the `jti` of a token of it, a task in it, or the `error_id` of a refusal. An id
/// that could be a transaction's and names nothing is taken for one; none, which is told, for a refusal that belongs to none.
///
/// # Errors
/// When it names nothing, or the records cannot be read.
pub(super) fn transaction(data: &Path, id: &str) -> Result<Option<Txn>, Failure> {
    let (reader, failed) = (records_of(data)?, |reason| Failure::at(data, &reason));
    let (txn, jti, task) = (Txn::parse(id).ok(), Jti::parse(id).ok(), TaskId::parse(id).ok());
    if let Some(txn) = txn
        && !reader.records(Select::Txn(txn), 0, 1).map_err(failed)?.is_empty()
    {
        return Ok(Some(txn));
    }
    if let Some(jti) = jti
        && let Some(txn) = reader.records(Select::Jti(jti), 0, 1).map_err(failed)?.first().and_then(|stored| stored.txn)
    {
        return Ok(Some(txn));
    }
    let mut index = store::find_index(data).map_err(failed)?;
    let (mut found, terms) = (None, [task.map(|task| Term::new(Field::Task, task)), Some(Term::new(Field::ErrorId, id))]);
    for term in terms.into_iter().flatten() {
        let query = FindQuery { terms: vec![term], limit: 1, ..FindQuery::default() };
        found = found.or(admin::find(&mut *index, &*reader, &query, None)?.records.into_iter().next());
    }
    match (found, txn) {
        (Some(stored), _) if stored.txn.is_some() => Ok(stored.txn),
        (Some(_), _) => {
            say!("that refusal belongs to no transaction; see countersign ledger find --error-id {id}");
            Ok(None)
        }
        (_, Some(txn)) => Ok(Some(txn)),
        (None, None) => Err(Failure::new(
            "nothing is recorded under that id; it must be the txn or the jti of a token, a task, or the error_id of a refusal",
        )),
    }
}
