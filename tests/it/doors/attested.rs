//! Client attestations with proofs of their key, and with DPoP proofs in the place of those.

use serde_json::{Value, json};

use super::{BAD_PROOF, GOOD, Kind, NOBODY, Shown, ask, assertion, party, proof};
use crate::support::Site;

pub const KINDS: [Kind; 10] = [
    Kind("a client attestation with its proof", "orchestrator", GOOD, |site, _| proved(site, json!({}))),
    Kind("a client attestation with its proof and another key's DPoP proof", "orchestrator", GOOD, |site, door| {
        proved(site, json!({})).proof(&proof(site, "holder-next", door))
    }),
    Kind("a client attestation with a used proof", "orchestrator", NOBODY, |site, door| {
        let shown = proved(site, json!({}));
        assert_eq!(ask(site, door, &shown).status, 200, "{}", door.path);
        shown
    }),
    Kind("a client attestation with a proof for another server", "orchestrator", NOBODY, |site, _| {
        proved(site, json!({ "aud": "https://other.example" }))
    }),
    Kind("a client attestation with a challenge of nobody", "orchestrator", (400, "use_attestation_challenge"), |site, _| {
        proved(site, json!({ "challenge": "x" }))
    }),
    Kind("a client attestation without proof", "orchestrator", NOBODY, |site, _| attested(site)),
    Kind("a client attestation with its DPoP proof", "orchestrator", GOOD, |site, door| {
        attested(site).proof(&proof(site, "holder", door))
    }),
    Kind("a client attestation with another key's DPoP proof", "orchestrator", NOBODY, |site, door| {
        attested(site).proof(&proof(site, "holder-next", door))
    }),
    Kind("a client attestation with a used DPoP proof", "orchestrator", BAD_PROOF, |site, door| {
        let shown = attested(site).proof(&proof(site, "holder", door));
        assert_eq!(ask(site, door, &shown).status, 200, "{}", door.path);
        shown
    }),
    Kind("a client attestation beside an assertion", "orchestrator", (400, "invalid_request"), |site, _| {
        let mut shown = proved(site, json!({}));
        shown.parameters.extend(assertion(&party(site, "orchestrator").assertion()).parameters);
        shown
    }),
];

/// The key `holder` as an instance of the orchestrator.
fn attested(site: &Site) -> Shown {
    Shown::default().header("OAuth-Client-Attestation", &party(site, "orchestrator").client_attestation("holder", json!({})))
}

/// The same with a proof that has those claims beside or instead of the usual.
fn proved(site: &Site, more: Value) -> Shown {
    attested(site).header("OAuth-Client-Attestation-PoP", &party(site, "orchestrator").attestation_proof("holder", more))
}
