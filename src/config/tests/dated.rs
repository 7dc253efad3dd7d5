//! Credentials of logins that end by themselves.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, Certificate, CertificateParams, IsCa, KeyPair, date_time_ymd};

use super::scene::{AGENT, JWKS, MAIN, Scene};
use crate::client::{AuthMethod, Dated, DatedKind};
use crate::crypto::Digest;
use crate::oauth::{ClientId, Time};

/// 2027-01-01 and 2028-01-01.
const ENDS: [Time; 2] = [Time::from_seconds(1_798_761_600), Time::from_seconds(1_830_297_600)];

fn until(year: i32, ca: bool) -> Certificate {
    let mut params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(year, 1, 1));
    if ca {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    params.self_signed(&KeyPair::generate().unwrap()).unwrap()
}

fn dated(scene: Scene, login: &str) -> Vec<Dated> {
    let config = scene.with("agents/a.toml", &format!("{AGENT}[[login]]\n{login}")).config();
    config.inputs.logins.dated_of(&ClientId::parse("a").unwrap()).to_vec()
}

/// The kind, the login, the name, the file, the line and the end of each.
#[track_caller]
fn expect(found: &[Dated], wanted: &[(DatedKind, AuthMethod, &str, &str, &str, Time)]) {
    assert_eq!(found.len(), wanted.len(), "{found:?}");
    for (dated, (kind, login, name, held_by, place, end)) in found.iter().zip(wanted) {
        assert_eq!((dated.kind, dated.login, dated.name.as_str(), dated.not_after), (*kind, *login, *name, *end));
        assert!(dated.held_by.ends_with(held_by) && dated.place.to_string().ends_with(place), "{dated:?}");
    }
}

#[test]
fn registered_certificates_end_with_their_dates() {
    let (file, shown) = (until(2027, false), until(2028, false));
    let [by_file, by_x5c] = [&file, &shown].map(|certificate| Digest::of(certificate.der()).to_string());
    let member = format!("\"x5c\":[\"{}\"],\"use\"", STANDARD.encode(shown.der()));
    let scene = Scene::new().with("a.pem", &file.pem()).with("a.jwks", &JWKS.replace("\"use\"", &member));
    let method = AuthMethod::SelfSignedTls;
    let login = "method = 'self_signed_tls_client_auth'\ncertificate_file = '../a.pem'\njwks_file = '../a.jwks'";
    expect(
        &dated(scene, login),
        &[
            (DatedKind::Certificate, method, &by_file, "a.pem", "agents/a.toml:7", ENDS[0]),
            (DatedKind::Certificate, method, &by_x5c, "a.jwks", "a.jwks:1", ENDS[1]),
        ],
    );
}

#[test]
fn authorities_end_too_whoever_names_them() {
    let (own, shared) = (until(2027, true), until(2028, true));
    let [by_own, by_shared] = [&own, &shared].map(|certificate| Digest::of(certificate.der()).to_string());
    let scene = || {
        let rule = "name = 'pki'\nkind = 'x509'\nsubject = { kind = 'workload', id = '{dns}' }\n[keys]\nca_file = '../own.pem'\n";
        let scene = Scene::new().with("own.pem", &own.pem()).with("shared.pem", &shared.pem()).with("trust/pki.toml", rule);
        scene.with("main.toml", &format!("{MAIN}[tls]\nclient_ca = 'shared.pem'"))
    };
    let (kind, method) = (DatedKind::Authority, AuthMethod::TlsClientAuth);
    let named = dated(scene(), "method = 'tls_client_auth'\nsan_dns = 'a.example'\nca_file = '../own.pem'");
    expect(&named, &[(kind, method, &by_own, "own.pem", "agents/a.toml:8", ENDS[0])]);
    let common = dated(scene(), "method = 'tls_client_auth'\nsan_dns = 'a.example'");
    expect(&common, &[(kind, method, &by_shared, "shared.pem", "main.toml:7", ENDS[1])]);
    let ruled = dated(scene(), "method = 'workload_x509'\ntrust = 'pki'\nmatch = { dns = 'a.example' }");
    expect(&ruled, &[(kind, AuthMethod::WorkloadX509, &by_own, "trust rule pki", "trust/pki.toml:1", ENDS[0])]);
}

#[test]
fn a_key_ends_where_it_says_so() {
    let by = |member: &str| {
        let jwks = JWKS.replace("\"use\"", &format!("{member}\"use\""));
        dated(Scene::new(), &format!("method = 'private_key_jwt'\njwks = '{jwks}'"))
    };
    let (kid, method) = ("45eZULae8DxWC9ocnlpbHMPYEb94Qs4rgO_O1CSq5OE", AuthMethod::PrivateKeyJwt);
    let place = "agents/a.toml";
    expect(&by("\"exp\":1798761600,"), &[(DatedKind::Key, method, kid, place, "agents/a.toml:7", ENDS[0])]);
    for none in ["", "\"exp\":\"1798761600\",", "\"exp\":-1,", "\"exp\":null,"] {
        expect(&by(none), &[]);
    }
}
