//! The outcome of a run.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

/// The outcome of every case.
#[derive(Debug, Serialize)]
pub struct Report {
    /// One entry per case, in alphabetical order.
    pub cases: Vec<CaseReport>,
    /// Wall time of the whole run in milliseconds.
    pub elapsed_ms: u64,
}

/// The outcome of one case.
#[derive(Debug, Serialize)]
pub struct CaseReport {
    /// The case.
    pub name: String,
    /// Its rule.
    pub rule: String,
    /// How it went.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// How a case went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// Every expectation held.
    Passed,
    /// Some did not.
    Failed {
        /// The request, the answer, and the expectations that did not hold, by line.
        text: String,
    },
    /// The case does not apply to this server.
    Skipped {
        /// Why not.
        reason: String,
    },
}

impl Report {
    /// How many passed, failed, and were skipped.
    pub fn counts(&self) -> (usize, usize, usize) {
        let count = |wanted: fn(&Outcome) -> bool| self.cases.iter().filter(|case| wanted(&case.outcome)).count();
        (
            count(|outcome| matches!(outcome, Outcome::Passed)),
            count(|outcome| matches!(outcome, Outcome::Failed { .. })),
            count(|outcome| matches!(outcome, Outcome::Skipped { .. })),
        )
    }

    /// The names of the cases that were skipped.
    pub fn skipped(&self) -> Vec<&str> {
        let skipped = self.cases.iter().filter(|case| matches!(case.outcome, Outcome::Skipped { .. }));
        skipped.map(|case| case.name.as_str()).collect()
    }

    /// The report as one JSON object.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    pub(crate) fn new(cases: Vec<CaseReport>, elapsed: Duration) -> Self {
        Self { cases, elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX) }
    }
}

/// One line per case, the text of every failure, and at the end the counts.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for case in &self.cases {
            match &case.outcome {
                Outcome::Passed => writeln!(f, "ok    {}", case.name)?,
                Outcome::Skipped { reason } => writeln!(f, "skip  {} ({reason})", case.name)?,
                Outcome::Failed { text } => writeln!(f, "FAIL  {}\n      {}\n{text}", case.name, case.rule)?,
            }
        }
        let (passed, failed, skipped) = self.counts();
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}
