//! What stands before a server: browsers with pages of other origins, load balancers with headers of their own, hosts that are
//! none; and what a client adds to a scope by itself.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use countersign::http::ENDPOINTS;
use serde_json::json;

use crate::support::foreign::say;
use crate::support::{Party, Reply, Site, exchange_bytes, form};

const PAGE: &str = "Origin: http://localhost:6274\r\n";
const OTHER: &str = "Origin: https://evil.example\r\n";

/// Status, content type, and the bytes behind the header section.
fn looked(address: SocketAddr, method: &str, path: &str) -> (String, String, usize) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let kind = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-type: ").map(str::to_owned));
    (head.lines().next().unwrap_or_default().to_owned(), kind.unwrap_or_default(), body.len())
}

fn ask(site: &Site, method: &str, path: &str, headers: &str, body: &str) -> Reply {
    let usual = format!("Host: {}\r\nConnection: close\r\nContent-Length: {}\r\n", site.public, body.len());
    let request = format!("{method} {path} HTTP/1.1\r\n{usual}{headers}\r\n{body}");
    exchange_bytes(site.public, request.as_bytes()).unwrap()
}

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

#[test]
fn a_page_of_any_origin_reads_what_is_public() {
    let site = Site::new("fronts-pages");
    let _server = site.start();
    for path in [
        "/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
        "/jwks",
        "/.well-known/jwks.json",
        "/status",
    ] {
        for origin in [PAGE, OTHER, "Origin: null\r\n", ""] {
            let reply = ask(&site, "GET", path, origin, "");
            assert_eq!(reply.header("access-control-allow-origin"), Some("*"), "{path} {origin}");
            assert_eq!(reply.header("access-control-allow-credentials"), None, "{path} {origin}");
        }
    }
}

#[test]
fn only_pages_of_named_origins_ask_for_tokens() {
    let site = Site::new("fronts-origins");
    let asks = "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type,dpop\r\n";
    let of = |reply: &Reply| reply.header("access-control-allow-origin").map(str::to_owned);
    let named = "https://app.example";
    let _server = site.start_with(&[("COUNTERSIGN__CORS__ORIGINS", Path::new(named))]);
    let page = format!("Origin: {named}\r\n");
    let allowed = ask(&site, "OPTIONS", "/token", &format!("{page}{asks}"), "");
    assert_eq!((allowed.status, allowed.header("access-control-allow-methods")), (204, Some("POST")), "{}", allowed.text);
    let answered = ask(&site, "POST", "/token", &format!("{page}{FORM}"), "grant_type=a");
    for (reply, status) in [(&allowed, 204), (&answered, 400)] {
        assert_eq!((reply.status, of(reply).as_deref(), reply.header("vary")), (status, Some(named), Some("Origin")));
        assert_eq!(reply.header("access-control-allow-credentials"), None);
    }
    for other in [
        PAGE,
        "Origin: null\r\n",
        "Origin: *\r\n",
        "Origin: https://app.example/\r\n",
        "Origin: https://app.example:443\r\n",
        "Origin: https://App.example\r\n",
        "Origin: http://app.example\r\n",
        "Origin: https://x.app.example\r\n",
        "Origin: https://app.example\r\nOrigin: https://evil.example\r\n",
        "Origin: https://app.example, https://evil.example\r\n",
        "",
    ] {
        let reply = ask(&site, "OPTIONS", "/token", &format!("{other}{asks}"), "");
        assert!(reply.status == 405 && of(&reply).is_none(), "{other}: {}", reply.text);
        let reply = ask(&site, "POST", "/token", &format!("{other}{FORM}"), "grant_type=a");
        assert!(reply.status == 400 && of(&reply).is_none(), "{other}: {}", reply.text);
    }
    for path in ["/introspect", "/revoke", "/tasks"] {
        let reply = ask(&site, "OPTIONS", path, &format!("{page}{asks}"), "");
        assert!(reply.status == 405 && of(&reply).is_none(), "{path}: {}", reply.text);
    }
}

#[test]
fn head_says_what_get_would() {
    let site = Site::new("fronts-head");
    let _server = site.start();
    let paths = ENDPOINTS.iter().filter(|endpoint| endpoint.method == "GET" && !endpoint.path.contains('{'));
    let below = ["/ledger/checkpoint", "/ledger/tile/0/000", "/status/nowhere", "/ledger/proof/x", "/tasks/x"];
    let mut seen = 0;
    for path in paths.map(|endpoint| endpoint.path).chain(below) {
        let (get, head) = (looked(site.public, "GET", path), looked(site.public, "HEAD", path));
        assert_eq!((&head.0, &head.1, head.2), (&get.0, &get.1, 0), "{path}");
        seen += usize::from(get.0.contains(" 200 ") && get.2 > 0);
    }
    assert!(seen >= 5, "{seen} are there");
    for path in ["/healthz", "/readyz", "/metrics"] {
        let (status, _, length) = looked(site.ops, "HEAD", path);
        assert!(status.contains(" 200 ") && length == 0, "{path}: {status}");
    }
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
fn scopes_that_the_target_does_not_know_are_told() {
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
    let named = told("contacts.read contacts.raed");
    assert!(named.contains("https://crm.example does not know contacts.raed;"), "{named}");
    let pasted = format!("contacts.read {}", &party.id_token(json!({}))[..200]);
    assert!(told(&pasted).contains("does not know eyJ") && told(&pasted).len() < 250, "{}", told(&pasted));
    let log = std::fs::read_to_string(site.log()).unwrap();
    assert!(!log.contains("raed") && log.contains("UnknownScopes(1)"), "the log only counts them");
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
