//! Client certificates at every endpoint (RFC 8705), proved by the connection or told by a proxy (RFC 9440): as the login of a
//! client, as the key of its attestation, and as the key of an access token. None is ever spent.

use serde_json::json;

use super::{
    BAD_PROOF, Door, GOOD, Kind, NOBODY, Shown, TokenKind, ask, assertion, attestation_with, by, parameters, party, proof,
    with_ath,
};
use crate::support::Site;
use crate::tls::proxy::{SECRET, certificate, thumbprint};

const MALFORMED: (u16, &str) = (400, "invalid_request");

/// The agent whose login these certificates are good or bad for.
const AGENT: &str = "mtls-dn";

pub const KINDS: [Kind; 23] = [
    Kind("a certificate", AGENT, GOOD, |_, _| of(AGENT)),
    Kind("a certificate that a proxy tells", AGENT, GOOD, |site, _| Shown::default().told(site, "dn").named(AGENT)),
    Kind("a certificate that was shown before", AGENT, GOOD, |site, door| {
        assert_eq!(ask(site, &other(), &of(AGENT)).status, 200, "{}", door.path);
        of(AGENT)
    }),
    Kind("a certificate with a proof", AGENT, GOOD, |site, door| of(AGENT).proof(&proof(site, "holder", door))),
    Kind("a certificate with a used proof", AGENT, BAD_PROOF, |site, door| {
        let shown = of(AGENT).proof(&proof(site, "holder", door));
        assert_eq!(ask(site, door, &shown).status, 200, "{}", door.path);
        shown
    }),
    Kind("a certificate with a proof for another endpoint", AGENT, BAD_PROOF, |site, _| {
        of(AGENT).proof(&proof(site, "holder", &Door { path: "/elsewhere".to_owned(), ..other() }))
    }),
    Kind("a certificate of another agent", AGENT, NOBODY, |_, _| Shown::default().connected_with("dns").named(AGENT)),
    Kind("a certificate of another agent that a proxy tells", AGENT, NOBODY, |site, _| {
        Shown::default().told(site, "dns").named(AGENT)
    }),
    Kind("a certificate of another agent with a good proof", AGENT, NOBODY, |site, door| {
        Shown::default().connected_with("dns").named(AGENT).proof(&proof(site, "holder", door))
    }),
    Kind("an expired certificate", AGENT, NOBODY, |_, _| Shown::default().connected_with("dn-expired").named(AGENT)),
    Kind("an expired certificate that a proxy tells", AGENT, NOBODY, |site, _| {
        Shown::default().told(site, "dn-expired").named(AGENT)
    }),
    Kind("a certificate of another authority", AGENT, NOBODY, |site, _| Shown::default().told(site, "dn-foreign").named(AGENT)),
    Kind("a certificate that was taken back", AGENT, NOBODY, |_, _| {
        Shown::default().connected_with("rule-revoked").named("mtls-rule")
    }),
    Kind("a certificate of a suspended agent", AGENT, NOBODY, |_, _| {
        Shown::default().connected_with("dn").named("mtls-suspended")
    }),
    Kind("a certificate without client_id", AGENT, NOBODY, |_, _| Shown::default().connected_with("dn")),
    Kind("client_id without a certificate", AGENT, NOBODY, |_, _| Shown::default().named(AGENT)),
    // What nobody may tell is refused, not ignored, also beside a good login.
    Kind("a certificate that a stranger tells", AGENT, MALFORMED, |site, _| {
        Shown::default().header("Client-Cert", &certificate(site, "dn")).named(AGENT)
    }),
    Kind("a certificate told over the connection's own", AGENT, MALFORMED, |site, _| {
        of(AGENT).header("Client-Cert", &certificate(site, "dns"))
    }),
    Kind("a certificate told by a wrong secret", AGENT, MALFORMED, |site, _| {
        Shown::default().header("Client-Cert", &certificate(site, "dn")).header(SECRET.0, "guessed").named(AGENT)
    }),
    // With another login it is no second method, and whose it is makes no difference.
    Kind("a certificate of another agent beside an assertion", "orchestrator", GOOD, |site, _| {
        assertion(&party(site, "orchestrator").assertion()).connected_with("dn")
    }),
    Kind("an attestation bound to a certificate, with it", "researcher", GOOD, |site, door| {
        attested(site, "dn").connected_with("dn").proof(&proof(site, "holder", door))
    }),
    Kind("an attestation bound to a certificate, with another", "researcher", NOBODY, |site, door| {
        attested(site, "dn").connected_with("dn-second").proof(&proof(site, "holder", door))
    }),
    Kind("an attestation bound to a certificate, with a proof alone", "researcher", NOBODY, |site, door| {
        attested(site, "dn").proof(&proof(site, "holder", door))
    }),
];

/// Of a hop whose token is bound to the certificate `dn`.
pub const TOKENS: [TokenKind; 12] = [
    TokenKind("its certificate", (200, ""), |_, hop| by("Bearer", hop.token).connected_with("dn")),
    TokenKind("its certificate once more", (200, ""), |_, hop| by("Bearer", hop.token).connected_with("dn")),
    TokenKind("its certificate told by a proxy", (200, ""), |site, hop| by("Bearer", hop.token).told(site, "dn")),
    TokenKind("no certificate", (401, "Bearer invalid_token"), |_, hop| by("Bearer", hop.token)),
    TokenKind("another certificate of its agent", (401, "Bearer invalid_token"), |_, hop| {
        by("Bearer", hop.token).connected_with("dn-second")
    }),
    TokenKind("another certificate told by a proxy", (401, "Bearer invalid_token"), |site, hop| {
        by("Bearer", hop.token).told(site, "dn-second")
    }),
    TokenKind("an expired certificate of its agent", (401, "Bearer invalid_token"), |_, hop| {
        by("Bearer", hop.token).connected_with("dn-expired")
    }),
    TokenKind("by the scheme DPoP", (401, "Bearer invalid_token"), |_, hop| by("DPoP", hop.token).connected_with("dn")),
    TokenKind("a proof instead", (401, "Bearer invalid_token"), |site, hop| {
        by("DPoP", hop.token).proof(&with_ath(site, "holder", ("GET", hop.path), hop.token))
    }),
    TokenKind("a proof beside", (400, "DPoP invalid_request"), |site, hop| {
        by("Bearer", hop.token).connected_with("dn").proof(&with_ath(site, "holder", ("GET", hop.path), hop.token))
    }),
    // Not the token is at fault, so no challenge asks for another.
    TokenKind("its certificate told by a stranger", (400, ""), |site, hop| {
        by("Bearer", hop.token).header("Client-Cert", &certificate(site, "dn"))
    }),
    TokenKind("a token of another hop with its certificate", (403, "Bearer insufficient_scope"), |site, _| {
        by("Bearer", &token(site)).connected_with("dn")
    }),
];

impl Shown {
    /// As a proxy tells it that proves itself by its secret.
    fn told(self, site: &Site, name: &str) -> Self {
        self.header("Client-Cert", &certificate(site, name)).header(SECRET.0, SECRET.1)
    }

    fn named(self, client: &str) -> Self {
        self.parameter("client_id", client)
    }
}

/// The login of that agent by the certificate `dn`.
pub fn of(agent: &str) -> Shown {
    Shown::default().connected_with("dn").named(agent)
}

/// An attestation of the researcher that is bound to that certificate.
fn attested(site: &Site, name: &str) -> Shown {
    attestation_with(site, json!({ "x5t#S256": thumbprint(site, name) }))
}

/// An endpoint at which nothing comes of it.
fn other() -> Door {
    Door { method: "POST", path: "/introspect".to_owned(), parameters: vec![("token", "-".to_owned())] }
}

/// A token for the CRM that is bound to the certificate `dn`.
pub fn token(site: &Site) -> String {
    let door = Door { method: "POST", path: "/token".to_owned(), parameters: parameters(site, AGENT, "/token") };
    let reply = ask(site, &door, &of("mtls-bound"));
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.text_of("access_token")
}
