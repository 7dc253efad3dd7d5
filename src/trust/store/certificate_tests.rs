#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, SanType, date_time_ymd,
};

use super::*;
use crate::keys::{KeySource, TrustBundle};
use crate::oauth::{RuleName, TrustDomain};
use crate::trust::{Literal, Matcher, Requirement, TrustKind, TrustRule, TrustRuleParts};
use crate::x509::{self, Authority, NOW, TlsRole, ca, params, root, svid};

const WEB: &str = "spiffe://acme.example/ns/prod/sa/web";

impl TrustStore {
    /// The one rule that accepts the chain, the leaf first, by a path that nobody has looked for before.
    pub(crate) fn verify_certificate<C: AsRef<[u8]>>(&self, chain: &[C], now: Time) -> Result<VerifiedAssertion, TrustReason> {
        let claimed = x509::claimed_spiffe_id(chain[0].as_ref())?;
        self.verify_path(claimed.as_ref(), now, &|roots| {
            x509::validate(roots, chain, now, TlsRole::Client).map(ValidatedLeaf::from).map(Arc::new)
        })
    }
}

fn parts(name: &str, kind: TrustKind, keys: KeySource) -> TrustRuleParts {
    let spiffe = kind == TrustKind::Spiffe;
    let selector = match spiffe {
        true => IssuerSelector::TrustDomain(TrustDomain::parse(&format!("{name}.example")).unwrap()),
        false => IssuerSelector::Roots,
    };
    let parts =
        TrustRuleParts { lifetime_max: Duration::from_secs(3600), ..TrustRuleParts::for_tests(name, kind, selector, keys) };
    if spiffe { parts } else { TrustRuleParts { audiences: Vec::new(), algorithms: Vec::new(), ..parts } }
}

fn bundle(authorities: &[&Authority]) -> KeySource {
    let keys: Vec<String> = authorities
        .iter()
        .map(|one| format!(r#"{{"kty":"EC","use":"x509-svid","x5c":["{}","ignored"]}}"#, STANDARD.encode(&one.der)))
        .collect();
    let more = r#"{"kty":"EC","use":"x509-svid"},{"kty":"EC","x5c":["AAAA"]},{"kty":"EC","use":"other","x5c":["AAAA"]}"#;
    let json = format!(r#"{{"keys":[{}{}{more}],"spiffe_sequence":1}}"#, keys.join(","), if keys.is_empty() { "" } else { "," });
    KeySource::Bundle(Arc::new(TrustBundle::parse(json.as_bytes()).unwrap()))
}

fn trust(rules: Vec<TrustRuleParts>) -> TrustStore {
    TrustStore::new(rules.into_iter().map(|parts| TrustRule::new(parts).unwrap()).collect(), None).unwrap()
}

fn spiffe(authority: &Authority) -> TrustStore {
    trust(vec![parts("acme", TrustKind::Spiffe, bundle(&[authority]))])
}

#[test]
fn an_svid_is_vouched_for_by_its_domains_bundle() {
    let root = root("root");
    let der = root.issue(&svid(WEB));
    let vouched = spiffe(&root).verify_certificate(&[&der], NOW).unwrap();
    assert_eq!((vouched.id().as_str(), vouched.issuer()), (WEB, "spiffe://acme.example"));
    assert_eq!((vouched.rule().name().as_str(), vouched.instance()), ("acme", Some("/ns/prod/sa/web")));
    assert_eq!(vouched.digest(), crate::crypto::Digest::of(&der));
    assert_eq!(vouched.claims().text("uri").unwrap().as_deref(), Some(WEB));
    assert!(vouched.expires() > NOW && vouched.audiences().is_empty());
}

#[test]
fn a_leaf_is_written_as_claims_once_however_often_it_is_presented() {
    let root = root("root");
    let (trust, id) = (spiffe(&root), SpiffeId::parse(WEB).unwrap());
    let leaf = x509::validate(&root.roots(), &[root.issue(&svid(WEB))], NOW, TlsRole::Client).unwrap();
    let leaf = Arc::new(ValidatedLeaf::from(leaf));
    let vouched = || trust.verify_path(Some(&id), NOW, &|_| Ok(Arc::clone(&leaf))).unwrap();
    assert!(std::ptr::eq(vouched().claims(), vouched().claims()));
}

/// Negative test 39: neither another domain's bundle nor a root that both share makes an SVID of this domain.
#[test]
fn only_the_bundle_of_the_domain_in_the_name_counts() {
    let (ours, theirs) = (root("root"), root("root"));
    let acme = parts("acme", TrustKind::Spiffe, bundle(&[&ours]));
    let other = parts("other", TrustKind::Spiffe, bundle(&[&theirs]));
    let both = trust(vec![acme, other]);
    let refused = |der: Vec<u8>| both.verify_certificate(&[der], NOW).err();
    assert_eq!(refused(theirs.issue(&svid(WEB))), Some(TrustReason::Certificate(X509Reason::Path)));
    assert_eq!(refused(ours.issue(&svid("spiffe://other.example/web"))), Some(TrustReason::Certificate(X509Reason::Path)));
    assert_eq!(refused(ours.issue(&svid("spiffe://stranger.example/web"))), Some(TrustReason::Issuer));
    assert_eq!(refused(ours.issue(&svid("spiffe://ACME.example/web"))), Some(TrustReason::Certificate(X509Reason::SpiffeId)));
    assert_eq!(refused(ours.issue(&svid("SPIFFE://acme.example/web"))), Some(TrustReason::Certificate(X509Reason::SpiffeId)));
}

/// Negative test 41.
#[test]
fn an_empty_bundle_kills_every_svid() {
    let root = root("root");
    let empty = trust(vec![parts("acme", TrustKind::Spiffe, bundle(&[]))]);
    let refused = empty.verify_certificate(&[root.issue(&svid(WEB))], NOW).err();
    assert_eq!(refused, Some(TrustReason::Certificate(X509Reason::Path)));
    let mut off = parts("acme", TrustKind::Spiffe, bundle(&[&root]));
    off.enabled = false;
    assert_eq!(trust(vec![off]).verify_certificate(&[root.issue(&svid(WEB))], NOW).err(), Some(TrustReason::Disabled));
}

fn employee(dns: &[&str]) -> CertificateParams {
    let mut params = params("web-1");
    params.distinguished_name.push(DnType::OrganizationalUnitName, "payments");
    params.subject_alt_names = dns.iter().map(|name| SanType::DnsName((*name).try_into().unwrap())).collect();
    params
}

fn pki(root: &Authority, require: &[(&str, &str)]) -> TrustRuleParts {
    let mut rule = parts("corp", TrustKind::X509, KeySource::Roots(Arc::new(root.roots())));
    rule.require = require
        .iter()
        .map(|(claim, text)| Requirement::new(claim, Matcher::Is(Literal::Text((*text).into()))).unwrap())
        .collect();
    rule
}

#[test]
fn names_of_a_certificate_are_matched_like_claims() {
    let root = root("root");
    let one = root.issue(&employee(&["web.acme.example"]));
    let vouched =
        trust(vec![pki(&root, &[("dns", "web.acme.example"), ("/subject/OU", "payments")])]).verify_certificate(&[&one], NOW);
    let vouched = vouched.unwrap();
    assert_eq!((vouched.id().as_str(), vouched.issuer()), ("OU=payments,CN=web-1,O=Acme", "x509:corp"));
    for (claim, text) in
        [("dns", "web.acme"), ("/subject/OU", "sales"), ("/subject/CN", "web"), ("uri", "x"), ("email", "x"), ("sub", "CN=web-1")]
    {
        let refused = trust(vec![pki(&root, &[(claim, text)])]).verify_certificate(&[&one], NOW).err();
        assert_eq!(refused, Some(TrustReason::Requirement), "{claim}");
    }
    let several = root.issue(&employee(&["web.acme.example", "db.acme.example"]));
    let refused = trust(vec![pki(&root, &[("dns", "web.acme.example")])]).verify_certificate(&[&several], NOW).err();
    assert_eq!(refused, Some(TrustReason::Requirement), "several names are not one of them");
    let two = trust(vec![pki(&root, &[]), TrustRuleParts { name: RuleName::parse("corp2").unwrap(), ..pki(&root, &[]) }]);
    assert_eq!(two.verify_certificate(&[&one], NOW).err(), Some(TrustReason::Ambiguous));
}

type Change = fn(&mut CertificateParams);

fn url(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

/// A leaf that one rule admits, changed in one way each time.
#[test]
fn a_corpus_of_certificates_of_an_enterprise() {
    let root = root("root");
    let middle = root.authority(ca("middle"));
    let required = [("dns", "web.acme.example"), ("/subject/OU", "payments"), ("/subject/O", "Acme")];
    let trust = trust(vec![pki(&root, &required)]);
    let judged = |chain: &[Vec<u8>]| trust.verify_certificate(chain, NOW).map(|vouched| vouched.id().to_owned());
    let with = |change: Change| {
        let mut params = employee(&["web.acme.example"]);
        change(&mut params);
        params
    };
    let accepted: [Change; 9] = [
        |_| {},
        |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth],
        |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth],
        |params| params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment],
        |params| params.subject_alt_names.push(url("https://acme.example/web")),
        |params| params.subject_alt_names.push(SanType::Rfc822Name("web@acme.example".try_into().unwrap())),
        |params| params.distinguished_name.push(DnType::CountryName, "CH"),
        |params| params.is_ca = IsCa::ExplicitNoCa,
        |params| params.not_after = date_time_ymd(2026, 6, 2),
    ];
    for (position, change) in accepted.into_iter().enumerate() {
        assert!(judged(&[root.issue(&with(change))]).is_ok(), "{position}");
        assert!(judged(&[middle.issue(&with(change)), middle.der.clone()]).is_ok(), "{position} below an intermediate");
    }
    let refused: [Change; 13] = [
        |params| params.subject_alt_names = vec![SanType::DnsName("db.acme.example".try_into().unwrap())],
        |params| params.subject_alt_names = vec![SanType::DnsName("*.acme.example".try_into().unwrap())],
        |params| params.subject_alt_names = vec![SanType::DnsName("web.acme.example.evil.example".try_into().unwrap())],
        |params| params.subject_alt_names.push(SanType::DnsName("db.acme.example".try_into().unwrap())),
        |params| params.subject_alt_names.clear(),
        |params| params.distinguished_name.push(DnType::OrganizationalUnitName, "sales"),
        |params| params.distinguished_name.push(DnType::OrganizationName, "Evil"),
        |params| params.distinguished_name.remove(DnType::OrganizationalUnitName).then_some(()).unwrap(),
        |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth],
        |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning],
        |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained),
        |params| params.not_after = date_time_ymd(2026, 5, 31),
        |params| params.not_before = date_time_ymd(2026, 6, 2),
    ];
    for (position, change) in refused.into_iter().enumerate() {
        assert!(judged(&[root.issue(&with(change))]).is_err(), "{position}");
    }
    assert!(judged(&[middle.issue(&with(|_| {}))]).is_err(), "an intermediate that nobody sends");
}

/// X509-SVID §2 to §5, each rule once.
#[test]
fn a_corpus_of_x509_svids() {
    let root = root("root");
    let trust = spiffe(&root);
    let judged = |id: &str, change: Change| {
        let mut params = svid(id);
        change(&mut params);
        trust.verify_certificate(&[root.issue(&params)], NOW).map(|vouched| vouched.instance().map(str::to_owned))
    };
    let accepted: [(&str, Change); 8] = [
        (WEB, |_| {}),
        ("spiffe://acme.example/a", |_| {}),
        ("spiffe://acme.example/A_b-c.1/2", |_| {}),
        (WEB, |params| params.subject_alt_names.push(SanType::DnsName("web.acme.example".try_into().unwrap()))),
        (WEB, |params| params.distinguished_name = rcgen::DistinguishedName::new()),
        (WEB, |params| params.extended_key_usages.clear()),
        (WEB, |params| params.key_usages.push(KeyUsagePurpose::KeyEncipherment)),
        (WEB, |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]),
    ];
    for (position, (id, change)) in accepted.into_iter().enumerate() {
        assert_eq!(judged(id, change).unwrap().as_deref(), id.strip_prefix("spiffe://acme.example"), "{position}");
    }
    let refused: [(&str, Change); 14] = [
        ("spiffe://acme.example", |_| {}),
        ("spiffe://acme.example/", |_| {}),
        ("spiffe://acme.example/a/", |_| {}),
        ("spiffe://acme.example/a/../b", |_| {}),
        ("spiffe://acme.example/%61", |_| {}),
        ("spiffe://acme.example:443/a", |_| {}),
        ("spiffe://other.example/a", |_| {}),
        ("https://acme.example/a", |_| {}),
        (WEB, |params| params.subject_alt_names.push(url("spiffe://acme.example/b"))),
        (WEB, |params| params.subject_alt_names.push(url("https://acme.example/b"))),
        (WEB, |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
        (WEB, |params| params.key_usages.push(KeyUsagePurpose::KeyCertSign)),
        (WEB, |params| params.key_usages.clear()),
        (WEB, |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]),
    ];
    for (position, (id, change)) in refused.into_iter().enumerate() {
        assert!(judged(id, change).is_err(), "{position}");
    }
}

/// A certificate with a SPIFFE ID is never judged by the roots of an enterprise PKI, nor a token by a rule about certificates.
#[test]
fn kinds_do_not_mix() {
    let root = root("root");
    let rule = trust(vec![pki(&root, &[])]);
    assert_eq!(rule.verify_certificate(&[root.issue(&svid(WEB))], NOW).err(), Some(TrustReason::Issuer));
    let token = crate::jose::Compact::parse("eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJ4NTA5OmNvcnAifQ.AAAA").unwrap();
    let vouching = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(rule.verify(&token, NOW))
        .map_err(|refused| refused.reason());
    assert_eq!(vouching.err(), Some(TrustReason::Issuer));
}

/// One rule's list is out of date and nobody else vouches: no verdict. Another rule that vouches settles it.
#[test]
fn revocation_counts_by_rule() {
    let root = root("root");
    let mut params = employee(&["web.acme.example"]);
    params.serial_number = Some(7_u64.into());
    let der = root.issue(&params);
    let rule = |name: &str, lists| TrustRuleParts {
        name: RuleName::parse(name).unwrap(),
        keys: KeySource::Roots(Arc::new(root.roots().under(lists))),
        ..pki(&root, &[])
    };
    let vouch = |rules| trust(rules).verify_certificate(&[&der], NOW).map(|vouched| vouched.rule().name().to_string());
    let ended = root.list(&[], |list| list.next_update = date_time_ymd(2026, 5, 31));
    let ended = || crate::x509::RevocationList::read(&ended).unwrap();
    assert_eq!(vouch(vec![rule("a", root.revoke(&[8]))]), Ok("a".to_owned()));
    assert_eq!(vouch(vec![rule("a", root.revoke(&[7]))]), Err(TrustReason::Certificate(X509Reason::Revoked)));
    assert_eq!(vouch(vec![rule("a", ended())]), Err(TrustReason::ListExpired));
    let strict = TrustRuleParts { ..pki(&root, &[("dns", "other.example")]) };
    assert_eq!(vouch(vec![rule("a", ended()), strict]), Err(TrustReason::ListExpired), "somebody may yet vouch");
    assert_eq!(vouch(vec![rule("a", ended()), rule("b", Vec::new())]), Ok("b".to_owned()));
    assert!(TrustReason::ListExpired.is_no_verdict() && !TrustReason::Requirement.is_no_verdict());
}

/// A login names its rule: it must be one of kind `x509`, in force, and never takes what a SPIFFE trust domain has to judge.
#[test]
fn a_login_by_certificate_takes_one_rule_at_its_word_and_no_other() {
    let (corporate, spire) = (root("pki"), root("spire"));
    let vouched = |rules: Vec<TrustRuleParts>, name: &str, der: &[u8]| {
        let validated =
            |roots: &Roots| x509::validate(roots, &[der], NOW, TlsRole::Client).map(ValidatedLeaf::from).map(Arc::new);
        trust(rules).verify_path_under(&RuleName::parse(name).unwrap(), NOW, &validated).map(|vouched| vouched.id().to_owned())
    };
    let rules = || vec![pki(&corporate, &[]), parts("acme", TrustKind::Spiffe, bundle(&[&spire]))];
    let plain = corporate.issue(&employee(&["web.acme.example"]));
    assert!(vouched(rules(), "corp", &plain).is_ok());
    let disabled = TrustRuleParts { enabled: false, ..pki(&corporate, &[]) };
    assert_eq!(vouched(vec![disabled], "corp", &plain), Err(TrustReason::Disabled));
    assert_eq!(vouched(rules(), "nobody", &plain), Err(TrustReason::Issuer));
    let without_id = spire.issue(&employee(&["web.acme.example"]));
    assert_eq!(vouched(rules(), "acme", &without_id), Err(TrustReason::Issuer), "a trust domain is no x509 rule");
    let with_id = corporate.issue(&svid(WEB));
    assert_eq!(vouched(rules(), "corp", &with_id), Err(TrustReason::Certificate(X509Reason::SpiffeId)));
}
