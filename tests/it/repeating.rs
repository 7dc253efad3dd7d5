//! Clients that ask for a token for each call are told, by the records and by a counter.

use serde_json::json;

use crate::support::foreign::say;
use crate::support::{Party, Site, form, get, post_form};

#[test]
fn a_client_that_keeps_no_token_is_named() {
    let site = Site::new("rhythm");
    let server = site.start();
    let party = Party::new(&site.profile(), "orchestrator");
    let (token, config, data) = (party.id_token(json!({})), site.fixture.config.clone(), site.fixture.data.clone());
    let check = || say(&["check", "--config", config.to_str().unwrap(), "--against", data.to_str().unwrap()], "");
    let ask = |subject: &str| {
        let assertion = party.assertion();
        let request = Party::request(&assertion, subject, &[("resource", "https://crm.example")]);
        assert_eq!(post_form(site.public, "/token", &form(&request)).unwrap().status, 200);
    };
    // As many tokens of other subjects are no rhythm.
    (0..20).for_each(|_| ask(&party.id_token(json!({}))));
    let counted = || {
        let text = get(site.ops, "/metrics").unwrap().body().to_owned();
        let line = text.lines().find_map(|line| line.strip_prefix("countersign_exchanges_repeated_total "));
        line.and_then(|count| count.parse::<u64>().ok()).unwrap()
    };
    let before = counted();
    assert!(!check().out.contains("of the last hour"), "{}", check().out);
    (0..25).for_each(|_| ask(&token));
    assert_eq!(counted() - before, 24);
    let told = check();
    assert!(
        told.code == 0 && told.out.contains("agent \"orchestrator\" asked for 24 of its 45 tokens of the last hour"),
        "{told:?}"
    );
    assert!(told.out.contains("docs/clients.md"), "{told:?}");
    server.kill();
}
