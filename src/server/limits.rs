//! The bounds of the settings, as the rooms that hold them take them.

use crate::commit;
use crate::config::LimitSettings;
use crate::http::{ConnectionLimits, InputLimits, StrangerLimits};

/// Open files that connections leave to others: the store, the tree, listening sockets, and connections for fetching keys.
const RESERVED_FILES: usize = 192;

/// The part of the other files that connections leave to those on their way in and out: one of so many.
const PASSING_PART: usize = 8;

/// The bounds of the writer.
pub(super) fn commit(limits: &LimitSettings) -> commit::Limits {
    commit::Limits {
        issues: limits.queue,
        refusals_per_minute: limits.refusals_per_minute,
        single_use: limits.single_use,
        generations: limits.live_entries,
        status: limits.status_tokens,
        tasks: limits.tasks,
        ..commit::Limits::default()
    }
}

/// The bounds of a request's form.
pub(super) fn input(limits: &LimitSettings) -> InputLimits {
    let strangers = StrangerLimits { per_second: limits.strangers_per_second, burst: limits.strangers_burst };
    InputLimits { body_bytes_max: limits.body_bytes_max, parameters_max: limits.parameters_max, strangers }
}

/// The connections that the settings allow, or fewer where the system allows fewer open files: without a file to open nothing is
/// recorded, so connections must never take the last. The soft limit of open files is raised to the hard one first.
pub(super) fn connections(limits: &LimitSettings) -> ConnectionLimits {
    let files = open_files();
    let allowed = within(limits.connections, limits.connections_per_address, files);
    if let (true, Some(files)) = (allowed.connections < allowed.configured, files) {
        let needed = needed_files(allowed.configured);
        tracing::warn!(
            connections = allowed.connections,
            configured = allowed.configured,
            files,
            "fewer connections at a time than `connections` of [limits] says, because the system allows no more open files: \
             raise the hard limit to {needed} (LimitNOFILE in systemd, --ulimit nofile in Docker, ulimit -Hn in a shell), or \
             lower the setting"
        );
    }
    allowed
}

fn within(configured: usize, per_address: usize, files: Option<usize>) -> ConnectionLimits {
    let most = files.map(|files| files.saturating_sub(RESERVED_FILES)).map(|files| (files - files / PASSING_PART).max(16));
    let connections = most.map_or(configured, |most| most.min(configured));
    // Half at most, so that one address never keeps everybody out.
    ConnectionLimits { connections, per_address: per_address.min(connections.div_ceil(2)), configured }
}

/// The open files that so many connections take.
fn needed_files(connections: usize) -> usize {
    (connections * PASSING_PART).div_ceil(PASSING_PART - 1) + RESERVED_FILES
}

/// The files that this process may have open from now on; none where the system does not tell.
fn open_files() -> Option<usize> {
    let raised = rlimit::increase_nofile_limit(u64::MAX).or_else(|cause| {
        tracing::warn!(%cause, "the soft limit of open files could not be raised to the hard one");
        rlimit::Resource::NOFILE.get_soft()
    });
    raised.ok().map(|files| usize::try_from(files).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_to_others_and_what_is_asked_for_is_enough() {
        let at = |files: Option<usize>| within(8192, 2048, files).connections;
        assert_eq!(at(None), 8192);
        assert_eq!([at(Some(1024)), at(Some(256)), at(Some(10)), at(Some(usize::MAX))], [728, 56, 16, 8192]);
        let needed = needed_files(8192);
        assert!(at(Some(needed)) == 8192 && at(Some(needed - 8)) < 8192);
        let low = within(8192, 2048, Some(1024));
        assert_eq!((low.per_address, low.configured), (364, 8192));
    }
}
