#![no_main]
//! What a proxy tells of a client's certificates never panics, whatever its bytes: `Client-Cert` in the first line, and
//! `Client-Cert-Chain` in each that follows.

libfuzzer_sys::fuzz_target!(|text: &str| {
    let mut lines = text.split('\n');
    let leaf = lines.next().unwrap_or_default();
    if let Ok(chain) = countersign::http::forwarded_chain(leaf, &lines.collect::<Vec<_>>()) {
        assert!((1..=9).contains(&chain.len()) && chain.iter().all(|certificate| !certificate.is_empty()));
    }
});
