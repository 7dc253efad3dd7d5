//! `trust add`: the rule that is written for an issuer and a sample token of it accepts the sample and refuses every neighbour.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::support::foreign::{ForeignIssuer, ForeignKey, Said, say};
use crate::support::scratch;

const STS: &str = "https://sts.acme.example";

/// A token of a platform; `samples.toml` says what each is.
#[derive(Deserialize)]
struct Sample {
    name: String,
    issuer: String,
    typ: Option<String>,
    from: Option<String>,
    #[serde(default)]
    claims: Map<String, Value>,
    kind: String,
    require: Vec<String>,
    #[serde(default)]
    lines: Vec<String>,
}

fn samples() -> Vec<Sample> {
    let mut read: BTreeMap<String, Vec<Sample>> = toml::from_str(include_str!("samples.toml")).unwrap();
    let fixture: toml::Value = toml::from_str(include_str!("../../../conformance/fixture/profile.toml")).unwrap();
    let mut samples = read.remove("sample").unwrap();
    for sample in &mut samples {
        let mut claims = Map::from_iter([("aud".to_owned(), json!(STS))]);
        if let Some(from) = &sample.from {
            let known = serde_json::to_value(&fixture["trust"][from.as_str()]["claims"]).unwrap();
            claims.extend(known.as_object().unwrap().clone());
        }
        claims.append(&mut sample.claims);
        // There is no null in TOML.
        claims.retain(|_, value| *value != json!(""));
        sample.claims = claims;
    }
    samples
}

fn named(name: &str) -> Sample {
    samples().into_iter().find(|sample| sample.name == name).unwrap()
}

impl Sample {
    fn token(&self, key: &ForeignKey, change: impl Fn(&mut Value)) -> String {
        let mut claims = Value::Object(self.claims.clone());
        if self.kind != "spiffe" {
            claims["iss"] = json!(self.issuer);
        }
        change(&mut claims);
        key.token(self.typ.as_deref(), &claims)
    }

    fn key(&self) -> ForeignKey {
        if self.kind == "spiffe" { ForeignKey::elliptic() } else { ForeignKey::rsa() }
    }

    /// Writes the rule for it below `folder`.
    fn add(&self, folder: &Path) -> (Said, String) {
        let key = self.key();
        let [token, keys, out] = ["token", "keys.json", "rule.toml"].map(|file| folder.join(format!("{}-{file}", self.name)));
        fs::write(&token, self.token(&key, |_| {})).unwrap();
        fs::write(&keys, if self.kind == "spiffe" { key.bundle() } else { key.set() }.to_string()).unwrap();
        let [token, keys, out] = [&token, &keys, &out].map(|path| path.to_str().unwrap());
        let mut arguments = vec!["trust", "add", &self.issuer, "--token", token, "--jwks", keys, "--out", out];
        if self.name == "cognito" {
            arguments.extend(["--audience", "app"]);
        }
        (say(&arguments, ""), out.to_owned())
    }
}

/// The claim at a name or JSON Pointer, to be changed.
fn at<'a>(claims: &'a mut Value, claim: &str) -> &'a mut Value {
    let pointer = if claim.starts_with('/') { claim.to_owned() } else { format!("/{claim}") };
    claims.pointer_mut(&pointer).unwrap_or_else(|| panic!("{claim}"))
}

/// Values that are near, and other ones.
fn neighbours(value: &Value) -> Vec<Value> {
    match value {
        Value::String(text) => {
            let mut all = vec![format!("{text}x"), format!("{text}/x"), text.to_uppercase() + "-", String::new()];
            all.extend(text.get(1..).map(str::to_owned));
            let mut all: Vec<Value> = all.into_iter().map(Value::String).collect();
            all.extend([json!([text]), Value::Null, json!(7), json!({ "a": text })]);
            all
        }
        Value::Bool(is) => vec![json!(!is), json!(is.to_string()), Value::Null],
        other => vec![json!(other.to_string()), Value::Null],
    }
}

/// Every sample passes under the rule that was written for it; with any one matched claim changed, or for another audience, of
/// another issuer or by another key, it does not, and the matcher itself says so.
#[test]
fn the_rule_for_a_sample_accepts_it_and_refuses_every_neighbour() {
    let folder = scratch("add");
    for sample in samples() {
        let (said, file) = sample.add(&folder);
        assert_eq!(said.code, 0, "{}: {said:?}", sample.name);
        let text = fs::read_to_string(&file).unwrap();
        let rule: toml::Value = toml::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!(rule["kind"].as_str(), Some(&*sample.kind), "{}: {text}", sample.name);
        assert!(sample.lines.iter().all(|line| text.contains(line)), "{}: {text}", sample.name);
        let written: Vec<&str> = text.split("\n[require]\n").nth(1).map_or_else(Vec::new, |table| {
            table.split("\n\n").next().unwrap().lines().map(|line| line.split(" = ").next().unwrap().trim_matches('"')).collect()
        });
        assert_eq!(written, sample.require, "{}: {text}", sample.name);
        assert!(text.lines().all(|line| line.is_empty() || line.starts_with(['[', '#']) || line.contains("   # ")), "{text}");
        let key = sample.key();
        let tries = |token: &str| say(&["trust", "try", "-", "--file", &file, "--json"], token);
        for claim in &sample.require {
            let mut claims = Value::Object(sample.claims.clone());
            for changed in neighbours(at(&mut claims, claim)) {
                let token = sample.token(&key, |claims| *at(claims, claim) = changed.clone());
                let said = tries(&token);
                let tried = said.json();
                let checks = tried["rules"][0]["checks"].as_array().unwrap();
                let check = checks.iter().find(|check| check["check"] == format!("require {claim}")).unwrap();
                assert!(said.code == 1 && check["ok"] == false, "{}: {claim} = {changed}: {tried}", sample.name);
            }
        }
        let aud = sample.token(&key, |claims| claims["aud"] = json!("https://else.example"));
        let other_key = if sample.kind == "spiffe" { ForeignKey::rsa() } else { ForeignKey::elliptic() };
        let forged = sample.token(&other_key, |_| {});
        assert_eq!([tries(&aud).code, tries(&forged).code], [1, 1], "{}", sample.name);
    }
    fs::remove_dir_all(&folder).unwrap();
}

/// What was found when it was written is said: as `trust check` and `trust try` say it, with what is to be done next.
#[test]
fn what_was_found_and_what_to_do_next_is_said() {
    let folder = scratch("add-says");
    let github = named("github");
    let (said, file) = github.add(&folder);
    let told = [
        "of kind github: its tokens name a run of GitHub Actions",
        "0 errors, 0 dangers, 0 warnings",
        "rule github (github) accepts the token",
        "  ok  require repository_id: \"74\"",
        "what to do next:",
        &format!("countersign trust try TOKEN --file {file}"),
    ];
    assert!(told.iter().all(|told| said.out.contains(told)), "{}", said.out);
    let person = named("okta-id");
    let (said, _) = person.add(&folder);
    assert!(said.out.contains("foreign_clients, \"0oa1\""), "{}", said.out);
    let again = github.add(&folder).0;
    assert!(again.code == 2 && again.err.contains("is there already, and nothing is overwritten"), "{again:?}");
    fs::remove_dir_all(&folder).unwrap();
}

/// Without a sample the rule is one, and admits nobody before somebody says whom.
#[test]
fn without_a_sample_the_rule_admits_nobody_yet() {
    let folder = scratch("add-open");
    for sample in samples().into_iter().filter(|sample| sample.kind != "spiffe") {
        let key = sample.key();
        let [keys, out] = ["keys.json", "rule.toml"].map(|file| folder.join(format!("{}-{file}", sample.name)));
        fs::write(&keys, key.set().to_string()).unwrap();
        let [keys, out] = [&keys, &out].map(|path| path.to_str().unwrap());
        let said = say(&["trust", "add", &sample.issuer, "--jwks", keys, "--audience", STS, "--out", out, "--json"], "");
        assert_eq!((said.code, &said.json()["complete"]), (1, &json!(false)), "{}: {said:?}", sample.name);
        assert_eq!(said.json()["check"]["complaints"], json!([]), "{}: {said:?}", sample.name);
        let text = fs::read_to_string(out).unwrap();
        assert!(text.contains("enabled = false") && text.contains("\"to be filled in\""), "{text}");
        let enabled = text.replace("enabled = false", "enabled = true");
        fs::write(out, enabled).unwrap();
        let tried = say(&["trust", "try", "-", "--file", out], &sample.token(&key, |claims| claims["aud"] = json!(STS)));
        assert!(tried.code == 1 && tried.out.contains("  NO  require "), "{}: {tried:?}", sample.name);
    }
    fs::remove_dir_all(&folder).unwrap();
}

/// An issuer is looked at once by its discovery document, and called what that calls it.
#[test]
fn an_issuer_is_asked_what_it_publishes() {
    let folder = scratch("add-asks");
    let key = ForeignKey::rsa();
    let kubernetes = json!({ "response_types_supported": ["id_token"], "subject_types_supported": ["public"] });
    let cluster = ForeignIssuer::serve("/cluster/", &key.set(), &kubernetes);
    let issuer = format!("{}/cluster/", cluster.origin);
    for typed in [issuer.clone(), format!("{}/cluster", cluster.origin), format!("{issuer}.well-known/openid-configuration")] {
        let said = say(&["trust", "add", &typed, "--audience", STS], "");
        let told = [&format!("issuer = \"{issuer}\""), "kind = \"kubernetes\"", "# the rule is meant for"];
        assert!(said.code == 1 && told.iter().all(|told| said.out.contains(*told)), "{typed}: {said:?}");
        let printed: toml::Value = toml::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {}", said.out));
        assert_eq!(printed["enabled"].as_bool(), Some(false), "what is printed is the file of a rule");
    }
    let duende = ForeignIssuer::serve("", &key.set(), &json!({ "token_endpoint": "https://identity.example/connect/token" }));
    let claims = json!({ "iss": duende.origin, "aud": STS, "sub": "alice", "client_id": "app", "scope": ["crm:read"] });
    let token = folder.join("token");
    fs::write(&token, key.token(Some("at+jwt"), &claims)).unwrap();
    let token = token.to_str().unwrap();
    let said = say(&["trust", "add", &duende.origin, "--token", token], "");
    assert!(said.code == 0 && said.out.contains("provider = \"duende\"") && said.out.contains("discovery = true"), "{said:?}");
    let other = say(&["trust", "add", &issuer, "--token", token], "");
    assert!(other.code == 2 && other.err.contains("the token is of another issuer: its iss is"), "{other:?}");
    let elsewhere = ForeignIssuer::serve("", &key.set(), &json!({ "jwks_uri": "https://keys.acme.example/jwks" }));
    let said = say(&["trust", "add", &elsewhere.origin], "");
    assert!(said.code == 2 && said.err.contains("puts the keys on a host") && said.err.contains("--jwks"), "{said:?}");
    assert_eq!(*elsewhere.asked.lock().unwrap(), 0);
    for wrong in ["http://issuer.example", "not an address", "https://169.254.169.254", "spiffe://acme.example"] {
        let said = say(&["trust", "add", wrong], "");
        assert!(said.code == 2 && !said.err.is_empty() && said.out.is_empty(), "{wrong}: {said:?}");
    }
    fs::remove_dir_all(&folder).unwrap();
}
