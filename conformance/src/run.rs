//! Running cases against a server.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::answer::Answer;
use crate::case::{self, Case, Complaint, Item, Step};
use crate::check::check;
use crate::issuer::IssuerServer;
use crate::profile::Profile;
use crate::report::{CaseReport, Outcome, Report};
use crate::request::Request;
use crate::show;
use crate::values::{Missing, Values};
use crate::wire::{PATIENCE, Wire};

/// The pause before a request is sent again whose answer may take its time.
const AGAIN: Duration = Duration::from_millis(50);

/// How many cases run at the same time.
const CASES_AT_ONCE: usize = 8;

/// Why there is no report.
#[derive(Debug)]
pub enum RunError {
    /// Some case files are wrong.
    Cases(Vec<Complaint>),
    /// The server, or an issuer that the runner plays, could not be reached or set up.
    Setup(String),
}

impl std::fmt::Display for RunError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cases(complaints) => complaints.iter().try_for_each(|complaint| writeln!(f, "{complaint}")),
            Self::Setup(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for RunError {}

/// Runs every case below `cases` whose name contains `filter`.
///
/// # Errors
/// When case files are wrong or the server's metadata cannot be had.
pub async fn run(profile: &Profile, cases: &Path, filter: Option<&str>) -> Result<Report, RunError> {
    let started = Instant::now();
    let mut cases = case::load(cases).map_err(RunError::Cases)?;
    cases.retain(|case| filter.is_none_or(|filter| case.name.contains(filter)));
    let profile = Arc::new(profile.clone());
    let _issuers = IssuerServer::serve_all(&profile).await.map_err(RunError::Setup)?;
    let wire = Arc::new(Wire::connect(&profile).await.map_err(RunError::Setup)?);
    let slots = Arc::new(Semaphore::new(CASES_AT_ONCE));
    let mut running = JoinSet::new();
    for case in cases {
        let (profile, wire, slots) = (Arc::clone(&profile), Arc::clone(&wire), Arc::clone(&slots));
        running.spawn(async move {
            let _slot = slots.acquire_owned().await;
            let outcome = run_case(&case, &profile, &wire).await;
            CaseReport { name: case.name, rule: case.rule, outcome }
        });
    }
    let mut reports = Vec::new();
    while let Some(report) = running.join_next().await {
        reports.push(report.map_err(|error| RunError::Setup(error.to_string()))?);
    }
    reports.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(Report::new(reports, started.elapsed()))
}

async fn run_case(case: &Case, profile: &Profile, wire: &Wire) -> Outcome {
    if let Some(lacking) = lacking(case, profile) {
        return Outcome::Skipped { reason: format!("requires {lacking}") };
    }
    let mut values = Values::new(profile, &wire.endpoints);
    for item in &case.items {
        let outcome = match item {
            Item::Let { line, name, value } => match values.text(value) {
                Ok(text) => {
                    values.bind(name, text);
                    None
                }
                Err(missing) => Some(unusable(case, *line, missing)),
            },
            Item::Step(step) => run_step(case, step, &mut values, wire).await,
        };
        if let Some(outcome) = outcome {
            return outcome;
        }
    }
    Outcome::Passed
}

/// The first thing the case needs and the server does not have.
fn lacking<'a>(case: &'a Case, profile: &Profile) -> Option<&'a str> {
    let jwt = "jwt-access-token";
    let looks_inside = case.items.iter().any(|item| match item {
        Item::Step(step) => step.expect.checks.iter().any(|check| check.place.needs_jwt()),
        Item::Let { .. } => false,
    });
    let required = case.requires.iter().map(String::as_str).chain(looks_inside.then_some(jwt));
    required.into_iter().find(|capability| !profile.capabilities.contains(*capability))
}

/// Sends one request; says how the case ends, if it ends here.
async fn run_step(case: &Case, step: &Step, values: &mut Values<'_>, wire: &Wire) -> Option<Outcome> {
    let request = match Request::build(step, values) {
        Ok(request) => request,
        Err(missing) => return Some(unusable(case, step.line, missing)),
    };
    let last = Instant::now() + if step.expect.within > 0 { PATIENCE } else { Duration::ZERO };
    let (answer, unmet) = loop {
        let answer = match wire.send(&request).await {
            Ok(answer) => answer,
            Err(error) => return Some(failed(case, step, &request, None, &[format!("{}: {error}", place(case, step.line))])),
        };
        match check(&step.expect, &request, &answer, values) {
            Ok(unmet) if unmet.is_empty() || Instant::now() >= last => break (answer, unmet),
            Ok(_) => tokio::time::sleep(AGAIN).await,
            Err(missing) => return Some(unusable(case, step.expect.line, missing)),
        }
    };
    if unmet.is_empty() {
        if let Some(name) = &step.name {
            values.bind_answer(name, answer);
        }
        return None;
    }
    let complaints: Vec<String> = unmet.iter().map(|unmet| describe(case, unmet.line, &unmet.what)).collect();
    Some(failed(case, step, &request, Some(&answer), &complaints))
}

fn failed(case: &Case, step: &Step, request: &Request, answer: Option<&Answer>, complaints: &[String]) -> Outcome {
    let complaints: String = complaints.iter().map(|complaint| format!("  {complaint}\n")).collect();
    let answered = answer.map(|answer| format!("  answer:\n{}", show::answer(answer))).unwrap_or_default();
    let text = format!("{complaints}  request (line {}):\n{}{answered}", step.line, show::request(request));
    debug_assert!(!case.name.is_empty());
    Outcome::Failed { text }
}

/// A case that asks the profile for more than it has does not apply; one that asks for nonsense is wrong.
fn unusable(case: &Case, line: usize, missing: Missing) -> Outcome {
    match missing {
        Missing::Profile(reason) => Outcome::Skipped { reason },
        Missing::Case(what) => Outcome::Failed { text: format!("  {}: {what}\n", place(case, line)) },
    }
}

fn describe(case: &Case, line: usize, what: &str) -> String {
    let text = std::fs::read_to_string(&case.file).unwrap_or_default();
    let source = text.lines().nth(line.saturating_sub(1)).unwrap_or_default().trim();
    format!("{}: {source}\n      {what}", place(case, line))
}

fn place(case: &Case, line: usize) -> String {
    format!("{}:{line}", case.file.display())
}
