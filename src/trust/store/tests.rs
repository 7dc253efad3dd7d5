#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]
use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use super::*;
use crate::jose::{Algorithm, KeySet, KeyUse, SigningKey, generate_key};
use crate::keys::{KeyLocation, KeySource, RefreshPolicy};
use crate::oauth::{Issuer, TrustDomain};
use crate::trust::{
    ConfirmationReason, Literal, Matcher, MatcherReason, Requirement, SubjectKind, SubjectMapping, Template, TemplateReason,
    TrustKind, TrustRuleParts, TrustRuleReason,
};

const NOW: Time = Time::from_seconds(1_000_000);
const ISSUER: &str = "https://idp.example";
const US: &str = "https://sts.example";

static KEY: LazyLock<SigningKey> = LazyLock::new(|| key(Algorithm::ES256));
static OTHER: LazyLock<SigningKey> = LazyLock::new(|| key(Algorithm::ES256));

fn key(algorithm: Algorithm) -> SigningKey {
    SigningKey::from_pem(&generate_key(algorithm).unwrap(), algorithm).unwrap()
}

fn fixed(key: &SigningKey) -> KeySource {
    KeySource::Fixed(Arc::new(KeySet::of_signing_keys([key])))
}

fn parts(name: &str) -> TrustRuleParts {
    let selector = IssuerSelector::Issuer(Issuer::parse(ISSUER).unwrap());
    let (audiences, lifetime_max) = (vec![US.into()], Duration::from_secs(3600));
    TrustRuleParts { audiences, lifetime_max, ..TrustRuleParts::for_tests(name, TrustKind::Oidc, selector, fixed(&KEY)) }
}

fn spiffe_parts(name: &str) -> TrustRuleParts {
    TrustRuleParts {
        keys: bundle(Some(&KEY), 1),
        kind: TrustKind::Spiffe,
        selector: IssuerSelector::TrustDomain(TrustDomain::parse("td.example").unwrap()),
        subject: SubjectMapping { kind: SubjectKind::Workload, ..parts(name).subject },
        ..parts(name)
    }
}

fn trust(rules: Vec<TrustRuleParts>) -> TrustStore {
    TrustStore::new(rules.into_iter().map(|parts| TrustRule::new(parts).unwrap()).collect(), None).unwrap()
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn vouch(trust: &TrustStore, token: &str) -> Result<VerifiedAssertion, TrustReason> {
    run(trust.verify(&Compact::parse(token).unwrap(), NOW)).map_err(|refused| refused.reason())
}

/// The claims of a good token with some of them replaced; `null` takes one away.
fn claims(changes: &str) -> String {
    let mut claims: serde_json::Map<_, _> =
        serde_json::from_str(&format!(r#"{{"iss":"{ISSUER}","sub":"alice","aud":"{US}","exp":1000300,"iat":999990}}"#)).unwrap();
    let changes: serde_json::Map<String, serde_json::Value> = serde_json::from_str(changes).unwrap();
    claims.extend(changes);
    claims.retain(|_, value| !value.is_null());
    serde_json::to_string(&claims).unwrap()
}

fn token(changes: &str) -> String {
    KEY.sign("JWT", claims(changes).as_bytes()).unwrap()
}

fn svid(changes: &str) -> String {
    token(&changes.replacen('{', r#"{"iss":null,"sub":"spiffe://td.example/ns/prod/sa/web","#, 1).replace(",}", "}"))
}

#[test]
fn a_good_token_yields_its_subject_under_the_rule_of_its_issuer() {
    let mut rule = parts("idp");
    rule.subject.attributes = BTreeMap::from([("department".into(), "dept".into()), ("absent".into(), "nowhere".into())]);
    rule.subject.instance = Some(Template::parse("{/run/id}").unwrap());
    let token = token(&format!(r#"{{"aud":["{US}","https://x"],"dept":"sales","run":{{"id":7}}}}"#));
    let vouched = vouch(&trust(vec![rule]), &token).unwrap();
    assert_eq!((vouched.rule().name().as_str(), vouched.id().as_str(), vouched.issuer()), ("idp", "alice", ISSUER));
    assert_eq!((vouched.expires(), vouched.issued()), (Time::from_seconds(1_000_300), Time::from_seconds(999_990)));
    assert_eq!(vouched.audiences(), [US, "https://x"]);
    assert_eq!(vouched.instance(), Some("7"));
    assert_eq!(vouched.attributes(), [("department".to_owned(), "sales".to_owned())]);
    assert_eq!(vouched.digest(), crate::crypto::Digest::of(token.as_bytes()));
}

/// A claim that describes people is optional, so that an odd value of it is as good as none.
#[test]
fn attributes_are_texts_or_sets_and_what_is_neither_is_not_known() {
    let attributes = |claims: &str| {
        let mut rule = parts("idp");
        rule.subject.attributes = BTreeMap::from([("role".into(), "role".into()), ("groups[]".into(), "/realm/groups".into())]);
        let claims = claims.replacen('{', r#"{"x":0,"#, 1).replace(",}", "}");
        let vouched = vouch(&trust(vec![rule]), &token(&claims)).unwrap();
        vouched.attributes().iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
    };
    for (claims, told) in [
        (r#"{"role":"a"}"#, "role=a"),
        (r#"{"role":7}"#, "role=7"),
        (r#"{"role":true}"#, "role=true"),
        (r#"{"role":["a"]}"#, ""),
        (r#"{"role":{"a":1}}"#, ""),
        (r#"{"role":null}"#, ""),
        (r#"{"realm":{"groups":["b","a","b"]}}"#, "groups[]=a groups[]=b"),
        (r#"{"realm":{"groups":"a"}}"#, "groups[]=a"),
        (r#"{"realm":{"groups":[]}}"#, ""),
        (r#"{"realm":{"groups":null}}"#, ""),
        (r#"{"realm":{"groups":["a",7]}}"#, ""),
        (r#"{"realm":{"groups":[null]}}"#, ""),
        (r#"{"realm":{"groups":{"a":true}}}"#, ""),
        (r#"{"realm":[]}"#, ""),
    ] {
        assert_eq!(attributes(claims), told, "{claims}");
    }
    let many = |count: usize, bytes: usize| {
        let members: Vec<String> = (0..count).map(|number| format!("\"{number:0bytes$}\"")).collect();
        attributes(&format!(r#"{{"realm":{{"groups":[{}]}}}}"#, members.join(","))).split_whitespace().count()
    };
    assert_eq!((many(128, 32), many(129, 8), many(128, 33)), (128, 0, 0), "a set must fit into what is issued");
}

/// A list must have the value in it; an issuer that writes a list of one as a text means the same.
#[test]
fn a_requirement_may_look_for_a_value_in_a_list() {
    let text = |text: &str| Literal::Text(text.into());
    let holds = |literals: Vec<Literal>, value: &str| {
        let claims = Object::parse(format!(r#"{{"groups":{value}}}"#)).unwrap();
        Requirement::new("groups", Matcher::Contains(literals)).unwrap().holds(&claims)
    };
    let finance = || vec![text("finance")];
    for value in [r#"["finance"]"#, r#"["a","finance",7]"#, r#""finance""#, r#"["fin\u0061nce"]"#] {
        assert!(holds(finance(), value), "{value}");
    }
    for value in [
        "[]",
        "null",
        "[null]",
        r#"["Finance"]"#,
        r#"["finance2"]"#,
        r#"[["finance"]]"#,
        r#"{"finance":true}"#,
        r#""a finance""#,
        r#"[{"name":"finance"}]"#,
        "7",
    ] {
        assert!(!holds(finance(), value), "{value}");
    }
    assert!(holds(vec![text("a"), Literal::Number(7)], "[6,7]") && !holds(vec![text("a"), Literal::Number(7)], r#"["7"]"#));
    assert_eq!(Requirement::new("groups", Matcher::Contains(Vec::new())), Err(MatcherReason::Nothing));
    assert_eq!(Requirement::new("groups", Matcher::Contains(vec![text("fin*")])), Err(MatcherReason::Wildcard));
    let empty = Object::parse("{}").unwrap();
    assert!(!Requirement::new("groups", Matcher::Contains(finance())).unwrap().holds(&empty));
}

/// Negative tests 12, 26 and 27; attacks 25 and 26.
#[test]
fn a_token_that_breaks_one_rule_is_refused_for_it() {
    let mut rule = parts("idp");
    rule.require = vec![Requirement::new("email_verified", Matcher::Is(Literal::Bool(true))).unwrap()];
    let trust = trust(vec![rule]);
    let refused = |changes: &str| vouch(&trust, &token(&changes.replacen('{', r#"{"email_verified":true,"#, 1))).err();
    assert_eq!(refused(r#"{"x":1}"#), None);
    for (changes, reason) in [
        (r#"{"iss":"https://evil.example"}"#, TrustReason::Issuer),
        (r#"{"iss":"https://idp.example/"}"#, TrustReason::Issuer),
        (r#"{"iss":null}"#, TrustReason::Issuer),
        (r#"{"iss":7}"#, TrustReason::Jose(JoseReason::ClaimType("iss"))),
        (r#"{"iss":["https://idp.example"]}"#, TrustReason::Jose(JoseReason::ClaimType("iss"))),
        (r#"{"aud":null}"#, TrustReason::Audience),
        (r#"{"aud":"https://other"}"#, TrustReason::Audience),
        (r#"{"aud":"https://sts.example/"}"#, TrustReason::Audience),
        (r#"{"aud":[]}"#, TrustReason::Audience),
        (r#"{"aud":7}"#, TrustReason::Jose(JoseReason::ClaimType("aud"))),
        (r#"{"aud":{"a":"https://sts.example"}}"#, TrustReason::Jose(JoseReason::ClaimType("aud"))),
        (r#"{"exp":null}"#, TrustReason::NoExpiry),
        (r#"{"exp":1000000}"#, TrustReason::Expired),
        (r#"{"exp":"1000300"}"#, TrustReason::Jose(JoseReason::ClaimType("exp"))),
        (r#"{"iat":1000061}"#, TrustReason::Early),
        (r#"{"nbf":1000061}"#, TrustReason::Early),
        (r#"{"exp":1003600}"#, TrustReason::Lifetime),
        (r#"{"scope":"read"}"#, TrustReason::AccessToken),
        (r#"{"scp":["read"]}"#, TrustReason::AccessToken),
        (r#"{"events":{}}"#, TrustReason::Event),
        (r#"{"cnf":{}}"#, TrustReason::Confirmation(ConfirmationReason::Shape)),
        (r#"{"cnf":{"jkt":"x"}}"#, TrustReason::Confirmation(ConfirmationReason::Thumbprint)),
        (r#"{"cnf":{"kid":"x"}}"#, TrustReason::Confirmation(ConfirmationReason::Member)),
        (r#"{"sub":null}"#, TrustReason::SubjectId),
        (r#"{"sub":7}"#, TrustReason::Jose(JoseReason::ClaimType("sub"))),
        (r#"{"sub":""}"#, TrustReason::SubjectId),
        (r#"{"sub":["alice"]}"#, TrustReason::Jose(JoseReason::ClaimType("sub"))),
        (r#"{"email_verified":"true"}"#, TrustReason::Requirement),
        (r#"{"email_verified":false}"#, TrustReason::Requirement),
    ] {
        let changes = if changes.contains("email_verified") {
            token(changes)
        } else {
            token(&changes.replacen('{', r#"{"email_verified":true,"#, 1))
        };
        assert_eq!(vouch(&trust, &changes).err(), Some(reason));
    }
    assert_eq!(vouch(&trust, &token("{}")).err(), Some(TrustReason::Requirement));
}

/// Negative test 12: typ confusion.
#[test]
fn only_identity_tokens_pass_by_their_typ() {
    let trust = trust(vec![parts("idp")]);
    for typ in [
        "at+jwt",
        "application/at+jwt",
        "AT+JWT",
        "logout+jwt",
        "secevent+jwt",
        "client-authentication+jwt",
        "oauth-id-jag+jwt",
        "txntoken+jwt",
        "statuslist+jwt",
        "token-introspection+jwt",
        "dpop+jwt",
        "task+jwt",
        "kb+jwt",
        "wit+jwt",
        "x",
        "",
    ] {
        let token = KEY.sign(typ, claims("{}").as_bytes()).unwrap();
        assert_eq!(vouch(&trust, &token).err(), Some(TrustReason::Typ), "{typ}");
    }
    for typ in ["JWT", "jwt", "application/jwt"] {
        assert!(vouch(&trust, &KEY.sign(typ, claims("{}").as_bytes()).unwrap()).is_ok(), "{typ}");
    }
}

/// Negative tests 21, 22 and 25; attack 18.
#[test]
fn only_the_keys_and_algorithms_of_the_issuer_count() {
    let mut second = parts("second");
    second.selector = IssuerSelector::Issuer(Issuer::parse("https://second.example").unwrap());
    second.keys = fixed(&OTHER);
    let trust = trust(vec![parts("idp"), second]);
    let by_other = OTHER.sign("JWT", claims("{}").as_bytes()).unwrap();
    assert_eq!(vouch(&trust, &by_other).err(), Some(TrustReason::Jose(JoseReason::UnknownKey)));
    let own = OTHER.sign("JWT", claims(r#"{"iss":"https://second.example"}"#).as_bytes()).unwrap();
    assert_eq!(vouch(&trust, &own).unwrap().rule().name().as_str(), "second");
    let mut rule = parts("idp");
    rule.algorithms = vec![Algorithm::RS256];
    assert_eq!(vouch(&self::trust(vec![rule]), &token("{}")).err(), Some(TrustReason::Jose(JoseReason::AlgorithmNotAllowed)));
}

#[test]
fn a_rule_that_is_switched_off_vouches_for_nobody_and_says_no_more_than_an_unknown_issuer() {
    let mut rule = parts("idp");
    rule.enabled = false;
    assert_eq!(vouch(&trust(vec![rule]), &token("{}")).err(), Some(TrustReason::Disabled));
    assert_eq!(TrustReason::Disabled.to_string(), TrustReason::Issuer.to_string());
}

#[test]
fn of_several_rules_for_one_issuer_exactly_one_must_accept() {
    let with = |name: &str, tenant: &str| {
        let mut rule = parts(name);
        rule.require = vec![Requirement::new("tid", Matcher::Is(Literal::Text(tenant.into()))).unwrap()];
        rule
    };
    let two = trust(vec![with("one", "t1"), with("two", "t2")]);
    assert_eq!(vouch(&two, &token(r#"{"tid":"t2"}"#)).unwrap().rule().name().as_str(), "two");
    assert_eq!(vouch(&two, &token(r#"{"tid":"t3"}"#)).err(), Some(TrustReason::Requirement));
    let same = trust(vec![with("one", "t1"), with("two", "t1")]);
    assert_eq!(vouch(&same, &token(r#"{"tid":"t1"}"#)).err(), Some(TrustReason::Ambiguous));
}

/// Negative tests 38, 39.
#[test]
fn jwt_svids_are_read_by_trust_domain() {
    let mut rule = spiffe_parts("mesh");
    rule.require = vec![Requirement::new("sub", Matcher::Prefix("spiffe://td.example/ns/prod/".into())).unwrap()];
    rule.subject.kind = SubjectKind::Workload;
    let trust = trust(vec![rule]);
    let vouched = vouch(&trust, &svid("{}")).unwrap();
    assert_eq!((vouched.issuer(), vouched.id().as_str()), ("spiffe://td.example", "spiffe://td.example/ns/prod/sa/web"));
    let mut with_issuer = svid("{}");
    assert!(vouch(&trust, &svid(r#"{"iat":null}"#)).is_ok());
    with_issuer.clear();
    with_issuer.push_str(&token(r#"{"iss":"https://spire.example","sub":"spiffe://td.example/ns/prod/sa/web"}"#));
    assert!(vouch(&trust, &with_issuer).is_ok());
    for (sub, reason) in [
        ("spiffe://other.example/ns/prod/sa/web", TrustReason::Issuer),
        ("spiffe://TD.example/ns/prod/sa/web", TrustReason::Issuer),
        ("spiffe://td.example/ns/prod/sa/web/", TrustReason::Issuer),
        ("spiffe://td.example/ns/../prod", TrustReason::Issuer),
        ("spiffe://td.example/ns/%70rod", TrustReason::Issuer),
        ("spiffe://td.example", TrustReason::SpiffeId),
        ("spiffe://td.example/ns/production/sa/web", TrustReason::Requirement),
    ] {
        let token = token(&format!(r#"{{"iss":null,"sub":"{sub}"}}"#));
        assert_eq!(vouch(&trust, &token).err(), Some(reason), "{sub}");
    }
    let issuer_only = token(r#"{"iss":"spiffe://td.example","sub":"alice"}"#);
    assert_eq!(vouch(&trust, &issuer_only).err(), Some(TrustReason::Issuer));
    for typ in ["at+jwt", "jwt", "wit+jwt"] {
        let claims = claims(r#"{"iss":null,"sub":"spiffe://td.example/ns/prod/sa/web"}"#);
        assert_eq!(vouch(&trust, &KEY.sign(typ, claims.as_bytes()).unwrap()).err(), Some(TrustReason::Typ), "{typ}");
    }
}

/// Negative test 39: the bundle of another domain does not count.
#[test]
fn a_jwt_svid_needs_a_key_of_its_own_domains_bundle() {
    let mut other = spiffe_parts("other");
    other.selector = IssuerSelector::TrustDomain(TrustDomain::parse("other.example").unwrap());
    other.keys = bundle(Some(&OTHER), 1);
    let trust = trust(vec![spiffe_parts("mesh"), other]);
    let claims = claims(r#"{"iss":null,"sub":"spiffe://td.example/a"}"#);
    let forged = OTHER.sign("JWT", claims.as_bytes()).unwrap();
    assert_eq!(vouch(&trust, &forged).err(), Some(TrustReason::Jose(JoseReason::UnknownKey)));
}

fn bundle(key: Option<&SigningKey>, sequence: u64) -> KeySource {
    let key = key.map(|key| key.public_jwk().replace(r#""use":"sig""#, r#""use":"jwt-svid""#)).unwrap_or_default();
    let json = format!(r#"{{"keys":[{key}],"spiffe_sequence":{sequence}}}"#);
    KeySource::Fixed(Arc::new(KeySet::parse(json.as_bytes(), KeyUse::JwtSvid).unwrap()))
}

/// Negative test 41.
#[test]
fn an_empty_bundle_kills_every_svid_and_an_old_one_does_not_come_back() {
    let with = |keys: KeySource, previous: Option<&TrustStore>| {
        let rule = TrustRule::new(TrustRuleParts { keys, ..spiffe_parts("mesh") }).unwrap();
        TrustStore::new(vec![rule], previous).unwrap()
    };
    let full = with(bundle(Some(&KEY), 5), None);
    assert!(vouch(&full, &svid("{}")).is_ok());
    let empty = with(bundle(None, 6), Some(&full));
    assert_eq!(vouch(&empty, &svid("{}")).err(), Some(TrustReason::Jose(JoseReason::UnknownKey)));
    let rolled_back = with(bundle(Some(&KEY), 5), Some(&empty));
    assert_eq!(vouch(&rolled_back, &svid("{}")).err(), Some(TrustReason::Jose(JoseReason::UnknownKey)));
    let newer = with(bundle(Some(&KEY), 7), Some(&rolled_back));
    assert!(vouch(&newer, &svid("{}")).is_ok());
    let json = format!(r#"{{"keys":[{}]}}"#, OTHER.public_jwk().replace(r#""use":"sig""#, r#""use":"jwt-svid""#));
    let unnumbered = KeySource::Fixed(Arc::new(KeySet::parse(json.as_bytes(), KeyUse::JwtSvid).unwrap()));
    assert!(vouch(&with(unnumbered, Some(&newer)), &svid("{}")).is_err(), "a bundle without a sequence replaces one that has it");
}

#[test]
fn a_cached_signature_spares_no_other_check() {
    let trust = trust(vec![parts("idp")]);
    let token = token("{}");
    let compact = Compact::parse(&token).unwrap();
    assert!(run(trust.verify(&compact, NOW)).is_ok());
    assert!(run(trust.verify(&compact, NOW)).is_ok());
    assert_eq!(
        run(trust.verify(&compact, Time::from_seconds(1_000_300))).err().map(|refused| refused.reason()),
        Some(TrustReason::Expired)
    );
    let mut stricter = parts("idp");
    stricter.require = vec![Requirement::new("tid", Matcher::Present).unwrap()];
    let reloaded = TrustStore::new(vec![TrustRule::new(stricter).unwrap()], Some(&trust)).unwrap();
    assert_eq!(run(reloaded.verify(&compact, NOW)).err().map(|refused| refused.reason()), Some(TrustReason::Requirement));
    let rekeyed = TrustRule::new(TrustRuleParts { keys: fixed(&OTHER), ..parts("idp") }).unwrap();
    let reloaded = TrustStore::new(vec![rekeyed], Some(&trust)).unwrap();
    assert_eq!(
        run(reloaded.verify(&compact, NOW)).err().map(|refused| refused.reason()),
        Some(TrustReason::Jose(JoseReason::UnknownKey))
    );
}

#[test]
fn keys_that_nobody_has_fetched_are_no_verdict() {
    let pace = RefreshPolicy { wait_max: Duration::from_millis(20), ..RefreshPolicy::default() };
    let location = KeyLocation::Discovery { issuer: Issuer::parse(ISSUER).unwrap(), hosts: Vec::new() };
    let rule = TrustRuleParts { keys: KeySource::Remote(location, pace), ..parts("idp") };
    assert_eq!(vouch(&trust(vec![rule]), &token("{}")).err(), Some(TrustReason::KeysUnavailable));
}

#[test]
fn a_rule_is_refused_with_everything_that_is_wrong_with_it() {
    let mut rule = spiffe_parts("mesh");
    rule.selector = IssuerSelector::Issuer(Issuer::parse(ISSUER).unwrap());
    rule.audiences.clear();
    rule.algorithms = vec![Algorithm::EdDSA];
    rule.lifetime_max = Duration::ZERO;
    let reasons = TrustRule::new(rule).unwrap_err();
    assert_eq!(reasons.len(), 5, "{reasons:?}");
    assert_eq!(Template::parse("all"), Err(TemplateReason::Constant));
    assert_eq!(Requirement::new("", Matcher::Present), Err(MatcherReason::Claim));
    let reasons =
        TrustRule::new(TrustRuleParts { selector: IssuerSelector::Roots, algorithms: Vec::new(), ..parts("idp") }).unwrap_err();
    assert_eq!(reasons, [TrustRuleReason::Algorithms, TrustRuleReason::IssuerMissing(TrustKind::Oidc)]);
    let reasons = TrustRule::new(TrustRuleParts { keys: fixed(&KEY), ..spiffe_parts("mesh") }).unwrap_err();
    assert_eq!(reasons, [TrustRuleReason::KeysUse]);
    let reasons = TrustRule::new(TrustRuleParts { keys: bundle(Some(&KEY), 1), ..parts("idp") }).unwrap_err();
    assert_eq!(reasons, [TrustRuleReason::KeysUse]);
    let twice = vec![TrustRule::new(parts("idp")).unwrap(), TrustRule::new(parts("idp")).unwrap()];
    assert!(TrustStore::new(twice, None).is_err());
}

#[test]
fn public_sentences_follow_the_house_rules() {
    let reasons = [
        TrustReason::Issuer,
        TrustReason::Typ,
        TrustReason::HeaderMember,
        TrustReason::AccessToken,
        TrustReason::Event,
        TrustReason::Confirmation(ConfirmationReason::Shape),
        TrustReason::Confirmation(ConfirmationReason::Member),
        TrustReason::Confirmation(ConfirmationReason::Thumbprint),
        TrustReason::Confirmation(ConfirmationReason::Key(crate::jose::KeyReason::Private)),
        TrustReason::SpiffeId,
        TrustReason::NoExpiry,
        TrustReason::Expired,
        TrustReason::Early,
        TrustReason::Lifetime,
        TrustReason::Jose(JoseReason::ClaimType("aud")),
        TrustReason::Audience,
        TrustReason::Requirement,
        TrustReason::SubjectId,
        TrustReason::Instance,
        TrustReason::Ambiguous,
        TrustReason::KeysUnavailable,
    ];
    for sentence in reasons.map(|reason| reason.to_string()) {
        assert!(sentence.is_ascii() && !sentence.contains(['"', '\\']) && !sentence.ends_with('.'), "{sentence}");
        assert!(sentence.starts_with(|first: char| first.is_ascii_lowercase()), "{sentence}");
    }
}
