#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use super::*;
use crate::oauth::{AskedMode, IntentReason};

const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

const BASE: &str = "grant_type=urn:ietf:params:oauth:grant-type:token-exchange&subject_token=s&\
     subject_token_type=urn:ietf:params:oauth:token-type:jwt";

fn parse(extra: &str) -> Result<ExchangeRequest, RequestReason> {
    parse_whole(&format!("{BASE}&{extra}"))
}

fn parse_whole(body: &str) -> Result<ExchangeRequest, RequestReason> {
    ExchangeRequest::parse(&TokenRequest::parse(&Form::decode(body.as_bytes(), 64).unwrap())?)
}

/// RFC 8693 §2.1: `resource` and `audience` may repeat and mix; everything else may not.
#[test]
fn resource_and_audience_repeat_and_nothing_else_does() {
    let request = parse("resource=https://a.example&resource=https://b.example&audience=x&audience=y").unwrap();
    assert_eq!((request.wanted().resources().len(), request.wanted().audiences().len()), (2, 2));
    for name in ONCE {
        let twice = format!("{name}=x&{name}=x");
        assert_eq!(parse(&twice).unwrap_err(), RequestReason::Repeated(name), "{name}");
    }
}

/// RFC 8693 §2.1: `actor_token_type` is required with `actor_token` and must not be there without it.
#[test]
fn the_actor_pair_comes_whole_or_not_at_all() {
    assert_eq!(parse("actor_token=a").unwrap_err(), RequestReason::Missing("actor_token_type"));
    let alone = parse("actor_token_type=urn:ietf:params:oauth:token-type:jwt");
    assert_eq!(alone.unwrap_err(), RequestReason::ActorTypeAlone);
    assert!(parse("actor_token=&actor_token_type=").unwrap().actor().is_none());
    let pair = parse("actor_token=a%0A&actor_token_type=urn:ietf:params:oauth:token-type:jwt").unwrap();
    assert_eq!(pair.actor().unwrap().text(), "a");
}

/// RFC 8693 §3: every registered type is accepted or refused by name.
#[test]
fn token_types_are_accepted_or_refused_by_name() {
    let with = |subject_type: &str| {
        parse_whole(&format!("grant_type={TOKEN_EXCHANGE}&subject_token=s&subject_token_type={subject_type}"))
    };
    for accepted in [TokenType::AccessToken, TokenType::IdToken, TokenType::Jwt] {
        assert_eq!(with(accepted.as_str()).unwrap().subject().unwrap().declared(), accepted);
    }
    for refused in [TokenType::RefreshToken, TokenType::Saml1, TokenType::Saml2, TokenType::IdJag, TokenType::TxnToken] {
        let reason = with(refused.as_str()).unwrap_err();
        assert_eq!(reason, RequestReason::TypeRefused("subject_token_type", refused));
        assert!(reason.to_string().contains(refused.as_str()));
    }
    assert_eq!(with("jwt").unwrap_err(), RequestReason::TypeMalformed("subject_token_type"));
}

#[test]
fn requested_token_type_is_an_access_token_or_refused() {
    assert!(parse("requested_token_type=urn:ietf:params:oauth:token-type:access_token").is_ok());
    for other in ["urn:ietf:params:oauth:token-type:jwt", "urn:example:x", "urn:ietf:params:oauth:token-type:id_token"] {
        assert_eq!(parse(&format!("requested_token_type={other}")).unwrap_err(), RequestReason::RequestedTypeRefused, "{other}");
    }
}

/// RFC 8707 §2: an absolute URI without a fragment.
#[test]
fn resources_are_absolute_and_have_no_fragment() {
    for (text, reason) in [
        ("/relative", TargetReason::NotAbsolute),
        ("https://a.example/%23x", TargetReason::Fragment),
        ("not a uri", TargetReason::NotAbsolute),
    ] {
        assert_eq!(parse(&format!("resource={text}")).unwrap_err(), RequestReason::Target("resource", reason), "{text}");
    }
}

#[test]
fn what_is_understood_but_not_honoured_is_refused_by_name() {
    assert_eq!(parse("completion_mode=deferred").unwrap_err(), RequestReason::Unsupported("completion_mode"));
    let malformed = RequestReason::Intent(IntentReason::Malformed);
    assert_eq!(parse("authorization_details=%5B%7B%7D%5D").unwrap_err(), malformed);
    assert!(parse("authorization_details=%5B%5D&options=x&x-unknown=1").is_ok());
}

#[test]
fn missing_parameters_are_named() {
    for (body, reason) in [
        ("", RequestReason::GrantMissing),
        ("grant_type=password", RequestReason::GrantUnsupported),
        (&format!("grant_type={TOKEN_EXCHANGE}"), RequestReason::Missing("subject_token")),
        (&format!("grant_type={TOKEN_EXCHANGE}&subject_token=s"), RequestReason::Missing("subject_token_type")),
        (
            &format!("grant_type={TOKEN_EXCHANGE}&subject_token=%20%0A&subject_token_type=x"),
            RequestReason::Missing("subject_token"),
        ),
    ] {
        assert_eq!(parse_whole(body).unwrap_err(), reason, "{body}");
    }
}

#[test]
fn closed_sets_are_closed() {
    assert_eq!(parse("impersonate=true").unwrap().mode(), AskedMode::Impersonation);
    assert_eq!(parse("scope_mode=narrow").unwrap().wanted().scope_mode(), ScopeMode::Narrow);
    assert!(matches!(parse("impersonate=yes"), Err(RequestReason::Value("impersonate", _))));
    assert!(matches!(parse("scope_mode=wide"), Err(RequestReason::Value("scope_mode", _))));
    assert!(matches!(parse("scope=a++b"), Err(RequestReason::Scope(ScopeReason::Grammar))));
}

/// Each parameter that belongs to one grant type is refused by name in every other, and accepted in its own.
#[test]
fn a_parameter_of_another_grant_type_is_refused_by_name() {
    let own = [
        (GrantType::TokenExchange, BASE.to_owned() + "&actor_token=a&actor_token_type=urn:ietf:params:oauth:token-type:jwt"),
        (GrantType::ClientCredentials, "grant_type=client_credentials".to_owned()),
        (GrantType::JwtBearer, format!("grant_type={}&assertion=a", GrantType::JwtBearer.as_str())),
    ];
    let parameters: [(&str, &[GrantType]); 9] = [
        ("subject_token=s", &[GrantType::TokenExchange]),
        ("subject_token_type=urn:ietf:params:oauth:token-type:jwt", &[GrantType::TokenExchange]),
        ("actor_token=a", &[GrantType::TokenExchange]),
        ("actor_token_type=urn:ietf:params:oauth:token-type:jwt", &[GrantType::TokenExchange]),
        ("requested_token_type=urn:ietf:params:oauth:token-type:access_token", &[GrantType::TokenExchange]),
        ("impersonate=true", &[GrantType::TokenExchange]),
        ("assertion=a", &[GrantType::JwtBearer]),
        ("requested_token_use=on_behalf_of", &[GrantType::JwtBearer]),
        ("scope=a&resource=https://a.example&audience=b&scope_mode=narrow", &GrantType::NAMES.map(|(_, known)| known)),
    ];
    for (grant_type, base) in &own {
        for (parameter, theirs) in parameters {
            let name = parameter.split('=').next().unwrap();
            let body = if base.contains(&format!("{name}=")) { base.clone() } else { format!("{base}&{parameter}") };
            match (theirs.contains(grant_type), parse_whole(&body)) {
                (true, parsed) => assert_eq!(parsed.unwrap().grant_type(), *grant_type, "{body}"),
                (false, parsed) => {
                    assert_eq!(
                        parsed.unwrap_err(),
                        RequestReason::OtherGrant(ONCE.iter().find(|one| **one == name).unwrap(), *grant_type)
                    );
                }
            }
        }
    }
}

/// What the on-behalf-of form adds to every request is left out; by any other it is a scope like others.
#[test]
fn scopes_of_a_sign_in_are_left_out_of_the_on_behalf_of_form_alone() {
    let body = |more: &str| {
        format!("grant_type={}&assertion=a&scope=openid+x+profile+offline_access{more}", GrantType::JwtBearer.as_str())
    };
    let scopes = |more: &str| parse_whole(&body(more)).unwrap().wanted().scope().map(ToString::to_string);
    assert_eq!(scopes("&requested_token_use=on_behalf_of").as_deref(), Some("x"));
    assert_eq!(scopes("").unwrap().split(' ').count(), 4);
    let alone = format!("grant_type={}&assertion=a&requested_token_use=on_behalf_of&scope=openid", GrantType::JwtBearer.as_str());
    assert!(parse_whole(&alone).unwrap().wanted().scope().is_none());
    let other = parse_whole(&format!("grant_type={}&assertion=a&requested_token_use=x", GrantType::JwtBearer.as_str()));
    assert!(matches!(other, Err(RequestReason::Value("requested_token_use", _))));
}
