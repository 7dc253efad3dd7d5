//! Policy files, read and validated: every mistake at once, each with its line.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::annotations::PermitTerms;
use super::cedar::mentions::{Mention, MentionText};
use super::cedar::{self, ParsedPolicy, Remark};
use crate::crypto::Digest;
use crate::diagnostic::{Diagnostic, SourceLocation, SourceText};

/// No policy file needs more bytes.
const FILE_BYTES_MAX: usize = 1024 * 1024;

/// No id needs more bytes: it stands in every record of a decision.
const ID_BYTES_MAX: usize = 128;

/// Actions that the schema knows and this version never asks about.
const RESERVED_ACTIONS: [&str; 2] = ["Action::\"approve\"", "Action::\"audit\""];

/// The policies read so far, and every mistake in them.
pub(super) struct PolicyLoader<'a> {
    pub(super) policies: Vec<ParsedPolicy>,
    /// The terms of each permit that has some, by its id.
    pub(super) terms: HashMap<String, PermitTerms>,
    pub(super) warnings: Vec<Diagnostic>,
    pub(super) digest: Digest,
    errors: Vec<Diagnostic>,
    positions: HashMap<String, PolicySource<'a>>,
}

/// A policy in its file: the offset of its first byte, and its length.
#[derive(Clone)]
struct PolicySource<'a> {
    source: Rc<SourceText<'a>>,
    at: usize,
    bytes: usize,
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
            terms: HashMap::new(),
            warnings: Vec::new(),
            digest: digest(files),
            errors: Vec::new(),
            positions: HashMap::new(),
        };
        files.iter().for_each(|(path, text)| loader.file(path, text));
        loader
    }

    fn file(&mut self, path: &'a Path, text: &'a str) {
        let source = Rc::new(SourceText::new(path.to_string_lossy(), text));
        let beginning = PolicySource { source: Rc::clone(&source), at: 0, bytes: 0 };
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
            let id = policy.annotations.get("id").cloned().unwrap_or_else(|| format!("{stem}#{number}"));
            self.policy(PolicySource { source: Rc::clone(source), at, bytes: written.len() }, policy.called(&id));
        }
    }

    fn policy(&mut self, position: PolicySource<'a>, mut policy: ParsedPolicy) {
        self.annotations(&position, &policy);
        let id = policy.id().to_owned();
        if id.is_empty() || id.len() > ID_BYTES_MAX || id.bytes().any(|byte| !byte.is_ascii_graphic()) {
            return self.error(&position, "the id of a policy must have 1 to 128 visible ASCII characters; set @id".to_owned());
        }
        match self.positions.entry(id) {
            Entry::Vacant(free) => {
                let position = free.insert(position);
                policy.location = position.location();
                let locations: Vec<_> = policy.mentions.iter().map(|mention| position.of(mention)).collect();
                policy.mentions.iter_mut().zip(locations).for_each(|(mention, location)| mention.location = location);
                self.policies.push(policy);
            }
            Entry::Occupied(taken) => {
                let message = format!("the policy id {} is taken by a policy in {}", taken.key(), taken.get().source.file);
                self.error(&position, message);
            }
        }
    }

    fn annotations(&mut self, position: &PolicySource<'a>, policy: &ParsedPolicy) {
        let (terms, mistakes) = PermitTerms::of(&policy.annotations, policy.permits);
        mistakes.into_iter().for_each(|mistake| self.error(position, mistake));
        if !terms.is_empty() {
            self.terms.insert(policy.id().to_owned(), terms);
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
                self.errors.extend(errors);
                // A permit that never applies permits nothing; a forbid that never does is lost.
                let forbids: HashSet<_> =
                    self.policies.iter().filter(|policy| !policy.permits).map(|policy| policy.id().to_owned()).collect();
                let lost = |id: &String| findings.impossible.contains(id) && forbids.contains(id);
                let (lost, told): (Vec<_>, Vec<_>) = findings.warnings.into_iter().partition(|(id, _)| lost(id));
                let [lost, told] =
                    [lost, told].map(|list| list.into_iter().map(|(id, it)| self.located(&id, it)).collect::<Vec<_>>());
                self.errors.extend(lost);
                self.warnings.extend(told);
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
    /// Its first byte.
    fn location(&self) -> SourceLocation {
        self.source.location(self.at)
    }

    /// Where a mention stands in the policy; its beginning where it is written in another way.
    fn of(&self, mention: &Mention) -> SourceLocation {
        let code = code(self.source.text.get(self.at..self.at.saturating_add(self.bytes)).unwrap_or_default());
        let found = match &mention.text {
            MentionText::Entity(kind, id) => code.find(&format!("{kind}::{id:?}")),
            MentionText::Pattern(pieces) => code.find(&format!("\"{}\"", pieces.join("*"))),
            MentionText::Literal(text) => {
                let quoted = format!("{text:?}");
                let is_literal = |at: &usize| !code.get(..*at).is_some_and(|before| before.ends_with("::"));
                code.match_indices(&quoted).map(|(at, _)| at).filter(is_literal).nth(mention.nth)
            }
        };
        self.source.location(self.at + found.unwrap_or_default())
    }

    fn diagnostic(&self, remark: Remark) -> Diagnostic {
        Diagnostic::new(self.source.location(remark.at.unwrap_or(self.at)), remark.message)
    }
}

/// The text of a policy with blanks in the place of its annotations and comments: of the same length, so that offsets stay.
fn code(policy: &str) -> String {
    let (mut bytes, mut rest) = (policy.as_bytes().to_vec(), 0);
    while let Some(token) = policy.get(rest..).filter(|text| !text.is_empty()) {
        let (length, counts) = match token.as_bytes() {
            [b'/', b'/', ..] => (token.find('\n').unwrap_or(token.len()), false),
            [b'@', ..] => (annotation(token), false),
            [b'"', ..] => (string(token), true),
            _ => (token.chars().next().map_or(1, char::len_utf8), true),
        };
        let end = (rest + length.max(1)).min(bytes.len());
        if let (false, Some(blanked)) = (counts, bytes.get_mut(rest..end)) {
            blanked.fill(b' ');
        }
        rest = end;
    }
    String::from_utf8(bytes).unwrap_or_default()
}

/// The length of the string literal that `text` begins with.
fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of the annotation that `text` begins with.
fn annotation(text: &str) -> usize {
    let name = text.bytes().skip(1).take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count() + 1;
    let Some(value) = text.get(name..).and_then(|rest| rest.trim_start().strip_prefix('(')).map(str::trim_start) else {
        return name;
    };
    if value.starts_with('"') { text.len() - value.len() + string(value) } else { name }
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
