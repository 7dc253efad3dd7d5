//! The way out of a clock that was wrong.

use serde::Serialize;

use crate::commit::Commit;
use crate::oauth::Clock;

use super::reason::AdminReason;

/// The epoch that follows that of a wrong clock.
#[derive(Debug, Serialize)]
pub struct CorrectedClock {
    /// Its number.
    pub epoch: u64,
    /// Seconds since 1970 when it begins.
    pub now: i64,
    /// By so many seconds the newest record was ahead.
    pub ahead: u64,
}

/// Ends the epoch of a clock that was ahead. By the time that `clock` tells now another begins, and things are issued again.
///
/// # Errors
/// `Commit`: with `ClockRight` where the clock does not stand behind the newest record.
pub async fn correct_clock(commit: &Commit, clock: &dyn Clock, reason: Option<&str>) -> Result<CorrectedClock, AdminReason> {
    let newest = commit.state().floor();
    let reason = reason.unwrap_or("the clock was wrong").to_owned();
    let epoch = commit.correct_clock(reason).await.map_err(AdminReason::Commit)?;
    // What it was believed to be is believed no more.
    clock.accept();
    let now = commit.state().floor();
    let ahead = newest.since(now).as_secs();
    tracing::warn!(epoch, ahead, "an operator ended the epoch of a wrong clock: what was issued before counts no longer");
    Ok(CorrectedClock { epoch, now: now.seconds(), ahead })
}
