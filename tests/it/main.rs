//! Everything that is tested from outside.

mod disk;
mod shim;
