//! The steps of quickstart, for people or for machines.

use serde_json::{Map, Value, json};

/// Prints steps, in lines for people or one line of JSON each, and remembers whether all went as expected.
pub(super) struct StepReport {
    json: bool,
    count: u32,
    all_ok: bool,
}

/// A step, with the expected outcome and the real one.
pub(super) struct StepResult<'a> {
    /// Its name in JSON.
    pub(super) step: &'a str,
    /// Its headline for people.
    pub(super) title: &'a str,
    /// The expected outcome.
    pub(super) expected: &'a str,
    /// The real outcome.
    pub(super) outcome: String,
    /// The outcome is the expected one.
    pub(super) ok: bool,
    /// Lines for people, below the headline.
    pub(super) details: Vec<String>,
    /// Members for machines.
    pub(super) more: Vec<(&'a str, Value)>,
}

impl StepReport {
    pub(super) fn new(json: bool) -> Self {
        Self { json, count: 0, all_ok: true }
    }

    /// Tells whether every step so far had the expected outcome.
    pub(super) fn all_ok(&self) -> bool {
        self.all_ok
    }

    pub(super) fn add(&mut self, result: StepResult<'_>) {
        self.count += 1;
        self.all_ok &= result.ok;
        if self.json { machine(result) } else { people(self.count, &result) }
    }
}

fn machine(result: StepResult<'_>) {
    let mut line = Map::new();
    line.insert("step".to_owned(), result.step.into());
    line.insert("expected".to_owned(), result.expected.into());
    line.insert("outcome".to_owned(), result.outcome.into());
    line.insert("ok".to_owned(), json!(result.ok));
    line.extend(result.more.into_iter().map(|(name, value)| (name.to_owned(), value)));
    say!("{}", Value::Object(line));
}

fn people(count: u32, result: &StepResult<'_>) {
    let mark = if result.ok { "ok " } else { "NOT AS EXPECTED" };
    say!("\n{count:>2}. {}", result.title);
    result.details.iter().for_each(|line| say!("      {line}"));
    say!("    {mark} {}", result.outcome);
    if !result.ok {
        say!("    expected: {}", result.expected);
    }
}
