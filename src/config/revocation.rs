//! `crl_file` and `client_crl`: lists of certificates that their issuers took back.

use std::path::PathBuf;

use super::Diagnostic;
use super::desk::Desk;
use super::reader::{Located, Reader};
use crate::catalog::Place;
use crate::x509::{RevocationList, Roots};

/// The lists in the files that `key` names; empty when it is not written, none when any of them is wrong.
pub(super) fn take(reader: &mut Reader<'_>, key: &'static str) -> Option<Vec<RevocationList>> {
    if !reader.has(key) {
        return Some(Vec::new());
    }
    let (desk, place) = (reader.desk(), reader.place_of(key));
    let files = reader.take_paths(key)?;
    if files.is_empty() {
        // Whoever writes the key wants revocation looked at; with no file it would not be.
        desk.complain(Diagnostic::new(place, format!("`{key}` must name at least one file, or be left out")));
        return None;
    }
    read(desk, &files)
}

/// The lists in `files`.
pub(super) fn read(desk: &Desk, files: &[Located<PathBuf>]) -> Option<Vec<RevocationList>> {
    let each: Vec<Option<Vec<RevocationList>>> = files.iter().map(|file| one(desk, file)).collect();
    each.into_iter().collect::<Option<Vec<_>>>().map(|lists| lists.concat())
}

/// Tells of roots below which nobody can be accepted.
pub(super) fn warn_of_unlisted(desk: &Desk, place: &Place, roots: &Roots) {
    let lacking = roots.without_list();
    if lacking > 0 {
        let sentence = format!(
            "{lacking} of {} authorities have no revocation list of their own here, so nothing that they issued is accepted; \
             every certificate of a chain below its root needs one",
            roots.len()
        );
        desk.warn(Diagnostic::new(place.clone(), sentence));
    }
}

fn one(desk: &Desk, file: &Located<PathBuf>) -> Option<Vec<RevocationList>> {
    let bytes = desk.list(&file.value, &file.place)?;
    let place = Place { file: file.value.to_string_lossy().into(), line: 1 };
    RevocationList::read(&bytes).map_err(|reason| desk.complain(Diagnostic::new(place, reason.to_string()))).ok()
}
