//! The floor: what an exchange costs at the very least, as the sum of its bare parts, each measured alone in a process of its
//! own on the server's core.

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::{SystemRandom, fill};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, ParsedPublicKey};
use cedar_policy::{Authorizer, Context, Decision, Entities, EntityUid, PolicySet, Request};
use rusqlite::{Connection, params};
use serde_json::{Value, json};

use super::process::own_cpu;

/// How many bytes the things are that an exchange handles, as seen on the server that is measured.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sizes {
    pub assertion: usize,
    pub subject: usize,
    pub issued: usize,
    pub record: usize,
    pub disclosure: usize,
    pub request: usize,
    pub response: usize,
}

/// CPU µs of the primitives that a case cannot avoid: `verifications` and one signature; SHA-256 of the evidence, of the
/// token and of the record; the sealing of ancestry and disclosures, and where the subject token is ours the opening of its
/// ancestry.
pub fn crypto(verifications: u32, own: bool, sizes: &Sizes) -> f64 {
    let random = SystemRandom::new();
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref()).unwrap();
    let public = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref()).unwrap();
    let [assertion, subject, issued, record] =
        [sizes.assertion, sizes.subject, sizes.issued, sizes.record].map(|length| vec![b'x'; length]);
    // A proof is about as long as an assertion.
    let presented = [&assertion, &subject, &assertion].map(|message| (message, pair.sign(&random, message).unwrap()));
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[7; 32]).unwrap());
    let (mut ancestry, mut disclosure) = (vec![b'x'; 512], vec![b'x'; sizes.disclosure]);
    let nonce = || {
        let mut nonce = [0; 12];
        fill(&mut nonce).unwrap();
        Nonce::assume_unique_for_key(nonce)
    };
    per_round(|| {
        for (message, signature) in presented.iter().take(verifications as usize) {
            public.verify_sig(black_box(message), signature.as_ref()).unwrap();
        }
        black_box(pair.sign(&random, black_box(&issued)).unwrap());
        for message in [&assertion, &subject, &issued, &record] {
            black_box(digest(&SHA256, black_box(message)));
        }
        let _tag = black_box(key.seal_in_place_separate_tag(nonce(), Aad::empty(), black_box(&mut disclosure)).unwrap());
        // Opening costs what sealing costs.
        for _ in 0..1 + u32::from(own) {
            let _tag = black_box(key.seal_in_place_separate_tag(nonce(), Aad::empty(), black_box(&mut ancestry)).unwrap());
        }
    })
}

/// CPU µs of one authorisation over all ten policies of `text`, with everything about the request built beforehand.
pub fn cedar(text: &str) -> f64 {
    let policies: PolicySet = text.parse().unwrap();
    assert_eq!(policies.policies().count(), 10);
    let (request, entities) = question();
    let authorizer = Authorizer::new();
    assert_eq!(authorizer.is_authorized(&request, &policies, &entities).decision(), Decision::Allow);
    per_round(|| drop(black_box(authorizer.is_authorized(black_box(&request), &policies, &entities))))
}

/// Cedar's request and entities for the first hop.
fn question() -> (Request, Entities) {
    let uid = |text: &str| -> EntityUid { text.parse().unwrap() };
    let (agent, scope) = (r#"Agent::"orchestrator""#, r#"Scope::"https://research.example customers.lookup""#);
    let context = json!({
        "subject": {"__entity": {"type": "Subject", "id": "idp:00u1a2b3c4d5"}}, "client": "orchestrator", "actor": "orchestrator",
        "chain": ["orchestrator"], "depth": 1, "instance": "", "task": "", "purpose": "", "data": ["pii"], "touched": [],
        "destination": "internal", "effect": "read", "time": {"__extn": {"fn": "datetime", "arg": "2026-11-20T20:00:00Z"}},
        "acr": "urn:okta:loa:2fa:any", "amr": ["mfa", "pwd", "otp"], "auth_age": 60, "binding": "none", "approved": false,
        "basis": "delegation", "trust": "idp",
    });
    let entities = json!([
        entity(
            "Agent",
            "orchestrator",
            json!({"owner": "dana@acme.example", "kind": "ai_agent"}),
            json!([{"type": "Team", "id": "research"}]),
            json!({}),
        ),
        entity(
            "Scope",
            "https://research.example customers.lookup",
            json!({"data": ["pii"], "effect": "read"}),
            json!([{"type": "Api", "id": "https://research.example"}]),
            json!({}),
        ),
        entity(
            "Subject",
            "idp:00u1a2b3c4d5",
            json!({"kind": "user", "rule": "idp", "id": "00u1a2b3c4d5"}),
            json!([]),
            json!({"department": "sales"}),
        ),
    ]);
    let context = Context::from_json_value(context, None).unwrap();
    let request = Request::new(uid(agent), uid(r#"Action::"exchange""#), uid(scope), context, None).unwrap();
    (request, Entities::from_json_value(entities, None).unwrap())
}

/// CPU µs per record of durable commits of `batch` records each: the record with its three indexes, a single-use row and a
/// disclosure row; the copying of the write-ahead log included.
pub fn sqlite(folder: &Path, batch: usize, sizes: &Sizes) -> f64 {
    let file = folder.join(format!("floor-{batch}.sqlite"));
    let _absent = std::fs::remove_file(&file);
    let store = Connection::open(&file).unwrap();
    store.execute_batch(TABLES).unwrap();
    let (mut index, mut grown, bytes) = (0_u64, 0, vec![b'x'; 1 << 16]);
    let commit = || {
        store.prepare_cached("BEGIN IMMEDIATE").unwrap().execute([]).unwrap();
        for _ in 0..batch {
            index += 1;
            append(&store, index, sizes, &bytes);
        }
        store.prepare_cached("COMMIT").unwrap().execute([]).unwrap();
        grown += batch;
        if grown >= 5_000 {
            grown = 0;
            store.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).unwrap();
        }
    };
    let per_batch = per_round(commit);
    drop(store);
    for end in ["", "-wal", "-shm"] {
        let _absent = std::fs::remove_file(format!("{}{end}", file.display()));
    }
    per_batch / batch as f64
}

fn append(store: &Connection, index: u64, sizes: &Sizes, bytes: &[u8]) {
    let name = u128::from(index).to_be_bytes();
    let mut row = store.prepare_cached("INSERT INTO records VALUES (?1, ?2, ?3, ?4, ?5)").unwrap();
    row.execute(params![index, index, name, name, &bytes[..sizes.record]]).unwrap();
    let mut row = store.prepare_cached("INSERT INTO disclosures VALUES (?1, ?2, ?3)").unwrap();
    row.execute(params![index, name, &bytes[..sizes.disclosure + 28]]).unwrap();
    let mut row = store.prepare_cached("INSERT INTO single_use VALUES (?1, ?2)").unwrap();
    row.execute(params![index / 1000, [name, name].concat()]).unwrap();
}

const TABLES: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA wal_autocheckpoint = 0;
    CREATE TABLE records (idx INTEGER PRIMARY KEY, at INTEGER NOT NULL, jti BLOB, txn BLOB, record BLOB NOT NULL) STRICT;
    CREATE INDEX records_jti ON records (jti);
    CREATE INDEX records_txn ON records (txn);
    CREATE TABLE disclosures (idx INTEGER PRIMARY KEY, subject BLOB NOT NULL, sealed BLOB NOT NULL) STRICT;
    CREATE TABLE single_use (expires INTEGER NOT NULL, digest BLOB NOT NULL, PRIMARY KEY (expires, digest)) STRICT, WITHOUT ROWID;
";

/// The other end of the bare form POST: reads a form, answers with `bytes` bytes of JSON. Never returns.
pub fn http(port: u16, bytes: usize) -> ! {
    use actix_web::{App, HttpResponse, HttpServer, web};
    let body = format!("\"{}\"", "x".repeat(bytes - 2));
    let answer = move |form: web::Form<Vec<(String, String)>>| {
        assert!(form.len() >= 6);
        std::future::ready(HttpResponse::Ok().content_type("application/json").body(body.clone()))
    };
    let app = move || App::new().route("/token", web::post().to(answer.clone()));
    let server = HttpServer::new(app).tcp_nodelay(true).bind(("127.0.0.1", port)).unwrap().run();
    actix_web::rt::System::new().block_on(server).unwrap();
    std::process::exit(0)
}

/// CPU µs of one call, over a fifth of a second.
fn per_round(mut work: impl FnMut()) -> f64 {
    (0..16).for_each(|_| work());
    let (began, before, mut times) = (Instant::now(), own_cpu(), 0_u32);
    while began.elapsed() < Duration::from_millis(200) {
        (0..16).for_each(|_| work());
        times += 16;
    }
    (own_cpu() - before) as f64 / 1e3 / f64::from(times)
}

fn entity(kind: &str, id: &str, attrs: Value, parents: Value, tags: Value) -> Value {
    let uid = json!({"type": kind, "id": id});
    json!({"uid": uid, "attrs": attrs, "parents": parents, "tags": tags})
}
