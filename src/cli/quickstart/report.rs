//! One step, one verdict.

use serde_json::{Map, Value, json};

/// How steps are told: in lines for people, or one line of JSON each.
pub(super) struct Report {
    json: bool,
    count: u32,
    all_ok: bool,
}

/// What a step was to show and what it showed.
pub(super) struct Verdict<'a> {
    /// Its name in JSON.
    pub(super) step: &'a str,
    /// Its headline for people.
    pub(super) title: &'a str,
    /// What should happen.
    pub(super) expected: &'a str,
    /// What happened.
    pub(super) outcome: String,
    /// Whether that is the same.
    pub(super) ok: bool,
    /// Lines for people, below the headline.
    pub(super) details: Vec<String>,
    /// Members for machines.
    pub(super) more: Vec<(&'a str, Value)>,
}

impl Report {
    pub(super) fn new(json: bool) -> Self {
        Self { json, count: 0, all_ok: true }
    }

    /// Whether every step so far had the expected outcome.
    pub(super) fn all_ok(&self) -> bool {
        self.all_ok
    }

    pub(super) fn tell(&mut self, verdict: Verdict<'_>) {
        self.count += 1;
        self.all_ok &= verdict.ok;
        if self.json { machine(verdict) } else { people(self.count, &verdict) }
    }
}

fn machine(verdict: Verdict<'_>) {
    let mut line = Map::new();
    line.insert("step".to_owned(), verdict.step.into());
    line.insert("expected".to_owned(), verdict.expected.into());
    line.insert("outcome".to_owned(), verdict.outcome.into());
    line.insert("ok".to_owned(), json!(verdict.ok));
    line.extend(verdict.more.into_iter().map(|(name, value)| (name.to_owned(), value)));
    say!("{}", Value::Object(line));
}

fn people(count: u32, verdict: &Verdict<'_>) {
    let mark = if verdict.ok { "ok " } else { "NOT AS EXPECTED" };
    say!("\n{count:>2}. {}", verdict.title);
    verdict.details.iter().for_each(|line| say!("      {line}"));
    say!("    {mark} {}", verdict.outcome);
    if !verdict.ok {
        say!("    expected: {}", verdict.expected);
    }
}
