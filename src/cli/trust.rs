//! `trust check`: who could satisfy a trust rule. `trust forget`: a trust domain's publisher counts its bundles anew. The others
//! have files of their own.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use super::iam_policy;
use super::output::{CommandResult, Failure, print};
use super::trust_report::{RuleReport, report_of};
use super::{trust_add, trust_inventory, trust_try};
use crate::config;
use crate::files;
use crate::oauth::TrustDomain;
use crate::store::SequenceFile;

/// No trust policy of a role is longer.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The sub-commands of `trust`.
#[derive(Subcommand)]
pub(super) enum TrustCommand {
    /// Say who satisfies a trust rule or an AWS IAM role trust policy, each finding with a token that would pass
    Check(CheckOptions),
    /// Say which rules look at a token, what each check finds, and whom it would log in
    Try(trust_try::TryOptions),
    /// Write a rule for an issuer, with the safest matchers that a sample token supports
    Add(trust_add::AddOptions),
    /// Say which foreign clients, workloads and issuers reach which agents and APIs, and when they last did
    Inventory(trust_inventory::InventoryOptions),
    /// Forget the newest bundle of a trust domain whose publisher counts anew (spiffe_sequence)
    Forget(ForgetOptions),
}

/// The options of `trust check`.
#[derive(Args)]
pub(super) struct CheckOptions {
    /// A trust rule (TOML), or the trust policy of an AWS IAM role (JSON)
    file: PathBuf,
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

/// The options of `trust forget`.
#[derive(Args)]
pub(super) struct ForgetOptions {
    /// The trust domain
    domain: String,
    /// The server's data folder
    #[arg(long, default_value = "data")]
    data: PathBuf,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// Does what was asked.
pub(super) fn run(command: &TrustCommand) -> CommandResult {
    match command {
        TrustCommand::Check(options) => check(options),
        TrustCommand::Try(options) => trust_try::run(options),
        TrustCommand::Add(options) => trust_add::run(options),
        TrustCommand::Inventory(options) => trust_inventory::run(options),
        TrustCommand::Forget(options) => forget(options),
    }
}

/// Looks at one file. The answer is no where strangers may pass, or the rule would not be loaded.
fn check(options: &CheckOptions) -> CommandResult {
    let report = match options.file.extension().is_some_and(|extension| extension == "json") {
        true => policy(&options.file)?,
        false => rule(&options.file),
    };
    match options.json {
        true => say!("{}", report.json()),
        false => report.lines().iter().for_each(|line| say!("{line}")),
    }
    Ok(report.is_safe())
}

fn rule(path: &Path) -> RuleReport {
    let (rule, complaints, doubts) = config::trust_rule(path);
    report_of(rule, &complaints, &doubts)
}

fn policy(path: &Path) -> Result<RuleReport, Failure> {
    let text = files::read_text(path, FILE_BYTES_MAX).map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
    let findings = iam_policy::findings(&text).map_err(|what| Failure::new(format!("{}: {what}", path.display())))?;
    Ok(RuleReport::of_findings(findings))
}

/// Forgets the highest version of the domain's bundles. A running server hears of it when it next gets an older one. The answer
/// is no when nothing was known.
fn forget(options: &ForgetOptions) -> CommandResult {
    let domain = TrustDomain::parse(&options.domain).map_err(|reason| Failure::new(format!("the trust domain {reason}")))?;
    if !options.data.is_dir() {
        return Err(Failure::new(format!("{} is no data folder", options.data.display())));
    }
    let file = SequenceFile::new(&options.data);
    let known = file.forget(&domain).map_err(|error| Failure::new(format!("{}: {error}", file.path().display())))?;
    let words = match known {
        Some(highest) => format!("{domain}: the next bundle counts whatever its spiffe_sequence is; the highest was {highest}"),
        None => format!("{domain}: no spiffe_sequence is known"),
    };
    print(options.json, &json!({"ok": known.is_some(), "trust_domain": domain.as_str(), "forgotten": known}), words);
    Ok(known.is_some())
}
