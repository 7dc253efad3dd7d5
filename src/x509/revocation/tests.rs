#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
use rcgen::{CertificateParams, CrlDistributionPoint, CrlIssuingDistributionPoint, CrlScope, date_time_ymd};

use super::*;
use crate::x509::{Authority, Leaf, NOW, Roots, TlsRole, X509Reason, ca, params, root, validate};

/// A leaf with that serial number, and which key signed it.
fn leaf(serial: u64) -> CertificateParams {
    let mut params = params("web");
    params.serial_number = Some(serial.into());
    params.use_authority_key_identifier_extension = true;
    params
}

fn judged(roots: &Roots, chain: &[Vec<u8>]) -> Result<Leaf, X509Reason> {
    validate(roots, chain, NOW, TlsRole::Client)
}

fn under(root: &Authority, lists: Vec<Vec<RevocationList>>) -> Roots {
    root.roots().under(lists.into_iter().flatten().collect())
}

/// RFC 5280 §6.3.
#[test]
fn a_certificate_on_the_list_is_refused_and_no_other() {
    let root = root("root");
    let roots = under(&root, vec![root.revoke(&[7, 9])]);
    assert!(judged(&roots, &[root.issue(&leaf(8))]).is_ok());
    assert_eq!(judged(&roots, &[root.issue(&leaf(7))]).err(), Some(X509Reason::Revoked));
    assert!(judged(&root.roots(), &[root.issue(&leaf(7))]).is_ok(), "without lists nothing is revoked");
}

/// An intermediate that was taken back takes with it what it issued.
#[test]
fn every_certificate_of_the_path_is_judged() {
    let root = root("root");
    let mut params = ca("middle");
    params.serial_number = Some(5_u64.into());
    let middle = root.authority(params);
    let chain = [middle.issue(&leaf(8)), middle.der.clone()];
    let of = |by_root: &[u64], by_middle: &[u64]| {
        judged(&under(&root, vec![root.revoke(by_root), middle.revoke(by_middle)]), &chain).err()
    };
    assert_eq!(of(&[], &[]), None);
    assert_eq!(of(&[8], &[5]), None, "numbers are the issuer's own");
    assert_eq!(of(&[], &[8]), Some(X509Reason::Revoked));
    assert_eq!(of(&[5], &[]), Some(X509Reason::Revoked));
    assert_eq!(judged(&under(&root, vec![middle.revoke(&[])]), &chain).err(), Some(X509Reason::Unlisted), "of the intermediate");
    assert_eq!(judged(&under(&root, vec![root.revoke(&[])]), &chain).err(), Some(X509Reason::Unlisted), "of the leaf");
    let trusted = Roots::from_der([&middle.der]).unwrap().under(middle.revoke(&[]));
    assert!(judged(&trusted, &chain).is_ok(), "what is configured as root needs no list above it");
}

#[test]
fn a_list_that_is_out_of_date_is_no_verdict() {
    let root = root("root");
    let ended = root.list(&[7], |list| list.next_update = date_time_ymd(2026, 6, 1));
    let lists = RevocationList::read(&ended).unwrap();
    assert_eq!(lists.first().unwrap().ends(), NOW, "the instant itself is too late");
    let roots = under(&root, vec![lists]);
    assert_eq!(judged(&roots, &[root.issue(&leaf(8))]).err(), Some(X509Reason::ListExpired));
    assert_eq!(judged(&roots, &[root.issue(&leaf(7))]).err(), Some(X509Reason::ListExpired));
    let stranger = self::root("root");
    assert_eq!(judged(&roots, &[stranger.issue(&leaf(8))]).err(), Some(X509Reason::Path), "a stranger is refused all the same");
}

#[test]
fn a_list_of_somebody_else_says_nothing() {
    let (root, other, namesake) = (root("root"), root("other"), root("root"));
    let of = |lists: Vec<RevocationList>| judged(&under(&root, vec![lists]), &[root.issue(&leaf(8))]).err();
    assert_eq!(of(other.revoke(&[])), Some(X509Reason::Unlisted));
    assert_eq!(of(namesake.revoke(&[])), Some(X509Reason::Unlisted), "the signature is not its");
}

/// An authority that changed its key keeps its name and has a list for each key; of two lists by one key the newer counts.
#[test]
fn of_several_lists_the_signers_newest_decides() {
    let (old, new) = (root("root"), root("root"));
    let roots = |lists: Vec<Vec<RevocationList>>| {
        Roots::from_der([&old.der, &new.der]).unwrap().under(lists.into_iter().flatten().collect())
    };
    for lists in [vec![old.revoke(&[7]), new.revoke(&[8])], vec![new.revoke(&[8]), old.revoke(&[7])]] {
        let roots = roots(lists);
        assert!(judged(&roots, &[old.issue(&leaf(8))]).is_ok());
        assert!(judged(&roots, &[new.issue(&leaf(7))]).is_ok());
        assert_eq!(judged(&roots, &[old.issue(&leaf(7))]).err(), Some(X509Reason::Revoked));
        assert_eq!(judged(&roots, &[new.issue(&leaf(8))]).err(), Some(X509Reason::Revoked));
    }
    let newer = RevocationList::read(&old.list(&[9], |list| list.this_update = date_time_ymd(2026, 5, 20))).unwrap();
    for lists in [vec![old.revoke(&[]), newer.clone()], vec![newer.clone(), old.revoke(&[])]] {
        assert_eq!(judged(&roots(lists), &[old.issue(&leaf(9))]).err(), Some(X509Reason::Revoked));
    }
}

/// RFC 5280 §5.2.5: a list about CA certificates only says nothing of a leaf.
#[test]
fn a_list_counts_within_its_scope_only() {
    let root = root("root");
    let scoped = |scope: CrlScope| {
        let point = CrlDistributionPoint { uris: vec!["http://pki.acme.example/crl".to_owned()] };
        let point = CrlIssuingDistributionPoint { distribution_point: point, scope: Some(scope) };
        RevocationList::read(&root.list(&[], |list| list.issuing_distribution_point = Some(point.clone()))).unwrap()
    };
    let of = |scope| judged(&under(&root, vec![scoped(scope)]), &[root.issue(&leaf(8))]).err();
    assert_eq!((of(CrlScope::UserCertsOnly), of(CrlScope::CaCertsOnly)), (None, Some(X509Reason::Unlisted)));
}

/// A path that was found under other lists is not one that is found under these.
#[test]
fn lists_are_part_of_what_identifies_roots() {
    let root = root("root");
    let digest = |lists: Vec<Vec<RevocationList>>| under(&root, lists).digest();
    let (one, two) = (root.revoke(&[1]), root.revoke(&[2]));
    assert_eq!(digest(Vec::new()), root.roots().digest());
    assert_ne!(digest(vec![one.clone()]), root.roots().digest());
    assert_ne!(digest(vec![one.clone()]), digest(vec![two.clone()]));
    assert_eq!(digest(vec![one.clone(), two.clone()]), digest(vec![two, one]));
}

#[test]
fn files_are_der_or_pem_and_nothing_else() {
    let root = root("root");
    let der = root.list(&[7], |_| {});
    let pem = |der: &[u8]| {
        use base64::Engine;
        let text = base64::engine::general_purpose::STANDARD.encode(der);
        format!("-----BEGIN X509 CRL-----\n{text}\n-----END X509 CRL-----\n")
    };
    let two = format!("{}{}", pem(&der), pem(&root.list(&[8], |_| {})));
    let (one, two) = (RevocationList::read(&der).unwrap(), RevocationList::read(two.as_bytes()).unwrap());
    assert_eq!((one.len(), two.len(), two.first().unwrap().digest()), (1, 2, Digest::of(&der)));
    assert_eq!(one.first().unwrap().issuer(), "O=Acme, CN=root");
    let refused = |bytes: &[u8]| RevocationList::read(bytes).err();
    for wrong in [&b""[..], b"0", b"no list", root.der.as_slice(), &[der.as_slice(), b"x"].concat()] {
        assert_eq!(refused(wrong), Some(RevocationListReason::Malformed), "{}", String::from_utf8_lossy(wrong));
    }
    assert_eq!(refused(pem(b"0").as_bytes()), Some(RevocationListReason::Malformed));
    assert_eq!(refused(pem(&der).repeat(LISTS_MAX + 1).as_bytes()), Some(RevocationListReason::Long));
}
