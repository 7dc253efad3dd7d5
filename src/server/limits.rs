//! The bounds of the settings, as the rooms that hold them take them.

use std::path::Path;

use crate::commit;
use crate::config::LimitSettings;
use crate::files;
use crate::http::{ConnectionLimits, InputLimits};

/// Open files that connections leave to others: the store, the tree, listening sockets, and connections for fetching keys.
const RESERVED_FILES: usize = 192;

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
    InputLimits { body_bytes_max: limits.body_bytes_max, parameters_max: limits.parameters_max }
}

/// The connections that the settings allow, or fewer where the system allows fewer open files: without a file to open nothing is
/// recorded, so connections must never take the last.
pub(super) fn connections(limits: &LimitSettings) -> ConnectionLimits {
    let most = open_files().map(|files| files.saturating_sub(RESERVED_FILES).max(16));
    let connections = most.map_or(limits.connections, |most| most.min(limits.connections));
    if connections < limits.connections {
        tracing::info!(
            "{connections} connections at a time instead of {}: the system allows no more open files",
            limits.connections
        );
    }
    // Half at most, so that one address never keeps everybody out.
    ConnectionLimits { connections, per_address: limits.connections_per_address.min(connections.div_ceil(2)) }
}

/// The files that this process may have open, where the system tells.
fn open_files() -> Option<usize> {
    let limits = files::read_text(Path::new("/proc/self/limits"), 64 * 1024).ok()?;
    soft(&limits)
}

fn soft(limits: &str) -> Option<usize> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_read() {
        let text =
            "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 524288               files\n";
        assert_eq!(soft(text), Some(1024));
        assert_eq!(soft("Max open files  unlimited unlimited files"), None);
        assert_eq!(soft(""), None);
    }
}
