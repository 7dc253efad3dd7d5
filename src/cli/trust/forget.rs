//! `trust forget`: a trust domain's publisher counts its bundles anew.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::cli::output::{Failed, Outcome};
use crate::oauth::TrustDomain;
use crate::store::SequenceFile;

/// The options of `trust forget`.
#[derive(Args)]
pub(in crate::cli) struct Forget {
    /// The trust domain
    domain: String,
    /// The server's data folder
    #[arg(long, default_value = "data")]
    data: PathBuf,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// Forgets which of its bundles was the newest. A running server hears of it when it next gets an older one. The answer is no
/// when nothing was known.
pub(in crate::cli) fn run(options: &Forget) -> Outcome {
    let domain = TrustDomain::parse(&options.domain).map_err(|reason| Failed::new(format!("the trust domain {reason}")))?;
    if !options.data.is_dir() {
        return Err(Failed::new(format!("{} is no data folder", options.data.display())));
    }
    let file = SequenceFile::new(&options.data);
    let known = file.forget(&domain).map_err(|error| Failed::new(format!("{}: {error}", file.path().display())))?;
    match known {
        _ if options.json => say!("{}", json!({"ok": known.is_some(), "trust_domain": domain.as_str(), "forgotten": known})),
        Some(sequence) => {
            say!("{domain}: the next bundle counts whatever its spiffe_sequence is; the highest was {sequence}")
        }
        None => say!("{domain}: no spiffe_sequence is known"),
    }
    Ok(known.is_some())
}
