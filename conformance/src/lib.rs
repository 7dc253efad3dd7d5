#![doc = include_str!("../README.md")]

pub mod jose;
pub mod profile;

mod answer;
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
mod wire;

pub use issuer::IssuerServer;
pub use profile::Profile;
pub use report::{CaseReport, Outcome, Report};
pub use run::{RunError, run};
