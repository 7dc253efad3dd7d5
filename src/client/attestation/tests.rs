#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
use serde_json::{Value, json};

use crate::catalog::Status;
use crate::client::fixture::{
    ALIAS, CLUSTER, CLUSTER_KEY, ENDPOINT, ISSUER, KEY, OTHER_KEY, PEOPLE, SECONDS, SILENT, SPIRE_KEY, Sent, World, changed,
    federation, good_claims, own_key, secret, signed, spiffe, workload,
};
use crate::client::{AuthMethod, AuthenticatedClient};
use crate::crypto::Digest;
use crate::jose::SigningKey;
use crate::oauth::Time;

const CRM: &str = "spiffe://acme.example/ns/prod/sa/crm";
const RUNNER: &str = "system:serviceaccount:prod:runner";

fn world() -> World {
    World::new(federation())
        .agent("researcher", vec![own_key(&KEY)])
        .agent("crm", vec![spiffe(CRM), secret("crm-secret", true, true)])
        .agent("fleet", vec![spiffe("spiffe://acme.example/fleet/*")])
        .agent("lead", vec![spiffe("spiffe://acme.example/fleet/lead")])
        .agent("spiffe://acme.example/fleet/named", Vec::new())
        .agent_that_is(Status::Suspended, "suspended", vec![spiffe("spiffe://acme.example/suspended")])
        .agent_that_is(Status::Retired, "retired", vec![workload("cluster", &[("sub", "retired")])])
        .agent("runner", vec![workload("cluster", &[("sub", RUNNER)])])
        .agent(
            "prod",
            vec![workload("cluster", &[("/kubernetes.io/namespace", "prod"), ("/kubernetes.io/serviceaccount/name", "x")])],
        )
        .agent("person", vec![workload("people", &[("sub", "alice")])])
        .agent("silent", vec![workload("silent", &[("sub", "x")])])
        .agent("misplaced", vec![workload("spire", &[("sub", "spiffe://acme.example/other")])])
}

fn svid_claims(id: &str) -> Value {
    json!({"sub": id, "aud": [ISSUER], "exp": SECONDS + 300})
}

fn jwt(key: &SigningKey, claims: &Value) -> String {
    key.sign("JWT", claims.to_string().as_bytes()).unwrap()
}

fn svid(id: &str) -> String {
    jwt(&SPIRE_KEY, &svid_claims(id))
}

fn pod_claims(sub: &str) -> Value {
    let kubernetes = json!({"namespace": "prod", "serviceaccount": {"name": "runner"}, "pod": {"uid": "pod-1"}});
    json!({"iss": CLUSTER, "sub": sub, "aud": [ISSUER], "exp": SECONDS + 3000, "iat": SECONDS - 600, "kubernetes.io": kubernetes})
}

fn pod(changes: Value) -> String {
    jwt(&CLUSTER_KEY, &changed(pod_claims(RUNNER), changes))
}

/// The agent that is logged in, or why none is.
fn who(sent: &Sent) -> String {
    match world().try_login(sent) {
        Ok(client) => client.agent().id.to_string(),
        Err(reason) => format!("{reason:?}"),
    }
}

fn client(sent: &Sent) -> AuthenticatedClient {
    world().try_login(sent).unwrap()
}

#[test]
fn a_jwt_svid_logs_in_its_workloads_agent() {
    let client = client(&Sent::svid(&svid(CRM)));
    assert_eq!((client.agent().id.as_str(), client.method()), ("crm", AuthMethod::SpiffeJwt));
    let attested = client.attested().unwrap();
    assert_eq!(attested.subject.as_str(), format!("spire:{CRM}"));
    assert_eq!(attested.expires, Time::from_seconds(SECONDS + 300));
    assert_eq!(client.instance(), Some("/ns/prod/sa/crm"));
    assert!(client.key().is_none() && !client.self_only());
}

/// Negative test 29: SVIDs are cached and reused by their clients.
#[test]
fn attestations_are_not_single_use() {
    let (svid, pod) = (svid(CRM), pod(json!({"jti": "j-1"})));
    for sent in [Sent::svid(&svid), Sent::svid(&svid), Sent::assertion(&pod), Sent::assertion(&pod)] {
        assert!(client(&sent).spends().is_empty());
    }
    assert_eq!(client(&Sent::svid(&svid)).evidence(), Some(Digest::of(svid.as_bytes())));
}

/// Negative test 30.
#[test]
fn svids_and_client_jwts_are_not_mixed_up() {
    assert_eq!(who(&Sent::assertion(&svid(CRM))), "SvidAsJwt");
    assert_eq!(who(&Sent::assertion(&svid("SPIFFE://acme.example/x"))), "SvidAsJwt");
    assert_eq!(who(&Sent::svid(&signed(&KEY, &good_claims("researcher")))), "JwtAsSvid");
    assert_eq!(who(&Sent::svid(&pod(json!({})))), "JwtAsSvid");
    // What the cluster signs is no SVID, whatever its sub.
    assert_eq!(who(&Sent::svid(&pod(json!({"sub": CRM})))), "JwtAsSvid");
    // SPIRE may set iss; the trust domain counts.
    let with_iss = changed(svid_claims(CRM), json!({"iss": "https://oidc.acme.example"}));
    assert_eq!(who(&Sent::svid(&jwt(&SPIRE_KEY, &with_iss))), "crm");
    assert_eq!(who(&Sent::assertion(&jwt(&SPIRE_KEY, &with_iss))), "SvidAsJwt");
}

/// draft-ietf-oauth-spiffe-client-auth §3.1, negative test 26.
#[test]
fn aud_of_a_jwt_svid_is_the_issuer_identifier_alone() {
    let with = |aud: Value| who(&Sent::svid(&jwt(&SPIRE_KEY, &changed(svid_claims(CRM), json!({"aud": aud})))));
    assert_eq!(with(json!(ISSUER)), "crm");
    for aud in [json!([ISSUER, "https://other.example"]), json!([ISSUER, ALIAS]), json!([ISSUER, ISSUER]), json!(ALIAS)] {
        assert_eq!(with(aud.clone()), "Assertion(Audience)", "{aud}");
    }
    for aud in [json!(ENDPOINT), json!([]), Value::Null] {
        assert_eq!(with(aud.clone()), "Trust(Audience)", "{aud}");
    }
}

#[test]
fn a_svid_needs_its_trust_domains_key_and_time() {
    assert_eq!(who(&Sent::svid(&jwt(&OTHER_KEY, &svid_claims(CRM)))), "Trust(Jose(UnknownKey))");
    assert_eq!(who(&Sent::svid(&svid("spiffe://evil.example/ns/prod/sa/crm"))), "Trust(Issuer)");
    let expired = changed(svid_claims(CRM), json!({"exp": SECONDS}));
    assert_eq!(who(&Sent::svid(&jwt(&SPIRE_KEY, &expired))), "Trust(Expired)");
    let typed = SPIRE_KEY.sign("at+jwt", svid_claims(CRM).to_string().as_bytes()).unwrap();
    assert_eq!(who(&Sent::svid(&typed)), "Trust(Typ)");
}

#[test]
fn client_id_beside_a_svid_is_the_agent_or_the_spiffe_id() {
    let with = |id: &str| who(&Sent::svid(&svid(CRM)).with("client_id", id));
    assert_eq!(with("crm"), "crm");
    assert_eq!(with(CRM), "crm");
    for other in
        ["researcher", "nobody", "spiffe://acme.example/ns/prod/sa/other", "acme.example", "spiffe://acme.example/fleet/named"]
    {
        assert_eq!(with(other), "ClientIdDiffers", "{other}");
    }
}

/// Negative test 32, and no choice without being told.
#[test]
fn patterns_match_whole_segments_and_client_id_settles_overlaps() {
    let at = |path: &str| svid(&format!("spiffe://acme.example{path}"));
    assert_eq!(who(&Sent::svid(&at("/fleet/a"))), "fleet");
    assert_eq!(who(&Sent::svid(&at("/fleet/a/b"))), "fleet");
    for path in ["/fleet", "/fleetX", "/fleetX/a", "/nobody", "/other"] {
        assert_eq!(who(&Sent::svid(&at(path))), "NoAgent", "{path}");
    }
    let lead = Sent::svid(&at("/fleet/lead"));
    assert_eq!(who(&lead), "SeveralAgents");
    assert_eq!(who(&lead.clone().with("client_id", "lead")), "lead");
    assert_eq!(who(&lead.clone().with("client_id", "fleet")), "fleet");
    assert_eq!(who(&lead.clone().with("client_id", "crm")), "ClientIdDiffers");
    assert_eq!(who(&lead.with("client_id", "spiffe://acme.example/fleet/lead")), "SeveralAgents");
    // An agent that is called like the workload is somebody else.
    assert_eq!(who(&Sent::svid(&at("/fleet/named")).with("client_id", "spiffe://acme.example/fleet/named")), "ClientIdDiffers");
    assert_eq!(who(&Sent::svid(&at("/fleet/named"))), "fleet");
}

#[test]
fn an_attestation_logs_in_the_agent_whose_matchers_it_meets() {
    let client = client(&Sent::assertion(&pod(json!({}))).with("client_id", "runner"));
    assert_eq!((client.agent().id.as_str(), client.method()), ("runner", AuthMethod::WorkloadJwt));
    let attested = client.attested().unwrap();
    assert_eq!(attested.subject.as_str(), format!("cluster:{RUNNER}"));
    assert_eq!(attested.expires, Time::from_seconds(SECONDS + 3000));
    assert_eq!(client.instance(), Some("pod-1"));
    assert!(client.key().is_none() && !client.self_only());
}

#[test]
fn all_matchers_of_exactly_one_agent_must_hold() {
    let claims = |name: &str| json!({"namespace": "prod", "serviceaccount": {"name": name}, "pod": {"uid": "p"}});
    let sent = |sub: &str, name: &str| Sent::assertion(&pod(json!({"sub": sub, "kubernetes.io": claims(name)})));
    assert_eq!(who(&sent("x", "runner")), "NoAgent");
    assert_eq!(who(&sent("x", "x")), "prod");
    assert_eq!(who(&sent(RUNNER, "x")), "SeveralAgents");
    assert_eq!(who(&sent(RUNNER, "x").with("client_id", "prod")), "prod");
    assert_eq!(who(&sent(RUNNER, "x").with("client_id", "runner")), "runner");
    assert_eq!(who(&sent(RUNNER, "x").with("client_id", "crm")), "ClientIdDiffers");
    assert_eq!(who(&sent(RUNNER, "runner").with("client_id", "prod")), "ClientIdDiffers");
    assert_eq!(who(&sent(RUNNER, "runner").with("client_id", RUNNER)), "ClientIdDiffers");
}

/// Negative test 26.
#[test]
fn aud_of_an_attestation_is_one_name_of_ours() {
    for (aud, expected) in [
        (json!(ISSUER), "runner"),
        (json!([ALIAS]), "runner"),
        (json!([ISSUER, ALIAS]), "Assertion(AttestationAudience)"),
        (json!([ISSUER, "https://kubernetes.default.svc"]), "Assertion(AttestationAudience)"),
        (json!("https://kubernetes.default.svc"), "Trust(Audience)"),
        (Value::Null, "Trust(Audience)"),
    ] {
        assert_eq!(who(&Sent::assertion(&pod(json!({"aud": aud})))), expected, "{aud}");
    }
}

/// RFC 7800 §3: what is bound to a key logs in who proves it, and nobody else learns what became of the agent.
#[test]
fn a_bound_attestation_logs_in_nobody_without_its_key() {
    let bound = |sub: &str| pod(json!({"sub": sub, "cnf": {"jkt": Digest::of(b"key").to_string()}}));
    let unproved = "Key(MissingProof { kind: Dpop, other: false })";
    for sub in [RUNNER, "retired"] {
        assert_eq!(who(&Sent::assertion(&bound(sub))), unproved);
        assert_eq!(who(&Sent::subject_token(&bound(sub))), unproved);
    }
    assert_eq!(who(&Sent::assertion(&pod(json!({"sub": "retired"})))), "Retired");
    assert_eq!(who(&Sent::assertion(&pod(json!({"cnf": {"kid": "1"}})))), "Trust(Confirmation(Member))");
}

#[test]
fn a_persons_token_logs_in_no_agent() {
    let token = pod(json!({"iss": PEOPLE, "sub": "alice"}));
    assert_eq!(who(&Sent::assertion(&token)), "NoAgent");
    assert_eq!(who(&Sent::subject_token(&token)), "Missing");
}

#[test]
fn an_unknown_issuer_gets_the_answer_of_an_unknown_client() {
    let answer = |sent: &Sent| world().try_login(sent).unwrap_err().to_string();
    let stranger = Sent::assertion(&pod(json!({"iss": "https://evil.example"})));
    assert_eq!(who(&stranger), "Stranger");
    assert_eq!(answer(&stranger), answer(&Sent::assertion(&signed(&OTHER_KEY, &good_claims("researcher")))));
    // Attack 18: the cluster's name over another issuer's signature.
    assert_eq!(who(&Sent::assertion(&jwt(&SPIRE_KEY, &pod_claims(RUNNER)))), "Trust(Jose(UnknownKey))");
    assert_eq!(
        who(&Sent::assertion(&CLUSTER_KEY.sign("at+jwt", pod_claims(RUNNER).to_string().as_bytes()).unwrap())),
        "Trust(Typ)"
    );
}

#[test]
fn keys_that_cannot_be_had_are_no_refusal() {
    let token = pod(json!({"iss": SILENT, "sub": "x"}));
    assert_eq!(who(&Sent::assertion(&token)), "KeysUnavailable(KeysUnavailable)");
    assert_eq!(who(&Sent::subject_token(&token)), "KeysUnavailable(KeysUnavailable)");
}

#[test]
fn suspended_and_retired_agents_are_refused() {
    let suspended = svid("spiffe://acme.example/suspended");
    assert_eq!(who(&Sent::svid(&suspended)), "Suspended");
    assert_eq!(who(&Sent::subject_token(&suspended)), "Suspended");
    assert_eq!(who(&Sent::assertion(&pod(json!({"sub": "retired"})))), "Retired");
}

#[test]
fn a_subject_token_alone_logs_in_its_own_subject_and_says_so() {
    let by_svid = client(&Sent::subject_token(&svid(CRM)));
    assert_eq!((by_svid.agent().id.as_str(), by_svid.method(), by_svid.self_only()), ("crm", AuthMethod::SpiffeJwt, true));
    assert_eq!(by_svid.attested().unwrap().subject.id(), CRM);
    let by_pod = client(&Sent::subject_token(&pod(json!({}))).with("client_id", "runner"));
    assert_eq!((by_pod.agent().id.as_str(), by_pod.method(), by_pod.self_only()), ("runner", AuthMethod::WorkloadJwt, true));
    assert!(by_pod.spends().is_empty());
}

#[test]
fn without_client_authentication_everything_else_is_missing_it() {
    assert_eq!(who(&Sent::default()), "Missing");
    assert_eq!(who(&Sent::default().with("client_id", "crm")), "Missing");
    for (token, cause) in [
        (svid("spiffe://acme.example/nobody"), "NoAgent"),
        (svid("spiffe://acme.example/fleet/lead"), "SeveralAgents"),
        (pod(json!({"aud": [ISSUER, "https://other.example"]})), "Assertion(AttestationAudience)"),
        (signed(&KEY, &good_claims("researcher")), "Trust(Issuer)"),
        (jwt(&OTHER_KEY, &svid_claims(CRM)), "Trust(Jose(UnknownKey))"),
        ("opaque".to_owned(), "Jose(Parts)"),
    ] {
        assert_eq!(who(&Sent::subject_token(&token)), format!("MissingAttestation({cause})"));
    }
    // One of our own tokens never was an attestation.
    assert_eq!(who(&Sent::subject_token(&signed(&KEY, &changed(good_claims("researcher"), json!({"iss": ISSUER}))))), "Missing");
    let named = Sent::subject_token(&svid(CRM)).with("client_id", "researcher");
    assert_eq!(who(&named), "MissingAttestation(ClientIdDiffers)");
    assert_eq!(who(&Sent::subject_token(&svid("spiffe://acme.example/fleet/lead")).with("client_id", "lead")), "lead");
}

/// A failed login never turns into the weaker one.
#[test]
fn a_subject_token_does_not_stand_in_for_a_failed_login() {
    let good = svid(CRM);
    let beside = |sent: Sent| Sent::subject_token(&good).and(sent);
    assert_eq!(who(&beside(Sent::secret("crm", "wrong"))), "Secret");
    assert_eq!(who(&beside(Sent::basic("crm:wrong"))), "Secret");
    assert_eq!(who(&beside(Sent::header("Bearer x"))), "Scheme");
    assert_eq!(who(&beside(Sent::assertion("x"))), "Jose(Parts)");
    assert_eq!(who(&beside(Sent::default().with("client_assertion", &good))), "AssertionType");
    let login = client(&beside(Sent::secret("crm", "crm-secret")));
    assert!(!login.self_only() && login.attested().is_none());
}
