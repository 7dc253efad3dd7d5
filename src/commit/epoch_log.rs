//! Epochs, and the logs of their records.

/// The log of the records of an epoch: 0 for the first, which goes on through corrected clocks; each that begins because records
/// were lost has room for 1,048,576 epochs, so that none that was lost with them has the number of a later one.
pub fn log_of_epoch(epoch: u64) -> u64 {
    epoch >> LOG_SHIFT
}

/// The first epoch of a log.
pub fn first_epoch_of_log(log: u64) -> u64 {
    log << LOG_SHIFT
}

const LOG_SHIFT: u32 = 20;
