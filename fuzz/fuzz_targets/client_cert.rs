#![no_main]
//! The reader of forwarded client certificates (RFC 9440) never panics: `Client-Cert` in the first line, and
//! `Client-Cert-Chain` in each that follows.

libfuzzer_sys::fuzz_target!(|text: &str| {
    let mut lines = text.split('\n');
    let leaf = lines.next().unwrap_or_default();
    if let Ok(chain) = countersign::http::forwarded_chain(leaf, &lines.collect::<Vec<_>>()) {
        assert!((1..=9).contains(&chain.len()) && chain.iter().all(|certificate| !certificate.is_empty()));
    }
});
