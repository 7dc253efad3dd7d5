//! Diagnostics about revocation lists.

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CrlDistributionPoint, CrlIssuingDistributionPoint,
    IsCa, Issuer, KeyIdMethod, KeyPair, date_time_ymd,
};

use super::diagnostics::expect;
use super::scene::{AGENT, MAIN, Scene};
use crate::client::DatedKind;
use crate::keys::KeySource;
use crate::oauth::{ClientId, Time};

struct Ca(Issuer<'static, KeyPair>, String);

impl Ca {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self(Issuer::new(params, key), pem)
    }

    fn list(&self) -> String {
        self.list_with(|_| {})
    }

    fn list_with(&self, change: impl Fn(&mut CertificateRevocationListParams)) -> String {
        let mut params = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 1, 1),
            next_update: date_time_ymd(2027, 1, 1),
            crl_number: 1_u64.into(),
            issuing_distribution_point: None,
            revoked_certs: Vec::new(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        change(&mut params);
        params.signed_by(&self.0).unwrap().pem().unwrap()
    }
}

const RULE: &str =
    "name = 'pki'\nkind = 'x509'\nsubject = { kind = 'workload', id = '{dns}' }\nrequire = { '/subject/O' = 'A' }\n[keys]\n";

fn rule(ca: &Ca, keys: &str) -> Scene {
    Scene::new().with("ca.pem", &ca.1).with("ca.crl", &ca.list()).with("trust/pki.toml", &format!("{RULE}{keys}"))
}

#[test]
fn one_list_or_several_go_with_their_roots() {
    let ca = Ca::new("root");
    for (keys, count) in [("", 0), ("crl_file = '../ca.crl'", 1), ("crl_file = ['../ca.crl', '../other.crl']", 2)] {
        let scene = rule(&ca, &format!("ca_file = '../ca.pem'\n{keys}")).with("other.crl", &Ca::new("other").list());
        let config = scene.config();
        let KeySource::Roots(roots) = &config.rules[0].rule.keys else { panic!("roots") };
        assert_eq!((roots.len(), roots.lists().len(), roots.without_list()), (1, count, 0));
    }
}

#[test]
fn what_is_no_list_is_told_with_its_file() {
    let ca = Ca::new("root");
    let none = "trust/../ca.crl:1: has no revocation list (RFC 5280 version 2, in DER or in PEM as X509 CRL)";
    let keys = |keys: &str| rule(&ca, &format!("ca_file = '../ca.pem'\n{keys}"));
    expect(keys("crl_file = '../ca.crl'").with("ca.crl", &ca.1), &[none]);
    expect(keys("crl_file = '../ca.crl'").with("ca.crl", ""), &[none]);
    let point = CrlDistributionPoint { uris: vec!["http://a.example/1".to_owned()] };
    let point = CrlIssuingDistributionPoint { distribution_point: point, scope: None };
    let part = ca.list_with(|list| list.issuing_distribution_point = Some(point.clone()));
    expect(keys("crl_file = '../ca.crl'").with("ca.crl", &part), &[]);
    expect(keys("crl_file = []"), &["trust/pki.toml:7: `crl_file` must name at least one file, or be left out"]);
    expect(keys("crl_file = ['']"), &["trust/pki.toml:7: each of `crl_file` must be a path"]);
    expect(keys("crl_file = 7"), &["trust/pki.toml:7: `crl_file` must be a string, not an integer"]);
    let absent = keys("crl_file = ['../ca.crl', '../absent.crl']").diagnostics();
    assert!(absent.len() == 1 && absent[0].contains("absent.crl cannot be read"), "{absent:?}");
    let long = keys("crl_file = '../ca.crl'").with("ca.crl", &" ".repeat((8 << 20) + 1)).diagnostics();
    assert!(long.len() == 1 && long[0].ends_with("cannot be read: it is longer than 8 MiB"), "{long:?}");
    let spiffe = "name = 's'\nkind = 'oidc'\nissuer = 'https://s.example'\naudiences = ['us']\nsubject = { kind = 'user' }\n\
                  [keys]\ndiscovery = true\ncrl_file = 'x'\n";
    expect(Scene::new().with("trust/s.toml", spiffe), &["trust/s.toml:8: `crl_file` belongs to kind \"x509\""]);
}

#[test]
fn a_root_without_a_list_is_warned_of() {
    let (ca, other) = (Ca::new("root"), Ca::new("other"));
    let both = format!("{}{}", ca.1, other.1);
    let scene = rule(&ca, "ca_file = '../ca.pem'\ncrl_file = '../ca.crl'").with("ca.pem", &both);
    let warnings: Vec<String> = scene.config().warnings.iter().map(ToString::to_string).collect();
    assert!(warnings[0].contains("1 of 2 authorities have no revocation list of their own"), "{warnings:?}");
}

#[test]
fn lists_of_logins_go_with_the_authority_that_is_named_there() {
    let ca = Ca::new("root");
    let scene = |main: &str, login: &str| {
        let agent = format!("{AGENT}[[login]]\nmethod = 'tls_client_auth'\nsan_dns = 'a.example'\n{login}");
        let scene = Scene::new().with("ca.pem", &ca.1).with("ca.crl", &ca.list()).with("agents/a.toml", &agent);
        scene.with("main.toml", &format!("{MAIN}{main}"))
    };
    let kinds = |scene: Scene| {
        let dated = scene.config().inputs.logins.dated_of(&ClientId::parse("a").unwrap()).to_vec();
        dated.iter().map(|dated| (dated.kind, dated.to_string(), dated.not_after)).collect::<Vec<_>>()
    };
    let own = kinds(scene("", "ca_file = '../ca.pem'\ncrl_file = '../ca.crl'"));
    let shared = kinds(scene("[tls]\nclient_ca = 'ca.pem'\nclient_crl = ['ca.crl']", ""));
    for found in [own, shared] {
        let (kind, name, end) = found.last().unwrap();
        assert_eq!((found.len(), *kind, *end), (2, DatedKind::RevocationList, Time::from_seconds(1_798_761_599)));
        assert!(name.starts_with("revocation list CN=root in "), "{name}");
    }
    let elsewhere = "agents/a.toml:8: `crl_file` goes with `ca_file`; lists for `client_ca` are `client_crl` in [tls]";
    expect(scene("[tls]\nclient_ca = 'ca.pem'", "crl_file = '../ca.crl'"), &[elsewhere]);
    let alone = scene("[tls]\nclient_crl = 'ca.crl'", "ca_file = '../ca.pem'");
    expect(alone, &["main.toml:7: `client_crl` goes with `client_ca`"]);
}

/// A change of a list counts without a restart.
#[test]
fn a_list_is_watched() {
    let ca = Ca::new("root");
    let scene = rule(&ca, "ca_file = '../ca.pem'\ncrl_file = '../ca.crl'");
    let known = scene.load().fingerprint;
    assert_eq!(known.again(), known);
    let scene = scene.with("ca.crl", &ca.list_with(|list| list.crl_number = 2_u64.into()));
    assert_ne!(known.again(), known);
    drop(scene);
}
