#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use super::*;

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
    assert_eq!((request.resources().len(), request.audiences().len()), (2, 2));
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
        assert_eq!(with(accepted.as_str()).unwrap().subject().declared(), accepted);
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
    for other in ["urn:ietf:params:oauth:token-type:jwt", "urn:example:x", "urn:ietf:params:oauth:token-type:id-jag"] {
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
    assert_eq!(parse("authorization_details=%5B%7B%7D%5D").unwrap_err(), RequestReason::Details);
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
    assert!(parse("impersonate=true").unwrap().impersonate());
    assert_eq!(parse("scope_mode=narrow").unwrap().scope_mode(), ScopeMode::Narrow);
    assert!(matches!(parse("impersonate=yes"), Err(RequestReason::Value("impersonate", _))));
    assert!(matches!(parse("scope_mode=wide"), Err(RequestReason::Value("scope_mode", _))));
    assert!(matches!(parse("scope=a++b"), Err(RequestReason::Scope(ScopeReason::Grammar))));
}
