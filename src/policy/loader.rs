//! Policy files, read and validated: every complaint at once, each with its line.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::cedar::{self, Remark, Rule};
use crate::crypto::Digest;

/// No policy file needs more bytes.
const FILE_BYTES_MAX: usize = 1024 * 1024;

/// No id needs more bytes: it stands in every record of a decision.
const ID_BYTES_MAX: usize = 128;

/// Annotations that only explain.
const EXPLAINING: [&str; 2] = ["description", "owner"];

/// Actions that the schema knows and this version never asks about.
const UNASKED: [&str; 2] = ["Action::\"approve\"", "Action::\"audit\""];

/// Something wrong or suspicious in a policy file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyComplaint {
    /// The file; the folder's name stands for the set as a whole.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The fault, and what would help.
    pub message: String,
}

/// The policies read so far, and every complaint about them.
pub(super) struct PolicyLoader<'a> {
    pub(super) rules: Vec<Rule>,
    pub(super) lifetimes: HashMap<String, Duration>,
    pub(super) warnings: Vec<PolicyComplaint>,
    pub(super) digest: Digest,
    complaints: Vec<PolicyComplaint>,
    places: HashMap<String, Place<'a>>,
}

/// The place where a policy begins.
#[derive(Clone, Copy)]
struct Place<'a> {
    file: &'a Path,
    text: &'a str,
    at: usize,
}

impl<'a> PolicyLoader<'a> {
    /// Reads and validates everything.
    ///
    /// # Errors
    /// Every complaint, in the order of the files.
    pub(super) fn of(files: &'a [(PathBuf, String)]) -> Result<Self, Vec<PolicyComplaint>> {
        let mut reading = Self::unvalidated(files);
        reading.validate();
        reading.remarks_on_the_whole();
        if reading.complaints.is_empty() { Ok(reading) } else { Err(reading.complaints) }
    }

    pub(super) fn unvalidated(files: &'a [(PathBuf, String)]) -> Self {
        let mut reading = Self {
            rules: Vec::new(),
            lifetimes: HashMap::new(),
            warnings: Vec::new(),
            digest: digest(files),
            complaints: Vec::new(),
            places: HashMap::new(),
        };
        files.iter().for_each(|(path, text)| reading.file(path, text));
        reading
    }

    fn file(&mut self, path: &'a Path, text: &'a str) {
        let place = Place { file: path, text, at: 0 };
        if text.len() > FILE_BYTES_MAX {
            return self.complain(place, "a policy file must not have more than 1 MiB".to_owned());
        }
        match cedar::read(text) {
            Ok(rules) => self.rules_of(path, text, rules),
            Err(remarks) => self.complaints.extend(remarks.into_iter().map(|remark| place.complaint(remark))),
        }
    }

    fn rules_of(&mut self, path: &'a Path, text: &'a str, rules: Vec<Rule>) {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let mut from = 0;
        for (position, rule) in rules.into_iter().enumerate() {
            let written = rule.text();
            let at = text.get(from..).and_then(|rest| rest.find(&written)).map_or(from, |found| from + found);
            from = at.saturating_add(written.len()).min(text.len());
            let id = rule.named.clone().unwrap_or_else(|| format!("{stem}#{}", position + 1));
            self.rule(Place { file: path, text, at }, rule.called(&id));
        }
    }

    fn rule(&mut self, place: Place<'a>, rule: Rule) {
        self.annotations(place, &rule);
        let id = rule.id().to_owned();
        if id.is_empty() || id.len() > ID_BYTES_MAX || id.bytes().any(|byte| !byte.is_ascii_graphic()) {
            return self.complain(place, "the id of a policy must have 1 to 128 visible ASCII characters; set @id".to_owned());
        }
        match self.places.entry(id) {
            Entry::Vacant(free) => {
                free.insert(place);
                self.rules.push(rule);
            }
            Entry::Occupied(taken) => {
                let message = format!("the policy id {} is taken by a policy in {}", taken.key(), taken.get().file.display());
                self.complain(place, message);
            }
        }
    }

    fn annotations(&mut self, place: Place<'a>, rule: &Rule) {
        for unknown in rule.annotations.iter().filter(|name| !EXPLAINING.contains(&name.as_str())) {
            self.complain(place, format!("@{unknown} has no meaning here; known are @id, @lifetime, @description and @owner"));
        }
        match rule.lifetime.as_deref().map(span) {
            None => {}
            Some(_) if !rule.permits => self.complain(place, "@lifetime belongs on a permit; a forbid issues nothing".to_owned()),
            Some(None) => {
                self.complain(place, "@lifetime must be a number and s, m, h or d, such as \"2m\", and not 0".to_owned())
            }
            Some(Some(span)) => drop(self.lifetimes.insert(rule.id().to_owned(), span)),
        }
        if let Some(actions) = &rule.head.actions
            && actions.iter().all(|action| UNASKED.contains(&action.as_str()))
        {
            self.warn(place, "this version never asks about this action".to_owned());
        }
    }

    fn validate(&mut self) {
        match cedar::validate(self.rules.iter()) {
            Ok(findings) => {
                let complaints: Vec<_> = findings.errors.into_iter().map(|(id, remark)| self.located(&id, remark)).collect();
                let warnings: Vec<_> = findings.warnings.into_iter().map(|(id, remark)| self.located(&id, remark)).collect();
                self.complaints.extend(complaints);
                self.warnings.extend(warnings);
            }
            Err(message) => self.complaints.push(PolicyComplaint { file: PathBuf::from("schema.cedarschema"), line: 1, message }),
        }
        self.complaints.sort_by(|one, other| (&one.file, one.line).cmp(&(&other.file, other.line)));
    }

    fn remarks_on_the_whole(&mut self) {
        if !self.rules.iter().any(|rule| rule.permits) {
            let message = "no policy permits anything, so every exchange is refused".to_owned();
            self.warnings.push(PolicyComplaint { file: PathBuf::from("policies"), line: 1, message });
        }
    }

    fn located(&self, id: &str, remark: Remark) -> PolicyComplaint {
        match self.places.get(id) {
            Some(place) => place.complaint(remark),
            None => PolicyComplaint { file: PathBuf::from("policies"), line: 1, message: remark.message },
        }
    }

    fn complain(&mut self, place: Place<'_>, message: String) {
        self.complaints.push(place.complaint(Remark { at: None, message }));
    }

    fn warn(&mut self, place: Place<'_>, message: String) {
        self.warnings.push(place.complaint(Remark { at: None, message }));
    }
}

impl Place<'_> {
    fn complaint(&self, remark: Remark) -> PolicyComplaint {
        let before = self.text.bytes().take(remark.at.unwrap_or(self.at));
        let line = 1 + before.filter(|byte| *byte == b'\n').count();
        PolicyComplaint { file: self.file.to_owned(), line, message: remark.message }
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
