//! The form of access tokens, issuers that are no addresses, and keys inside private networks, as files say them.

use std::time::Duration;

use super::diagnostics::expect;
use super::scene::{API, IDP, JWKS, Scene};
use crate::keys::{KeyLocation, KeySource};
use crate::trust::{AccessTokenForm, Provider};

const SERVER: &str = "name = 'as'\nkind = 'oauth'\nissuer = 'https://as.example'\naudiences = ['us']\n\
                      subject = { kind = 'user' }\nkeys = { discovery = true }\n\
                      map = [{ from = 'r', to = { api = 'https://a.example', scope = 'read' } }]\n";

fn read(text: &str) -> (AccessTokenForm, Duration) {
    let config = Scene::new().with("apis/a.toml", API).with("trust/r.toml", text).config();
    let rule = &config.rules[0].rule;
    (rule.access_tokens.clone(), rule.lifetime_max)
}

#[test]
fn a_rule_has_the_form_of_its_provider_its_issuer_its_own_or_that_of_rfc_9068() {
    let hour = Duration::from_hours(1);
    assert_eq!(read(SERVER), (AccessTokenForm::default(), hour));
    for (name, provider) in Provider::ALL {
        let (form, lifetime) = read(&format!("{SERVER}provider = '{name}'\n"));
        assert_eq!((form, lifetime), (provider.access_tokens(), provider.lifetime().unwrap_or(hour)), "{name}");
    }
    let okta = SERVER.replace("https://as.example", "https://acme.okta.com/oauth2/default");
    assert_eq!(read(&okta).0, Provider::Okta.access_tokens());
    assert_eq!(read(&format!("{okta}provider = 'duende'\n")).0, Provider::Duende.access_tokens());
    let (form, _) = read(&format!(
        "{okta}[access_token]\ntyp = ['JWT', 'none']\nmarks = {{ kind = 'access' }}\nscope = '/perm/list'\nclient = ['a', 'b']\n"
    ));
    assert_eq!(
        (form.types, form.scope.as_str(), form.client),
        (vec!["JWT".into(), String::new()], "/perm/list", vec!["a".into(), "b".into()])
    );
    assert!(form.marks.len() == 1 && form.marks[0].claim() == "kind" && !form.client_is_audience);
    assert_eq!(read(&format!("{SERVER}lifetime_max = '10m'\nprovider = 'auth0'\n")).1, Duration::from_mins(10));
    let people = "name = 'p'\nkind = 'oidc'\nissuer = 'https://acme.auth0.com/'\naudiences = ['app']\n\
                  subject = { kind = 'user' }\nkeys = { discovery = true }\n";
    assert_eq!(read(people).1, Duration::from_hours(24));
}

#[test]
fn mistakes_in_the_form_of_access_tokens_are_told() {
    let rule = |text: &str, wanted: &[&str]| {
        expect(Scene::new().with("apis/a.toml", API).with("trust/r.toml", &format!("{SERVER}{text}")), wanted);
    };
    rule(
        "provider = 'oktaa'",
        &["trust/r.toml:8: `provider` must be \"auth0\", \"cognito\", \"duende\", \"entra\", \
         \"keycloak\", \"okta\" or \"ping\", not \"oktaa\"; did you mean \"okta\"?"],
    );
    let unmarked = "access_token.marks must name what its access tokens have and its ID tokens have not, where their typ does \
                    not tell";
    rule("[access_token]\ntyp = ['JWT']", &[&format!("trust/r.toml:8: {unmarked}")]);
    rule("[access_token]\ntyp = ['none', 'at+jwt']", &[&format!("trust/r.toml:8: {unmarked}")]);
    rule("[access_token]\ntyp = []", &["trust/r.toml:9: `typ` must name at least one"]);
    rule(
        "[access_token]\ntyp = ['application/at+jwt']\nclient = ['']\nscop = 'scp'",
        &[
            "trust/r.toml:9: each of `typ` must be a typ without application/, such as \"at+jwt\" or \"JWT\", or \"none\" for \
             tokens without any",
            "trust/r.toml:10: each of `client` must not be empty",
            "trust/r.toml:11: unknown key `scop` in [access_token]",
        ],
    );
    let cluster = "name = 'c'\nkind = 'kubernetes'\nissuer = 'https://c.example'\naudiences = ['us']\nprovider = 'okta'\n\
                   [access_token]\nscope = 'x'\n";
    expect(
        Scene::new().with("trust/r.toml", cluster),
        &[
            "trust/r.toml:5: `provider` belongs to the kinds \"oauth\" and \"oidc\"",
            "trust/r.toml:6: `access_token` belongs to kind \"oauth\"",
        ],
    );
}

#[test]
fn an_issuer_whose_keys_are_told_may_be_any_text_and_one_whose_keys_are_found_by_it_may_not() {
    let rule = |text: &str, wanted: &[&str]| expect(Scene::new().with("trust/r.toml", text), wanted);
    let found = "as its keys are found by it; `jwks_uri` or `jwks_file` tells them too";
    let plain = format!("{found}, or `insecure_reason` with the `networks` that it is in");
    let http = "must use https (http only on a loopback host)";
    rule(&IDP.replace("https://idp", "http://idp"), &[&format!("trust/r.toml:3: `issuer` {http}, {plain}")]);
    rule(&IDP.replace("https://idp.example", "api"), &[&format!("trust/r.toml:3: `issuer` must be an absolute URL, {found}")]);
    let unseen = "must not begin or end with a blank, nor have characters that cannot be seen";
    rule(&IDP.replace("https://idp.example", " api"), &[&format!("trust/r.toml:3: `issuer` {unseen}")]);
    let svids = "must not be a SPIFFE ID; SVIDs are for kind \"spiffe\", which knows them by trust_domain";
    let named =
        IDP.replace("https://idp.example", "spiffe://td.example").replace("discovery = true", &format!("jwks = '{JWKS}'"));
    rule(&named, &[&format!("trust/r.toml:3: `issuer` {svids}")]);
    for issuer in ["api", "kubernetes/serviceaccount", "http://keycloak.prod.svc:8080/realms/acme"] {
        for keys in [format!("jwks = '{JWKS}'"), "jwks_uri = 'https://keys.example/jwks'".to_owned()] {
            let text = IDP.replace("https://idp.example", issuer).replace("discovery = true", &keys);
            let config = Scene::new().with("trust/r.toml", &text).config();
            assert_eq!(config.rules[0].rule.selector.issuer(), Some(issuer));
            assert!(config.warnings.iter().any(|warning| warning.message.contains("a name that `iss` has to the letter")));
        }
    }
}

#[test]
fn keys_inside_a_private_network_are_reached_as_the_rule_says() {
    let in_cluster = |more: &str| {
        IDP.replace(
            "discovery = true",
            &format!("jwks_uri = 'https://kubernetes.default.svc/openid/v1/jwks'\nnetworks = ['10.96.0.0/12']\n{more}"),
        )
    };
    let config = Scene::new()
        .with("trust/r.toml", &in_cluster("token_file = '/var/run/token'\nproxy = 'http://proxy.example:3128'\n"))
        .config();
    let KeySource::Remote(KeyLocation::Within(_, reach), _) = &config.rules[0].rule.keys else { panic!("it is reached so") };
    assert_eq!((reach.networks.len(), reach.plain), (1, false));
    assert_eq!(reach.token_file.as_deref(), Some(std::path::Path::new("/var/run/token")));
    assert_eq!(reach.proxy.as_ref().map(|proxy| proxy.as_str()), Some("http://proxy.example:3128/"));
    let rule = |more: &str, wanted: &[&str]| expect(Scene::new().with("trust/r.toml", &in_cluster(more)), wanted);
    rule(
        "token_file = 'token'\ninsecure_reason = 'a mesh'",
        &["trust/r.toml:9: `token_file` cannot be sent where `insecure_reason` allows plain http: whoever listens would have it"],
    );
    rule(
        "proxy = 'http://p.example'\ninsecure_reason = 'a mesh'",
        &["trust/r.toml:9: `proxy` cannot go with `insecure_reason`: nobody could tell where plain http leads behind it"],
    );
    let wanted = "must be the address of an HTTP proxy without a path, as in \"http://proxy.acme.example:3128\"";
    rule("proxy = 'socks5://p.example'", &[&format!("trust/r.toml:9: `proxy` {wanted}")]);
    let plain = "[keys]\njwks_uri = 'http://keys.prod.svc/jwks'\nnetworks = ['10.0.0.0/8']\ninsecure_reason = 'a mesh'\n";
    let text = IDP.replace("[keys]\ndiscovery = true\n", plain);
    assert!(matches!(&Scene::new().with("trust/r.toml", &text).config().rules[0].rule.keys, KeySource::Remote(..)));
    expect(
        Scene::new().with("trust/r.toml", &text.replace("insecure_reason = 'a mesh'\n", "")),
        &["trust/r.toml:7: `jwks_uri` must use https (http only on a loopback host)"],
    );
    let given = IDP.replace("discovery = true", &format!("jwks = '{JWKS}'\ntoken_file = 'x'\nca_file = 'y'"));
    expect(
        Scene::new().with("trust/r.toml", &given),
        &[
            "trust/r.toml:8: `token_file` belongs to keys that are fetched",
            "trust/r.toml:9: `ca_file` belongs to keys that are fetched",
        ],
    );
}
