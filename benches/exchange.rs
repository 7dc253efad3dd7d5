//! The benchmark of an exchange.

fn main() {}
