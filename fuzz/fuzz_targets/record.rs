#![no_main]
//! A record never panics, whatever its bytes.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| drop(countersign::ledger::Record::parse(bytes)));
