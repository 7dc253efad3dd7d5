//! How far the store is known to be durable.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many records the writer knows to be durable: a reader may see more while a failed flush is being recovered. Clones
/// count the same.
#[derive(Clone, Debug, Default)]
pub struct Durable(Arc<AtomicU64>);

impl Durable {
    /// How many.
    pub fn records(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// So many are durable, and everything before them.
    pub(super) fn set(&self, records: u64) {
        self.0.store(records, Ordering::Release);
    }
}
