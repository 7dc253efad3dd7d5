#![no_main]
//! A certificate never panics, whatever its bytes; one that is its own root says a subject that can be compared.

use countersign::oauth::Time;
use countersign::x509::{DistinguishedName, UnverifiedCertificate, Roots, TlsRole, claimed_spiffe_id, validate};

libfuzzer_sys::fuzz_target!(|der: &[u8]| {
    let _claimed = claimed_spiffe_id(der);
    let now = UnverifiedCertificate::read(der).map_or(Time::from_seconds(1_790_000_000), |plain| plain.not_before);
    assert!(validate(&Roots::default(), &[der], now, TlsRole::Client).is_err());
    let Ok(roots) = Roots::from_der([der]) else { return };
    let Ok(leaf) = validate(&roots, &[der], now, TlsRole::Client) else { return };
    assert!(leaf.subject.is_empty() || DistinguishedName::parse(&leaf.subject).is_ok(), "{}", leaf.subject);
});
