#![no_main]
//! A form never panics, whatever its bytes.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| drop(countersign::request::Form::decode(bytes, 64)));
