//! The folders of a configuration, and when a change of what lies in them is taken up.

use std::path::PathBuf;
use std::time::Duration;

use super::reader::TableReader;
use crate::diagnostic::Located;

/// `[files]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderSettings {
    /// The folder of trust rules.
    pub trust: Located<PathBuf>,
    /// The folder of agents.
    pub agents: Located<PathBuf>,
    /// The folder of APIs.
    pub apis: Located<PathBuf>,
    /// The folder of policies.
    pub policies: Located<PathBuf>,
    /// The time for which nothing may have been written before a change is taken up.
    pub settle: Duration,
    /// The time by which what would end something is taken up later.
    pub settle_ends: Duration,
    /// The most agents, trust rules or APIs that a change may end without being accepted, in percent of each kind.
    pub ends_percent: u32,
}

impl FolderSettings {
    pub(super) fn read(mut reader: TableReader<'_>) -> Option<Self> {
        reader.need(&["trust", "agents", "apis", "policies", "settle", "settle_ends", "ends_percent"]);
        let [trust, agents, apis, policies] = ["trust", "agents", "apis", "policies"].map(|key| reader.take_path(key));
        let settle = reader.take_duration("settle", Duration::from_millis(10)..=Duration::from_mins(5));
        let settle_ends = reader.take_duration("settle_ends", Duration::ZERO..=Duration::from_hours(1));
        let ends_percent = reader.take_integer("ends_percent", 0..=100);
        reader.finish();
        Some(Self {
            trust: trust?,
            agents: agents?,
            apis: apis?,
            policies: policies?,
            settle: settle?.value,
            settle_ends: settle_ends?.value,
            ends_percent: u32::try_from(ends_percent?.value).ok()?,
        })
    }
}
