//! Mistakes in files that people write: location, sentence, nearest valid spelling. One form for settings, trust rules, agents,
//! APIs and policies.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

/// More diagnostics than this help nobody; the rest is counted.
const DIAGNOSTICS_MAX: usize = 1000;

/// One mistake of a file, or one thing in it that may surprise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The text that it is about.
    pub location: SourceLocation,
    /// A sentence that says what is wrong and what would be right.
    pub message: String,
    /// The valid spelling that is nearest to the one found.
    pub nearest: Option<String>,
    /// The name that nothing of that kind goes by, if that is the mistake.
    pub unknown: Option<(NameKind, String)>,
}

/// A kind of thing that other files name. A name of one kind is no name of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NameKind {
    /// The `id` of an agent.
    Agent,
    /// The `id` of an API.
    Api,
    /// The `name` of a trust rule.
    TrustRule,
    /// The `trust_domain` of a trust rule.
    TrustDomain,
}

/// All diagnostics of one reading, in the order of files and lines, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
    left_out: usize,
}

/// A position in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceLocation {
    /// The file as the operator names it, or what else the text came from. Empty for what nobody wrote in a file.
    pub file: Arc<str>,
    /// Counted from 1; 0 for the file as a whole.
    pub line: u32,
    /// In bytes, counted from 1; 0 for the line as a whole.
    pub column: u32,
}

/// A value and the text that it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located<T> {
    /// The value, checked.
    pub value: T,
    /// Its location.
    pub location: SourceLocation,
}

/// The locations of an entry's fields, by path: `default_scopes`, `derive/0/from`, `scopes/contacts.read`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldLocations {
    entry: SourceLocation,
    fields: BTreeMap<String, SourceLocation>,
}

/// An entry of a file and the locations of its fields.
#[derive(Clone, Debug)]
pub struct Declared<T> {
    /// The entry.
    pub entry: T,
    /// The locations of its fields; none for an entry that nobody wrote in a file.
    pub locations: FieldLocations,
}

/// A text with the offsets at which its lines begin.
#[derive(Debug)]
pub struct SourceText<'a> {
    /// The file as the operator names it.
    pub file: Arc<str>,
    /// The whole of it.
    pub text: &'a str,
    lines: Vec<usize>,
}

impl Diagnostic {
    /// A mistake at `location`.
    pub fn new(location: SourceLocation, message: impl Into<String>) -> Self {
        Self { location, message: message.into(), nearest: None, unknown: None }
    }

    /// Says which of the `known` names is spelled most like `name`, if one is near.
    #[must_use]
    pub fn near<'a>(self, name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        Self { nearest: nearest(name, known), ..self }
    }

    /// Says that nothing of that kind goes by `name`, which is told only where no file declares it, and which of the `known`
    /// names is near.
    #[must_use]
    pub fn unknown<'a>(self, kind: NameKind, name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        Self { unknown: Some((kind, name.to_owned())), ..self.near(name, known) }
    }

    /// Adds the spelling that was surely meant.
    #[must_use]
    pub fn meaning(self, nearest: Option<String>) -> Self {
        Self { nearest, ..self }
    }

    /// The parts that are printed, in the order in which diagnostics are sorted.
    fn printed(&self) -> (&str, u32, &str, Option<&str>) {
        (&self.location.file, self.location.line, &self.message, self.nearest.as_deref())
    }
}

impl Diagnostics {
    /// Puts diagnostics in order.
    pub fn new(mut list: Vec<Diagnostic>) -> Self {
        list.sort_by(|one, other| one.printed().cmp(&other.printed()));
        list.dedup_by(|one, other| one.printed() == other.printed());
        let left_out = list.len().saturating_sub(DIAGNOSTICS_MAX);
        list.truncate(DIAGNOSTICS_MAX);
        Self { list, left_out }
    }

    /// In the order of files and lines.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.list.iter()
    }

    /// The number of mistakes, those left out of the list included.
    pub fn len(&self) -> usize {
        self.list.len() + self.left_out
    }

    /// Nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// A JSON array of objects with `file`, `line`, `column`, `message` and `did_you_mean`, each where it is known.
    pub fn to_json(&self) -> String {
        serde_json::to_string(&self.list).unwrap_or_default()
    }
}

impl SourceLocation {
    /// The file as a whole.
    pub fn file(file: impl Into<Arc<str>>) -> Self {
        Self { file: file.into(), line: 0, column: 0 }
    }

    /// A whole line, counted from 1.
    pub fn line(file: impl Into<Arc<str>>, line: u32) -> Self {
        Self { file: file.into(), line, column: 0 }
    }
}

impl FieldLocations {
    /// The locations of an entry that begins at `entry`.
    pub fn new(entry: SourceLocation) -> Self {
        Self { entry, fields: BTreeMap::new() }
    }

    /// Notes the location of the field at `path`.
    pub fn note(&mut self, path: String, location: SourceLocation) {
        self.fields.insert(path, location);
    }

    /// Notes at `path` an entry of its own with its fields.
    pub fn graft(&mut self, path: &str, part: &Self) {
        self.fields.extend(part.fields.iter().map(|(inner, location)| (format!("{path}/{inner}"), location.clone())));
        self.note(path.to_owned(), part.entry.clone());
    }

    /// The field at `path`, if it is written.
    pub fn find(&self, path: &str) -> Option<&SourceLocation> {
        self.fields.get(path)
    }

    /// The field at `path`, or the nearest thing that encloses it.
    pub fn of(&self, path: &str) -> SourceLocation {
        let mut paths = std::iter::successors(Some(path), |path| Some(path.rsplit_once('/')?.0));
        let found = paths.find_map(|path| self.fields.get(path));
        found.unwrap_or(&self.entry).clone()
    }
}

impl<'a> SourceText<'a> {
    /// Finds the lines of the `text` of `file`.
    pub fn new(file: impl Into<Arc<str>>, text: &'a str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let lines = std::iter::once(0).chain(ends.map(|(end, _)| end + 1)).collect();
        Self { file: file.into(), text, lines }
    }

    /// The line and column of the byte at `offset`.
    pub fn location(&self, offset: usize) -> SourceLocation {
        let line = self.lines.partition_point(|start| *start <= offset);
        let start = self.lines.get(line.saturating_sub(1)).copied().unwrap_or_default();
        let [line, column] = [line, offset + 1 - start].map(|number| u32::try_from(number).unwrap_or(u32::MAX));
        SourceLocation { file: self.file.clone(), line, column }
    }
}

impl<T> From<T> for Declared<T> {
    fn from(entry: T) -> Self {
        Self { entry, locations: FieldLocations::default() }
    }
}

/// `file:line`, as far as they are known.
impl fmt::Display for SourceLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 { write!(f, ":{}", self.line) } else { Ok(()) }
    }
}

/// `file:line: message; did you mean "word"?`
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.location, self.message)?;
        self.nearest.as_ref().map_or(Ok(()), |nearest| write!(f, "; did you mean \"{nearest}\"?"))
    }
}

/// One diagnostic on a line.
impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, diagnostic) in self.list.iter().enumerate() {
            let end = if position == 0 { "" } else { "\n" };
            write!(f, "{end}{diagnostic}")?;
        }
        if self.left_out > 0 { write!(f, "\nand {} more", self.left_out) } else { Ok(()) }
    }
}

impl std::error::Error for Diagnostics {}

impl Serialize for Diagnostic {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct DiagnosticMembers<'a> {
            file: &'a str,
            #[serde(skip_serializing_if = "is_zero")]
            line: u32,
            #[serde(skip_serializing_if = "is_zero")]
            column: u32,
            message: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            did_you_mean: Option<&'a str>,
        }
        let SourceLocation { file, line, column } = &self.location;
        let (message, did_you_mean) = (&self.message, self.nearest.as_deref());
        DiagnosticMembers { file, line: *line, column: *column, message, did_you_mean }.serialize(serializer)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// The word of `known` that is spelled most like `word`, if it takes few enough changes to be a slip.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let lower = word.to_lowercase();
    let changes = |candidate: &str| strsim::osa_distance(&lower, &candidate.to_lowercase());
    let slip = |changes: usize, candidate: &str| changes <= 1 + word.chars().count().max(candidate.chars().count()) / 4;
    let scored = known.into_iter().filter(|known| *known != word).map(|known| (changes(known), known));
    scored.filter(|(changes, known)| slip(*changes, known)).min().map(|(_, known)| known.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    fn line(file: &str, line: u32) -> SourceLocation {
        SourceLocation::line(file, line)
    }

    #[test]
    fn told_in_words_and_as_json() {
        let diagnostic = Diagnostic::new(line("a.toml", 7), "unknown key `ownr`").near("ownr", ["owner", "team"]);
        assert_eq!(diagnostic.to_string(), "a.toml:7: unknown key `ownr`; did you mean \"owner\"?");
        let whole = Diagnostic::new(SourceLocation::file("b.toml"), "is empty");
        let diagnostics = Diagnostics::new(vec![whole, diagnostic.clone(), diagnostic]);
        assert_eq!(
            diagnostics.to_json(),
            concat!(
                r#"[{"file":"a.toml","line":7,"message":"unknown key `ownr`","did_you_mean":"owner"},"#,
                r#"{"file":"b.toml","message":"is empty"}]"#
            )
        );
        assert!(diagnostics.to_string().ends_with("\nb.toml: is empty"));
    }

    #[test]
    fn suggests_slips_only() {
        assert_eq!(nearest("Active", ["active", "retired"]).as_deref(), Some("active"));
        assert_eq!(nearest("lifetime_mx", ["lifetime", "lifetime_max"]).as_deref(), Some("lifetime_max"));
        assert_eq!(nearest("es256", ["ES256", "RS256"]).as_deref(), Some("ES256"));
        assert_eq!(nearest("colour", ["owner", "team"]), None);
        assert_eq!(nearest("x", []), None);
    }

    #[test]
    fn a_flood_is_counted_not_listed() {
        let many = (0..1500).map(|number| Diagnostic::new(line("a", number), "no")).collect();
        let diagnostics = Diagnostics::new(many);
        assert_eq!((diagnostics.len(), diagnostics.iter().count()), (1500, 1000));
        assert!(diagnostics.to_string().ends_with("\nand 500 more"));
    }

    #[test]
    fn a_location_is_that_of_the_field_or_of_what_encloses_it() {
        let mut locations = FieldLocations::new(line("apis/crm.toml", 1));
        locations.note("derive/0".into(), line("apis/crm.toml", 9));
        locations.note("derive/0/from".into(), line("apis/crm.toml", 10));
        assert_eq!(locations.of("derive/0/from/scope").to_string(), "apis/crm.toml:10");
        assert_eq!(locations.of("derive/0/to").to_string(), "apis/crm.toml:9");
        assert_eq!(locations.of("typ").to_string(), "apis/crm.toml:1");
    }

    #[test]
    fn lines_and_columns_are_counted_from_one() {
        let text = SourceText::new("a.toml", "a = 1\n\nbc = 2");
        let found = |offset: usize| (text.location(offset).line, text.location(offset).column);
        assert_eq!([found(0), found(4), found(6), found(7), found(8)], [(1, 1), (1, 5), (2, 1), (3, 1), (3, 2)]);
        let diagnostic = Diagnostic::new(text.location(8), "no");
        assert!(Diagnostics::new(vec![diagnostic]).to_json().contains(r#""line":3,"column":2,"#));
    }
}
