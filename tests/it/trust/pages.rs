//! The pages of `docs/trust/`, done as they stand: each page's rule, agent and tokens, and its commands with the output that it
//! shows.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value};

use crate::support::foreign::ForeignKey;
use crate::support::page::{Step, matches, shell, steps};
use crate::support::scratch;

/// Where the pages are.
const PAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/trust");

/// The platforms that have one.
const PLATFORMS: [&str; 16] = [
    "auth0",
    "aws",
    "azure",
    "buildkite",
    "cognito",
    "duende",
    "entra",
    "github",
    "gitlab",
    "google-cloud",
    "keycloak",
    "kubernetes",
    "okta",
    "ping",
    "spiffe",
    "x509",
];

/// The blocks of a page that say what they are: language, title, and text.
fn titled(page: &str) -> Vec<(&str, &str, &str)> {
    let blocks = page.split("\n```").skip(1).step_by(2);
    let parts = blocks.filter_map(|block| {
        let (head, text) = block.split_once('\n')?;
        let (language, title) = head.split_once(' ')?;
        Some((language, title, text))
    });
    parts.collect()
}

/// The rule with keys that are there: its own come from the network.
fn with_keys(rule: &str) -> String {
    match (rule.contains("discovery = true"), rule.contains("[keys]")) {
        (true, _) => rule.replace("discovery = true", "jwks_file = \"page-keys.json\""),
        (false, true) => rule.to_owned(),
        (false, false) => format!("{rule}\n\n[keys]\njwks_file = \"page-keys.json\"\n"),
    }
}

/// Writes what the reader has by then into `folder`.
fn prepare(folder: &Path, page: &str, key: &ForeignKey) {
    let init = shell(folder, "countersign init acme --issuer https://sts.acme.example").output().unwrap();
    assert!(init.status.success(), "{init:?}");
    fs::write(folder.join("acme/trust/page-keys.json"), key.set().to_string()).unwrap();
    fs::write(folder.join("acme/trust/acme.bundle.json"), key.bundle().to_string()).unwrap();
    let authority = include_str!("../../../conf/trust/acme-pki.pem");
    fs::write(folder.join("acme/trust/ca.pem"), authority).unwrap();
    let mut claims: Map<String, Value> = Map::new();
    let mut usual = None;
    for (language, title, text) in titled(page) {
        let (name, typ) = title.split_once(" typ=").map_or((title, None), |(name, typ)| (name, Some(typ)));
        match language {
            "toml" => fs::write(folder.join(name), if name.contains("/trust/") { with_keys(text) } else { text.into() }).unwrap(),
            "json" => {
                // The second one says what it has otherwise.
                claims.extend(serde_json::from_str::<Map<String, Value>>(text).unwrap());
                usual = typ.or(usual);
                fs::write(folder.join(name), key.token(usual, &Value::Object(claims.clone()))).unwrap();
            }
            other => panic!("a block of {other}"),
        }
    }
}

#[test]
fn every_page_does_what_it_shows() {
    for platform in PLATFORMS {
        let page = fs::read_to_string(Path::new(PAGES).join(format!("{platform}.md"))).unwrap();
        let folder = scratch(&format!("page-{platform}"));
        prepare(&folder, &page, &ForeignKey::rsa());
        let steps = steps(&page);
        let verdicts = |verdict: &str| steps.iter().filter(|step| step.output.iter().any(|line| line.ends_with(verdict))).count();
        let tried = (verdicts("accepts the token"), verdicts("refuses the token"));
        assert!(tried == (1, 1) || platform == "x509", "{platform} shows a good and a bad token: {tried:?}");
        for Step { command, output } in &steps {
            let ran = shell(&folder, command).output().unwrap();
            let printed = String::from_utf8(ran.stdout).unwrap();
            let lines: Vec<&str> = printed.lines().map(str::trim_end).collect();
            assert!(matches(output, &lines), "{platform}: $ {command}\nshown:\n{}\nprinted:\n{printed}", output.join("\n"));
        }
        let check = shell(&folder, &format!("countersign trust check acme/trust/{platform}.toml")).output().unwrap();
        assert!(check.status.success(), "{platform}: {check:?}");
        fs::remove_dir_all(&folder).unwrap();
    }
}

#[test]
fn every_platform_has_its_page_and_the_overview_leads_to_it() {
    let overview = fs::read_to_string(Path::new(PAGES).with_extension("md")).unwrap();
    let pages = fs::read_dir(PAGES).unwrap().map(|page| page.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned());
    assert_eq!(pages.collect::<BTreeSet<_>>(), PLATFORMS.map(str::to_owned).into_iter().collect());
    for platform in PLATFORMS {
        assert!(overview.contains(&format!("(trust/{platform}.md)")), "{platform}");
    }
}

#[test]
fn only_blocks_with_a_title_are_files() {
    let page = "# A\n```sh\na\n```\n\n```toml a.toml\nx = 1\n```\n\n```console\n$ b\n```\n\n```json token typ=JWT\n{}\n```\n";
    assert_eq!(titled(page), [("toml", "a.toml", "x = 1"), ("json", "token typ=JWT", "{}")]);
}
