//! The folder of policies, and what the settings say of them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::load::{DEFAULTS, LoadContext};
use super::reader::TableReader;
use crate::diagnostic::{Diagnostic, Located, SourceLocation, nearest};

/// The end of the name of a policy file.
const EXTENSION: &str = "cedar";

/// The ends of names that are no policies and are not taken for any.
const OTHERS: [&str; 6] = ["cedarschema", "json", "md", "txt", "toml", "xml"];

/// `[policies]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicySettings {
    /// The ids of the forbids without any one of which the configuration is refused.
    pub required: Vec<Located<String>>,
}

impl PolicySettings {
    pub(super) fn read(mut reader: TableReader<'_>) -> Option<Self> {
        reader.need(&["required"]);
        let required = reader.take_texts("required");
        reader.finish();
        let required = required?.into_iter().filter(|id| !id.value.is_empty()).collect();
        Some(Self { required })
    }
}

/// A policy file as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyText {
    /// The file, as diagnostics name it.
    pub file: Arc<str>,
    /// Its text.
    pub text: String,
}

/// The policy files of the folder, as written. What else lies there is told.
pub(super) fn policies(context: &LoadContext, folder: &Located<PathBuf>) -> Vec<PolicyText> {
    let mut policies = Vec::new();
    context.unread(&folder.value, EXTENSION).iter().for_each(|path| tell_of_unread(context, &folder.value, path));
    for path in files(context, folder, EXTENSION) {
        let file = path.to_string_lossy();
        let location = SourceLocation::line(file.as_ref(), 1);
        let Some(text) = context.text(&path, &location) else { continue };
        if text.trim().is_empty() {
            let sentence =
                "an empty policy file is taken for one that is being written; remove it, or say in a comment what it is for";
            context.error(location, sentence);
        }
        policies.push(PolicyText { file: file.into(), text });
    }
    policies
}

/// The files of a folder whose names end in `.extension`.
pub(super) fn files(context: &LoadContext, folder: &Located<PathBuf>, extension: &'static str) -> Vec<PathBuf> {
    let may_be_missing = &*folder.location.file == DEFAULTS.0;
    context.files(&folder.value, extension, &folder.location, may_be_missing)
}

/// Tells of a file that is not read: as a mistake where it looks like a policy, for a `forbid` in it would be lost.
fn tell_of_unread(context: &LoadContext, folder: &Path, path: &Path) {
    let location = SourceLocation::file(path.to_string_lossy());
    let extension = path.extension().unwrap_or_default().to_string_lossy().into_owned();
    let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().first() == Some(&b'.'));
    if path.parent() != Some(folder) {
        let sentence = "a policy file in a folder below is not read; move it into the folder of the policies";
        return context.error(location, sentence);
    }
    match nearest(&extension, [EXTENSION]) {
        _ if hidden && extension == EXTENSION => {
            context.warn(location, "a policy file whose name begins with a dot is not read; rename it, or remove it");
        }
        _ if hidden || OTHERS.contains(&&*extension) => {}
        Some(_) => {
            let sentence = "the file is not read, for its name does not end in .cedar; rename it, or remove it";
            context.report(Diagnostic::new(location, sentence).near(&extension, [EXTENSION]));
        }
        None => context.warn(location, "the file is not read, for its name does not end in .cedar; rename it, or move it away"),
    }
}
