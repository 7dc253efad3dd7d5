#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests fail by panicking")]
use std::sync::{Arc, LazyLock};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::*;
use crate::jose::{Algorithm, KeySet, SigningKey, generate_key};
use crate::keys::KeySource;
use crate::oauth::{Issuer, Time};
use crate::trust::{IssuerSelector, PlatformReason, TrustKind, TrustReason, TrustRule, TrustRuleParts, TrustStore};

const NOW: Time = Time::from_seconds(1_000_000);

static KEY: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::from_pem(&generate_key(Algorithm::ES256).unwrap(), Algorithm::ES256).unwrap());

/// The tokens of a provider as its documentation shows them, without the claims that all have: the header's `typ`, where there
/// is one, and the claims.
struct Sample {
    provider: Provider,
    issuer: &'static str,
    access: Vec<(Option<&'static str>, Value)>,
    identity: Vec<(Option<&'static str>, Value)>,
}

fn samples() -> [Sample; 7] {
    [okta(), keycloak(), entra(), auth0(), cognito(), duende(), ping()]
}

fn okta() -> Sample {
    Sample {
        provider: Provider::Okta,
        issuer: "https://acme.okta.com/oauth2/default",
        access: vec![
            (None, json!({"ver": 1, "jti": "AT.1", "aud": "us", "cid": "app", "uid": "00u", "scp": ["crm:read", "openid"]})),
            (None, json!({"ver": 1, "jti": "AT.2", "aud": "us", "cid": "app", "sub": "app", "scp": ["crm:read"]})),
        ],
        identity: vec![(
            None,
            json!({"ver": 1, "jti": "ID.1", "aud": "us", "at_hash": "x", "nonce": "n", "amr": ["pwd"], "idp": "00o"}),
        )],
    }
}

fn keycloak() -> Sample {
    Sample {
        provider: Provider::Keycloak,
        issuer: "https://sso.example/realms/prod",
        access: vec![
            (
                Some("JWT"),
                json!({"typ": "Bearer", "azp": "app", "aud": ["us", "account"], "scope": "crm:read profile", "acr": "1"}),
            ),
            (Some("JWT"), json!({"typ": "DPoP", "azp": "app", "aud": "us", "scope": "crm:read", "nonce": "n"})),
            (Some("at+jwt"), json!({"typ": "Bearer", "azp": "app", "client_id": "app", "aud": "us", "scope": "crm:read"})),
        ],
        identity: vec![
            (Some("JWT"), json!({"typ": "ID", "azp": "app", "aud": "us", "at_hash": "x", "nonce": "n", "acr": "1"})),
            (Some("JWT"), json!({"typ": "ID", "azp": "app", "aud": "us"})),
            (Some("JWT"), json!({"typ": "Refresh", "azp": "app", "aud": "us", "scope": "crm:read"})),
            (Some("JWT"), json!({"typ": "Logout", "azp": "app", "aud": "us"})),
        ],
    }
}

fn entra() -> Sample {
    Sample {
        provider: Provider::Entra,
        issuer: "https://login.microsoftonline.com/738016bf-2f59-46ca-9660-357d1de3b865/v2.0",
        access: vec![
            (
                Some("JWT"),
                json!({"ver": "2.0", "aud": "us", "azp": "app", "azpacr": "1", "scp": "crm:read", "oid": "o", "tid": "t"}),
            ),
            (Some("JWT"), json!({"ver": "1.0", "aud": "us", "appid": "app", "appidacr": "1", "scp": "crm:read x", "oid": "o"})),
        ],
        identity: vec![
            (Some("JWT"), json!({"ver": "2.0", "aud": "us", "nonce": "n", "oid": "o", "preferred_username": "a@b.example"})),
            (Some("JWT"), json!({"ver": "2.0", "aud": "us", "oid": "o", "roles": ["admin"], "azp": "app"})),
        ],
    }
}

fn auth0() -> Sample {
    Sample {
        provider: Provider::Auth0,
        issuer: "https://acme.eu.auth0.com/",
        access: vec![
            (Some("JWT"), json!({"aud": ["us", "https://acme.eu.auth0.com/userinfo"], "azp": "app", "scope": "openid crm:read"})),
            (Some("at+jwt"), json!({"aud": "us", "client_id": "app", "jti": "1", "scope": "crm:read"})),
            (
                Some("JWT"),
                json!({"aud": "us", "azp": "app", "gty": "client-credentials", "scope": "crm:read", "sub": "app@clients"}),
            ),
        ],
        identity: vec![(
            Some("JWT"),
            json!({"aud": "us", "nickname": "d", "nonce": "n", "sid": "s", "updated_at": "2026-11-23"}),
        )],
    }
}

fn cognito() -> Sample {
    Sample {
        provider: Provider::Cognito,
        issuer: "https://cognito-idp.us-west-2.amazonaws.com/us-west-2_abc",
        access: vec![
            (None, json!({"aud": null, "client_id": "us", "token_use": "access", "scope": "crm:read", "username": "t"})),
            (None, json!({"aud": "us", "client_id": "app", "token_use": "access", "scope": "crm:read", "version": 2})),
        ],
        identity: vec![
            (None, json!({"aud": "us", "token_use": "id", "cognito:username": "t", "at_hash": "x"})),
            (None, json!({"aud": "us", "token_use": "id", "client_id": "us", "scope": "crm:read"})),
        ],
    }
}

fn duende() -> Sample {
    Sample {
        provider: Provider::Duende,
        issuer: "https://identity.example",
        access: vec![
            (Some("at+jwt"), json!({"aud": "us", "client_id": "app", "scope": ["openid", "crm:read"], "jti": "1", "sid": "s"})),
            (Some("at+jwt"), json!({"aud": "us", "client_id": "app", "scope": "openid crm:read"})),
        ],
        identity: vec![(Some("JWT"), json!({"aud": "us", "nonce": "n", "at_hash": "x", "sid": "s", "amr": ["pwd"]}))],
    }
}

fn ping() -> Sample {
    Sample {
        provider: Provider::Ping,
        issuer: "https://auth.pingone.eu/8b0f8a52-1e11-4bba-9c0c-0f1c11a4d24c/as",
        access: vec![
            (None, json!({"aud": ["us"], "client_id": "app", "scope": "openid crm:read", "sid": "s", "env": "e", "org": "o"})),
            (Some("at+jwt"), json!({"aud": "us", "client_id": "app", "scope": "crm:read", "jti": "1"})),
        ],
        identity: vec![(None, json!({"aud": "us", "nonce": "n", "at_hash": "x", "sid": "s", "acr": "Single_Factor"}))],
    }
}

fn rule(issuer: &str, access_tokens: AccessTokenForm) -> TrustRuleParts {
    let keys = KeySource::Fixed(Arc::new(KeySet::of_signing_keys([&*KEY])));
    let selector = IssuerSelector::Issuer(Issuer::parse(issuer).unwrap());
    TrustRuleParts { access_tokens, ..TrustRuleParts::for_tests("as", TrustKind::Oauth, selector, keys) }
}

fn token(issuer: &str, typ: Option<&str>, claims: &Value) -> String {
    let mut all = json!({"iss": issuer, "sub": "alice", "exp": 1_000_300, "iat": 999_990});
    let members: &mut Map<String, Value> = all.as_object_mut().unwrap();
    members.extend(claims.as_object().unwrap().clone());
    members.retain(|_, value| !value.is_null());
    let mut header = json!({"alg": "ES256", "kid": KEY.kid()});
    if let Some(typ) = typ {
        header["typ"] = typ.into();
    }
    let message = [header, all].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(KEY.sign_bytes(message.as_bytes()).unwrap()))
}

fn verdict(rule: TrustRuleParts, token: &str) -> Result<(Option<String>, Vec<String>), TrustReason> {
    let trust = TrustStore::new(vec![TrustRule::new(rule).unwrap()], None).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let assertion = runtime.block_on(trust.verify(&Compact::parse(token).unwrap(), NOW)).map_err(|refused| refused.reason())?;
    let form = assertion.rule().access_tokens().unwrap();
    Ok((form.client(assertion.claims()).map(Cow::into_owned), form.scopes(assertion.claims()).unwrap()))
}

#[test]
fn the_access_tokens_of_each_provider_pass_with_their_client_and_scopes_and_its_other_tokens_do_not() {
    for Sample { provider, issuer, access, identity } in samples() {
        let judge = |typ, claims: &Value| verdict(rule(issuer, provider.access_tokens()), &token(issuer, typ, claims));
        for (typ, claims) in &access {
            let (client, scopes) = judge(*typ, claims).unwrap_or_else(|reason| panic!("{provider:?} {claims}: {reason}"));
            let named = if claims["aud"].is_null() { "us" } else { "app" };
            assert_eq!(client.as_deref(), Some(named), "{provider:?} {claims}");
            assert!(scopes.contains(&"crm:read".to_owned()), "{provider:?} {claims}: {scopes:?}");
            // Another typ, also that of an ID token or a proof, is not the form's.
            for wrong in ["dpop+jwt", "secevent+jwt", "id_token+jwt", "logout+jwt", "JOSE"] {
                assert_eq!(judge(Some(wrong), claims), Err(TrustReason::AccessTyp), "{provider:?} {wrong}");
            }
            // Without the claim that names its client it is nobody's.
            let mut nameless = claims.clone();
            let form = provider.access_tokens();
            form.client.iter().for_each(|claim| drop(nameless.as_object_mut().unwrap().remove(claim)));
            assert!(judge(*typ, &nameless).is_err(), "{provider:?} {nameless}");
            // Nor without what marks it, or with what marks an ID token.
            for mark in &form.marks {
                let mut unmarked = claims.clone();
                unmarked.as_object_mut().unwrap().remove(mark.claim());
                assert_eq!(judge(*typ, &unmarked), Err(TrustReason::Platform(PlatformReason::Unmarked)), "{provider:?}");
            }
            for claim in &form.foreign {
                let mut marked = claims.clone();
                marked[claim] = json!("x");
                assert_eq!(judge(*typ, &marked), Err(TrustReason::Platform(PlatformReason::IdToken)), "{provider:?} {claim}");
            }
        }
        for (typ, claims) in &identity {
            // Whichever typ it has: the ID tokens of many are typed like their access tokens.
            for typ in [*typ, None, Some("JWT"), Some("at+jwt")] {
                assert!(judge(typ, claims).is_err(), "{provider:?} takes an ID token: {typ:?} {claims}");
            }
        }
    }
}

#[test]
fn a_provider_is_known_by_an_issuer_that_can_only_be_its_own() {
    for Sample { provider, issuer, .. } in samples() {
        let known = (provider != Provider::Duende).then_some(provider);
        assert_eq!(Provider::of_issuer(issuer), known, "{issuer}");
    }
    for other in [
        "https://okta.com.evil.example",
        "https://evilokta.com",
        "https://login.microsoftonline.com.evil.example/x",
        "https://cognito-idp.evil.example",
        "https://realms.example",
        "https://idp.example/realms",
        "api",
        "",
    ] {
        assert_eq!(Provider::of_issuer(other), None, "{other}");
    }
}

#[test]
fn a_form_of_ones_own_needs_what_tells_access_tokens_from_others() {
    let issuer = "https://as.example";
    let form = |types: &[&str], marks: Vec<Requirement>| AccessTokenForm {
        types: owned(types),
        marks,
        scope: "permissions".to_owned(),
        client: owned(&["app", "client"]),
        ..AccessTokenForm::default()
    };
    for typ in ["JWT", "jwt", ""] {
        let reasons = TrustRule::new(rule(issuer, form(&[typ], Vec::new()))).unwrap_err();
        assert_eq!(reasons, [crate::trust::TrustRuleReason::Unmarked], "{typ}");
    }
    let marked = || form(&["JWT"], vec![is("kind", &["access"])]);
    let judge = |claims: Value| verdict(rule(issuer, marked()), &token(issuer, Some("JWT"), &claims));
    let good = json!({"aud": "us", "kind": "access", "app": "x", "client": "x", "permissions": ["a", "b c"]});
    assert_eq!(judge(good.clone()).unwrap(), (Some("x".to_owned()), vec!["a".to_owned(), "b c".to_owned()]));
    for (claim, value, reason) in [
        ("kind", json!("refresh"), PlatformReason::Unmarked),
        ("kind", json!(null), PlatformReason::Unmarked),
        ("client", json!("y"), PlatformReason::Client),
        ("app", json!(7), PlatformReason::Client),
        ("app", json!(""), PlatformReason::Client),
        ("permissions", json!(7), PlatformReason::Scopes),
        ("permissions", json!(["a", 7]), PlatformReason::Scopes),
        ("permissions", json!({"a": true}), PlatformReason::Scopes),
        ("nonce", json!("n"), PlatformReason::IdToken),
        ("iat", json!(null), PlatformReason::Claim("iat")),
    ] {
        let mut changed = good.clone();
        changed[claim] = value.clone();
        assert_eq!(judge(changed), Err(TrustReason::Platform(reason)), "{claim} {value}");
    }
}
