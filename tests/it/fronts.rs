//! What stands before a server: browsers with pages of other origins, load balancers with headers of their own, hosts that are
//! none; and what a client adds to a scope by itself.

use serde_json::json;

use crate::support::foreign::say;
use crate::support::{Party, Reply, Site, exchange_bytes, form};

const PAGE: &str = "Origin: http://localhost:6274\r\n";

fn ask(site: &Site, method: &str, path: &str, headers: &str, body: &str) -> Reply {
    let usual = format!("Host: {}\r\nConnection: close\r\nContent-Length: {}\r\n", site.public, body.len());
    let request = format!("{method} {path} HTTP/1.1\r\n{usual}{headers}\r\n{body}");
    exchange_bytes(site.public, request.as_bytes()).unwrap()
}

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

#[test]
fn a_page_of_any_origin_reads_the_metadata_and_asks_for_tokens_and_nothing_else() {
    let site = Site::new("fronts-pages");
    let _server = site.start();
    let any = |reply: &Reply| reply.header("access-control-allow-origin") == Some("*");
    for path in ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration", "/jwks"] {
        assert!(any(&ask(&site, "GET", path, PAGE, "")), "{path}");
    }
    let asks = "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type,dpop\r\n";
    let allowed = ask(&site, "OPTIONS", "/token", &format!("{PAGE}{asks}"), "");
    assert_eq!((allowed.status, allowed.header("access-control-allow-methods")), (204, Some("POST")), "{}", allowed.text);
    assert!(any(&allowed) && allowed.header("access-control-allow-credentials").is_none(), "{}", allowed.text);
    let refused = ask(&site, "POST", "/token", &format!("{PAGE}{FORM}"), "grant_type=a");
    assert!(refused.status == 400 && any(&refused), "{}", refused.text);
    assert!(!any(&ask(&site, "POST", "/token", FORM, "grant_type=a")), "who is no page is told nothing of origins");
    for path in ["/introspect", "/revoke", "/tasks"] {
        let reply = ask(&site, "OPTIONS", path, &format!("{PAGE}{asks}"), "");
        assert!(reply.status == 405 && !any(&reply), "{path}: {}", reply.text);
    }
    assert_eq!(ask(&site, "OPTIONS", "/token", "", "").status, 405, "without an origin it is no question of a browser");
}

#[test]
fn a_host_that_is_none_is_refused_everywhere() {
    let site = Site::new("fronts-host");
    let _server = site.start();
    let with = |host: &str, path: &str| {
        let request = format!("GET {path} HTTP/1.1\r\n{host}Connection: close\r\n\r\n");
        exchange_bytes(site.public, request.as_bytes()).unwrap().status
    };
    for path in ["/jwks", "/token", "/ledger/checkpoint", "/nowhere"] {
        for host in ["", "Host: a b\r\n", "Host: a.example/x?\r\n", "Host: a@b\r\n", "Host: a\r\nHost: b\r\n", "Host: [::1\r\n"] {
            assert_eq!(with(host, path), 400, "{path} {host:?}");
        }
    }
    for host in ["Host: sts.acme.example\r\n", "Host: [::1]:8693\r\n", "Host: 127.0.0.1\r\n"] {
        assert_eq!(with(host, "/jwks"), 200, "{host:?}");
    }
}

/// A certificate in a header of another kind than RFC 9440's proves nobody, and whoever misses it is told so.
#[test]
fn headers_of_other_load_balancers_do_not_count_and_that_is_told() {
    let site = Site::new("fronts-headers");
    let _server = site.start();
    let party = Party::new(&site.profile(), "orchestrator");
    let token = party.id_token(json!({}));
    let grant = "urn:ietf:params:oauth:grant-type:token-exchange";
    let kind = "urn:ietf:params:oauth:token-type:id_token";
    let body = form(&[("grant_type", grant), ("subject_token", &token), ("subject_token_type", kind), ("client_id", "mtls-dns")]);
    for header in ["X-Amzn-Mtls-Clientcert", "X-Forwarded-Client-Cert", "SSL-Client-Cert", "X-Forwarded-Tls-Client-Cert"] {
        let reply = ask(&site, "POST", "/token", &format!("{FORM}{header}: MIIB\r\n"), &body);
        let told = reply.text_of("error_description");
        assert!(reply.status == 401 && told.contains(&format!("the header {header} does not count here")), "{}", reply.text);
    }
    let assertion = party.assertion();
    let request = form(&Party::request(&assertion, &token, &[("resource", "https://crm.example")]));
    let reply = ask(&site, "POST", "/token", &format!("{FORM}X-Forwarded-Client-Cert: Hash=ab\r\n"), &request);
    assert_eq!(reply.status, 200, "a mesh sends it with every request: {}", reply.text);
}

#[test]
fn scopes_that_clients_add_by_themselves_are_told_and_others_not_repeated() {
    let site = Site::new("fronts-scopes");
    let _server = site.start();
    let party = Party::new(&site.profile(), "orchestrator");
    let told = |scope: &str| {
        let (assertion, token) = (party.assertion(), party.id_token(json!({})));
        let request = Party::request(&assertion, &token, &[("resource", "https://crm.example"), ("scope", scope)]);
        let reply = ask(&site, "POST", "/token", FORM, &form(&request));
        assert_eq!((reply.status, reply.text_of("error")), (400, "invalid_scope".to_owned()), "{}", reply.text);
        reply.text_of("error_description")
    };
    assert!(told("contacts.read offline_access").contains("(offline_access: no refresh token or ID token is issued here)"));
    assert!(told("openid contacts.read").contains("(openid: no refresh token"));
    assert!(told("contacts.read,contacts.write").contains("(blanks stand between scopes, not commas)"));
    assert!(!told("contacts.read words.of.a.stranger").contains("words"), "what is nobody's word here is not repeated");
}

/// Cedar compares ids and validates none.
#[test]
fn a_policy_about_what_no_file_has_is_told() {
    let site = Site::new("fronts-policies");
    let config = site.fixture.config.to_str().unwrap();
    let policy = site.folder.join("conf/policies/slips.cedar");
    let check = || say(&["check", "--config", config], "");
    assert_eq!(check().code, 0, "{}", check().out);
    for (head, told) in [
        (
            "principal is Agent, action, resource == Scope::\"https://crm.example contacts.raed\"",
            "there is no scope of an API \"https://crm.example contacts.raed\"",
        ),
        ("principal is Agent, action, resource in Api::\"https://crn.example\"", "there is no API \"https://crn.example\""),
        ("principal == Agent::\"orchestratr\", action, resource is Scope", "there is no agent \"orchestratr\""),
        ("principal in Team::\"platfrm\", action, resource is Scope", "there is no team of an agent \"platfrm\""),
    ] {
        for effect in ["permit", "forbid"] {
            std::fs::write(&policy, format!("// A slip.\n{effect} ({head});\n")).unwrap();
            let said = check();
            assert!(said.code == 1 && said.out.contains(told) && said.out.contains("slips.cedar:2"), "{head}: {said:?}");
            assert!(said.out.contains("did you mean \""), "{head}: {said:?}");
        }
    }
    let known = "permit (principal == Agent::\"orchestrator\", action, resource is Scope) when { context has subject };\n";
    std::fs::write(&policy, known).unwrap();
    assert_eq!(check().code, 0, "{}", check().out);
}

/// The file of an agent that went wrong is taken away at once, whatever policies still say of it: the server knew it.
#[test]
fn an_agent_that_policies_name_can_be_taken_away() {
    let site = Site::new("fronts-rogue");
    let policy = "permit (principal == Agent::\"worker\", action, resource in Api::\"https://crm.example\");\n";
    std::fs::write(site.folder.join("conf/policies/worker.cedar"), policy).unwrap();
    let gateway = site.folder.join("conf/policies/gateway.cedar");
    let (data, config) = (site.fixture.data.clone(), site.fixture.config.clone());
    let server = site.start();
    server.stop();
    std::fs::remove_file(site.folder.join("conf/agents/worker.toml")).unwrap();
    let [data, config] = [&data, &config].map(|path| path.to_str().unwrap());
    let alone = say(&["check", "--config", config], "");
    assert!(alone.code == 1 && alone.out.contains("worker.cedar:1: there is no agent \"worker\""), "{alone:?}");
    assert!(alone.out.contains(&format!("{}:", gateway.display())), "{alone:?}");
    let known = say(&["check", "--against", data, "--config", config], "");
    assert!(known.code == 0 && known.out.contains("no file has the agent \"worker\" any more"), "{known:?}");
    site.start().stop();
}
