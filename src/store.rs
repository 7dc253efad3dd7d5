//! One native implementation per contract; stores know nothing of what the stored things mean.

pub mod sqlite;
