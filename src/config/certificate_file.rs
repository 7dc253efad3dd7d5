//! Files with certificates, and with the lists by which their issuers take them back.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::load::LoadContext;
use super::reader::TableReader;
use crate::diagnostic::{Located, SourceLocation};
use crate::x509::{RevocationList, Roots};

/// The certificates in a PEM file, at least one.
pub(super) fn certificates(context: &LoadContext, file: &Located<PathBuf>) -> Option<Vec<CertificateDer<'static>>> {
    let text = context.text(&file.value, &file.location)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    match chain {
        Ok(chain) if !chain.is_empty() => Some(chain),
        _ => {
            context.error(file.location.clone(), format!("{} has no certificate in PEM", file.value.display()));
            None
        }
    }
}

/// The authorities in a PEM file, under revocation lists if there are any.
pub(super) fn roots(context: &LoadContext, file: &Located<PathBuf>, lists: Vec<RevocationList>) -> Option<Arc<Roots>> {
    let certificates = certificates(context, file)?;
    let failed = |reason| context.error(file.location.clone(), format!("{}: {reason}", file.value.display()));
    let roots = Roots::from_der(certificates).map_err(failed).ok()?.under(lists);
    warn_of_unlisted(context, &file.location, &roots);
    Some(Arc::new(roots))
}

/// The revocation lists in the files that `key` names (`crl_file`); empty when it is not written, none when any of them is wrong.
pub(super) fn take_lists(reader: &mut TableReader<'_>, key: &'static str) -> Option<Vec<RevocationList>> {
    if !reader.has(key) {
        return Some(Vec::new());
    }
    let location = reader.location_of(key);
    let files = reader.take_paths(key)?;
    if files.is_empty() {
        // Whoever writes the key wants revocation looked at; with no file it would not be.
        reader.error(location, format!("`{key}` must name at least one file, or be left out"));
        return None;
    }
    lists(reader.context(), &files)
}

/// The revocation lists in `files`.
pub(super) fn lists(context: &LoadContext, files: &[Located<PathBuf>]) -> Option<Vec<RevocationList>> {
    let each: Vec<Option<Vec<RevocationList>>> = files.iter().map(|file| list(context, file)).collect();
    each.into_iter().collect::<Option<Vec<_>>>().map(|lists| lists.concat())
}

fn list(context: &LoadContext, file: &Located<PathBuf>) -> Option<Vec<RevocationList>> {
    let bytes = context.list(&file.value, &file.location)?;
    let location = SourceLocation::line(file.value.to_string_lossy(), 1);
    let lists = RevocationList::read(&bytes).map_err(|reason| context.error(location, reason.to_string())).ok()?;
    let name: Arc<str> = file.value.to_string_lossy().into();
    Some(lists.into_iter().map(|list| list.in_file(Arc::clone(&name))).collect())
}

/// Warns of roots below which nobody can be accepted.
pub(super) fn warn_of_unlisted(context: &LoadContext, location: &SourceLocation, roots: &Roots) {
    let lacking = roots.without_list();
    if lacking > 0 {
        let sentence = format!(
            "{lacking} of {} authorities have no revocation list of their own here, so nothing that they issued is accepted; \
             every certificate of a chain below its root needs one",
            roots.len()
        );
        context.warn(location.clone(), sentence);
    }
}
