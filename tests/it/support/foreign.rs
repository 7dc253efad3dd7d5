//! Issuers of elsewhere for commands that are run by hand: a key, tokens by it, and a place where it is published.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use countersign_conformance::jose::{Key, base64url};
use serde_json::{Map, Value, json};

/// A key of an issuer.
pub struct ForeignKey(Key);

impl ForeignKey {
    /// An RSA key.
    pub fn rsa() -> Self {
        Self(Key::from_jwk(include_str!("../../../conformance/fixture/keys/github.jwk.json")).unwrap())
    }

    /// An elliptic key (P-256).
    pub fn elliptic() -> Self {
        Self(Key::from_jwk(include_str!("../../../conformance/fixture/keys/idp.jwk.json")).unwrap())
    }

    /// Its key set (RFC 7517 §5).
    pub fn set(&self) -> Value {
        json!({ "keys": [self.0.public_jwk()] })
    }

    /// The same as a SPIFFE bundle.
    pub fn bundle(&self) -> Value {
        let mut key = self.0.public_jwk();
        key["use"] = json!("jwt-svid");
        key.as_object_mut().unwrap().remove("alg");
        json!({ "keys": [key], "spiffe_sequence": 1, "spiffe_refresh_hint": 300 })
    }

    /// A token with these claims, that `typ`, or none, and dates around now where `claims` has none.
    pub fn token(&self, typ: Option<&str>, claims: &Value) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let mut all: Map<String, Value> = json!({ "iat": now, "exp": now + 600 }).as_object().unwrap().clone();
        all.extend(claims.as_object().unwrap().clone());
        all.retain(|_, value| !value.is_null());
        let mut header = json!({ "alg": self.0.alg, "kid": self.0.kid });
        if let Some(typ) = typ {
            header["typ"] = json!(typ);
        }
        let signed = [header, Value::Object(all)].map(|part| base64url(part.to_string())).join(".");
        format!("{signed}.{}", base64url(self.0.sign(signed.as_bytes()).unwrap()))
    }
}

/// An issuer over HTTP on this machine, for as long as the tests run.
pub struct ForeignIssuer {
    /// Its origin.
    pub origin: String,
    /// How often its keys were fetched.
    pub asked: Arc<Mutex<usize>>,
}

impl ForeignIssuer {
    /// An issuer whose name is its origin followed by `path`, and whose discovery document has `more` besides.
    pub fn serve(path: &str, keys: &Value, more: &Value) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let mut metadata = json!({ "issuer": format!("{origin}{path}"), "jwks_uri": format!("{origin}/jwks") });
        metadata.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (keys, metadata, asked) = (keys.to_string(), metadata.to_string(), Arc::new(Mutex::new(0)));
        let counted = Arc::clone(&asked);
        thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let mut request = [0; 4096];
                let read = stream.read(&mut request).unwrap_or(0);
                let is_keys = request[..read].starts_with(b"GET /jwks");
                *counted.lock().unwrap() += usize::from(is_keys);
                let body = if is_keys { &keys } else { &metadata };
                let head = format!("Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close", body.len());
                let _gone = stream.write_all(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{body}").as_bytes());
            }
        });
        Self { origin, asked }
    }
}

/// What a command said.
#[derive(Debug)]
pub struct Said {
    /// Its exit code.
    pub code: i32,
    /// What it printed.
    pub out: String,
    /// What it complained of.
    pub err: String,
}

impl Said {
    /// The one line of JSON that it printed.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("{self:?}"))
    }
}

/// Runs `countersign` with these arguments and that standard input.
pub fn say(arguments: &[&str], input: &str) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.args(arguments).current_dir("/").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that needs no input may have ended.
    let _not_read = child.stdin.take().unwrap().write_all(input.as_bytes());
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let [out, err] = [stdout, stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    Said { code: status.code().unwrap(), out, err }
}
