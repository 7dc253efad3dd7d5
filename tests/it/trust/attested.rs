//! Instances that an attester vouches for: what is issued to one names it and ends with its attestation, and one that is lost
//! is ended for itself.

use serde_json::json;

use crate::agents::json_of;
use crate::support::{Party, Reply, Site, claims, exchange_bytes, form};

/// An exchange of a person's token by the instance of the orchestrator that has that test key.
fn exchange(site: &Site, key: &str, lives: i64) -> Reply {
    let party = Party::new(&site.profile(), "orchestrator");
    let (subject, until) = (party.id_token(json!({})), claims(&party.assertion())["iat"].as_i64().unwrap() + lives);
    let body = form(&[
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token", &subject),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:id_token"),
        ("resource", "https://crm.example"),
    ]);
    let (attestation, proof) = (party.client_attestation(key, json!({ "exp": until })), party.attestation_proof(key, json!({})));
    let head = format!(
        "POST /token HTTP/1.1\r\nhost: {}\r\nconnection: close\r\nOAuth-Client-Attestation: {attestation}\r\n\
         OAuth-Client-Attestation-PoP: {proof}\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n",
        site.public,
        body.len()
    );
    exchange_bytes(site.public, format!("{head}{body}").as_bytes()).unwrap()
}

#[test]
fn a_token_names_the_instance_ends_with_its_attestation_and_dies_with_the_instance_alone() {
    let site = Site::new("attested-instances");
    let _server = site.start();
    let thumbprint = |key: &str| Party::new(&site.profile(), "orchestrator").thumbprint(key);
    let [lost, kept] = ["holder", "holder-next"].map(|key| {
        let reply = exchange(&site, key, 40);
        assert_eq!(reply.status, 200, "{}", reply.text);
        assert!((1..=40).contains(&reply.json()["expires_in"].as_i64().unwrap()), "{}", reply.text);
        let token = reply.text_of("access_token");
        assert_eq!(claims(&token)["act"]["instance"], json!(thumbprint(key)));
        token
    });
    assert!(site.active(&lost) && site.active(&kept));
    json_of(&site, &["revoke", "--instance", "orchestrator", &thumbprint("holder")], 0);
    // One thumbprint of 64 begins like an option.
    json_of(&site, &["revoke", "--instance", "orchestrator", "-never-seen"], 1);
    json_of(&site, &["agent", "suspend", "orchestrator", "--instance", "-never-seen"], 1);
    assert!(!site.active(&lost) && site.active(&kept));
    let reply = exchange(&site, "holder", 300);
    assert_eq!((reply.status, reply.text_of("error")), (401, "invalid_client".to_owned()), "{}", reply.text);
    assert_eq!(exchange(&site, "holder-next", 300).status, 200);
}

/// `trust try` shows an attestation under every attester's rule, and which agent it would log in.
#[test]
fn an_attestation_is_tried_like_a_token() {
    let site = Site::new("attested-tried");
    let tried = |text: &str, code: i32| {
        std::fs::write(site.folder.join("attestation"), text).unwrap();
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_countersign"))
            .args(["trust", "try", "attestation", "--json", "--config"])
            .arg(&site.fixture.config)
            .current_dir(&site.folder)
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(code), "{told}{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_str::<serde_json::Value>(&told).unwrap()
    };
    let party = Party::new(&site.profile(), "orchestrator");
    let told = tried(&party.client_attestation("holder", json!({})), 0);
    let accepted = &told["rules"][0]["accepted"];
    assert_eq!((&told["rules"][0]["rule"], &accepted["agents"]), (&json!("attester"), &json!(["orchestrator"])), "{told}");
    assert_eq!(accepted["instance"], json!(party.thumbprint("holder")));
    let told = tried(&party.client_attestation("holder", json!({ "cnf": null })), 1);
    let failing = told["rules"][0]["checks"].as_array().unwrap().iter().find(|check| check["ok"] == false).unwrap();
    assert_eq!(failing["check"], "kind", "{told}");
}
