//! Every mistake, each with its file and line.

use super::scene::{AGENT, API, CLUSTER, IDP, JWKS, MAIN, Scene};
use crate::trust::TemplateReason;

#[track_caller]
pub(super) fn expect(scene: Scene, wanted: &[&str]) {
    let found = scene.diagnostics();
    assert_eq!(found, wanted, "\n{}", found.join("\n"));
}

/// `file` holds `text`; everything else is in order.
#[track_caller]
fn file(file: &str, text: &str, wanted: &[&str]) {
    expect(Scene::new().with(file, text), wanted);
}

#[track_caller]
fn main(text: &str, wanted: &[&str]) {
    file("main.toml", &format!("{text}\n{MAIN}"), wanted);
}

#[track_caller]
fn rule(text: &str, wanted: &[&str]) {
    file("trust/r.toml", text, wanted);
}

#[track_caller]
fn agent(text: &str, wanted: &[&str]) {
    expect(Scene::new().with("trust/c.toml", CLUSTER).with("agents/a.toml", &format!("{AGENT}{text}")), wanted);
}

#[track_caller]
fn api(text: &str, wanted: &[&str]) {
    file("apis/a.toml", text, wanted);
}

#[test]
fn of_settings() {
    main("isuer = 'x'", &["main.toml:1: unknown key `isuer`; did you mean \"issuer\"?"]);
    main("issuer = 'http://sts.example'", &["main.toml:1: `issuer` must use https (http only on a loopback host)"]);
    main("'a[999999999999999999]' = 1", &["main.toml:1: unknown key `a[999999999999999999]`"]);
    main("issuer = 7", &["main.toml:1: `issuer` must be a string, not an integer"]);
    main("tokens = 7", &["main.toml:1: `tokens` must be a table, not an integer"]);
    main("[tokens]\nlifetime_mx = '5m'", &["main.toml:2: unknown key `lifetime_mx` in [tokens]; did you mean \"lifetime_max\"?"]);
    main("[tokens]\nlifetime = '20m'", &["main.toml:2: `lifetime` must not exceed `lifetime_max`"]);
    main(
        "[tokens]\nlifetime = '5 min'",
        &["main.toml:2: `lifetime` must be a whole number with a unit: ms, s, m, h or d, as in \"5m\"; did you mean \"5m\"?"],
    );
    main("[tokens]\nlifetime_max = '2d'", &["main.toml:2: `lifetime_max` must be 1s to 1d, not 2d"]);
    main("[tokens]\nchain_depth_max = 17", &["main.toml:2: `chain_depth_max` must be 1 to 16, not 17"]);
    main("[tokens]\nchain_depth_max = 8.0", &["main.toml:2: `chain_depth_max` must be a whole number, not a fraction"]);
    main(
        "[listen]\npublic = 'localhost:1'",
        &["main.toml:2: `public` must be an IP address and a port, as in \"127.0.0.1:8693\""],
    );
    main("[listen]\nops = '127.0.0.1:8693'", &["main.toml:2: `ops` must be another address than `public`"]);
    main("[keys]\nalgorithms = ['EdDSA']", &["main.toml:2: `algorithms` must have ES256 or RS256"]);
    main("[keys]\nalgorithms = []", &["main.toml:2: `algorithms` must have ES256 or RS256"]);
    main(
        "[keys]\nalgorithms = ['ES265']",
        &["main.toml:2: `algorithms` must be \"ES256\", \"RS256\" or \"EdDSA\", not \"ES265\"; did you mean \"ES256\"?"],
    );
    main("[keys]\ndir = ''", &["main.toml:2: `dir` must be a path"]);
    main(
        "[ledger]\norigin = 'https://x/y'\naccess = 'publik'\ncheckpoint_interval = '1ms'",
        &[
            "main.toml:2: `origin` must be a URL without its scheme, of 1 to 255 visible ASCII characters without '+'",
            "main.toml:3: `access` must be \"auditor\" or \"public\", not \"publik\"; did you mean \"public\"?",
            "main.toml:4: `checkpoint_interval` must be 50ms to 1m, not 1ms",
        ],
    );
    main(
        "[store]\ncommit = 'postgres'\nurl = 'x'",
        &[
            "main.toml:2: `commit` cannot be \"postgres\" in this version, which has \"sqlite\" only",
            "main.toml:3: `url` belongs to the PostgreSQL store, which this version does not have",
        ],
    );
    main("[store]\ncommit = 'oracle'", &["main.toml:2: `commit` must be \"sqlite\""]);
    main(
        "[limits]\nqueue = 0\nworkers = -1",
        &["main.toml:2: `queue` must be 1 to 65536, not 0", "main.toml:3: `workers` must be 0 to 1024, not -1"],
    );
    main(
        "[limits]\ntasks = 0\nstatus_tokens = 16777217",
        &["main.toml:2: `tasks` must be 1 to 1048576, not 0", "main.toml:3: `status_tokens` must be 1 to 16777216, not 16777217"],
    );
}

#[test]
fn of_what_is_not_toml_or_not_there() {
    file(
        "agents/a.toml",
        "id = \nowner = 'o'\nteam = 't'\nkind = 'servce'\n",
        &[
            "agents/a.toml:1: is not TOML: string values must be quoted, expected literal string",
            "agents/a.toml:4: `kind` must be \"ai_agent\", \"service\" or \"application\", not \"servce\"; did \
             you mean \"service\"?",
        ],
    );
    let scene = Scene::new().without("main.toml");
    assert_eq!(scene.diagnostics(), ["main.toml: main.toml cannot be read: No such file or directory (os error 2)"]);
    file(
        "main.toml",
        &MAIN.replace("'apis'", "'apps'"),
        &["main.toml:4: folder apps cannot be read: No such file or directory (os error 2)"],
    );
    let long = format!("#{}", "x".repeat(1024 * 1024));
    file("apis/a.toml", &long, &["apis/a.toml:1: apis/a.toml cannot be read: it is longer than 1 MiB"]);
    let scene = Scene::new();
    std::fs::write(scene.path("policies/p.cedar"), b"\xff").unwrap();
    expect(scene, &["policies/p.cedar:1: policies/p.cedar is not UTF-8"]);
}

#[test]
fn of_a_layer_are_told_though_another_overrides_it() {
    let scene = Scene::new().with("main.toml", &format!("[tokens]\nlifetime = 'x'\n{MAIN}"));
    let scene = scene.env("COUNTERSIGN__TOKENS__LIFETIME", "1m").env("COUNTERSIGN__TOKENS__LIFETIM", "1m");
    expect(
        scene,
        &[
            "main.toml:2: `lifetime` must be a whole number with a unit: ms, s, m, h or d, as in \"5m\"",
            "COUNTERSIGN__TOKENS__LIFETIM: unknown key `lifetim` in [tokens]; did you mean \"lifetime\"?",
        ],
    );
}

#[test]
fn of_the_environment() {
    expect(
        Scene::new().env("COUNTERSIGN__TOKENS__CHAIN_DEPTH_MAX", "many"),
        &["COUNTERSIGN__TOKENS__CHAIN_DEPTH_MAX: `chain_depth_max` must be a whole number, not a string"],
    );
    expect(Scene::new().env("COUNTERSIGN__ISSUR", "x"), &["COUNTERSIGN__ISSUR: unknown key `issur`; did you mean \"issuer\"?"]);
    assert!(Scene::new().env("COUNTERSIGN__A[99999999999999999999]", "x").env("COUNTERSIGN_DATA", "x").diagnostics().is_empty());
}

#[test]
fn of_names_in_trust_rules() {
    rule(
        "",
        &[
            "trust/r.toml:1: `audiences` is missing",
            "trust/r.toml:1: `keys` is missing",
            "trust/r.toml:1: `kind` is missing",
            "trust/r.toml:1: `name` is missing",
            "trust/r.toml:1: `subject` is missing",
        ],
    );
    rule(
        &IDP.replace("'idp'", "'Idp'"),
        &["trust/r.toml:1: `name` must have 1 to 63 characters of a-z, 0-9, '-', '_', '.', beginning with a letter or digit"],
    );
    let kinds = "\"oidc\", \"oauth\", \"spiffe\", \"kubernetes\", \"github\", \"gitlab\", \"buildkite\", \"gcp\", \"aws\", \
                 \"azure\", \"x509\", \"client_attester\" or \"id_jag\"";
    rule(
        &IDP.replace("'oidc'", "'odic'"),
        &[&format!("trust/r.toml:2: `kind` must be {kinds}, not \"odic\"; did you mean \"oidc\"?")],
    );
    rule(
        &IDP.replace("issuer", "isuer"),
        &["trust/r.toml:1: `issuer` is missing", "trust/r.toml:3: unknown key `isuer`; did you mean \"issuer\"?"],
    );
    rule(
        &IDP.replace("https://idp.example", "http://127.0.0.1:8693"),
        &["trust/r.toml:1: a trust rule cannot name our own issuer; what we issued is known without one"],
    );
    let scene = Scene::new().with("trust/a.toml", IDP).with("trust/b.toml", &format!("# again\n{IDP}"));
    expect(scene, &["trust/b.toml:2: trust rule \"idp\" exists already at trust/a.toml:1"]);
}

#[test]
fn of_conditions_in_trust_rules() {
    rule(
        &IDP.replace("['us']", "[]"),
        &["trust/r.toml:4: `audiences` must name who tokens are meant for; a token for somebody else is never accepted"],
    );
    rule(&IDP.replace("['us']", "['*']"), &["trust/r.toml:4: each of `audiences` must be one audience; there are no wildcards"]);
    let asymmetric = "`algorithms` must be signatures with a key pair; unsigned tokens and shared secrets are never accepted";
    let names = "\"ES256\", \"ES384\", \"ES512\", \"RS256\", \"RS384\", \"RS512\", \"PS256\", \"PS384\", \"PS512\" or \"EdDSA\"";
    rule(
        &format!("algorithms = [\n'HS256', 'None',\n'es256']\n{IDP}"),
        &[
            &format!("trust/r.toml:2: {asymmetric}"),
            &format!("trust/r.toml:3: `algorithms` must be {names}, not \"es256\"; did you mean \"ES256\"?"),
        ],
    );
    rule(
        &format!("algorithms = []\n{IDP}"),
        &["trust/r.toml:1: `algorithms` must name at least one, or else nothing could be accepted"],
    );
    rule(
        &format!("lifetime_max = '26h'\nenabled = 'no'\npresenters = ['nobody']\n{IDP}[[map]]\nfrom = 'x'\n"),
        &[
            "trust/r.toml:1: `lifetime_max` must be 1s to 25h, not 26h",
            "trust/r.toml:2: `enabled` must be true or false, not a string",
            "trust/r.toml:3: there is no agent \"nobody\"",
            "trust/r.toml:11: `map` belongs to kind \"oauth\": only access tokens have scopes",
        ],
    );
    rule(
        &format!("map = 1\npresenters = ['nobody']\nenabled = 'no'\n{IDP}"),
        &[
            "trust/r.toml:1: `map` belongs to kind \"oauth\": only access tokens have scopes",
            "trust/r.toml:2: there is no agent \"nobody\"",
            "trust/r.toml:3: `enabled` must be true or false, not a string",
        ],
    );
}

#[test]
fn of_subjects_in_trust_rules() {
    let subject = |text: &str| IDP.replace("{ kind = 'user' }", text);
    rule(&subject("{ kind = 'person' }"), &["trust/r.toml:5: `kind` must be \"user\" or \"workload\", not \"person\""]);
    rule(&subject("{ id = '{sub}' }"), &["trust/r.toml:5: `kind` is missing in [subject]"]);
    for (id, why) in [
        ("all", TemplateReason::Constant),
        ("{sub", TemplateReason::Braces),
        ("{{sub}", TemplateReason::Braces),
        ("a}{sub}", TemplateReason::Braces),
        ("{sub}}", TemplateReason::Braces),
        ("{}", TemplateReason::Braces),
        ("{/a~2}", TemplateReason::Braces),
        ("{a}{b}", TemplateReason::Adjacent),
    ] {
        rule(&subject(&format!("{{ kind = 'user', id = '{id}' }}")), &[&format!("trust/r.toml:5: `id` {why}")]);
    }
    rule(&subject("{ kind = 'user', instance = '{x}' }"), &["trust/r.toml:5: `instance` is for workloads; a person has none"]);
    rule(
        &subject("{ kind = 'user', attributes = { a = 1, b = '' } }"),
        &[
            "trust/r.toml:5: attribute `a` must name a claim, not an integer",
            "trust/r.toml:5: the claim of attribute `b` must not be empty",
        ],
    );
}

#[test]
fn of_matchers() {
    let wanted = "must be a string, a whole number, true or false, [\"one\", \"of\"], { prefix = \"a/\" }, { present = true } \
                  or { contains = \"a\" }";
    let alone = "must have one of `prefix`, `present` and `contains` alone";
    let literals = "must be a string, a whole number, true or false, or a list of them, one of which must be there";
    let whole = "must end in '/', because a prefix matches whole segments";
    let wildcard = "has a '*', but values are compared exactly; use { prefix = \"a/\" } or list the values";
    for (matcher, diagnostic) in [
        ("a = 1.5", format!("what `a` is compared with {wanted}")),
        ("a = ['b', 1.5]", format!("what `a` is compared with {wanted}")),
        ("a = 2026-01-01", format!("what `a` is compared with {wanted}")),
        ("a = []", "what `a` is compared with must list at least one value".into()),
        ("a = 'b*'", format!("what `a` is compared with {wildcard}")),
        ("a = { prefix = 'acme/app' }", format!("what `a` is compared with {whole}; did you mean \"acme/app/\"?")),
        ("a = { prefix = '' }", format!("what `a` is compared with {whole}")),
        ("a = { present = false }", "`present` must be true; a claim cannot be required to be absent".into()),
        ("a = {}", "a matcher must have `prefix`, `present` or `contains`".into()),
        ("a = { prefix = 'a/', present = true }", format!("a matcher {alone}")),
        ("a = { prefix = 'a/', contains = 'b' }", format!("a matcher {alone}")),
        ("a = { contains = [] }", "what `a` is compared with must list at least one value".into()),
        ("a = { contains = 1.5 }", format!("`contains` {literals}")),
        ("'/a~' = 'b'", "claim `/a~` is no JSON Pointer: ~ is written ~0, / in a name ~1".into()),
        ("'' = 'b'", "claim `` must not be empty".into()),
    ] {
        rule(&format!("require = {{ {matcher} }}\n{IDP}"), &[&format!("trust/r.toml:1: {diagnostic}")]);
    }
    rule(
        &format!("require = {{ a = {{ regex = 'x' }} }}\n{IDP}"),
        &["trust/r.toml:1: a matcher must have `prefix`, `present` or `contains`", "trust/r.toml:1: unknown key `regex` in [a]"],
    );
}

#[test]
fn of_keys_in_trust_rules() {
    let keys = |text: &str| IDP.replace("discovery = true", text);
    let one = "[keys] must have exactly one of `discovery`, `jwks_uri`, `jwks_file` and `jwks`";
    rule(&keys(""), &[&format!("trust/r.toml:6: {one}")]);
    rule(&keys("discovery = true\njwks_uri = 'https://x.example'"), &[&format!("trust/r.toml:6: {one}")]);
    rule(&keys("discovery = false"), &["trust/r.toml:7: `discovery` must be true or left out"]);
    rule(
        &keys("jwks_uri = 'http://x.example/keys'"),
        &["trust/r.toml:7: `jwks_uri` must use https (http only on a loopback host)"],
    );
    rule(&keys("jwks_uri = 'https://x.example/keys?a#b'"), &["trust/r.toml:7: `jwks_uri` must not have a fragment"]);
    rule(
        &keys("jwks_file = 'none.json'"),
        &["trust/r.toml:7: trust/none.json cannot be read: No such file or directory (os error 2)"],
    );
    rule(&keys("jwks = '{'"), &["trust/r.toml:7: is not JSON"]);
    rule(&keys("jwks = 7"), &["trust/r.toml:7: `jwks` must be a table, or a string of JSON, not an integer"]);
    rule(
        &keys("jwks = { keys = [{ kty = 'oct', k = 'AA' }] }"),
        &["trust/r.toml:7: the key set holds private or symmetric key material; publish public keys only, and replace these"],
    );
    rule(
        &keys("jwks = { keys = 7 }"),
        &["trust/r.toml:7: the key set is not a JWK set: a JSON object of unique members with an array keys"],
    );
    rule(&keys("bundle_url = 'x'\ndiscovery = true"), &["trust/r.toml:7: `bundle_url` belongs to kind \"spiffe\""]);
    rule(
        &keys("discovery = true\nnetworks = ['0.0.0.0/0', '10.1.0.0/8']\nhosts = ['a/b']"),
        &[
            "trust/r.toml:8: each of `networks` has bits of a host behind its prefix",
            "trust/r.toml:8: each of `networks` must not be the whole Internet",
            "trust/r.toml:9: each of `hosts` must be a host, or a host and a port",
        ],
    );
    let file = Scene::new().with("trust/k.json", "{\n\n,").with("trust/r.toml", &keys("jwks_file = 'k.json'"));
    expect(file, &["trust/k.json:3: is not JSON"]);
}

#[test]
fn of_spiffe_rules() {
    let spiffe =
        |text: &str| format!("name = 's'\nkind = 'spiffe'\naudiences = ['us']\nsubject = {{ kind = 'workload' }}\n{text}");
    rule(
        &spiffe("keys = {}\nissuer = 'https://x.example'"),
        &[
            "trust/r.toml:1: `trust_domain` is missing",
            "trust/r.toml:5: [keys] must have one of `bundle_file`, `bundle_url` and `workload_api`",
            "trust/r.toml:6: `issuer` does not belong to kind \"spiffe\"; an SVID is known by its trust domain",
        ],
    );
    rule(
        &spiffe("trust_domain = 'X'\n[keys]\ndiscovery = true\nbundle_file = 'x'"),
        &[
            "trust/r.toml:5: `trust_domain` must have a trust domain of 1 to 255 characters of a-z, 0-9, '.', '-', '_'",
            "trust/r.toml:7: `discovery` does not belong to kind \"spiffe\", which has `bundle_file`, `bundle_url` and \
             `workload_api`",
            "trust/r.toml:8: trust/x cannot be read: No such file or directory (os error 2)",
        ],
    );
    rule(&format!("trust_domain = 'x'\n{IDP}"), &["trust/r.toml:1: `trust_domain` belongs to kind \"spiffe\""]);
}

#[test]
fn of_agents() {
    agent("colour = 'red'", &["agents/a.toml:5: unknown key `colour`"]);
    agent(
        "status = 'Active'",
        &["agents/a.toml:5: `status` must be \"active\", \"suspended\" or \"retired\", not \"Active\"; did you mean \"active\"?"],
    );
    agent("login = 'x'", &["agents/a.toml:5: `login` must be written as [[login]], not a string"]);
    agent(
        "[[foreign_clients]]\ntrust = 'clusster'\nclient = 'x'",
        &["agents/a.toml:6: there is no trust rule \"clusster\"; did you mean \"cluster\"?"],
    );
    agent("[[foreign_clients]]\ntrust = 'cluster'\n", &["agents/a.toml:5: `client` is missing in [foreign_clients]"]);
    file(
        "agents/a.toml",
        &AGENT.replace("'a'", "'a b'").replace("'o'", "\"a\\u0000\"").replace("'t'", "' '"),
        &[
            "agents/a.toml:1: `id` must have 1 to 255 visible ASCII characters",
            "agents/a.toml:2: `owner` must have 1 to 255 bytes without control characters",
            "agents/a.toml:3: `team` must have 1 to 255 bytes without control characters",
        ],
    );
    let scene = Scene::new().with("trust/c.toml", CLUSTER).with("agents/a.toml", AGENT);
    let subject = AGENT.replace("'a'", "'cluster:x'");
    let scene = scene.with("agents/b.toml", &format!("\n{AGENT}")).with("agents/c.toml", &subject);
    expect(
        scene,
        &[
            "agents/b.toml:2: agent \"a\" is registered already at agents/a.toml:1",
            "agents/c.toml:1: agent id \"cluster:x\" begins with \"cluster:\" and could be taken for a subject \
             of trust rule \"cluster\"",
        ],
    );
}

#[test]
fn of_logins() {
    let login = |text: &str, wanted: &[&str]| agent(&format!("[[login]]\n{text}"), wanted);
    login("", &["agents/a.toml:5: `method` is missing in [login]"]);
    login(
        "method = 'private_jwt_key'",
        &["agents/a.toml:6: `method` must be \"private_key_jwt\", \"spiffe_jwt\", \"workload_jwt\", \"tls_client_auth\", \
         \"self_signed_tls_client_auth\", \"spiffe_x509\", \"workload_x509\", \"attest_jwt_client_auth\", \
         \"attest_jwt_client_auth_dpop\", \"client_secret\", \"client_secret_basic\" or \"client_secret_post\", not \
         \"private_jwt_key\""],
    );
    login("method = 'spiffe_x509'\nspiffe_id = 'x'", &["agents/a.toml:7: `spiffe_id` must begin with spiffe:// in lower case"]);
    login("method = 'none'", &["agents/a.toml:6: `method` \"none\" is not offered: an agent must prove itself"]);
    login("method = 'private_key_jwt'", &["agents/a.toml:5: `jwks_file`, `jwks` or `jwks_uri` is missing in [login]"]);
    login(
        &format!("method = 'private_key_jwt'\njwks = '{JWKS}'\njwks_file = 'x'"),
        &["agents/a.toml:7: only one of `jwks` and `jwks_file` can be given"],
    );
    login(
        &format!("method = 'private_key_jwt'\njwks = '{JWKS}'\nassertion_audience = ['token_endpiont']"),
        &["agents/a.toml:8: `assertion_audience` must be \"token_endpoint\" or \"issuer\", not \
             \"token_endpiont\"; did you mean \"token_endpoint\"?"],
    );
    let id = "must have a path of non-empty segments of letters, digits, '.', '-', '_', none of them '.' or '..'";
    login("method = 'spiffe_jwt'\nspiffe_id = 'spiffe://x/*/y'", &[&format!("agents/a.toml:7: `spiffe_id` {id}")]);
    login(
        "method = 'spiffe_jwt'\nspiffe_id = 'spiffe://x/y'",
        &["agents/a.toml:7: no trust rule of kind \"spiffe\" has the trust domain \"x\""],
    );
    login(
        "method = 'workload_jwt'\ntrust = 'clustr'\nmatch = { a = 1 }",
        &["agents/a.toml:7: there is no trust rule \"clustr\"; did you mean \"cluster\"?"],
    );
    login("method = 'workload_jwt'\ntrust = 'cluster'", &["agents/a.toml:5: `match` is missing in [login]"]);
    login(
        "method = 'workload_jwt'\ntrust = 'cluster'\nmatch = {}",
        &["agents/a.toml:8: `match` must say which attestations are this agent's; an empty one would admit \
             every workload of the rule"],
    );
    let hash = "`secret_hash` must be \"sha256:\" and the SHA-256 of the secret in base64url without padding, \
     which `countersign keys` makes";
    login("method = 'client_secret_post'\nsecret_hash = 'hunter2'", &[&format!("agents/a.toml:7: {hash}")]);
    login(
        "method = 'client_secret_basic'\nsecret = 'hunter2'",
        &[
            "agents/a.toml:5: `secret_hash` is missing in [login]",
            "agents/a.toml:7: `secret` must not be written down; write `secret_hash`, which `countersign keys` makes",
        ],
    );
    let people = Scene::new().with("trust/idp.toml", IDP);
    let login = "[[login]]\nmethod = 'workload_jwt'\ntrust = 'idp'\nmatch = { a = 1 }";
    expect(
        people.with("agents/a.toml", &format!("{AGENT}{login}")),
        &["agents/a.toml:7: trust rule \"idp\" vouches for people, and an agent is no person"],
    );
}

#[test]
fn of_apis() {
    api("", &["apis/a.toml:1: `destination` is missing", "apis/a.toml:1: `id` is missing", "apis/a.toml:1: `scopes` is missing"]);
    api(
        &format!("lifetime = '16m'\nsigning_alg = 'EdDSA'\ntyp = 'at+JWT'\nsender_constraint = 'always'\n{API}"),
        &[
            "apis/a.toml:1: `lifetime` must not exceed `lifetime_max` of [tokens], 15m",
            "apis/a.toml:2: EdDSA is not among `algorithms` of [keys]",
            "apis/a.toml:3: `typ` must be \"at+jwt\" or \"JWT\", not \"at+JWT\"; did you mean \"at+jwt\"?",
            "apis/a.toml:4: `sender_constraint` must be \"none\", \"optional\" or \"required\", not \"always\"",
        ],
    );
    api(
        &format!("agent = 'b'\nchain = 'half'\ndefault_scopes = ['read', 'raed', 'a b']\nnames = ['']\n{API}"),
        &[
            "apis/a.toml:1: there is no agent \"b\"",
            "apis/a.toml:2: `chain` must be \"full\" or \"current\", not \"half\"",
            "apis/a.toml:3: API \"https://a.example\" has no scope \"raed\"; did you mean \"read\"?",
            "apis/a.toml:3: each of `default_scopes` must be scope tokens separated by single spaces",
            "apis/a.toml:4: each of `names` must have 1 to 2048 bytes",
        ],
    );
    api(
        &format!("default_scopes = ['raed']\n{API}"),
        &["apis/a.toml:1: API \"https://a.example\" has no scope \"raed\"; did you mean \"read\"?"],
    );
    api(
        &API.replace("https://a.example", "http://127.0.0.1:8693"),
        &["apis/a.toml:1: an API cannot have our own issuer as its id"],
    );
    api(&API.replace("https://a.example", "a"), &["apis/a.toml:1: `id` must be an absolute URI"]);
    api(
        &format!("{API}'a b' = {{ effect = 'read' }}\nwrite = {{ effect = 'writes', data = 'pii' }}\nx = 1\n"),
        &[
            "apis/a.toml:5: scope \"a b\" must be one scope token: visible ASCII characters without '\"' and '\\'",
            "apis/a.toml:6: `data` must be an array of strings, not a string",
            "apis/a.toml:6: `effect` must be \"read\", \"reversible\", \"recoverable\" or \"irreversible\", not \"writes\"",
            "apis/a.toml:7: `x` must be a table, not an integer",
        ],
    );
}

#[test]
fn of_edges_and_groups_between_apis() {
    let other = API.replace("a.example", "b.example");
    let derive = |from: &str, to: &str| format!("[[derive]]\nfrom = {from}\nto = '{to}'\n");
    let edges = [
        derive("{ api = 'https://b.example', scope = 'raed' }", "read"),
        derive("{ api = 'https://c.example', scope = 'read' }", "write"),
        derive("{ api = 'https://a.example' }", "read"),
        derive("{ api = 'https://a.example', scope = 'read' }", "read"),
    ];
    let scene = Scene::new().with("apis/a.toml", &format!("{API}{}", edges.concat()));
    expect(
        scene.with("apis/b.toml", &format!("names = ['https://a.example']\ngroup = 'g'\n{other}")),
        &[
            "apis/a.toml:6: API \"https://b.example\" has no scope \"raed\"; did you mean \"read\"?",
            "apis/a.toml:9: there is no API \"https://c.example\"; did you mean \"https://a.example\"?",
            "apis/a.toml:10: API \"https://a.example\" has no scope \"write\"",
            "apis/a.toml:12: `scope` is missing in [from]",
            "apis/a.toml:15: an API cannot derive authority from itself",
            "apis/b.toml:1: the name \"https://a.example\" already means API \"https://a.example\"",
        ],
    );
    let scene = Scene::new().with("apis/a.toml", &format!("group = 'g'\n{API}"));
    expect(
        scene.with("apis/b.toml", &format!("group = 'g'\ntyp = 'JWT'\n{other}")),
        &[
            "apis/b.toml:2: `typ` differs from that of API \"https://a.example\" in group \"g\", and one token must serve both",
            "apis/b.toml:6: scope \"read\" collides with that of API \"https://a.example\" in group \"g\"",
        ],
    );
}
