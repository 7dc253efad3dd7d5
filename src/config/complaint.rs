//! What is wrong with the configuration: every mistake with its place and, where there is one, the nearest valid spelling.

use std::fmt;

use serde::Serialize;

use crate::catalog::Place;

/// More complaints than this help nobody; the rest is counted.
const COMPLAINTS_MAX: usize = 1000;

/// Everything that is wrong, in the order of files and lines, each thing once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
    left_out: usize,
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Diagnostic {
    /// Where it is written.
    pub place: Place,
    /// What is wrong and what would be right.
    pub sentence: String,
    /// The valid word that is spelled most like the one found.
    pub nearest: Option<String>,
}

impl Diagnostic {
    /// A mistake at `place`.
    pub fn new(place: Place, sentence: impl Into<String>) -> Self {
        Self { place, sentence: sentence.into(), nearest: None }
    }

    /// The same, with the word of `known` that is spelled most like `word`, if one is near.
    #[must_use]
    pub fn near<'a>(mut self, word: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        self.nearest = nearest(word, known);
        self
    }

    /// The same with what was surely meant.
    #[must_use]
    pub(super) fn meaning(mut self, right: Option<String>) -> Self {
        self.nearest = right;
        self
    }
}

impl Diagnostics {
    /// Puts complaints in order, each once.
    pub fn new(mut list: Vec<Diagnostic>) -> Self {
        list.sort();
        list.dedup();
        let left_out = list.len().saturating_sub(COMPLAINTS_MAX);
        list.truncate(COMPLAINTS_MAX);
        Self { list, left_out }
    }

    /// In the order of files and lines.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.list.iter()
    }

    /// How many mistakes there are, those left out of the list too.
    pub fn len(&self) -> usize {
        self.list.len() + self.left_out
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// A JSON array of objects with `file`, `line`, `message` and, where there is one, `did_you_mean`.
    pub fn to_json(&self) -> String {
        serde_json::to_string(&self.list).unwrap_or_default()
    }
}

/// `file:line: sentence; did you mean "word"?`
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.sentence)?;
        self.nearest.as_ref().map_or(Ok(()), |nearest| write!(f, "; did you mean \"{nearest}\"?"))
    }
}

/// One complaint on a line.
impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, complaint) in self.list.iter().enumerate() {
            let end = if position == 0 { "" } else { "\n" };
            write!(f, "{end}{complaint}")?;
        }
        if self.left_out > 0 { write!(f, "\nand {} more", self.left_out) } else { Ok(()) }
    }
}

impl std::error::Error for Diagnostics {}

impl Serialize for Diagnostic {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Wire<'a> {
            file: &'a str,
            #[serde(skip_serializing_if = "is_zero")]
            line: u32,
            message: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            did_you_mean: Option<&'a str>,
        }
        let Place { file, line } = &self.place;
        let did_you_mean = self.nearest.as_deref();
        Wire { file, line: *line, message: &self.sentence, did_you_mean }.serialize(serializer)
    }
}

fn is_zero(line: &u32) -> bool {
    *line == 0
}

/// The word of `known` that is spelled most like `word`, if it takes few enough changes to be a slip.
fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
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

    fn place(file: &str, line: u32) -> Place {
        Place { file: file.into(), line }
    }

    #[test]
    fn reads_as_file_line_sentence_and_nearest_word() {
        let complaint = Diagnostic::new(place("a.toml", 7), "unknown key `ownr`").near("ownr", ["owner", "team"]);
        assert_eq!(complaint.to_string(), "a.toml:7: unknown key `ownr`; did you mean \"owner\"?");
        let complaints = Diagnostics::new(vec![Diagnostic::new(place("b.toml", 0), "is empty"), complaint.clone(), complaint]);
        assert_eq!(
            complaints.to_json(),
            concat!(
                r#"[{"file":"a.toml","line":7,"message":"unknown key `ownr`","did_you_mean":"owner"},"#,
                r#"{"file":"b.toml","message":"is empty"}]"#
            )
        );
        assert!(complaints.to_string().ends_with("\nb.toml: is empty"));
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
        let many = (0..1500).map(|line| Diagnostic::new(place("a", line), "no")).collect();
        let complaints = Diagnostics::new(many);
        assert_eq!((complaints.len(), complaints.iter().count()), (1500, 1000));
        assert!(complaints.to_string().ends_with("\nand 500 more"));
    }
}
