//! The API server that is asked about the tokens of a cluster, as files say it.

use super::diagnostics::expect;
use super::scene::{IDP, Scene};
use crate::trust::ReviewSource;

/// A stock cluster. Its keys are told; the paths are those of every pod.
const STOCK: &str = "name = 'prod'\nkind = 'kubernetes'\nissuer = 'https://kubernetes.default.svc.cluster.local'\n\
                     audiences = ['https://sts.acme.example']\n";
const KEYS: &str = "keys = { jwks_uri = 'https://kubernetes.default.svc/openid/v1/jwks', token_file = 'token', \
                    networks = ['10.96.0.0/12'] }\n";

fn read(text: &str) -> Option<ReviewSource> {
    Scene::new().with("trust/r.toml", &format!("{STOCK}{text}")).config().rules[0].rule.review.clone()
}

#[test]
fn an_api_server_is_reached_as_the_keys_are_unless_it_says_otherwise() {
    assert!(read(KEYS).is_none());
    let review = read(&format!("{KEYS}review = {{ api = 'https://kubernetes.default.svc' }}\n")).unwrap();
    assert_eq!((review.api.as_str(), review.reach.networks.len()), ("https://kubernetes.default.svc/", 1));
    assert!(review.reach.token_file.unwrap().ends_with("trust/token"));
    let own = read(&format!("{KEYS}review = {{ api = 'https://rancher.example/k8s/c', token_file = 'other' }}\n")).unwrap();
    assert!(own.reach.networks.is_empty() && own.reach.token_file.unwrap().ends_with("trust/other"));
}

#[test]
fn mistakes_about_an_api_server_are_told() {
    let rule = |text: &str, wanted: &[&str]| expect(Scene::new().with("trust/r.toml", text), wanted);
    let stock = |text: &str| format!("{STOCK}{KEYS}{text}\n");
    let address = "must be the https address of the API server, as in \"https://kubernetes.default.svc\"";
    for (text, told) in [
        ("review = {}", "`api` is missing in [review]"),
        ("review = { api = 'http://127.0.0.1' }", &format!("`api` {address}")),
        ("review = { api = 'https://a.example/?x' }", &format!("`api` {address}")),
        ("review = { api = 'https://u:p@a.example/' }", &format!("`api` {address}")),
        (
            "review = { api = 'https://a.example', insecure_reason = 'x', token_file = 't' }",
            "`insecure_reason` is not for [review]: tokens are sent there",
        ),
        (
            "review = { api = 'https://a.example', networks = ['10.0.0.0/8'] }",
            "`token_file` is missing in [review], and in [keys]: an API server reviews tokens for the logged in only",
        ),
    ] {
        rule(&stock(text), &[&format!("trust/r.toml:6: {told}")]);
    }
    rule(
        &format!("{STOCK}review = {{ api = 'https://a.example' }}\n"),
        &["trust/r.toml:5: `token_file` is missing in [review], and in [keys]: \
             an API server reviews tokens for the logged in only"],
    );
    let other = IDP.replace("[keys]", "review = { api = 'https://a.example' }\n[keys]");
    rule(&other, &["trust/r.toml:6: `review` belongs to kind \"kubernetes\""]);
}
