//! The form of access tokens as files say it.

use std::time::Duration;

use super::diagnostics::expect;
use super::scene::{API, Scene};
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
    assert_eq!((form.types, form.scope.as_str(), form.client), (vec!["JWT".into(), String::new()], "/perm/list", vec!["a".into(), "b".into()]));
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
    rule("provider = 'oktaa'", &["trust/r.toml:8: `provider` must be \"auth0\", \"cognito\", \"duende\", \"entra\", \
         \"keycloak\", \"okta\" or \"ping\", not \"oktaa\"; did you mean \"okta\"?"]);
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
            "trust/r.toml:11: unknown key `scop` in `access_token`; did you mean \"scope\"?",
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
