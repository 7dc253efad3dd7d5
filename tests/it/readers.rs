//! Strict readers: every claim and parameter of strangers that is read, with a value of every JSON type, through the line that
//! reads it. Which values are taken stands in `tests/vectors/readers.txt`, one row for each; all others are refused, none by a
//! defect of the server, and what they say is in no answer.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use countersign::client::Credentials;
use countersign::error::ErrorCode;
use countersign::jose::{KeySet, KeyUse};
use countersign::lines;
use countersign::oauth::Clock;
use serde_json::json;

use crate::life::stage::{Stage, sent};
use crate::support::{Party, claims};

/// A reader, and what it reads.
struct Reader {
    name: &'static str,
    claims: &'static [&'static str],
}

const fn reader(name: &'static str, claims: &'static [&'static str]) -> Reader {
    Reader { name, claims }
}

/// Named as the rows of the table are: the test issuer whose tokens are presented as subject token, or what else is read.
const READERS: [Reader; 16] = [
    reader(
        "idp",
        &[
            "iss",
            "sub",
            "aud",
            "exp",
            "iat",
            "nbf",
            "jti",
            "azp",
            "act",
            "may_act",
            "cnf",
            "acr",
            "amr",
            "auth_time",
            "events",
            "scope",
            "scp",
            "other",
        ],
    ),
    reader(
        "other-as",
        &["iss", "sub", "aud", "exp", "iat", "nbf", "jti", "azp", "client_id", "scope", "act", "may_act", "cnf", "nonce"],
    ),
    reader("cluster", &["sub", "kubernetes.io", "act", "may_act", "cnf", "jti"]),
    reader("eks", &["sub", "kubernetes.io", "kubernetes.io/serviceaccount/secret.name", "aud"]),
    reader(
        "github",
        &[
            "sub",
            "repository",
            "repository_id",
            "repository_owner",
            "ref",
            "event_name",
            "run_id",
            "run_attempt",
            "job_workflow_ref",
            "ref_type",
        ],
    ),
    reader(
        "gitlab",
        &["sub", "project_id", "project_path", "ref", "ref_type", "job_id", "pipeline_source", "job_project_id", "ref_path"],
    ),
    reader(
        "buildkite",
        &["sub", "organization_slug", "pipeline_slug", "build_branch", "build_commit", "build_tag", "job_id", "step_key"],
    ),
    reader("gcp", &["sub", "azp", "email", "email_verified", "google", "hd", "at_hash"]),
    reader("aws", &["sub", "https://sts.amazonaws.com/", "jti"]),
    reader("azure", &["sub", "oid", "tid", "ver", "idtyp"]),
    reader("svid-login", &["sub", "aud", "exp", "iat", "nbf", "cnf"]),
    reader("actor-token", &["sub", "act", "may_act", "cnf", "exp", "kubernetes.io"]),
    reader("assertion", &["iss", "sub", "aud", "exp", "iat", "nbf", "jti"]),
    reader("proof", &["jti", "htm", "htu", "iat", "nonce"]),
    reader("details", &["type", "authority", "purpose", "data_classes", "expires_in", "budget", "heartbeat", "holder", "other"]),
    reader("jwk", &["keys", "kty", "crv", "x", "use", "key_ops", "alg", "kid", "d", "other"]),
];

/// A value of every JSON type; `now` is a moment ago.
fn values(now: i64) -> Vec<(&'static str, String)> {
    let fixed = [
        ("null", "null"),
        ("true", "true"),
        ("false", "false"),
        ("zero", "0"),
        ("one", "1"),
        ("negative", "-1"),
        ("fraction", "1.5"),
        ("beyond", "18446744073709551616"),
        ("huge", "1e400"),
        ("empty", r#""""#),
        ("text", r#""a""#),
        ("escape", r#""a\u001b[2J""#),
        ("line", r#""a\nb""#),
        ("bidi", r#""a\u202eb""#),
        ("raw-bidi", "\"a\u{202e}b\""),
        ("list", "[]"),
        ("texts", r#"["a"]"#),
        ("nulls", "[null]"),
        ("objects", r#"[{"sub":"a"}]"#),
        ("members", r#"["orchestrator",null,null]"#),
        ("number-list", "[5]"),
        ("object", "{}"),
        ("unknown", r#"{"x":1}"#),
        ("twice", r#"{"sub":"a","sub":"a"}"#),
        ("actor", r#"{"sub":"orchestrator"}"#),
        ("budget", r#"{"exchanges":5}"#),
    ];
    let mut all: Vec<(&str, String)> = fixed.into_iter().map(|(label, raw)| (label, raw.to_owned())).collect();
    all.push(("long", format!("\"{}\"", "x".repeat(3000))));
    all.push(("deep", format!("{}{}", "[".repeat(40), "]".repeat(40))));
    all.push(("now", now.to_string()));
    all.push(("soon", (now + 50).to_string()));
    all.push(("later", (now + 1000).to_string()));
    all
}

#[test]
fn every_claim_takes_the_values_of_its_row_and_no_others() {
    let table = table();
    let rows: Vec<String> =
        READERS.iter().flat_map(|reader| reader.claims.iter().map(|claim| format!("{} {claim}", reader.name))).collect();
    let mut wrong: Vec<String> =
        table.keys().filter(|row| !rows.contains(row)).map(|row| format!("{row} is read by nobody")).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let stage = stage().await;
        for reader in &READERS {
            let mut any_taken = false;
            for claim in reader.claims {
                let row = format!("{} {claim}", reader.name);
                let mut taken = Vec::new();
                for (label, raw) in values(stage.clock.now().seconds() - 1) {
                    match tried(&stage, reader.name, claim, &raw).await {
                        Ok(()) => taken.push(label),
                        Err(why) => assert!(!why.contains(char::is_control) && !why.contains('\u{202e}'), "{row} {label}: {why}"),
                    }
                }
                any_taken |= !taken.is_empty();
                let seen = taken.join(" ");
                if table.get(&row) != Some(&seen) {
                    wrong.push(format!("{row}: {seen}"));
                }
            }
            assert!(any_taken, "{}: whatever is presented is refused for another reason", reader.name);
        }
    });
    assert!(wrong.is_empty(), "rows that differ, as they were seen:\n{}", wrong.join("\n"));
}

#[test]
fn every_claim_that_the_checks_of_a_platform_read_has_a_row() {
    let table = table();
    for platform in ["aws", "azure", "buildkite", "gcp", "github", "gitlab", "kubernetes"] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/trust/platform/{platform}.rs"));
        let text = fs::read_to_string(file).unwrap();
        let calls = [".need(\"", ".told(\"", ".at(\"", ".has(\"", ".is_true(\""];
        let paths = calls.iter().flat_map(|call| text.split(call).skip(1)).map(|after| after.split('"').next().unwrap());
        let claims: BTreeSet<&str> = paths.map(|path| path.strip_prefix('/').map_or(path, first_step)).collect();
        let reader = if platform == "kubernetes" { "eks" } else { platform };
        assert!(!claims.is_empty(), "{platform}");
        for claim in claims {
            assert!(table.contains_key(&format!("{reader} {claim}")), "{reader} {claim}");
        }
    }
}

/// Of a JSON Pointer behind its first slash: the claim.
fn first_step(pointer: &str) -> &str {
    pointer.split('/').next().unwrap()
}

#[test]
fn a_name_that_is_written_with_escapes_is_one_in_our_own_tokens_too() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stage = Stage::new("readers-escapes");
        for name in [r"CN=Smith\, John", "a\"b", "a/b", "J\u{e4}ger"] {
            let id_token = stage.party("orchestrator").id_token(json!({ "sub": name }));
            let issued = stage.exchange("orchestrator", &id_token, "crm", &[]).await.unwrap();
            assert!(claims(&issued)["sub"].as_str().unwrap().ends_with(name), "{issued}");
            let next = stage.exchange("orchestrator", &issued, "crm", &[]).await;
            assert!(next.is_ok(), "{name}: {}", next.unwrap_err().1);
        }
    });
}

/// `reader claim: values that are taken`.
fn table() -> BTreeMap<String, String> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/readers.txt")).unwrap();
    let rows = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    rows.map(|line| line.rsplit_once(':').unwrap()).map(|(row, taken)| (row.to_owned(), taken.trim().to_owned())).collect()
}

/// The server of the conformance cases, with the keys of every issuer in files.
async fn stage() -> Stage {
    let stage = Stage::new("readers");
    let party = stage.party("orchestrator");
    for trust in ["other-as", "eks", "github", "gitlab", "buildkite", "gcp", "aws", "azure"] {
        let rule = stage.folder.join(format!("conf/trust/{trust}.toml"));
        let text = fs::read_to_string(&rule).unwrap();
        let lines = text.lines().filter(|line| !["[keys]", "discovery = true"].contains(line) && !line.starts_with("jwks_uri"));
        let keys = format!("\n[keys]\njwks_file = \"../jwks/readers-{trust}.json\"\n");
        fs::write(&rule, lines.collect::<Vec<_>>().join("\n") + &keys).unwrap();
        let set = json!({ "keys": [party.public_jwk(trust)] });
        fs::write(stage.folder.join(format!("conf/jwks/readers-{trust}.json")), set.to_string()).unwrap();
    }
    stage.restarted().await
}

const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const SPIFFE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe";

/// What comes of presenting the member `claim` with that value to a reader: the sentence of a refusal.
async fn tried(stage: &Stage, reader: &str, claim: &str, raw: &str) -> Result<(), String> {
    let (orchestrator, gateway) = (stage.party("orchestrator"), stage.party("gateway"));
    let changed = |party: &Party, trust: &str| {
        let leave = if trust == "spiffe-acme" { json!({ "iss": null, "jti": null }) } else { json!({}) };
        party.altered(&party.vouched(trust, leave), trust, claim, raw)
    };
    let user = || orchestrator.id_token(json!({}));
    match reader {
        "jwk" => key(&orchestrator, claim, raw),
        "details" => opened(stage, claim, raw).await,
        "idp" | "other-as" => exchanged(stage, login(&orchestrator), changed(&orchestrator, reader), None).await,
        "svid-login" => {
            let svid = changed(&stage.party("researcher"), "spiffe-acme");
            exchanged(stage, (SPIFFE, svid), stage.party("researcher").id_token(json!({})), None).await
        }
        "actor-token" => {
            let actor = changed(&stage.party("worker"), "cluster");
            exchanged_by(stage, login(&gateway), gateway.id_token(json!({})), None, Some(actor)).await
        }
        "assertion" => {
            let assertion = orchestrator.altered(&orchestrator.assertion(), "orchestrator", claim, raw);
            exchanged(stage, (BEARER, assertion), user(), None).await
        }
        "proof" => {
            let proof = orchestrator.altered(&orchestrator.proof("orchestrator"), "orchestrator", claim, raw);
            exchanged(stage, login(&orchestrator), user(), Some(proof)).await
        }
        platform => exchanged(stage, login(&gateway), changed(&gateway, platform), None).await,
    }
}

fn login(party: &Party) -> (&'static str, String) {
    (BEARER, party.assertion())
}

async fn exchanged(stage: &Stage, login: (&str, String), subject: String, proof: Option<String>) -> Result<(), String> {
    exchanged_by(stage, login, subject, proof, None).await
}

async fn exchanged_by(
    stage: &Stage,
    (kind, assertion): (&str, String),
    subject: String,
    proof: Option<String>,
    actor: Option<String>,
) -> Result<(), String> {
    let mut parameters = vec![
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange".to_owned()),
        ("subject_token", subject),
        ("subject_token_type", JWT.to_owned()),
        ("resource", stage.api("crm")),
        ("client_assertion_type", kind.to_owned()),
        ("client_assertion", assertion),
    ];
    parameters.extend(actor.into_iter().flat_map(|actor| [("actor_token", actor), ("actor_token_type", JWT.to_owned())]));
    let (form, credentials) = sent(&parameters);
    let credentials = credentials.with_dpop(proof.as_deref());
    lines::token(stage.context(&credentials), &form).await.map(drop).map_err(|refused| told(refused.code, refused.reason))
}

async fn opened(stage: &Stage, member: &str, raw: &str) -> Result<(), String> {
    let authority = json!([{ "api": stage.api("crm"), "scopes": ["contacts.read"] }]);
    let mut members = BTreeMap::from([("type", "\"task\"".to_owned()), ("authority", authority.to_string())]);
    members.insert(member, raw.to_owned());
    let members: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    let party = stage.party("orchestrator");
    let (form, credentials): (_, Credentials) = sent(&[
        ("client_assertion_type", BEARER.to_owned()),
        ("client_assertion", party.assertion()),
        ("subject_token", party.id_token(json!({}))),
        ("subject_token_type", JWT.to_owned()),
        ("authorization_details", format!("[{{{}}}]", members.join(","))),
    ]);
    let opened = lines::open_task(stage.context(&credentials), &form).await;
    opened.map(drop).map_err(|refused| told(refused.code, refused.reason))
}

/// Whether a key set whose only key, or which itself, has that member is one of one key.
fn key(party: &Party, member: &str, raw: &str) -> Result<(), String> {
    let mut jwk = party.public_jwk("idp");
    jwk.as_object_mut().unwrap().remove(member);
    let members = jwk.to_string();
    let key = format!("{},\"{member}\":{raw}}}", members.strip_suffix('}').unwrap());
    let set = if member == "keys" { format!("{{\"keys\":{raw}}}") } else { format!("{{\"keys\":[{key}]}}") };
    let set = KeySet::parse(set.as_bytes(), KeyUse::Signature).map_err(|reason| reason.to_string())?;
    let skipped: Vec<String> = set.left_out().iter().map(ToString::to_string).collect();
    if skipped.is_empty() { Ok(()) } else { Err(skipped.join(" ")) }
}

fn told(code: ErrorCode, reason: impl std::fmt::Display) -> String {
    assert!(![ErrorCode::ServerError, ErrorCode::TemporarilyUnavailable].contains(&code), "{reason}");
    reason.to_string()
}
