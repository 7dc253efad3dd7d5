//! Mistakes in rules about platforms.

use std::time::Duration;

use super::diagnostics::expect;
use super::scene::{AGENT, API, IDP, JWKS, Scene};
use crate::keys::{KeyLocation, KeySource};
use crate::trust::{IssuerSelector, Template};

#[track_caller]
fn rule(text: &str, wanted: &[&str]) {
    expect(Scene::new().with("trust/r.toml", text), wanted);
}

fn github(require: &str) -> String {
    format!("name = 'gh'\nkind = 'github'\naudiences = ['https://sts.example']\n{require}")
}

#[test]
fn five_lines_are_enough_for_a_platform() {
    let scene = Scene::new().with("trust/r.toml", &github("require = { repository_id = '74', ref = 'refs/heads/main' }\n"));
    let config = scene.config();
    let rule = &config.rules[0].rule;
    assert_eq!(rule.subject.id, Template::parse("{repository_owner_id}/{repository_id}").unwrap());
    assert!(matches!(&rule.selector, IssuerSelector::Issuer(issuer) if issuer.as_str().contains("githubusercontent")));
    assert!(config.warnings.iter().any(|warning| warning.message.contains("job_workflow_ref")), "{}", config.warnings);
}

#[test]
fn what_could_never_mean_what_it_says_is_told() {
    let whose = "require must say whose tokens are meant: everybody on GitHub has this issuer; require repository_id or \
                 repository_owner_id";
    rule(&github(""), &[&format!("trust/r.toml:1: {whose}")]);
    rule(
        &github("require = { repository = { present = true }, ref = 'refs/heads/main' }"),
        &[&format!("trust/r.toml:4: {whose}")],
    );
    rule(
        &github("require = { repository_id = 74 }"),
        &["trust/r.toml:4: require repository_id can never match: the platform writes a string there"],
    );
    rule(
        &github("require = { repository_id = '74' }\nsubject = { kind = 'user' }"),
        &["trust/r.toml:5: subject.kind must be \"workload\"; kind github vouches for nobody else"],
    );
    rule(
        &github("require = { repository_id = '74' }").replace("https://sts.example", "https://github.com/acme"),
        &["trust/r.toml:3: audiences must not name https://github.com/acme: such tokens are for the platform itself, or for \
             everybody"],
    );
    let gitlab = "name = 'gl'\nkind = 'gitlab'\nissuer = 'https://gitlab.com'\naudiences = ['https://sts.example']\n";
    rule(
        &format!("{gitlab}require = {{ project_id = '22', ref_protected = true }}"),
        &["trust/r.toml:5: require ref_protected can never match: the platform writes a string there"],
    );
    let aws = "name = 'aws'\nkind = 'aws'\nissuer = 'https://a.tokens.sts.global.api.aws'\naudiences = ['https://sts.example']\n";
    let tags = "/https:~1~1sts.amazonaws.com~1/request_tags/team";
    let chosen = "is chosen by whoever asks for the token and proves nothing";
    rule(&format!("{aws}require = {{ '{tags}' = 'a' }}"), &[&format!("trust/r.toml:5: {tags} {chosen}")]);
    rule(&format!("{aws}subject = {{ attributes = {{ team = '{tags}' }} }}"), &[&format!("trust/r.toml:5: {tags} {chosen}")]);
    let azure =
        "name = 'az'\nkind = 'azure'\nissuer = 'https://login.microsoftonline.com/common/v2.0'\naudiences = ['api://us']\n";
    rule(
        azure,
        &["trust/r.toml:3: `issuer` must name one tenant by its id, as in https://login.microsoftonline.com/738016bf-…/v2.0; \
             not common"],
    );
    let cluster =
        "name = 'k'\nkind = 'kubernetes'\nissuer = 'https://c.example'\naudiences = ['https://kubernetes.default.svc']\n";
    let foreign =
        "audiences must not name https://kubernetes.default.svc: such tokens are for the platform itself, or for everybody";
    rule(cluster, &[&format!("trust/r.toml:4: {foreign}")]);
    let own = |text: &str, audience: &str| {
        let told = "such tokens are for the platform itself, or for everybody";
        rule(text, &[&format!("trust/r.toml:4: audiences must not name {audience}: {told}")]);
    };
    own(&cluster.replace("https://kubernetes.default.svc", "https://c.example"), "https://c.example");
    let gitlab = format!("{}require = {{ project_id = '22' }}", gitlab.replace("https://sts.example", "https://gitlab.com"));
    own(&gitlab, "https://gitlab.com");
    let server = "name = 'g'\nkind = 'github'\nissuer = 'https://g.example/_services/token'\n";
    let server = format!("{server}audiences = ['https://g.example/acme']\nrequire = {{ repository_id = '74' }}\n");
    own(&server, "https://g.example/acme");
}

/// Mistakes of what could be read are told beside those of what could not, each where it is written.
#[test]
fn what_is_wrong_with_a_rule_is_told_in_one_run() {
    let broken = "name = 'k'\nkind = 'kubernetes'\nissuer = 'https://c.example'\n\
                  audiences = ['https://kubernetes.default.svc', 'x']\nlifetime_max = '0s'\n\
                  subject = { instance = '{a}{b}', attributes = { a = 'sub' } }\n\
                  [require]\n'/kubernetes.io/warnafter' = 'x'\n[keys]\ndiscovery = false\n";
    let told = Scene::new().with("trust/r.toml", broken).diagnostics();
    let lines: Vec<&str> = told.iter().map(|told| told.split(": ").next().unwrap()).collect();
    let expected = ["trust/r.toml:4", "trust/r.toml:5", "trust/r.toml:6", "trust/r.toml:8", "trust/r.toml:10"];
    assert_eq!(lines, expected, "{told:?}");
}

#[test]
fn of_an_agents_match() {
    let cluster = "name = 'c'\nkind = 'github'\naudiences = ['https://us.example']\nrequire = { repository_owner_id = '65' }\n";
    let login = "[[login]]\nmethod = 'workload_jwt'\ntrust = 'c'\nmatch = { repository_id = 74 }\n";
    let scene = Scene::new().with("trust/c.toml", cluster).with("agents/a.toml", &format!("{AGENT}{login}"));
    expect(scene, &["agents/a.toml:8: require repository_id can never match: the platform writes a string there"]);
}

#[test]
fn a_claim_that_nobody_writes_is_a_warning_with_its_nearest_spelling() {
    let scene = Scene::new().with("trust/r.toml", &github("require = { repository_id = '74', refs = 'refs/heads/main' }"));
    let warnings = scene.config().warnings.to_string();
    assert!(warnings.contains("r.toml:4: claim `refs` is none") && warnings.contains("did you mean \"ref\"?"), "{warnings}");
    let recyclable = Scene::new().with("trust/r.toml", &github("require = { repository = 'acme/app', ref = 'refs/heads/main' }"));
    let warnings = recyclable.config().warnings.to_string();
    assert!(warnings.contains("whoever registers a name that was given up"), "{warnings}");
}

#[test]
fn of_bundles_and_roots() {
    let spiffe =
        |keys: &str| format!("name = 's'\nkind = 'spiffe'\ntrust_domain = 'a.example'\naudiences = ['us']\n[keys]\n{keys}");
    rule(
        &spiffe("bundle_url = 'http://a.example/'\nbundle_profil = 'https_web'"),
        &[
            "trust/r.toml:5: `bundle_profile` is missing in [keys]",
            "trust/r.toml:6: `bundle_url` must use https (http only on a loopback host)",
            "trust/r.toml:7: unknown key `bundle_profil` in [keys]; did you mean \"bundle_profile\"?",
        ],
    );
    rule(
        &spiffe("bundle_url = 'https://a.example/'\nbundle_profile = 'https_spiffe'\nendpoint_spiffe_id = 'x'"),
        &[
            "trust/r.toml:5: `bundle_file` is missing in [keys]",
            "trust/r.toml:8: `endpoint_spiffe_id` must begin with spiffe:// in lower case",
        ],
    );
    rule(
        &spiffe("bundle_url = 'https://a.example/'\nbundle_profile = 'https_web'\nbundle_file = 'x'"),
        &["trust/r.toml:8: `bundle_file` is not needed: by `https_web` the public PKI proves the endpoint"],
    );
    let pki = "name = 'p'\nkind = 'x509'\nissuer = 'https://x.example'\naudiences = ['us']\nsubject = { kind = 'workload' }\n\
               [keys]\nca_file = 'ca.pem'\n";
    expect(
        Scene::new().with("trust/r.toml", pki).with("trust/ca.pem", JWKS),
        &[
            "trust/ca.pem:1: has no root certificates: there is no certificate",
            "trust/r.toml:3: `issuer` does not belong to kind \"x509\"; a certificate is known by the roots in [keys]",
            "trust/r.toml:4: `audiences` does not belong to kind \"x509\"; a certificate is for nobody in particular",
        ],
    );
}

#[test]
fn of_the_workload_api() {
    let spiffe =
        |keys: &str| format!("name = 's'\nkind = 'spiffe'\ntrust_domain = 'a.example'\naudiences = ['us']\n[keys]\n{keys}");
    let good =
        Scene::new().with("trust/r.toml", &spiffe("workload_api = 'unix:///run/spire/sockets/agent.sock'\nrefresh = '1m'"));
    let config = good.config();
    let KeySource::Remote(KeyLocation::Workload(api), pace) = &config.rules[0].rule.keys else {
        panic!("{:?}", config.rules[0].rule.keys)
    };
    assert_eq!(api.to_string(), "unix:///run/spire/sockets/agent.sock");
    assert_eq!((pace.interval, pace.max_stale), (Duration::from_mins(1), Duration::from_hours(24)));
    rule(
        &spiffe("workload_api = '/run/agent.sock'\nbundle_file = 'x'\nnetworks = ['10.0.0.0/8']"),
        &[
            "trust/r.toml:6: `workload_api` must be written unix:///run/agent.sock",
            "trust/r.toml:7: `bundle_file` is not needed beside `workload_api`, which delivers the whole bundle",
            "trust/r.toml:8: `networks` is not needed beside `workload_api`, which delivers the whole bundle",
        ],
    );
    rule(
        &spiffe("workload_api = 'tcp://10.0.0.5:8081'"),
        &["trust/r.toml:6: `workload_api` must have an address of this machine only, as in tcp://127.0.0.1:8081; prefer unix:"],
    );
    rule(
        &spiffe("workload_ap = 'unix:///run/agent.sock'"),
        &[
            "trust/r.toml:5: [keys] must have one of `bundle_file`, `bundle_url` and `workload_api`",
            "trust/r.toml:6: unknown key `workload_ap` in [keys]; did you mean \"workload_api\"?",
        ],
    );
    rule(
        &format!("{IDP}workload_api = 'unix:///run/agent.sock'"),
        &["trust/r.toml:8: `workload_api` belongs to kind \"spiffe\""],
    );
}

#[test]
fn of_the_pace() {
    let spiffe =
        |keys: &str| format!("name = 's'\nkind = 'spiffe'\ntrust_domain = 'a.example'\naudiences = ['us']\n[keys]\n{keys}");
    let url = "bundle_url = 'https://a.example/'\nbundle_profile = 'https_web'\n";
    let config = Scene::new().with("trust/r.toml", &spiffe(&format!("{url}refresh = '2h'\nceiling = '4h'"))).config();
    let KeySource::Remote(_, pace) = &config.rules[0].rule.keys else { panic!("{:?}", config.rules[0].rule.keys) };
    assert_eq!((pace.interval, pace.max_stale), (Duration::from_hours(2), Duration::from_hours(4)));
    for (pace, diagnostics) in [
        (
            "refresh = '5 min'\nceiling = '1Day'",
            &[
                "trust/r.toml:8: `refresh` must be a whole number with a unit: ms, s, m, h or d, as in \"5m\"; \
                 did you mean \"5m\"?",
                "trust/r.toml:9: `ceiling` must be a whole number with a unit: ms, s, m, h or d, as in \"5m\"; \
                 did you mean \"1d\"?",
            ][..],
        ),
        (
            "refresh = '10s'\nceiling = '1m'",
            &["trust/r.toml:8: `refresh` must be 1m to 1d, not 10s", "trust/r.toml:9: `ceiling` must be 5m to 30d, not 1m"],
        ),
        (
            "refresh = '1h'\nceiling = '1h'",
            &["trust/r.toml:9: `ceiling` (1h) must be at least twice `refresh` (1h), or one fetch that fails would end all keys"],
        ),
        (
            "refresh = '1d'",
            &["trust/r.toml:8: `ceiling` (1d) must be at least twice `refresh` (1d), or one fetch that fails would end all keys"],
        ),
        ("refesh = '1h'", &["trust/r.toml:8: unknown key `refesh` in [keys]; did you mean \"refresh\"?"]),
    ] {
        rule(&spiffe(&format!("{url}{pace}")), diagnostics);
    }
    let fixed = Scene::new()
        .with("trust/b.json", r#"{"keys":[]}"#)
        .with("trust/r.toml", &spiffe("bundle_file = 'b.json'\nrefresh = '1h'"));
    expect(fixed, &["trust/r.toml:7: `refresh` belongs to keys that are fetched"]);
}

#[test]
fn of_scopes_of_another_server() {
    let oauth = IDP.replace("'oidc'", "'oauth'");
    let missing = "[[map]] is missing: a foreign access token may do here exactly what it says, which is nothing";
    rule(&oauth, &[&format!("trust/r.toml:1: {missing}")]);
    let map = |to: &str| format!("{oauth}[[map]]\nfrom = 'crm:read'\nto = {to}\n");
    let with = |to: &str| Scene::new().with("trust/r.toml", &map(to)).with("apis/a.toml", API);
    expect(
        with("{ api = 'https://b.example', scope = 'read' }"),
        &["trust/r.toml:10: there is no API \"https://b.example\"; did you mean \"https://a.example\"?"],
    );
    expect(
        with("{ api = 'https://a.example', scope = 'reed' }"),
        &["trust/r.toml:10: https://a.example has no scope \"reed\"; did you mean \"read\"?"],
    );
    // That something else is called so makes it no scope.
    let called = with("{ api = 'https://a.example', scope = 'idp' }");
    expect(called, &["trust/r.toml:10: https://a.example has no scope \"idp\""]);
    assert!(with("{ api = 'https://a.example', scope = 'read' }").diagnostics().is_empty());
}
