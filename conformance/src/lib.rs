#![doc = include_str!("../README.md")]

pub mod jose;
pub mod profile;

mod answer;
mod certificates;
pub mod case;
mod values;

mod check;
mod request;

pub mod fixture;
mod inflate;
mod issuer;
mod report;
mod run;
mod show;
mod shown;
mod wire;

pub use issuer::IssuerServer;
pub use profile::Profile;
pub use report::{CaseReport, Outcome, Report};
pub use run::{RunError, run};
pub use shown::Shown;
