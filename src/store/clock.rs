//! The clocks of the machine, and the file in which an operator vouches for them.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::commit::{CheckedClock, Timepieces};
use crate::files::{self, Access};
use crate::oauth::{Clock, Time};

/// The file's name in the data folder.
const VOUCHED: &str = "clock-accepted";

/// A number of milliseconds is no longer.
const VOUCHED_BYTES_MAX: u64 = 32;

/// The wall clock of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Time {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Time::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// The clocks of the machine: the one that is set, and the one that counts while the machine runs.
#[derive(Debug)]
pub struct SystemTimepieces(Instant);

impl Timepieces for SystemTimepieces {
    fn wall(&self) -> Time {
        SystemClock.now()
    }

    fn passed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// The file in which an operator says of a data folder that it is as late as the clock says.
#[derive(Clone, Debug)]
pub struct VouchedClock {
    folder: PathBuf,
}

impl VouchedClock {
    /// The file in the data folder `data`, which must be there when it is written.
    pub fn new(data: &Path) -> Self {
        Self { folder: data.to_owned() }
    }

    /// The clock of the machine, compared with what was vouched for.
    ///
    /// # Errors
    /// When the file cannot be read, or says no time.
    pub fn clock(&self) -> io::Result<CheckedClock<SystemTimepieces>> {
        Ok(CheckedClock::new(SystemTimepieces(Instant::now()), self.read()?))
    }

    fn path(&self) -> PathBuf {
        self.folder.join(VOUCHED)
    }

    fn read(&self) -> io::Result<Option<Time>> {
        let Some(bytes) = files::read_if_there(&self.path(), VOUCHED_BYTES_MAX)? else { return Ok(None) };
        let millis = std::str::from_utf8(&bytes).ok().and_then(|text| text.trim_end().parse().ok());
        let damaged = || io::Error::other(format!("{}: no time stands in it; remove it", self.path().display()));
        millis.map(|millis| Some(Time::from_millis(millis))).ok_or_else(damaged)
    }

    /// Vouches for `now`, durably.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, now: Time) -> io::Result<()> {
        files::replace(&self.path(), format!("{}\n", now.millis()).as_bytes(), Access::Owner)
    }

    /// Ends it: the records tell by now how late it is.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove(&self) -> io::Result<()> {
        files::remove(&self.path())
    }
}
