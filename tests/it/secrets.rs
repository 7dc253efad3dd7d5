//! Nothing secret at rest: everything that a server writes is searched for what it was given and gave out.

mod needles;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use countersign_conformance::profile::Login;
use serde_json::json;

use crate::support::{Ledger, Party, Site, claims, form, post_form};

/// A person whose traces are easily found.
const SUB: &str = "person-7d1f9c52b6a84e03";
const MAIL: &str = "person-7d1f9c52b6a84e03@mail.example";

#[test]
fn no_token_secret_or_personal_identifier_is_written_anywhere() {
    let site = Site::new("secrets");
    // As many refusals are recorded as may be: those that are only counted leave nothing to search.
    let refusals = [("COUNTERSIGN__LIMITS__REFUSALS_PER_MINUTE", Path::new("6000"))];
    let (server, report) = site.conform_with(&site.profile(), &refusals, None);
    assert!(report.counts().0 > 100, "most of what a server can do was done");
    let mut needles = own_exchanges(&site);
    recorded(&site, &needles::in_every_place(&site));
    needles.extend(needles::COMMON.map(str::to_owned));
    for client in site.profile().clients.values() {
        if let Login::ClientSecretBasic { secret } | Login::ClientSecretPost { secret } = &client.login {
            needles.push(secret.clone());
        }
    }
    // The person of the cases; how the header of every JWT begins, which no digest does by chance; and the keys of the server.
    needles.extend(["alice", "eyJhbGci", "eyJ0eXAi", "eyJraWQi", "PRIVATE KEY"].map(str::to_owned));
    server.kill();
    let mut files = vec![site.log()];
    collect(&site.fixture.data, &mut files);
    assert!(files.len() > 1, "the data folder holds files");
    let holds = |file: &PathBuf| {
        let bytes = fs::read(file).unwrap();
        let found = needles.iter().filter_map(|needle| Some((needle, found(&bytes, needle)?)));
        found.map(|(needle, rest)| format!("{} holds {needle}{rest}", file.display())).collect::<Vec<_>>()
    };
    let told: Vec<String> = files.iter().flat_map(holds).collect();
    assert!(told.is_empty(), "{}", told.join("\n"));
}

/// Waits until the ledger holds refusals of every kind that it must hold: recording one waits for nobody. None is only counted.
fn recorded(site: &Site, refused: &HashMap<(&'static str, String), Vec<String>>) {
    for (path, name) in needles::RECORDED {
        let ids = &refused[&(path, name.to_owned())];
        site.wait(&format!("a refusal for {name} at {path} is recorded"), || {
            let records = Ledger::read(&site.fixture.data).refusals();
            assert!(records.iter().all(|record| record.get("suppressed").is_none()), "a refusal was only counted");
            records.iter().any(|record| ids.iter().any(|id| record["error_id"] == **id))
        });
    }
}

/// Exchanges that succeed and fail; the answers tell nothing but the token itself. Returns what must not be found.
fn own_exchanges(site: &Site) -> Vec<String> {
    let party = Party::new(&site.profile(), "orchestrator");
    let person = json!({ "sub": SUB, "email": MAIL, "acr": "loa-7d1f9c52", "act": { "sub": "helper-7d1f9c52" } });
    let mut needles: Vec<String> = ["7d1f9c52b6a84e03", "loa-7d1f9c52", "helper-7d1f9c52"].map(str::to_owned).into();
    let targets = ["https://assistant.example", "https://vault.example", "https://nowhere.example"];
    for target in targets {
        let (assertion, subject) = (party.assertion(), party.id_token(person.clone()));
        for body in
            [form(&Party::request(&assertion, &subject, &[("resource", target)])), format!("client_assertion={assertion}")]
        {
            let reply = post_form(site.public, "/token", &body).unwrap();
            let token = reply.text_of("access_token");
            let rest = if token.is_empty() { reply.text.clone() } else { reply.text.replace(&token, "") };
            let told = [SUB, MAIL, "loa-7d1f9c52", "eyJ", assertion.as_str()].into_iter().find(|needle| rest.contains(needle));
            assert_eq!(told, None, "{rest}");
            needles.extend(signatures(&token));
        }
        needles.extend(signatures(&assertion).chain(signatures(&subject)));
    }
    let token_sub = claims(&party.id_token(person))["sub"].clone();
    assert_eq!(token_sub, SUB);
    needles
}

/// The last part of a token, which is unlike any other.
fn signatures(token: &str) -> impl Iterator<Item = String> {
    token.rsplit_once('.').map(|(_, signature)| signature.to_owned()).into_iter()
}

/// What follows the first `needle` in `bytes`, in short.
fn found(bytes: &[u8], needle: &str) -> Option<String> {
    let at = bytes.windows(needle.len()).position(|window| window == needle.as_bytes())? + needle.len();
    Some(String::from_utf8_lossy(&bytes[at..bytes.len().min(at + 12)]).into_owned())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.is_file() {
            files.push(path);
        }
    }
}
