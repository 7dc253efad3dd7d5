#![no_main]
//! A distinguished name never panics, whatever its text, and equals itself.

use countersign::x509::DistinguishedName;

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(name) = DistinguishedName::parse(text) {
        assert!(DistinguishedName::parse(text) == Ok(name.clone()) && !text.is_empty());
    }
});
