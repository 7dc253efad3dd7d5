//! The case format: one text file, one rule, a few requests with what must come back. `README.md` is its manual.

mod expectation;
mod names;
mod parse;
mod template;
#[cfg(test)]
mod tests;

pub use expectation::{Check, Expect, Op, Place, Shape};
pub use parse::parse;
pub use template::{Arg, Part, Template};

use std::fmt;
use std::path::{Path, PathBuf};

/// One parsed case.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its path below the folder of cases, without the extension: `rfc8693/2.1-subject-token-missing`.
    pub name: String,
    /// The file, for messages.
    pub file: PathBuf,
    /// The comment at its top: where the rule is written, and the rule.
    pub rule: String,
    /// Capabilities of the profile without which the case is skipped.
    pub requires: Vec<String>,
    /// Bindings and steps in order.
    pub items: Vec<Item>,
}

/// A line of a case's story.
#[derive(Clone, Debug)]
pub enum Item {
    /// `let NAME = VALUE`: computed once, where it stands.
    Let {
        /// Line in the file.
        line: usize,
        /// The name of the binding in later lines.
        name: String,
        /// The value of the binding.
        value: Template,
    },
    /// A request and what must come back.
    Step(Box<Step>),
}

/// A request and what must come back.
#[derive(Clone, Debug)]
pub struct Step {
    /// Line of the request in the file.
    pub line: usize,
    /// The HTTP method.
    pub method: String,
    /// `token`, `jwks`, a path on the server, or an absolute address.
    pub target: Template,
    /// The role of the client that authenticates, by its login in the profile.
    pub client: Option<String>,
    /// The certificate that the client shows, instead of that of its login.
    pub certificate: Option<String>,
    /// The name of the answer in later lines.
    pub name: Option<String>,
    /// Parameters, headers, or a raw body, in order.
    pub fields: Vec<Field>,
    /// The expectation for the answer.
    pub expect: Expect,
}

/// An indented line under a request.
#[derive(Clone, Debug)]
pub enum Field {
    /// `name = value`: a form parameter.
    Param(String, Template),
    /// `Name: value`: a header.
    Header(String, Template),
    /// `body: text`: the body as it stands.
    Body(Template),
}

/// A mistake in a case file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1; 0 when the whole file is meant.
    pub line: usize,
    /// The mistake, as a sentence.
    pub what: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.what)
    }
}

/// Reads every `.case` file below `folder`, in alphabetical order.
///
/// # Errors
/// All complaints of all files.
pub fn load(folder: &Path) -> Result<Vec<Case>, Vec<Complaint>> {
    let mut files = Vec::new();
    collect(folder, &mut files).map_err(|error| vec![complaint(folder, error.to_string())])?;
    files.sort();
    let (mut cases, mut complaints) = (Vec::new(), Vec::new());
    for file in files {
        let name = file.strip_prefix(folder).unwrap_or(&file).with_extension("").display().to_string();
        let text = std::fs::read_to_string(&file).map_err(|error| vec![complaint(&file, error.to_string())])?;
        match parse(&name, &file, &text) {
            Ok(case) => cases.push(case),
            Err(mut more) => complaints.append(&mut more),
        }
    }
    if cases.is_empty() && complaints.is_empty() {
        complaints.push(complaint(folder, "there is no .case file here".to_owned()));
    }
    if complaints.is_empty() { Ok(cases) } else { Err(complaints) }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "case") {
            files.push(path);
        }
    }
    Ok(())
}

fn complaint(file: &Path, what: String) -> Complaint {
    Complaint { file: file.to_owned(), line: 0, what }
}

impl Step {
    /// All templates of the step, with the line they stand in.
    pub(crate) fn templates(&self) -> impl Iterator<Item = &Template> {
        let fields = self.fields.iter().map(|field| match field {
            Field::Param(_, value) | Field::Header(_, value) | Field::Body(value) => value,
        });
        let checks = self.expect.checks.iter().filter_map(|check| check.value.as_ref());
        let places = self.expect.checks.iter().filter_map(|check| match &check.place {
            Place::Status(index) => Some(index),
            _ => None,
        });
        std::iter::once(&self.target).chain(fields).chain(checks).chain(places)
    }
}
