#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, SanType, date_time_ymd,
};

use super::*;

fn checked(roots: &Roots, chain: &[Vec<u8>]) -> Result<Leaf, X509Reason> {
    validate(roots, chain, NOW, TlsRole::Client)
}

const WEB: &str = "spiffe://acme.example/ns/prod/sa/web";

fn domain() -> TrustDomain {
    TrustDomain::parse("acme.example").unwrap()
}

fn identified(params: &CertificateParams) -> Result<SpiffeId, X509Reason> {
    let root = root("root");
    checked(&root.roots(), &[root.issue(params)]).and_then(|leaf| spiffe_id(&leaf, &domain()))
}

#[test]
fn a_chain_in_any_order_leads_to_its_root_and_the_leaf_is_read() {
    let root = root("root");
    let middle = root.authority(ca("middle"));
    let mut params = svid(WEB);
    params.subject_alt_names.push(SanType::DnsName("web.acme.example".try_into().unwrap()));
    params.subject_alt_names.push(SanType::Rfc822Name("web@acme.example".try_into().unwrap()));
    params.distinguished_name.push(DnType::OrganizationalUnitName, "a,OU=b");
    let der = middle.issue(&params);
    let leaf = checked(&root.roots(), &[der.clone(), root.der.clone(), middle.der.clone()]).unwrap();
    assert_eq!(leaf.uris, [WEB]);
    assert_eq!(
        (leaf.dns.as_slice(), leaf.emails.as_slice()),
        (&["web.acme.example".into()][..], &["web@acme.example".into()][..])
    );
    assert_eq!((leaf.subject.as_str(), leaf.issuer.as_str()), ("OU=a\\,OU\\=b,CN=web,O=Acme", "CN=middle,O=Acme"));
    assert!(leaf.parts.contains(&("CN".into(), "web".into())));
    assert_eq!(leaf.thumbprint, Digest::of(&der));
    assert!(!leaf.serial.is_empty() && leaf.not_after > NOW && leaf.not_before < NOW);
    assert_eq!(spiffe_id(&leaf, &domain()).unwrap().as_str(), WEB);
}

/// Negative test 39: a leaf counts under the roots of its own domain only, and says which domain it is of.
#[test]
fn another_root_or_domain_is_refused() {
    let (ours, theirs) = (root("root"), root("root"));
    let forged = theirs.issue(&svid(WEB));
    assert_eq!(checked(&ours.roots(), std::slice::from_ref(&forged)), Err(X509Reason::Path));
    assert_eq!(checked(&ours.roots(), &[forged, theirs.der.clone()]), Err(X509Reason::Path), "a sent root is no root");
    assert_eq!(identified(&svid("spiffe://other.example/ns/prod/sa/web")), Err(X509Reason::SpiffeId));
    assert_eq!(checked(&Roots::from_der(Vec::<Vec<u8>>::new()).unwrap(), &[ours.issue(&svid(WEB))]), Err(X509Reason::Path));
}

/// Negative test 40.
#[test]
fn what_is_no_leaf_of_a_workload_is_refused() {
    assert!(identified(&svid(WEB)).is_ok());
    let with = |change: fn(&mut CertificateParams)| {
        let mut params = svid(WEB);
        change(&mut params);
        identified(&params).err()
    };
    let two = with(|params| params.subject_alt_names.push(SanType::URI("spiffe://acme.example/b".try_into().unwrap())));
    assert_eq!(two, Some(X509Reason::UriCount));
    assert_eq!(with(|params| params.subject_alt_names.clear()), Some(X509Reason::UriCount));
    assert_eq!(with(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)), Some(X509Reason::Path));
    assert_eq!(with(|params| params.key_usages.push(KeyUsagePurpose::KeyCertSign)), Some(X509Reason::KeyUsage));
    assert_eq!(with(|params| params.key_usages.push(KeyUsagePurpose::CrlSign)), Some(X509Reason::KeyUsage));
    assert_eq!(with(|params| params.key_usages = vec![KeyUsagePurpose::KeyEncipherment]), Some(X509Reason::KeyUsage));
    assert_eq!(with(|params| params.key_usages.clear()), Some(X509Reason::KeyUsage));
    // X509-SVID §4.3: the key usage is marked critical.
    let usage = |critical: bool| {
        let mut params = svid(WEB);
        params.key_usages.clear();
        let mut digital_signature = rcgen::CustomExtension::from_oid_content(&[2, 5, 29, 15], vec![3, 2, 7, 0x80]);
        digital_signature.set_criticality(critical);
        params.custom_extensions.push(digital_signature);
        identified(&params).err()
    };
    assert_eq!([usage(true), usage(false)], [None, Some(X509Reason::KeyUsage)]);
    let server = with(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]);
    assert_eq!(server, Some(X509Reason::Purpose));
    assert_eq!(with(|params| params.extended_key_usages.clear()), None);
    for id in ["spiffe://acme.example", "spiffe://acme.example/", "https://acme.example/web", "spiffe://ACME.example/web"] {
        assert_eq!(identified(&svid(id)), Err(X509Reason::SpiffeId), "{id}");
    }
}

/// Negative test 40: every certificate of the path must be current.
#[test]
fn time_is_checked_along_the_whole_path() {
    let root = root("root");
    let mut old = ca("old");
    old.not_after = date_time_ymd(2026, 5, 1);
    let old = root.authority(old);
    assert_eq!(checked(&root.roots(), &[old.issue(&svid(WEB)), old.der.clone()]), Err(X509Reason::Expired));
    let mut params = svid(WEB);
    params.not_after = date_time_ymd(2026, 5, 31);
    assert_eq!(checked(&root.roots(), &[root.issue(&params)]), Err(X509Reason::Expired));
    params.not_before = date_time_ymd(2026, 6, 2);
    params.not_after = date_time_ymd(2026, 7, 1);
    assert_eq!(checked(&root.roots(), &[root.issue(&params)]), Err(X509Reason::Early));
}

#[test]
fn only_an_authority_issues() {
    let root = root("root");
    let leaf = root.authority(svid(WEB));
    assert_eq!(checked(&root.roots(), &[leaf.issue(&svid(WEB)), leaf.der.clone()]), Err(X509Reason::Path));
    let mut mute = ca("mute");
    mute.key_usages = vec![KeyUsagePurpose::CrlSign];
    let mute = root.authority(mute);
    assert_eq!(checked(&root.roots(), &[mute.issue(&svid(WEB)), mute.der.clone()]), Err(X509Reason::Path));
    let mut short = ca("short");
    short.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let short = root.authority(short);
    let below = short.authority(ca("below"));
    let chain = [below.issue(&svid(WEB)), below.der.clone(), short.der.clone()];
    assert_eq!(checked(&root.roots(), &chain), Err(X509Reason::Path));
}

#[test]
fn nonsense_and_excess_are_refused() {
    let root = root("root");
    let good = root.issue(&svid(WEB));
    let none: [Vec<u8>; 0] = [];
    assert_eq!(checked(&root.roots(), &none), Err(X509Reason::Empty));
    assert_eq!(checked(&root.roots(), &[b"MII".to_vec()]), Err(X509Reason::Malformed));
    assert_eq!(checked(&root.roots(), &[[good.as_slice(), b"x"].concat()]), Err(X509Reason::Malformed));
    assert_eq!(checked(&root.roots(), &vec![good.clone(); CHAIN_MAX + 1]), Err(X509Reason::Long));
    assert_eq!(checked(&root.roots(), &[good, vec![0; CERTIFICATE_BYTES_MAX + 1]]), Err(X509Reason::Long));
    assert_eq!(Roots::from_pem("no certificate").unwrap_err(), X509Reason::Empty);
    assert_eq!(Roots::from_der([b"x"]).unwrap_err(), X509Reason::Malformed);
}

/// RFC 7638 §3, RFC 8037 §2: a certificate's key has the thumbprint that the same key has as a JWK.
#[test]
fn the_key_of_a_certificate_is_known_by_its_thumbprint() {
    use crate::jose::{Algorithm, SigningKey, generate_key};
    let root = root("root");
    for algorithm in [Algorithm::ES256, Algorithm::ES384, Algorithm::ES512, Algorithm::EdDSA, Algorithm::RS256] {
        let pem = generate_key(algorithm).unwrap();
        let key = rcgen::KeyPair::from_pem(&pem).unwrap();
        let plain = UnverifiedCertificate::read(&root.issue_for(&params("web"), &key)).unwrap();
        let known = SigningKey::from_pem(&pem, algorithm).unwrap().verifying_key().thumbprint();
        assert_eq!(plain.key, Some(known), "{algorithm}");
    }
}
