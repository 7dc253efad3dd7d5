//! The runner from end to end, against a tiny server that issues one and the same token to everybody.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests fail by panicking")]

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use countersign_conformance::fixture::{self, Addresses};
use countersign_conformance::jose::{Key, base64url};
use countersign_conformance::{Outcome, Profile, Report, RunError, run};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const PASSES: &str = "# RFC 1 §1: the token endpoint issues tokens.
let exp = ${now+60}
POST token as orchestrator -> one
  grant_type = ${grant}
  subject_token = ${jwt idp exp=${exp}}
expect 200 token
  claims.sub == stub
  claims.exp <= ${now+400}
POST token as legacy
  subject_token = ${one.body.access_token}
expect 200 token
  claims.sub == ${one.claims.sub}
  claims.exp >= ${exp}
";
const FAILS: &str = "# RFC 1 §2: the token endpoint refuses.
POST token as legacy
  subject_token = ${jwt idp sub=somebody}
expect 400 error invalid_request
  claims.sub == other
";
const LACKS_CAPABILITY: &str = "# RFC 1 §3: r.\nrequires telepathy\nGET /x\nexpect 200\n";
const LACKS_ROLE: &str = "# RFC 1 §4: r.\nPOST token as nobody\nexpect 200\n";

/// A folder that is removed at the end.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

static FOLDERS: AtomicU32 = AtomicU32::new(0);

fn block_on(test: impl Future<Output = ()>) {
    tokio::runtime::Runtime::new().unwrap().block_on(test);
}

/// Runs `cases` against the stub.
async fn try_cases(cases: &[(&str, &str)], filter: Option<&str>) -> Result<Report, RunError> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let public = listener.local_addr().unwrap().to_string();
    tokio::spawn(serve(listener, format!("http://{public}")));
    let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
    let folder = Folder(std::env::temp_dir().join(format!("conformance-run-{}-{number}", std::process::id())));
    let idp = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    let addresses = Addresses { issuer: format!("http://{public}"), ops: public.clone(), mtls: public.clone(), public, idp };
    let fixture = fixture::write(&folder.0, &addresses).unwrap();
    let cases_folder = folder.0.join("cases");
    for (name, text) in cases {
        let path = cases_folder.join(format!("{name}.case"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    run(&Profile::load(&fixture.profile).unwrap(), &cases_folder, filter).await
}

async fn serve(listener: TcpListener, base: String) {
    while let Ok((stream, _)) = listener.accept().await {
        let base = base.clone();
        tokio::spawn(async move { respond(stream, &base).await });
    }
}

async fn respond(mut stream: TcpStream, base: &str) {
    let (mut request, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&request).to_ascii_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok()).unwrap_or(0);
            if body.len() >= length {
                break;
            }
        }
        match stream.read(&mut buffer).await {
            Ok(read) if read > 0 => request.extend_from_slice(&buffer[..read]),
            _ => return,
        }
    }
    let path = String::from_utf8_lossy(&request).split_whitespace().nth(1).unwrap().to_owned();
    let body = match path.as_str() {
        "/.well-known/oauth-authorization-server" => {
            json!({"issuer": base, "token_endpoint": format!("{base}/token"), "jwks_uri": format!("{base}/jwks")})
        }
        "/jwks" => json!({"keys": [server_key().public_jwk()]}),
        "/token" => token(base),
        _ => json!({}),
    }
    .to_string();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncache-control: no-store\r\nconnection: close";
    let _ = stream.write_all(format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).as_bytes()).await;
}

fn server_key() -> Key {
    Key::from_jwk(include_str!("../fixture/keys/stranger.jwk.json")).unwrap()
}

fn token(base: &str) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let key = server_key();
    let claims = json!({"iss": base, "sub": "stub", "aud": "https://crm.example", "client_id": "c", "jti": "j", "iat": now,
        "exp": now + 300, "scope": "contacts.read"});
    let header = json!({"alg": key.alg, "kid": key.kid});
    let signed = format!("{}.{}", base64url(header.to_string()), base64url(claims.to_string()));
    let token = format!("{signed}.{}", base64url(key.sign(signed.as_bytes()).unwrap()));
    json!({"access_token": token, "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "token_type": "Bearer", "expires_in": 300, "scope": "contacts.read"})
}

#[test]
fn cases_pass_fail_and_are_skipped_by_name() {
    block_on(async {
        let cases = [("a/passes", PASSES), ("a/fails", FAILS), ("b/capability", LACKS_CAPABILITY), ("b/role", LACKS_ROLE)];
        let report = try_cases(&cases, None).await.unwrap();
        assert_eq!(report.counts(), (1, 1, 2), "{report}");
        assert_eq!(report.skipped(), ["b/capability", "b/role"]);
        let text = report.to_string();
        assert!(text.contains("ok    a/passes") && text.contains("skip  b/capability (requires telepathy)"), "{text}");
        assert!(text.contains("skip  b/role (the profile has no client nobody)"), "{text}");
        assert!(text.ends_with("1 passed, 1 failed, 2 skipped"), "{text}");
        let json: Value = serde_json::from_str(&report.to_json()).unwrap();
        assert_eq!(json["cases"][1]["outcome"], "passed");
        assert_eq!(json["cases"][0]["outcome"], "failed");
    });
}

#[test]
fn a_failure_shows_lines_request_and_answer_without_usable_tokens() {
    block_on(async {
        let report = try_cases(&[("fails", FAILS)], None).await.unwrap();
        let Outcome::Failed { text } = &report.cases[0].outcome else { panic!("{report}") };
        for part in [
            "fails.case:4: expect 400 error invalid_request",
            "status is 200, not 400",
            "fails.case:5: claims.sub == other",
            "is \"stub\", which is not: == other",
            "request (line 2)",
            "\"sub\":\"somebody\"",
            "authorization: Basic <",
            "cache-control: no-store",
        ] {
            assert!(text.to_lowercase().contains(&part.to_lowercase()), "{part}\n{text}");
        }
        let jwts = text.split_whitespace().filter(|word| word.contains("eyJ") && word.matches('.').count() == 2);
        assert_eq!(jwts.count(), 0, "{text}");
    });
}

#[test]
fn a_filter_chooses_by_name() {
    block_on(async {
        let report = try_cases(&[("a/passes", PASSES), ("b/fails", FAILS)], Some("a/")).await.unwrap();
        assert_eq!(report.counts(), (1, 0, 0));
    });
}

#[test]
fn wrong_cases_are_errors_and_not_failures() {
    block_on(async {
        let error = try_cases(&[("a", PASSES), ("b", "# RFC 1: r.\nGET /x\n")], None).await.unwrap_err();
        let RunError::Cases(complaints) = error else { panic!("{error}") };
        assert_eq!((complaints.len(), complaints[0].line), (1, 2));
    });
}

#[test]
fn an_unreachable_server_is_an_error_and_not_a_failure() {
    block_on(async {
        let folder = Folder(std::env::temp_dir().join(format!("conformance-run-{}-gone", std::process::id())));
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
        let idp = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
        let addresses = Addresses { issuer: format!("http://{free}"), ops: free.clone(), mtls: free.clone(), public: free, idp };
        let fixture = fixture::write(&folder.0, &addresses).unwrap();
        let error = run(&Profile::load(&fixture.profile).unwrap(), fixture::CASES.as_ref(), None).await.unwrap_err();
        assert!(matches!(error, RunError::Setup(_)), "{error}");
    });
}
