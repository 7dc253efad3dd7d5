//! What was issued before an end does not count after it: every kind of evidence against the end of every kind of thing, by when
//! it says it was issued. And what has two names ends under both.

use std::sync::atomic::Ordering;

use countersign::error::ErrorCode;
use countersign::lifecycle::Revocable;
use countersign::lines;
use countersign::oauth::{ClientId, Clock, GenerationKind, Resource, RuleName, Subject};
use serde_json::{Value, json};

use crate::life::stage::{Stage, sent};
use crate::support::claims;

/// A kind of evidence, and what it vouches for.
struct Kind {
    name: &'static str,
    agent: Option<&'static str>,
    subject: Option<(&'static str, &'static str)>,
    instance: Option<&'static str>,
    api: bool,
    /// False where a token without `iat` is refused in any case.
    undated: bool,
    present: fn(&Stage, Value) -> Vec<(&'static str, String)>,
}

const WORKER: &str = "system:serviceaccount:prod:worker";
const POD: &str = "0c6ef5c4-39a1-4f0c-9f6e-6d6f8f4f3b11";
const RESEARCHER: &str = "spiffe://acme.example/ns/prod/sa/researcher";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

const KINDS: [Kind; 7] = [
    Kind {
        name: "an ID token",
        agent: None,
        subject: Some(("idp", "alice")),
        instance: None,
        api: false,
        undated: true,
        present: |stage, dates| request(stage, "orchestrator", json!({}), stage.party("orchestrator").id_token(dates)),
    },
    Kind {
        name: "a foreign access token",
        agent: None,
        subject: Some(("other-as", "alice")),
        instance: None,
        api: true,
        undated: false,
        present: |stage, dates| {
            let token = stage.party("orchestrator").vouched("other-as", dates);
            let mut request = request(stage, "orchestrator", json!({}), token);
            request.retain(|(name, _)| *name != "subject_token_type");
            request.push(("subject_token_type", JWT.to_owned()));
            request
        },
    },
    Kind {
        name: "a client's assertion",
        agent: Some("orchestrator"),
        subject: None,
        instance: None,
        api: false,
        undated: true,
        present: |stage, dates| {
            request(stage, "orchestrator", dates, stage.party("orchestrator").id_token(json!({ "sub": "b" })))
        },
    },
    Kind {
        name: "a JWT-SVID as login",
        agent: Some("researcher"),
        subject: Some(("spiffe-acme", RESEARCHER)),
        instance: None,
        api: false,
        undated: true,
        present: |stage, dates| {
            let svid = stage.party("researcher").vouched("spiffe-acme", merge(dates, json!({ "iss": null, "jti": null })));
            let token = stage.party("researcher").id_token(json!({ "sub": "c" }));
            let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe";
            exchange(stage, Some((kind, svid)), token, "crm")
        },
    },
    Kind {
        name: "an attestation as actor token",
        agent: Some("worker"),
        subject: Some(("cluster", WORKER)),
        instance: Some(POD),
        api: false,
        undated: true,
        present: |stage, dates| {
            let mut request = request(stage, "gateway", json!({}), stage.party("gateway").id_token(json!({ "sub": "d" })));
            request.push(("actor_token", stage.party("worker").vouched("cluster", dates)));
            request.push(("actor_token_type", JWT.to_owned()));
            request
        },
    },
    Kind {
        name: "an attestation that is traded",
        agent: Some("worker"),
        subject: Some(("cluster", WORKER)),
        instance: Some(POD),
        api: false,
        undated: true,
        present: |stage, dates| exchange(stage, None, stage.party("worker").vouched("cluster", dates), "files"),
    },
    Kind {
        name: "an attestation of another",
        agent: None,
        subject: Some(("cluster", WORKER)),
        instance: None,
        api: false,
        undated: true,
        present: |stage, dates| request(stage, "gateway", json!({}), stage.party("worker").vouched("cluster", dates)),
    },
];

const THINGS: [GenerationKind; 5] =
    [GenerationKind::Subject, GenerationKind::Agent, GenerationKind::Instance, GenerationKind::Rule, GenerationKind::Api];

/// When evidence is presented and says that it was issued, in seconds after an end; and whether it counts then.
const TIMES: [(&str, i64, Option<i64>, bool); 7] = [
    ("in the future, which counts as now", 30, Some(30 + 55), false),
    ("before", 150, Some(-10), false),
    ("at the end", 150, Some(0), false),
    ("within the skew", 150, Some(59), false),
    ("after", 150, Some(62), true),
    ("in the future, after", 150, Some(150 + 55), true),
    ("at no time that it says", 150, None, false),
];

#[test]
fn evidence_from_before_an_end_does_not_count_after_it() {
    run(async {
        let stage = stage("fences").await;
        for kind in &KINDS {
            for thing in THINGS {
                fenced(&stage, kind, thing).await;
                // Evidence without iat is as old as it may be.
                stage.clock.0.fetch_add(4000, Ordering::SeqCst);
            }
        }
    });
}

async fn fenced(stage: &Stage, kind: &Kind, thing: GenerationKind) {
    let context = format!("{} and the end of its {}", kind.name, thing.label());
    tried(stage, kind, json!({})).await.unwrap_or_else(|why| panic!("{context}: beforehand: {why:?}"));
    stage.end(kind.revocable(stage, thing)).await.unwrap();
    let (end, set) = (stage.clock.now().seconds(), stage.clock.0.load(Ordering::SeqCst));
    for (when, presented, issued, counts) in TIMES {
        stage.clock.0.store(set + presented, Ordering::SeqCst);
        // By the hand of the clock, which runs meanwhile.
        let now = stage.clock.now().seconds();
        let issued = issued.map(|seconds| end + seconds.min(now - end + 55));
        if issued.is_none() && !kind.undated {
            continue;
        }
        let dates = json!({ "iat": issued, "exp": now.max(issued.unwrap_or(now)) + 60 });
        let done = tried(stage, kind, dates).await;
        let counts = counts || !kind.vouches_for(thing);
        assert_eq!(done.is_ok(), counts, "{context}, issued {when}: {done:?}");
        if let Err((code, why)) = done {
            assert!(why.contains("issued before"), "{context}, issued {when}: {why}");
            assert!([ErrorCode::InvalidRequest, ErrorCode::InvalidClient].contains(&code), "{context}: {code:?}");
        }
    }
}

impl Kind {
    fn vouches_for(&self, thing: GenerationKind) -> bool {
        match thing {
            GenerationKind::Subject | GenerationKind::Rule => self.subject.is_some(),
            GenerationKind::Agent => self.agent.is_some(),
            GenerationKind::Instance => self.instance.is_some(),
            _ => self.api,
        }
    }

    /// The thing that it vouches for; one that has nothing to do with it, where it vouches for none of the kind.
    fn revocable(&self, stage: &Stage, thing: GenerationKind) -> Vec<Revocable> {
        let key = &stage.world.pseudonyms;
        let (rule, id) = self.subject.unwrap_or(("buildkite", "nobody"));
        let (rule, agent) = (RuleName::parse(rule).unwrap(), ClientId::parse(self.agent.unwrap_or("mallory")).unwrap());
        match thing {
            GenerationKind::Subject => Revocable::subject(&Subject::of_sealed(rule.clone(), id), key),
            GenerationKind::Agent => Revocable::agent(&agent, key),
            GenerationKind::Instance => Revocable::instance(&agent, self.instance.unwrap_or("none"), key),
            GenerationKind::Rule => Revocable::rule(&rule, key),
            _ => Revocable::api(&Resource::parse(&stage.api("crm")).unwrap(), key),
        }
    }
}

/// Kind 5: a workload that trades its own attestation stands as an agent from then on, and ends under the name it came with.
#[test]
fn a_workload_ends_by_the_name_that_its_issuer_has_for_it() {
    run(async {
        let stage = stage("fences-names").await;
        let key = &stage.world.pseudonyms;
        let name = Subject::of_sealed(RuleName::parse("cluster").unwrap(), WORKER);
        let attestation = stage.party("worker").vouched("cluster", json!({}));
        let traded = issued(&stage, exchange(&stage, None, attestation.clone(), "crm")).await.unwrap();
        assert_eq!(claims(&traded)["sub"], "worker");
        let mut acted = request(&stage, "gateway", json!({}), stage.party("gateway").id_token(json!({})));
        acted.extend([("actor_token", attestation.clone()), ("actor_token_type", JWT.to_owned())]);
        let acted = issued(&stage, acted).await.unwrap();
        assert!(stage.active("crm-agent", &traded).await && stage.active("crm-agent", &acted).await);
        stage.end(Revocable::subject(&name, key)).await.unwrap();
        assert!(!stage.active("crm-agent", &traded).await, "what it traded its attestation for");
        assert!(!stage.active("crm-agent", &acted).await, "what it acts in");
        stage.clock.0.fetch_add(120, Ordering::SeqCst);
        let (_, why) = issued(&stage, exchange(&stage, None, attestation, "crm")).await.unwrap_err();
        assert!(why.contains("issued before"), "{why}");
        let fresh = stage.party("worker").vouched("cluster", json!({}));
        let fresh = issued(&stage, exchange(&stage, None, fresh, "crm")).await.unwrap();
        assert!(stage.active("crm-agent", &fresh).await);
        // By the name that it has here too.
        stage.end(Revocable::subject(&Subject::agent(&ClientId::parse("worker").unwrap()), key)).await.unwrap();
        assert!(!stage.active("crm-agent", &fresh).await);
    });
}

/// A server whose rule for another server's access tokens reads the keys from a file.
async fn stage(name: &str) -> Stage {
    let stage = Stage::new(name);
    let rule = stage.folder.join("conf/trust/other-as.toml");
    let text = std::fs::read_to_string(&rule).unwrap();
    assert!(text.contains("discovery = true"), "{text}");
    std::fs::write(&rule, text.replace("discovery = true", "jwks_file = \"../jwks/other-as.json\"")).unwrap();
    stage.restarted().await
}

async fn tried(stage: &Stage, kind: &Kind, dates: Value) -> Result<(), (ErrorCode, String)> {
    issued(stage, (kind.present)(stage, dates)).await.map(drop)
}

async fn issued(stage: &Stage, parameters: Vec<(&'static str, String)>) -> Result<String, (ErrorCode, String)> {
    let (form, credentials) = sent(&parameters);
    let issued = lines::token(stage.context(&credentials), &form).await;
    issued.map(|token| token.jwt().to_owned()).map_err(|refused| (refused.code, refused.reason.to_string()))
}

/// An exchange for the CRM by `agent`, whose assertion has these claims.
fn request(stage: &Stage, agent: &str, claims: Value, token: String) -> Vec<(&'static str, String)> {
    let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    exchange(stage, Some((kind, stage.party(agent).assertion_with(claims))), token, "crm")
}

fn exchange(stage: &Stage, login: Option<(&str, String)>, token: String, api: &str) -> Vec<(&'static str, String)> {
    let mut parameters = vec![
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange".to_owned()),
        ("subject_token", token),
        ("subject_token_type", JWT.to_owned()),
        ("resource", stage.api(api)),
    ];
    if let Some((kind, assertion)) = login {
        parameters.extend([("client_assertion_type", kind.to_owned()), ("client_assertion", assertion)]);
    }
    parameters
}

fn merge(mut one: Value, other: Value) -> Value {
    one.as_object_mut().unwrap().extend(other.as_object().unwrap().clone());
    one
}

fn run(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(work);
}
