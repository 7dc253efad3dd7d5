//! Configurations in which nothing is wrong, and texts that are anything at all.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use proptest::prelude::*;

use super::diagnostics::expect;
use super::scene::{AGENT, API, CLUSTER, IDP, JWKS, MAIN, Scene};
use crate::client::ClientAuth;
use crate::config::{Sources, data_folder};
use crate::jose::Algorithm;
use crate::keys::KeySource;
use crate::oauth::{ClientId, Resource};
use crate::trust::{Literal, Matcher, Template, TrustKind};

#[test]
fn the_defaults_stand_without_any_file() {
    let config = Sources::default().load().config.unwrap();
    assert_eq!(config.settings.issuer.as_str(), "http://127.0.0.1:8693");
    assert_eq!(config.settings.tokens.lifetime, Duration::from_secs(300));
    assert_eq!(config.settings.limits.body_bytes_max, 65_536);
    assert_eq!(config.settings.keys.dir, PathBuf::from("keys"));
    assert_eq!(config.settings.files.trust.value, PathBuf::from("conf/trust"));
    assert_eq!(config.settings.keys.algorithms, [Algorithm::ES256, Algorithm::RS256]);
}

#[test]
fn the_samples_are_in_order_and_say_what_they_explain() {
    let sources = Sources { default_file: "conf/default.toml".into(), ..Sources::default() };
    let config = sources.load().config.unwrap();
    assert!(config.warnings.is_empty(), "{}", config.warnings);
    let agents: Vec<_> = config.logins.iter().map(|(id, logins)| (id.as_str(), logins.len())).collect();
    assert_eq!(agents, [("crm-api", 1), ("orchestrator", 2), ("researcher", 1)]);
    let crm = config.catalog.api(&Resource::parse("https://crm.example").unwrap()).unwrap();
    assert_eq!((crm.scopes.len(), crm.derive.len(), crm.default_scopes.len()), (3, 1, 1));
    let rules: Vec<_> = config.rules.iter().map(|file| file.rule.name.as_str()).collect();
    assert!(rules.starts_with(&["acme-idp", "acme-spiffe"]) && rules.contains(&"prod-cluster"), "{rules:?}");
    assert!(matches!(&config.rules[1].rule.keys, KeySource::Bundle(bundle) if !bundle.keys().is_empty()));
    for (name, kind) in TrustKind::ALL {
        assert!(config.rules.iter().any(|file| file.rule.kind == kind), "no example of kind {name}");
    }
    assert_eq!(config.rules[0].rule.require[0].matcher(), &Matcher::Is(Literal::Bool(true)));
}

#[test]
fn later_layers_win_key_by_key_and_the_environment_last() {
    let scene = Scene::new().with("main.toml", &format!("issuer = 'https://a.example'\n[tokens]\nlifetime = '1m'\n{MAIN}"));
    let settings = scene.config().settings;
    assert_eq!(settings.tokens.lifetime, Duration::from_secs(60));
    assert_eq!(settings.tokens.lifetime_max, Duration::from_secs(900));
    let scene = scene.env("COUNTERSIGN__ISSUER", "https://b.example").env("COUNTERSIGN__LIMITS__QUEUE", "7");
    let scene = scene.env("COUNTERSIGN__KEYS__ALGORITHMS", "RS256, EdDSA").env("COUNTERSIGN__KEYS__DIR", "k");
    let settings = scene.config().settings;
    assert_eq!((settings.issuer.as_str(), settings.limits.queue), ("https://b.example", 7));
    assert_eq!(settings.tokens.lifetime, Duration::from_secs(60));
    assert_eq!(settings.keys.algorithms, [Algorithm::RS256, Algorithm::EdDSA]);
    assert_eq!(settings.keys.dir, PathBuf::from("k"));
}

#[test]
fn paths_are_relative_to_the_file_that_has_them() {
    let scene = Scene::new().with("main.toml", &format!("[keys]\ndir = 'k'\n{MAIN}"));
    assert_eq!(scene.config().settings.keys.dir, scene.path("k"));
}

/// What no file names lies beside the first settings file, wherever the process runs; keys beside its folder, if it is `conf`.
#[test]
fn folders_lie_beside_the_settings_file() {
    let scene = Scene::new().with("main.toml", "issuer = 'https://a.example'\n").with("agents/a.toml", AGENT);
    let settings = scene.config().settings;
    assert_eq!((settings.files.trust.value, settings.keys.dir), (scene.path("trust"), scene.path("keys")));
    fs::create_dir(scene.path("conf")).unwrap();
    let scene = scene.with("conf/main.toml", "issuer = 'https://a.example'\n");
    let files = vec![scene.path("conf/main.toml"), scene.path("main.toml")];
    let settings = Sources { files: files.clone(), ..Sources::default() }.load().config.unwrap().settings;
    assert_eq!((settings.files.agents.value, settings.keys.dir), (scene.path("conf/agents"), scene.path("keys")));
    assert_eq!((data_folder(&files), data_folder(&[])), (scene.path("data"), PathBuf::from("data")));
}

/// An empty file is one that somebody is about to write.
#[test]
fn empty_files_are_mistakes() {
    for (file, line) in [
        ("main.toml", "main.toml:1: an empty settings file is taken for one that is being written"),
        (
            "policies/p.cedar",
            "policies/p.cedar:1: an empty policy file is taken for one that is being written; remove it, or say in a \
                              comment what it is for",
        ),
        ("agents/a.toml", "agents/a.toml:1: `id` is missing"),
        ("trust/a.toml", "trust/a.toml:1: `name` is missing"),
        ("apis/a.toml", "apis/a.toml:1: `id` is missing"),
    ] {
        let found = Scene::new().with(file, " \n").diagnostics();
        assert!(found.iter().any(|found| found == line), "{found:?}");
    }
}

/// A named pipe called like a file is not waited for.
#[test]
fn only_files_are_read() {
    let scene = Scene::new().with("agents/a.toml", AGENT);
    let made = std::process::Command::new("mkfifo").arg(scene.path("agents/x.toml")).status().unwrap();
    assert!(made.success());
    assert!(scene.diagnostics().iter().any(|line| line.contains("it is a FIFO, not a file")));
}

#[test]
fn everything_optional_has_its_default() {
    let scene = Scene::new().with("trust/i.toml", IDP).with("trust/c.toml", CLUSTER).with("apis/a.toml", API);
    let scene = scene.with("agents/a.toml", AGENT).with("policies/p.cedar", "permit(principal, action, resource);");
    let scene = scene.with("agents/.hidden.toml", "not = toml").with("agents/notes.txt", "x");
    let config = scene.config();
    let rule = &config.rules[1].rule;
    assert_eq!((rule.lifetime_max, rule.enabled), (Duration::from_hours(1), true));
    assert_eq!(rule.subject.id, Template::parse("{sub}").unwrap());
    assert_eq!(rule.algorithms, [Algorithm::ES256, Algorithm::RS256]);
    let api = config.catalog.apis().next().unwrap();
    assert_eq!((api.typ.as_str(), api.signing_alg, api.lifetime), ("at+jwt", Algorithm::ES256, None));
    assert_eq!(config.policies[0].text, "permit(principal, action, resource);");
    assert!(config.policies[0].file.ends_with("policies/p.cedar"));
}

#[test]
fn a_secret_is_for_one_place_or_for_both() {
    for (method, places) in
        [("client_secret", (true, true)), ("client_secret_basic", (true, false)), ("client_secret_post", (false, true))]
    {
        let login =
            format!("[[login]]\nmethod = '{method}'\nsecret_hash = 'sha256:ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0'\n");
        let config = Scene::new().with("agents/a.toml", &format!("{AGENT}{login}")).config();
        let logins = &config.logins[&ClientId::parse("a").unwrap()];
        let ClientAuth::Secret { basic, post, .. } = &logins[0].auth else { panic!("{method}: {:?}", logins[0]) };
        assert_eq!((*basic, *post), places, "{method}");
    }
}

#[test]
fn logins_are_read_in_order() {
    let keys = format!("jwks = '{JWKS}'\nassertion_audience = ['token_endpoint']\n");
    let login = "[[login]]\nmethod = 'client_secret_post'\nsecret_hash = 'sha256:ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0'\n\
                 [[login]]\nmethod = 'workload_jwt'\ntrust = 'cluster'\n\
                 match = { a = ['b', 'c'], '/d~1e' = { prefix = 'f/' }, g = { present = true } }\n\
                 [[login]]\nmethod = 'private_key_jwt'\n";
    let scene = Scene::new().with("trust/c.toml", CLUSTER).with("agents/a.toml", &format!("{AGENT}{login}{keys}"));
    let config = scene.config();
    let logins = &config.logins[&ClientId::parse("a").unwrap()];
    assert!(matches!(&logins[0].auth, ClientAuth::Secret { basic: false, post: true, .. }));
    let ClientAuth::WorkloadJwt { matchers, .. } = &logins[1].auth else { panic!("{:?}", logins[1]) };
    let found: Vec<_> = matchers.iter().map(|matcher| (matcher.claim(), matcher.matcher().clone())).collect();
    assert_eq!(found[0], ("/d~1e", Matcher::Prefix("f/".into())));
    assert_eq!(found[1], ("a", Matcher::OneOf(["b", "c"].map(|text| Literal::Text(text.into())).into())));
    assert_eq!(found[2], ("g", Matcher::Present));
    let ClientAuth::PrivateKeyJwt { accept_token_endpoint, algorithms, .. } = &logins[2].auth else { panic!("{:?}", logins[2]) };
    assert!(*accept_token_endpoint && algorithms.len() == 4);
}

#[test]
fn a_fingerprint_changes_with_any_file_and_folder() {
    let login = "[[login]]\nmethod = 'private_key_jwt'\njwks_file = 'a.json'\n";
    let scene = Scene::new().with("agents/a.json", JWKS).with("agents/a.toml", &format!("{AGENT}{login}"));
    let known = scene.load().fingerprint;
    assert_eq!(known.again(), known);
    let scene = scene.with("agents/a.json", &format!("{JWKS} "));
    assert_ne!(known.again(), known);
    let known = scene.load().fingerprint;
    let scene = scene.with("policies/p.cedar", "// none\n");
    assert_ne!(known.again(), known);
    let known = scene.load().fingerprint;
    let scene = scene.without("policies/p.cedar").with("policies/q.cedar", "// none\n");
    assert_ne!(known.again(), known);
    let known = scene.load().fingerprint;
    let scene = scene.with("main.toml", &format!("# changed\n{MAIN}"));
    assert_ne!(known.again(), known);
    let known = scene.load();
    let now = scene.with("agents/notes.txt", "x").load();
    assert!(now.fingerprint.says_the_same_as(&known.fingerprint) && now.digest == known.digest);
}

fn word() -> impl Strategy<Value = String> {
    let known =
        "id|name|kind|issuer|keys|login|method|match|require|scopes|derive|from|tokens|lifetime|files|trust|listen|subject";
    let value = r#"'(oidc|spiffe|\{sub\}|[a-z/:.]{0,6})'|-?[0-9]{1,4}|true|\[|\]|\{|\}|,|0x1f|1e5|nan|1979-05-27"#;
    prop_oneof![known.prop_map_regex(), value.prop_map_regex(), "[\\[\\]=\n. ]{1,3}".prop_map(|text| text), any::<String>()]
}

trait Regex {
    fn prop_map_regex(self) -> BoxedStrategy<String>;
}

impl Regex for &'static str {
    fn prop_map_regex(self) -> BoxedStrategy<String> {
        proptest::string::string_regex(self).unwrap().boxed()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn no_text_makes_the_reader_panic(words in proptest::collection::vec(word(), 0..40)) {
        let text = words.concat();
        let scene = Scene::new();
        let files = ["trust/x.toml", "agents/x.toml", "apis/x.toml"];
        let scene = files.into_iter().fold(scene, |scene, file| scene.with(file, &text));
        if let Err(diagnostics) = scene.load().config {
            assert!(!diagnostics.is_empty());
        }
        let loaded = scene.with("main.toml", &text).load();
        if let Err(diagnostics) = loaded.config {
            assert!(diagnostics.iter().all(|diagnostic| !diagnostic.location.file.is_empty()));
        }
    }
}

/// Of two files each with a mistake, one may be told of only as far as the other does not tell it: something is always told.
#[test]
fn a_configuration_that_is_not_used_says_why() {
    let spiffe = "name = 'mesh'\nkind = 'spiffe'\ntrust_domain = 'mesh.example'\naudiences = ['http://127.0.0.1:8693']\n\
                  [keys]\nbundle_url = 'https://mesh.example/b'\nbundle_profile = 'https_web'\n";
    let login = "[[foreign_clients]]\ntrust = 'idp'\nclient = 'us'\n[[login]]\nmethod = 'workload_jwt'\ntrust = 'cluster'\n\
                 match = { a = 1 }\n[[login]]\nmethod = 'spiffe_jwt'\nspiffe_id = 'spiffe://mesh.example/a'\n";
    let derived = API.replace("a.example", "b.example");
    let derive = "[[derive]]\nfrom = { api = 'https://b.example', scope = 'read' }\nto = 'read'\n";
    let files = [
        ("main.toml", format!("issuer = 'http://127.0.0.1:8693'\n{MAIN}[tokens]\nlifetime_max = '15m'\n")),
        ("trust/cluster.toml", CLUSTER.to_owned()),
        ("trust/idp.toml", format!("presenters = ['a']\n{IDP}")),
        ("trust/mesh.toml", spiffe.to_owned()),
        ("agents/a.toml", format!("{AGENT}{login}")),
        ("apis/a.toml", format!("agent = 'a'\nlifetime = '15m'\n{API}{derive}")),
        ("apis/b.toml", derived),
    ];
    let scene = || files.iter().fold(Scene::new(), |scene, (file, text)| scene.with(file, text));
    assert_eq!(scene().diagnostics(), Vec::<String>::new());
    let mistakes: Vec<_> =
        files.iter().flat_map(|(file, text)| mistakes(text).into_iter().map(move |text| (*file, text))).collect();
    for (position, (one, wrong)) in mistakes.iter().enumerate() {
        let scene = scene().with(one, wrong);
        let others = mistakes.iter().skip(position).filter(|(other, _)| other != one);
        for (other, also) in others.step_by(PAIRS) {
            let intact = fs::read_to_string(scene.path(other)).unwrap();
            fs::write(scene.path(other), also).unwrap();
            if let Err(diagnostics) = scene.load().config {
                assert!(!diagnostics.is_empty(), "{one}:\n{wrong}\n{other}:\n{also}");
            }
            fs::write(scene.path(other), intact).unwrap();
        }
    }
}

/// One in so many pairs of mistakes is looked at: the same in every run, and of each mistake some.
const PAIRS: usize = 101;

/// The text with a mistake in one of its lines, for every line: without it, with it twice, with a value of another type, with
/// another value of its type, and illegible.
fn mistakes(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let with = |position: usize, line: &str| {
        let (before, after) = (lines[..position].join("\n"), lines[position + 1..].join("\n"));
        format!("{before}\n{line}\n{after}\n")
    };
    let of_line = |(position, line): (usize, &&str)| {
        let key = line.split('=').next().unwrap_or_default();
        let other = line.replacen('\'', "'x", 1);
        ["", &format!("{line}\n{line}"), &format!("{key}= 7"), &other, "="].map(|line| with(position, line))
    };
    lines.iter().enumerate().flat_map(of_line).collect()
}

#[test]
fn a_key_that_is_left_out_is_a_warning() {
    let keys = "jwks = { keys = [{ kty = 'EC', crv = 'P-256' }] }";
    let warnings = Scene::new().with("trust/i.toml", &IDP.replace("discovery = true", keys)).config().warnings.to_string();
    let lines: Vec<_> = warnings.lines().filter_map(|line| line.split_once("/trust/")).map(|(_, line)| line).collect();
    assert_eq!(
        lines,
        [
            "i.toml:7: a key of the set is left out: key 1 is not a well-formed key",
            "i.toml:7: the key set has no usable key, so nothing is accepted under it",
        ]
    );
}

#[test]
fn of_what_a_broken_file_declares_are_not_repeated() {
    let scene = Scene::new().with("agents/a.toml", &AGENT.replace("'service'", "'robot'"));
    let rule = format!("presenters = ['a']\n{}", CLUSTER.replace("discovery = true", "discovery = false"));
    let login = "[[login]]\nmethod = 'workload_jwt'\ntrust = 'cluster'\nmatch = { a = 1 }";
    let scene = scene.with("trust/c.toml", &rule).with("apis/a.toml", &format!("agent = 'a'\n{API}"));
    expect(
        scene.with("agents/b.toml", &format!("{}{login}", AGENT.replace("'a'", "'b'"))),
        &[
            "agents/a.toml:4: `kind` must be \"ai_agent\", \"service\" or \"application\", not \"robot\"",
            "trust/c.toml:8: `discovery` must be true or left out",
        ],
    );
}

/// A name of one kind is no name of another: whatever refers to an agent, a rule, a trust domain, an API or a scope is told that
/// there is none, though everything else goes by that word.
#[test]
fn of_names_are_not_hidden_by_names_of_another_kind() {
    let spiffe = "name = 'word'\nkind = 'spiffe'\ntrust_domain = 'other'\naudiences = ['us']\n[keys]\nbundle_file = 'b.json'\n";
    let spiffe = spiffe.replace("audiences", "presenters = ['rule']\naudiences");
    let map = "[[map]]\nfrom = 'x'\nto = { api = 'https://a.example', scope = 'word' }\n";
    let oauth = IDP.replace("'oidc'", "'oauth'").replace("'idp'", "'rule'");
    let login = "[[login]]\nmethod = 'spiffe_x509'\nspiffe_id = 'spiffe://word/x'\n\
                 [[login]]\nmethod = 'workload_jwt'\ntrust = 'agent'\nmatch = { sub = 'x' }\n";
    let agent = format!("{}[[foreign_clients]]\ntrust = 'agent'\nclient = 'x'\n{login}", AGENT.replace("'a'", "'agent'"));
    let api = format!("agent = 'rule'\n{API}");
    let scene = Scene::new().with("trust/s.toml", &spiffe).with("trust/b.json", r#"{"keys":[]}"#);
    let scene = scene.with("trust/r.toml", &format!("{oauth}{map}")).with("agents/a.toml", &agent).with("apis/a.toml", &api);
    let found = scene.diagnostics();
    for (reference, at) in [
        ("there is no trust rule \"agent\"", 3),
        ("there is no agent \"rule\"", 2),
        ("has no scope \"word\"", 1),
        ("has the trust domain \"word\"", 1),
    ] {
        let times = found.iter().filter(|line| line.contains(reference)).count();
        assert!((1..=at).contains(&times), "{reference}: {times}\n{}", found.join("\n"));
    }
}

/// They belong to no stage of their own: all are told in one run, with everything else.
#[test]
fn of_policies_and_logins_are_told_in_the_same_run() {
    let login = "[[login]]\nmethod = 'spiffe_x509'\n[[login]]\nmethod = 'private_key_jwt'\njwks = { keys = [] }\n";
    let rule = IDP.replace("audiences", "kynd = 1\naudiences");
    let scene = Scene::new().with("agents/a.toml", &format!("{AGENT}{login}")).with("trust/r.toml", &rule);
    let found = scene.with("policies/p.cedar", "\npermit (principal, action, resource) when { context.nope };\n").diagnostics();
    let mut places: Vec<_> = found.iter().map(|line| line.split_once(": ").unwrap().0).collect();
    places.dedup();
    assert_eq!(places, ["agents/a.toml:5", "agents/a.toml:7", "policies/p.cedar:2", "trust/r.toml:4"], "{found:?}");
}

/// draft-ietf-oauth-spiffe-client-auth: the `aud` of a JWT-SVID that logs in is the issuer identifier alone.
#[test]
fn of_spiffe_logins_that_no_svid_could_satisfy() {
    let bundle = JWKS.replace("\"sig\"", "\"jwt-svid\"");
    let rule = |audience: &str| {
        format!(
            "name = 's'\nkind = 'spiffe'\ntrust_domain = 'x'\naudiences = ['{audience}']\n\
             subject = {{ kind = 'workload' }}\n[keys]\nbundle_file = 's.json'"
        )
    };
    let login = format!("{AGENT}[[login]]\nmethod = 'spiffe_jwt'\nspiffe_id = 'spiffe://x/y'");
    let scene = |audience: &str| {
        Scene::new().with("trust/s.json", &bundle).with("trust/s.toml", &rule(audience)).with("agents/a.toml", &login)
    };
    let ours = "http://127.0.0.1:8693";
    assert!(scene(ours).diagnostics().is_empty());
    let wanted = format!(
        "trust/s.toml:1: `audiences` must name our issuer, {ours}: agents log in under this rule, and their SVIDs are for it"
    );
    assert_eq!(scene("us").diagnostics(), [wanted]);
}
