#![no_main]
//! A chain of actors never panics, whatever JSON it is.

libfuzzer_sys::fuzz_target!(|text: &str| drop(
    serde_json::from_str(text)
        .map(|raw: &serde_json::value::RawValue| countersign::oauth::ActChain::parse(raw, "https://idp.example"))
));
