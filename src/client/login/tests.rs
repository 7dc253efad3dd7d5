#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
use serde_json::{Value, json};

use super::*;
use crate::client::fixture::{
    CLUSTER, CLUSTER_KEY, ISSUER, KEY, NOW, PEOPLE, SECONDS, SPIRE_KEY, block_on, federation, own_key, secret, spiffe, workload,
};
use crate::jose::{Compact, KeySet, KeyUse, SigningKey};

fn logins(agents: Vec<(&str, Vec<ClientAuth>)>) -> Result<ClientAuths, Vec<String>> {
    let agents = agents.into_iter().map(|(id, logins)| (ClientId::parse(id).unwrap(), logins));
    ClientAuths::new(agents).map_err(|complaints| complaints.iter().map(ToString::to_string).collect())
}

fn complaint(agents: Vec<(&str, Vec<ClientAuth>)>) -> String {
    let [one] = <[String; 1]>::try_from(logins(agents).unwrap_err()).unwrap();
    one
}

#[test]
fn logins_that_could_never_serve_are_refused() {
    let empty = KeySet::parse(br#"{"keys":[]}"#, KeyUse::Signature).unwrap();
    let no_key =
        ClientAuth::PrivateKeyJwt { keys: empty.into(), algorithms: vec![Algorithm::ES256], accept_token_endpoint: false };
    assert_eq!(complaint(vec![("a", vec![no_key])]), "agent a, login 1: the key set has no usable key");
    let keys = KeySet::of_signing_keys([&*KEY]);
    let no_algorithm = ClientAuth::PrivateKeyJwt { keys: keys.into(), algorithms: Vec::new(), accept_token_endpoint: false };
    assert_eq!(complaint(vec![("a", vec![own_key(&KEY), no_algorithm])]), "agent a, login 2: no algorithm is allowed");
    assert!(complaint(vec![("a", vec![secret("x", false, false)])]).contains("neither"));
    let name = CertificateName::Dns("a.acme.example".to_owned());
    let nobodys = ClientAuth::TlsClientAuth { roots: Arc::default(), name };
    assert!(complaint(vec![("a", vec![nobodys])]).contains("`ca_file` is missing"));
    let unregistered = ClientAuth::SelfSignedTls { certificates: Vec::new(), keys: Vec::new() };
    assert_eq!(complaint(vec![("a", vec![unregistered])]), "agent a, login 1: the key set has no usable key");
    let anybodys = ClientAuth::WorkloadX509 { rule: RuleName::parse("pki").unwrap(), matchers: Vec::new() };
    assert!(complaint(vec![("a", vec![anybodys])]).contains("every workload of the trust rule"));
}

#[test]
fn a_workload_login_for_everybody_is_refused() {
    assert!(complaint(vec![("a", vec![workload("cluster", &[])])]).contains("every workload of the trust rule"));
}

#[test]
fn one_credential_never_logs_in_two_agents() {
    let id = "spiffe://acme.example/a";
    let taken = "agent b, login 1: the same credential already logs in the agent a";
    assert_eq!(complaint(vec![("a", vec![spiffe(id)]), ("b", vec![spiffe(id)])]), taken);
    let svid = || ClientAuth::SpiffeX509 { id: SpiffePattern::parse(id).unwrap() };
    assert_eq!(complaint(vec![("a", vec![svid()]), ("b", vec![svid()])]), taken);
    assert!(logins(vec![("a", vec![svid(), spiffe(id)])]).is_ok(), "the same workload by either kind of SVID");
    let one = workload("cluster", &[("sub", "x"), ("ns", "y")]);
    let other = workload("cluster", &[("ns", "y"), ("sub", "x")]);
    let twice = complaint(vec![("a", vec![one.clone(), other.clone()])]);
    assert_eq!(twice, "agent a, login 2: the agent already has this login");
    assert!(logins(vec![("a", vec![one]), ("b", vec![other])]).is_ok(), "client_id says which of them a workload is");
    assert_eq!(complaint(vec![("a", vec![spiffe(id), spiffe(id)])]), "agent a, login 2: the agent already has this login");
}

#[test]
fn logins_that_overlap_or_differ_are_fine() {
    let agents = vec![
        ("a", vec![spiffe("spiffe://acme.example/a/*"), workload("cluster", &[("sub", "x")]), own_key(&KEY)]),
        ("b", vec![spiffe("spiffe://acme.example/a/b"), workload("cluster", &[("sub", "x"), ("ns", "y")]), own_key(&KEY)]),
        ("c", vec![workload("other", &[("sub", "x")]), workload("cluster", &[("sub", "z")]), secret("s", true, false)]),
        ("d", Vec::new()),
    ];
    assert!(logins(agents).is_ok());
}

#[test]
fn every_complaint_is_collected() {
    let agents = vec![("a", vec![secret("x", false, false), workload("cluster", &[])]), ("b", vec![workload("cluster", &[])])];
    assert_eq!(logins(agents).unwrap_err().len(), 3);
}

#[test]
fn agents_of_an_attestation_are_told_for_actor_tokens_too() {
    let logins = logins(vec![
        ("lead", vec![spiffe("spiffe://acme.example/fleet/lead"), spiffe("spiffe://acme.example/*")]),
        ("fleet", vec![spiffe("spiffe://acme.example/fleet/*")]),
        ("runner", vec![workload("cluster", &[("sub", "x")]), workload("cluster", &[("iss", CLUSTER)])]),
        ("person", vec![workload("people", &[("sub", "x")])]),
    ])
    .unwrap();
    let agents = |key: &SigningKey, claims: Value| {
        let text = key.sign("JWT", claims.to_string().as_bytes()).unwrap();
        let vouched = block_on(federation().verify(&Compact::parse(&text).unwrap(), NOW)).unwrap();
        logins.agents_of(&vouched).iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    let svid = |id: &str| agents(&SPIRE_KEY, json!({"sub": id, "aud": ISSUER, "exp": SECONDS + 60}));
    assert_eq!(svid("spiffe://acme.example/fleet/lead"), "fleet lead");
    assert_eq!(svid("spiffe://acme.example/other"), "lead");
    let pod = |iss: &str, sub: &str| {
        let claims = json!({"iss": iss, "sub": sub, "aud": ISSUER, "exp": SECONDS + 60, "kubernetes.io": {"pod": {"uid": "p"}}});
        agents(&CLUSTER_KEY, claims)
    };
    assert_eq!(pod(CLUSTER, "x"), "runner");
    assert_eq!(pod(PEOPLE, "x"), "");
}
