#![no_main]
//! A key set never panics, whatever its bytes.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| drop(countersign::jose::KeySet::parse(bytes, countersign::jose::KeyUse::Signature)));
