//! `policy test`: requests with the decisions that are expected of them, and the policies that decided in none.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};

use super::output::{CommandResult, Failure};
use super::policy_files::{configuration, request};
use crate::admin;
use crate::config::Config;
use crate::files::{self, Access};
use crate::oauth::{Clock, Time};
use crate::policy::PolicyExplanation;
use crate::store::SystemClock;

/// The options of `policy test`.
#[derive(Args)]
pub(super) struct Options {
    /// The folder of tests: *.json files, as docs/policy.md describes them
    folder: PathBuf,
    /// A settings file, over conf/default.toml; may repeat, later ones win
    #[arg(long)]
    config: Vec<PathBuf>,
    /// Also fail where a policy decided in no test
    #[arg(long)]
    covered: bool,
    /// Write the results as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// A test: a request, and what is expected.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TestText {
    #[serde(default, rename = "description")]
    _description: String,
    request: Value,
    expect: Expectation,
}

/// An expectation. What it leaves out is not compared.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expectation {
    decision: String,
    policies: Option<BTreeSet<String>>,
    lifetime: Option<u64>,
}

/// The result of one test: why it failed, if it did, and the policies that decided.
struct TestResult {
    name: String,
    failure: Option<String>,
    decided: BTreeSet<String>,
}

/// Runs every test of the folder, in the order of their names.
pub(super) fn run(options: &Options) -> CommandResult {
    let (config, now) = (configuration(&options.config)?, SystemClock.now());
    let files = tests(&options.folder)?;
    let results: Vec<TestResult> = files.iter().map(|file| result(file, &config, now)).collect();
    let decided: BTreeSet<&str> = results.iter().flat_map(|result| result.decided.iter().map(String::as_str)).collect();
    let silent: Vec<&str> = config.policy_set().ids().filter(|id| !decided.contains(id)).collect();
    if let Some(file) = &options.junit {
        let written = files::replace(file, junit(&results).as_bytes(), Access::Everybody);
        written.map_err(|error| Failure::new(format!("{}: {error}", file.display())))?;
    }
    let failed = results.iter().filter(|result| result.failure.is_some()).count();
    match options.json {
        true => {
            let tests: Vec<Value> =
                results.iter().map(|result| json!({ "test": result.name, "failure": result.failure })).collect();
            say!("{}", json!({ "ok": failed == 0, "tests": tests, "never_decided": silent }));
        }
        false => tell(&results, &silent, failed),
    }
    Ok(failed == 0 && (silent.is_empty() || !options.covered))
}

fn tell(results: &[TestResult], silent: &[&str], failed: usize) {
    for TestResult { name, failure, .. } in results {
        match failure {
            None => say!("ok      {name}"),
            Some(why) => say!("FAILED  {name}: {why}"),
        }
    }
    if !silent.is_empty() {
        say!("decided in no test: {}", silent.join(", "));
    }
    say!("{} tests, {failed} failed", results.len());
}

/// The tests of a folder.
fn tests(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = |why: &dyn std::fmt::Display| Failure::new(format!("{}: {why}", folder.display()));
    let entries = fs::read_dir(folder).map_err(|error| failed(&error))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| failed(&error))?.path();
        files.extend(Some(path).filter(|path| path.extension().is_some_and(|extension| extension == "json")));
    }
    files.sort_unstable();
    if files.is_empty() { Err(failed(&"holds no test, which is a file whose name ends in .json")) } else { Ok(files) }
}

fn result(file: &Path, config: &Config, now: Time) -> TestResult {
    let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    match decided(file, config, now) {
        Ok((explained, expect)) => {
            let decided = explained.scopes.iter().flat_map(|scope| scope.policies.iter().cloned()).collect();
            TestResult { name, failure: difference(&explained, &expect, &decided), decided }
        }
        Err(why) => TestResult { name, failure: Some(why), decided: BTreeSet::new() },
    }
}

fn decided(file: &Path, config: &Config, now: Time) -> Result<(PolicyExplanation, Expectation), String> {
    let text = request(file).map_err(|failure| failure.to_string())?;
    let test: TestText = serde_json::from_str(&text).map_err(|error| format!("is no test: {error}"))?;
    let explained = admin::explain_policy(config.policy_set(), &config.catalog, &test.request.to_string(), now);
    explained.map(|explained| (explained, test.expect)).map_err(|reason| reason.to_string())
}

fn difference(explained: &PolicyExplanation, expect: &Expectation, decided: &BTreeSet<String>) -> Option<String> {
    let decision = explained.decision.as_str();
    let lifetime = explained.scopes.iter().filter_map(|scope| scope.lifetime).min();
    let policies = || decided.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    if expect.decision != decision {
        return Some(format!("expected {}, decided {decision} ({})", expect.decision, policies()));
    }
    if expect.policies.as_ref().is_some_and(|wanted| wanted != decided) {
        return Some(format!("other policies decided: {}", policies()));
    }
    let other = expect.lifetime.filter(|wanted| Some(*wanted) != lifetime)?;
    let found = lifetime.map_or_else(|| "none".to_owned(), |lifetime| format!("{lifetime} s"));
    Some(format!("expected a lifetime of {other} s, found {found}"))
}

/// The results as JUnit has them.
fn junit(results: &[TestResult]) -> String {
    let failed = results.iter().filter(|result| result.failure.is_some()).count();
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"policy\" tests=\"{}\" failures=\"{failed}\">\n",
        results.len()
    );
    for TestResult { name, failure, .. } in results {
        let name = escaped(name);
        let _infallible = match failure {
            None => writeln!(xml, "  <testcase classname=\"policy\" name=\"{name}\"/>"),
            Some(why) => {
                let why = escaped(why);
                writeln!(xml, "  <testcase classname=\"policy\" name=\"{name}\"><failure message=\"{why}\"/></testcase>")
            }
        };
    }
    xml + "</testsuite>\n"
}

fn escaped(text: &str) -> String {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    escaped.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}
