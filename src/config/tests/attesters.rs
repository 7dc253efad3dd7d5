//! Client attesters, and the agents that log in by them, as files say them.

use super::diagnostics::expect;
use super::scene::{AGENT, CLUSTER, JWKS, Scene};
use crate::client::ClientAuth;
use crate::trust::{SubjectKind, TrustKind};

const ATTESTER: &str = "name = 'wallet'\nkind = 'client_attester'\nissuer = 'wallet'\nkeys = { jwks_file = '../keys.json' }\n";

fn scene(rule: &str, login: &str) -> Scene {
    let scene = Scene::new().with("keys.json", JWKS).with("trust/r.toml", rule).with("trust/s.toml", CLUSTER);
    scene.with("agents/a.toml", &format!("{AGENT}[[login]]\n{login}"))
}

#[test]
fn an_attester_needs_a_name_and_keys_and_an_agent_names_it() {
    for (method, wanted) in [("attest_jwt_client_auth", false), ("attest_jwt_client_auth_dpop", true)] {
        let config = scene(ATTESTER, &format!("method = '{method}'\ntrust = 'wallet'")).config();
        let rule = &config.rules[0].rule;
        assert_eq!((rule.kind, rule.subject.kind, rule.audiences.len()), (TrustKind::ClientAttester, SubjectKind::Workload, 0));
        let logins = config.logins.values().next().unwrap();
        let ClientAuth::ClientAttestation { rule, dpop } = &logins[0].auth else { panic!("another login") };
        assert_eq!((rule.as_str(), *dpop), ("wallet", wanted));
    }
}

#[test]
fn what_does_not_belong_to_an_attester_or_its_logins_is_told() {
    let login = "method = 'attest_jwt_client_auth'\ntrust = 'wallet'";
    let line = |key: &str, why: &str| vec![format!("trust/r.toml:5: `{key}` does not belong to kind \"client_attester\"{why}")];
    for (more, told) in [
        ("audiences = ['us']", line("audiences", "; an attestation is for nobody in particular")),
        ("subject = { kind = 'workload' }", line("subject", "; sub is the agent's id, its key the instance")),
        ("presenters = ['a']", line("presenters", ", whose attestations log in and nothing else")),
    ] {
        expect(scene(&format!("{ATTESTER}{more}\n"), login), &told.iter().map(String::as_str).collect::<Vec<_>>());
    }
    let keyless = ATTESTER.lines().take(3).collect::<Vec<_>>().join("\n");
    let keyless = scene(&keyless.replace("issuer = 'wallet'", "issuer = 'https://w.example'"), login);
    expect(keyless, &["trust/r.toml:1: `keys` is missing"]);
    for (login, told) in [
        ("method = 'attest_jwt_client_auth'", "agents/a.toml:5: `trust` is missing in [login]"),
        (
            "method = 'attest_jwt_client_auth'\ntrust = 'walet'",
            "agents/a.toml:7: there is no trust rule \"walet\"; did you mean \"wallet\"?",
        ),
        (
            "method = 'attest_jwt_client_auth'\ntrust = 'cluster'",
            "agents/a.toml:7: trust rule \"cluster\" is of kind \"oidc\"; client attestations are taken under rules of kind \
             \"client_attester\"",
        ),
        (
            "method = 'workload_jwt'\ntrust = 'wallet'\nmatch = { sub = 'a' }",
            "agents/a.toml:7: trust rule \"wallet\" is of kind \"client_attester\"; `method` must be \
             \"attest_jwt_client_auth\" or \"attest_jwt_client_auth_dpop\"",
        ),
        (
            "method = 'attest_jwt_client_auth'\ntrust = 'wallet'\nmatch = { sub = 'a' }",
            "agents/a.toml:8: `match` is not needed: the sub of a client attestation is the agent's id",
        ),
        (
            "method = 'attest_jwt_client_auth'\ntrust = 'wallet'\n[[login]]\nmethod = 'attest_jwt_client_auth'\ntrust = 'wallet'",
            "agents/a.toml:8: the agent already has this login",
        ),
    ] {
        expect(scene(ATTESTER, login), &[told]);
    }
}
