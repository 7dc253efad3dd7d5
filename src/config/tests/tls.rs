//! Diagnostics about `[tls]`, `[[proxy]]` and logins by certificate.

use rcgen::{CertificateParams, KeyPair};

use super::diagnostics::expect;
use super::scene::{AGENT, MAIN, Scene};
use crate::client::ClientAuth;
use crate::oauth::ClientId;

const PAIR: &str = "certificate = 'a.pem'\nkey = 'a.key'\n";

/// A scene with a certificate and its key, and the key of nobody.
fn scene() -> Scene {
    let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap().pem();
    Scene::new().with("a.pem", &certificate).with("a.key", &key.serialize_pem()).with("other.key", &other.serialize_pem())
}

fn main(text: &str) -> Scene {
    scene().with("main.toml", &format!("{text}\n{MAIN}"))
}

#[track_caller]
fn tls(text: &str, wanted: &[&str]) {
    expect(main(&format!("[tls]\n{text}")), wanted);
}

#[test]
fn a_certificate_goes_with_its_key() {
    let config = main(&format!("[tls]\n{PAIR}")).config();
    assert!(config.identity.is_some() && config.settings.tls.public && config.settings.tls.ask);
    assert!(scene().config().identity.is_none());
    tls("certificate = 'a.pem'", &["main.toml:2: `certificate` and `key` go together in [tls]"]);
    let other = PAIR.replace("a.key", "other.key");
    tls(&other, &["main.toml:3: the key is not that of the first certificate in `certificate`"]);
    let no_key = PAIR.replace("a.key", "a.pem");
    tls(&no_key, &["main.toml:3: the file has no private key in PEM (PKCS#8, PKCS#1 or SEC1, not encrypted)"]);
    let found = main(&format!("[tls]\n{}", PAIR.replace("a.pem", "a.key"))).diagnostics();
    assert!(found.len() == 1 && found[0].ends_with("a.key has no certificate in PEM"), "{found:?}");
}

#[test]
fn a_second_address_needs_its_url() {
    let config = main(&format!("[tls]\n{PAIR}mtls = '127.0.0.1:1'\nmtls_url = 'https://mtls.example:1/x'")).config();
    assert!(!config.settings.tls.ask, "only the second address asks");
    tls(&format!("{PAIR}mtls = '127.0.0.1:1'"), &["main.toml:4: `mtls` needs `mtls_url`: by what URL clients reach it"]);
    tls("mtls = '127.0.0.1:1'\nmtls_url = 'https://m.example'", &["main.toml:2: `mtls` needs `certificate` and `key`"]);
    tls(
        "mtls_url = 'http://m.example/'",
        &["main.toml:2: `mtls_url` must be an https URL without query and fragment, and without a slash at its end"],
    );
    tls("public = false", &["main.toml:2: `public` and `client_certificates` need `certificate` and `key`"]);
}

#[test]
fn a_proxy_proves_itself() {
    let proxy = |text: &str, wanted: &[&str]| expect(main(&format!("[[proxy]]\nname = 'e'\n{text}")), wanted);
    let config = main("[[proxy]]\nname = 'e'\naddresses = ['10.0.0.0/8']\ncertificate_file = 'a.pem'").config();
    assert_eq!(config.settings.proxies[0].certificates.len(), 1);
    proxy(
        "addresses = ['10.0.0.1']",
        &["main.toml:1: a proxy proves itself by `secret_hash` or `certificate_file`; an address alone can be borrowed"],
    );
    proxy(
        "addresses = ['edge']\ncertificate_file = 'a.pem'",
        &["main.toml:3: each of `addresses` must be an IP address, or a network as in \"10.1.0.0/16\""],
    );
}

#[test]
fn plain_http_for_others_is_a_warning() {
    let warnings = |text: &str| {
        let all = main(text).config().warnings;
        all.iter().map(ToString::to_string).filter(|line| line.contains("[tls]")).collect::<Vec<_>>()
    };
    let open = "[listen]\npublic = '0.0.0.0:1'\n";
    assert!(warnings(open)[0].contains("takes plain HTTP from other machines"), "{:?}", warnings(open));
    assert!(warnings("issuer = 'https://sts.example'")[0].contains("neither a certificate in [tls] nor a [[proxy]]"));
    let served = warnings(&format!("issuer = 'https://sts.example'\n{open}[tls]\n{PAIR}"));
    assert!(served.is_empty(), "{served:?}");
    assert!(warnings("").is_empty());
}

#[track_caller]
fn login(text: &str, wanted: &[&str]) {
    expect(scene().with("agents/a.toml", &format!("{AGENT}[[login]]\n{text}")), wanted);
}

#[test]
fn a_login_by_certificate_has_one_name_and_an_authority() {
    let by = |text: &str| format!("method = 'tls_client_auth'\nca_file = '../a.pem'\n{text}");
    for name in ["subject_dn = 'CN=a, O=Acme'", "san_dns = 'a.example'", "san_uri = 'x:y'", "san_ip = '::1'", "san_email = 'a@b'"]
    {
        login(&by(name), &[]);
    }
    let one = "agents/a.toml:5: [login] must have exactly one of `subject_dn`, `san_dns`, `san_uri`, `san_ip` and `san_email`";
    login(&by(""), &[one]);
    login(&by("san_dns = 'a.example'\nsan_uri = 'x:y'"), &[one]);
    login(
        &by("subject_dn = 'Acme'"),
        &["agents/a.toml:8: `subject_dn` must be a distinguished name by RFC 4514, as in \"CN=orchestrator,OU=agents,O=Acme\", \
         most specific part first"],
    );
    login(
        &by("san_dns = '*.example'"),
        &["agents/a.toml:8: `san_dns` must be one name in visible ASCII; there are no wildcards"],
    );
    login(&by("san_ip = 'a'"), &["agents/a.toml:8: `san_ip` must be an IP address"]);
    login(
        "method = 'tls_client_auth'\nsan_ip = '::1'",
        &["agents/a.toml:5: `ca_file` is missing in [login], and so is `client_ca` in [tls]: who issues the certificate"],
    );
    let agent = format!("{AGENT}[[login]]\nmethod = 'tls_client_auth'\nsan_ip = '::1'");
    expect(main("[tls]\nclient_ca = 'a.pem'").with("agents/a.toml", &agent), &[]);
}

#[test]
fn a_registered_certificate_is_a_file_or_in_a_key_set() {
    let by = |text: &str| format!("method = 'self_signed_tls_client_auth'\n{text}");
    login(
        &by(""),
        &["agents/a.toml:5: [login] must have `certificate_file`, `jwks_file` or `jwks`: which certificate is the agent's"],
    );
    let agent = |text: &str| scene().with("agents/a.toml", &format!("{AGENT}[[login]]\n{}", by(text)));
    let config = agent("certificate_file = '../a.pem'").config();
    let logins = &config.logins[&ClientId::parse("a").unwrap()];
    assert!(
        matches!(&logins[0].auth, ClientAuth::SelfSignedTls { certificates, keys } if certificates.len() == 1 && keys.is_empty())
    );
    let jwks = super::scene::JWKS;
    let config = agent(&format!("jwks = '{jwks}'")).config();
    let logins = &config.logins[&ClientId::parse("a").unwrap()];
    assert!(
        matches!(&logins[0].auth, ClientAuth::SelfSignedTls { certificates, keys } if certificates.is_empty() && keys.len() == 1)
    );
    let wrong = jwks.replace("\"use\"", "\"x5c\":[\"AQID\"],\"use\"");
    login(&by(&format!("jwks = '{wrong}'")), &["agents/a.toml:5: `x5c` of a key is not a certificate in base64"]);
}
