//! Policy files, read and validated: every mistake at once, each with its line.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use super::cedar::{self, NamedEntity, ParsedPolicy, Remark};
use crate::crypto::Digest;
use crate::diagnostic::{Diagnostic, SourceLocation, SourceText};

/// No policy file needs more bytes.
const FILE_BYTES_MAX: usize = 1024 * 1024;

/// No id needs more bytes: it stands in every record of a decision.
const ID_BYTES_MAX: usize = 128;

/// Annotations that only explain.
const EXPLAINING: [&str; 2] = ["description", "owner"];

/// Actions that the schema knows and this version never asks about.
const RESERVED_ACTIONS: [&str; 2] = ["Action::\"approve\"", "Action::\"audit\""];

/// The policies read so far, and every mistake in them.
pub(super) struct PolicyLoader<'a> {
    pub(super) policies: Vec<ParsedPolicy>,
    pub(super) lifetimes: HashMap<String, Duration>,
    pub(super) warnings: Vec<Diagnostic>,
    pub(super) digest: Digest,
    /// The entities that each policy names, and where.
    pub(super) entities: Vec<(NamedEntity, SourceLocation)>,
    errors: Vec<Diagnostic>,
    positions: HashMap<String, PolicySource<'a>>,
}

/// The beginning of a policy: the offset of its first byte.
#[derive(Clone)]
struct PolicySource<'a> {
    source: Rc<SourceText<'a>>,
    at: usize,
}

impl<'a> PolicyLoader<'a> {
    /// Reads and validates everything.
    ///
    /// # Errors
    /// Every mistake, in the order of the files.
    pub(super) fn of(files: &'a [(PathBuf, String)]) -> Result<Self, Vec<Diagnostic>> {
        let mut loader = Self::unvalidated(files);
        loader.validate();
        loader.remarks_on_what_is_not_known();
        loader.remarks_on_the_whole();
        if loader.errors.is_empty() { Ok(loader) } else { Err(loader.errors) }
    }

    pub(super) fn unvalidated(files: &'a [(PathBuf, String)]) -> Self {
        let mut loader = Self {
            policies: Vec::new(),
            lifetimes: HashMap::new(),
            warnings: Vec::new(),
            digest: digest(files),
            entities: Vec::new(),
            errors: Vec::new(),
            positions: HashMap::new(),
        };
        files.iter().for_each(|(path, text)| loader.file(path, text));
        loader
    }

    fn file(&mut self, path: &'a Path, text: &'a str) {
        let source = Rc::new(SourceText::new(path.to_string_lossy(), text));
        let beginning = PolicySource { source: Rc::clone(&source), at: 0 };
        if text.len() > FILE_BYTES_MAX {
            return self.error(&beginning, "a policy file must not have more than 1 MiB".to_owned());
        }
        match cedar::read(text) {
            Ok(policies) => self.policies_of(path, &source, policies),
            Err(remarks) => self.errors.extend(remarks.into_iter().map(|remark| beginning.diagnostic(remark))),
        }
    }

    fn policies_of(&mut self, path: &Path, source: &Rc<SourceText<'a>>, policies: Vec<ParsedPolicy>) {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let mut from = 0;
        for (number, policy) in (1..).zip(policies) {
            let written = policy.text();
            let at = source.text.get(from..).and_then(|rest| rest.find(&written)).map_or(from, |found| from + found);
            from = at.saturating_add(written.len()).min(source.text.len());
            let id = policy.named.clone().unwrap_or_else(|| format!("{stem}#{number}"));
            self.policy(PolicySource { source: Rc::clone(source), at }, policy.called(&id));
        }
    }

    fn policy(&mut self, position: PolicySource<'a>, policy: ParsedPolicy) {
        self.annotations(&position, &policy);
        let id = policy.id().to_owned();
        if id.is_empty() || id.len() > ID_BYTES_MAX || id.bytes().any(|byte| !byte.is_ascii_graphic()) {
            return self.error(&position, "the id of a policy must have 1 to 128 visible ASCII characters; set @id".to_owned());
        }
        match self.positions.entry(id) {
            Entry::Vacant(free) => {
                let position = free.insert(position);
                self.entities.extend(policy.entities().into_iter().map(|entity| {
                    let location = position.of(&entity.written);
                    (entity, location)
                }));
                self.policies.push(policy);
            }
            Entry::Occupied(taken) => {
                let message = format!("the policy id {} is taken by a policy in {}", taken.key(), taken.get().source.file);
                self.error(&position, message);
            }
        }
    }

    fn annotations(&mut self, position: &PolicySource<'a>, policy: &ParsedPolicy) {
        for unknown in policy.annotations.iter().filter(|name| !EXPLAINING.contains(&name.as_str())) {
            self.error(position, format!("@{unknown} has no meaning here; known are @id, @lifetime, @description and @owner"));
        }
        match policy.lifetime.as_deref().map(span) {
            None => {}
            Some(_) if !policy.permits => {
                self.error(position, "@lifetime belongs on a permit; a forbid issues nothing".to_owned())
            }
            Some(None) => {
                self.error(position, "@lifetime must be a number and s, m, h or d, such as \"2m\", and not 0".to_owned())
            }
            Some(Some(span)) => drop(self.lifetimes.insert(policy.id().to_owned(), span)),
        }
        if let Some(actions) = &policy.head.actions
            && actions.iter().all(|action| RESERVED_ACTIONS.contains(&action.as_str()))
        {
            self.warn(position, "this version never asks about this action".to_owned());
        }
    }

    fn validate(&mut self) {
        match cedar::validate(self.policies.iter()) {
            Ok(findings) => {
                let errors: Vec<_> = findings.errors.into_iter().map(|(id, remark)| self.located(&id, remark)).collect();
                let warnings: Vec<_> = findings.warnings.into_iter().map(|(id, remark)| self.located(&id, remark)).collect();
                self.errors.extend(errors);
                self.warnings.extend(warnings);
            }
            Err(message) => self.errors.push(Diagnostic::new(SourceLocation::line("schema.cedarschema", 1), message)),
        }
        self.errors.sort_by(|one, other| one.location.cmp(&other.location));
    }

    fn remarks_on_what_is_not_known(&mut self) {
        if self.errors.is_empty() {
            let remarks = self.policies.iter().flat_map(|policy| policy.unknown_helps().into_iter().map(|it| (policy.id(), it)));
            let found: Vec<_> = remarks.map(|(id, remark)| self.located(id, remark)).collect();
            self.warnings.extend(found);
        }
    }

    fn remarks_on_the_whole(&mut self) {
        if !self.policies.iter().any(|policy| policy.permits) {
            let message = "no policy permits anything, so every exchange is refused".to_owned();
            self.warnings.push(Diagnostic::new(SourceLocation::line("policies", 1), message));
        }
    }

    fn located(&self, id: &str, remark: Remark) -> Diagnostic {
        match self.positions.get(id) {
            Some(position) => position.diagnostic(remark),
            None => Diagnostic::new(SourceLocation::line("policies", 1), remark.message),
        }
    }

    fn error(&mut self, position: &PolicySource<'_>, message: String) {
        self.errors.push(position.diagnostic(Remark { at: None, message }));
    }

    fn warn(&mut self, position: &PolicySource<'_>, message: String) {
        self.warnings.push(position.diagnostic(Remark { at: None, message }));
    }
}

impl PolicySource<'_> {
    /// Where `words` stand in the policy; its beginning where they are written in another way.
    fn of(&self, words: &str) -> SourceLocation {
        let below = self.source.text.get(self.at..).and_then(|text| text.find(words)).unwrap_or_default();
        self.source.location(self.at + below)
    }

    fn diagnostic(&self, remark: Remark) -> Diagnostic {
        Diagnostic::new(self.source.location(remark.at.unwrap_or(self.at)), remark.message)
    }
}

/// A span of time: a whole number followed by `s`, `m`, `h` or `d`.
fn span(text: &str) -> Option<Duration> {
    let units = [('s', 1), ('m', 60), ('h', 3600), ('d', 86_400)];
    let (number, unit) = units.iter().find_map(|(letter, unit)| Some((text.strip_suffix(*letter)?, *unit)))?;
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = digits.then(|| number.parse::<u64>().ok())??.checked_mul(unit)?;
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

fn digest(files: &[(PathBuf, String)]) -> Digest {
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut texts: Vec<(String, &str)> = files.iter().map(|(path, text)| (name(path), text.as_str())).collect();
    texts.push(("schema.cedarschema".to_owned(), cedar::SCHEMA));
    texts.sort_unstable();
    let lengths: Vec<String> = texts.iter().map(|(_, text)| text.len().to_string()).collect();
    let parts = texts
        .iter()
        .zip(&lengths)
        .flat_map(|((name, text), length)| [name.as_bytes(), &[0], length.as_bytes(), &[0], text.as_bytes()]);
    Digest::of_parts(&parts.collect::<Vec<&[u8]>>())
}
