#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, DnType, SanType};

use super::*;
use crate::jose::Algorithm;
use crate::oauth::RuleName;
use crate::trust::x509::testing::{Authority, NOW, params, root, svid};
use crate::trust::{
    Bundle, KeySource, Literal, Matcher, SubjectKind, SubjectParts, TrustDomain, TrustKind, TrustRule, TrustRuleParts,
};

const WEB: &str = "spiffe://acme.example/ns/prod/sa/web";

fn parts(name: &str, kind: TrustKind, keys: KeySource) -> TrustRuleParts {
    TrustRuleParts {
        name: RuleName::parse(name).unwrap(),
        kind,
        issuer: None,
        trust_domain: (kind == TrustKind::Spiffe).then(|| TrustDomain::parse(&format!("{name}.example")).unwrap()),
        audiences: if kind == TrustKind::Spiffe { vec!["us".into()] } else { Vec::new() },
        algorithms: if kind == TrustKind::Spiffe { vec![Algorithm::ES256] } else { Vec::new() },
        lifetime_max: Duration::from_secs(3600),
        subject: SubjectParts { kind: SubjectKind::Workload, id: "{sub}".into(), instance: None, attributes: BTreeMap::new() },
        require: Vec::new(),
        presenters: Vec::new(),
        enabled: true,
        keys,
    }
}

fn bundle(authorities: &[&Authority]) -> KeySource {
    let keys: Vec<String> = authorities
        .iter()
        .map(|one| format!(r#"{{"kty":"EC","use":"x509-svid","x5c":["{}","ignored"]}}"#, STANDARD.encode(&one.der)))
        .collect();
    let more = r#"{"kty":"EC","use":"x509-svid"},{"kty":"EC","x5c":["AAAA"]},{"kty":"EC","use":"other","x5c":["AAAA"]}"#;
    let json = format!(r#"{{"keys":[{}{}{more}],"spiffe_sequence":1}}"#, keys.join(","), if keys.is_empty() { "" } else { "," });
    KeySource::Bundle(Arc::new(Bundle::parse(json.as_bytes()).unwrap()))
}

fn trust(rules: Vec<TrustRuleParts>) -> Trust {
    Trust::new(rules.into_iter().map(|parts| TrustRule::new(parts).unwrap()).collect(), None).unwrap()
}

fn spiffe(authority: &Authority) -> Trust {
    trust(vec![parts("acme", TrustKind::Spiffe, bundle(&[authority]))])
}

#[test]
fn an_svid_is_vouched_for_by_its_domains_bundle() {
    let root = root("root");
    let der = root.issue(&svid(WEB));
    let vouched = spiffe(&root).vouch_certificate(&[&der], NOW).unwrap();
    assert_eq!((vouched.id(), vouched.issuer()), (WEB, "spiffe://acme.example"));
    assert_eq!(
        (vouched.subject().as_str(), vouched.instance()),
        ("acme:spiffe://acme.example/ns/prod/sa/web", Some("/ns/prod/sa/web"))
    );
    assert_eq!(vouched.digest(), crate::crypto::Digest::of(&der));
    assert_eq!(vouched.certificate().unwrap().uris, [WEB]);
    assert!(vouched.expires() > NOW && vouched.kid().is_none() && vouched.audiences().is_empty());
}

/// Negative test 39: neither another domain's bundle nor a root that both share makes an SVID of this domain.
#[test]
fn only_the_bundle_of_the_domain_in_the_name_counts() {
    let (ours, theirs) = (root("root"), root("root"));
    let acme = parts("acme", TrustKind::Spiffe, bundle(&[&ours]));
    let other = parts("other", TrustKind::Spiffe, bundle(&[&theirs]));
    let both = trust(vec![acme, other]);
    let refused = |der: Vec<u8>| both.vouch_certificate(&[der], NOW).err();
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
    let refused = empty.vouch_certificate(&[root.issue(&svid(WEB))], NOW).err();
    assert_eq!(refused, Some(TrustReason::Certificate(X509Reason::Path)));
    let mut off = parts("acme", TrustKind::Spiffe, bundle(&[&root]));
    off.enabled = false;
    assert_eq!(trust(vec![off]).vouch_certificate(&[root.issue(&svid(WEB))], NOW).err(), Some(TrustReason::Disabled));
}

fn employee(dns: &[&str]) -> CertificateParams {
    let mut params = params("web-1");
    params.distinguished_name.push(DnType::OrganizationalUnitName, "payments");
    params.subject_alt_names = dns.iter().map(|name| SanType::DnsName((*name).try_into().unwrap())).collect();
    params
}

fn pki(root: &Authority, require: &[(&str, &str)]) -> TrustRuleParts {
    let mut rule = parts("corp", TrustKind::X509, KeySource::Roots(Arc::new(root.roots())));
    rule.require = require.iter().map(|(claim, text)| ((*claim).into(), Matcher::Is(Literal::Text((*text).into())))).collect();
    rule
}

#[test]
fn names_of_a_certificate_are_matched_like_claims() {
    let root = root("root");
    let one = root.issue(&employee(&["web.acme.example"]));
    let vouched =
        trust(vec![pki(&root, &[("dns", "web.acme.example"), ("/subject/OU", "payments")])]).vouch_certificate(&[&one], NOW);
    let vouched = vouched.unwrap();
    assert_eq!((vouched.id(), vouched.issuer()), ("OU=payments,CN=web-1,O=Acme", "x509:corp"));
    for (claim, text) in
        [("dns", "web.acme"), ("/subject/OU", "sales"), ("/subject/CN", "web"), ("uri", "x"), ("email", "x"), ("sub", "CN=web-1")]
    {
        let refused = trust(vec![pki(&root, &[(claim, text)])]).vouch_certificate(&[&one], NOW).err();
        assert_eq!(refused, Some(TrustReason::Requirement), "{claim}");
    }
    let several = root.issue(&employee(&["web.acme.example", "db.acme.example"]));
    let refused = trust(vec![pki(&root, &[("dns", "web.acme.example")])]).vouch_certificate(&[&several], NOW).err();
    assert_eq!(refused, Some(TrustReason::Requirement), "several names are not one of them");
    let two = trust(vec![pki(&root, &[]), TrustRuleParts { name: RuleName::parse("corp2").unwrap(), ..pki(&root, &[]) }]);
    assert_eq!(two.vouch_certificate(&[&one], NOW).err(), Some(TrustReason::Ambiguous));
}

/// A certificate with a SPIFFE ID is never judged by the roots of an enterprise PKI, nor a token by a rule about certificates.
#[test]
fn kinds_do_not_mix() {
    let root = root("root");
    let rule = trust(vec![pki(&root, &[])]);
    assert_eq!(rule.vouch_certificate(&[root.issue(&svid(WEB))], NOW).err(), Some(TrustReason::Issuer));
    let none: [Vec<u8>; 0] = [];
    assert_eq!(rule.vouch_certificate(&none, NOW).err(), Some(TrustReason::Certificate(X509Reason::Empty)));
    let token = crate::jose::Compact::parse("eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJ4NTA5OmNvcnAifQ.AAAA").unwrap();
    let vouching = tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(rule.vouch(&token, NOW));
    assert_eq!(vouching.err(), Some(TrustReason::Issuer));
}
