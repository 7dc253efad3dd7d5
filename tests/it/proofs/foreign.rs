//! Tokens of other issuers that are bound to keys: what stands in the record of them.

use countersign::jose::public_thumbprint;
use serde_json::{Value, json};

use crate::support::{Ledger, Party, Reply, Site, exchange_bytes, form};

/// Who is handed such a token, and who acts on it.
struct Played {
    site: Site,
    gateway: Party,
    /// The `cnf` that names the key of the first holder, and that of the next.
    keys: [Value; 2],
}

impl Played {
    fn new(name: &str) -> Self {
        let site = Site::new(name);
        let profile = site.profile();
        let keys = ["holder", "holder-next"].map(|name| {
            let jwk = serde_json::to_string(&profile.key(name).unwrap().bare_jwk()).unwrap();
            json!({ "jkt": public_thumbprint(&jwk).unwrap().to_string() })
        });
        Self { gateway: Party::new(&profile, "gateway"), site, keys }
    }

    /// What becomes of a request for the CRM by who logs in with `assertion`, with the proof of `key` where there is one.
    fn asks(&self, assertion: &str, subject_token: &str, key: Option<&str>, more: &[(&str, &str)]) -> Reply {
        let more = [&[("resource", "https://crm.example")], more].concat();
        let body = form(&Party::request(assertion, subject_token, &more));
        let proof = key.map(|key| format!("DPoP: {}\r\n", self.gateway.proof(key))).unwrap_or_default();
        let head = "connection: close\r\ncontent-type: application/x-www-form-urlencoded";
        let length = body.len();
        let request = format!("POST /token HTTP/1.1\r\nhost: a\r\n{proof}{head}\r\ncontent-length: {length}\r\n\r\n{body}");
        exchange_bytes(self.site.public, request.as_bytes()).unwrap()
    }

    fn ledger(&self) -> Ledger {
        Ledger::read(&self.site.fixture.data)
    }
}

/// keycloak/keycloak#51014: whoever replays the hop sees whose key the token was bound to, and whose it is bound to now.
#[test]
fn both_keys_of_a_foreign_token_stand_in_the_record() {
    let played = Played::new("foreign-bound-record");
    let _server = played.site.start();
    let [holder, next] = &played.keys;
    let actor = played.gateway.vouched("cluster", json!({}));
    let with_actor = [("actor_token", actor.as_str()), ("actor_token_type", "urn:ietf:params:oauth:token-type:jwt")];
    let whole = played.site.profile().key("holder").unwrap().bare_jwk();
    for (cnf, key, more) in [
        (holder.clone(), "holder", [].as_slice()),
        (holder.clone(), "holder-next", with_actor.as_slice()),
        (json!({ "jwk": whole }), "holder-next", with_actor.as_slice()),
    ] {
        let token = played.gateway.id_token(json!({ "cnf": cnf }));
        let reply = played.asks(&played.gateway.assertion(), &token, Some(key), more);
        assert_eq!(reply.status, 200, "{}", reply.body());
        let issued = if key == "holder" { holder } else { next };
        assert_eq!(reply.json()["cnf"], *issued);
        let (_, record) = played.ledger().hops().last().map(|(jti, record)| (jti, record.to_vec())).unwrap();
        let record: Value = serde_json::from_slice(&record).unwrap();
        assert_eq!(record["binding"], json!({ "issued": issued, "subject": holder }), "{record}");
    }
}

/// A refusal is recorded of who proved to be the agent, and not of who found its attestation somewhere.
#[test]
fn an_attestation_without_its_key_leaves_no_record_in_the_agents_name() {
    let played = Played::new("foreign-bound-login");
    let _server = played.site.start();
    let token = played.gateway.id_token(json!({}));
    let stolen = played.gateway.vouched("cluster", json!({ "cnf": played.keys[0] }));
    for key in [None, Some("holder-next")] {
        let reply = played.asks(&stolen, &token, key, &[]);
        assert_eq!((reply.status, reply.text_of("error").as_str()), (401, "invalid_client"));
        assert!(reply.text_of("error_description").contains("cnf.jkt"), "{}", reply.body());
    }
    assert!(played.ledger().refusals().is_empty());
    // With the key it is the worker, which may not present this token: now there is somebody to record it of.
    let reply = played.asks(&stolen, &token, Some("holder"), &[]);
    assert_eq!(reply.status, 400, "{}", reply.body());
    played.site.wait("the refusal is recorded", || played.ledger().refusals().len() == 1);
    assert_eq!(played.ledger().refusals()[0]["agent"], "worker");
}
