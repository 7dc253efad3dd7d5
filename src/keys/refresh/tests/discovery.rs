//! Discovery documents, and the answers that they and key sets come in, as issuers and what stands before them write them:
//! 10,000 variations of a good one each. Whatever is not used may be odd; what is used leads to the keys or to nothing, and
//! never to a host that nobody named.
use ::http::Response;
use serde_json::{Value, json};

use super::*;

const VARIATIONS: u64 = 10_000;
const ISSUER: &str = "https://idp.example";

/// Numbers that look random and depend on their seed alone (SplitMix64).
struct Draw(u64);

impl Draw {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) >> 33).unwrap() % end
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn of<T: Clone>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())].clone()
    }
}

/// Members of OpenID Connect Discovery §3, RFC 8414 §2 and of vendors, none of which is used here.
const UNUSED: [&str; 12] = [
    "authorization_endpoint",
    "token_endpoint",
    "userinfo_endpoint",
    "response_types_supported",
    "subject_types_supported",
    "id_token_signing_alg_values_supported",
    "claims_supported",
    "signed_metadata",
    "mtls_endpoint_aliases",
    "kerberos_endpoint",
    "tenant_region_scope",
    "keys",
];

/// Values that serialisers, proxies and people write in place of a text.
fn odd_texts() -> Vec<String> {
    let values =
        [json!(null), json!(""), json!(7), json!(1.5), json!(true), json!([]), json!([ISSUER]), json!({}), json!({"a": [null]})];
    let long = json!(format!("https://idp.example/{}", "a".repeat(5_000)));
    values.iter().chain([&long, &json!("\u{feff}"), &json!("a\u{0}b")]).map(Value::to_string).collect()
}

/// The member `issuer`, and whether it is the one that was asked for.
fn issuers() -> Vec<(String, bool)> {
    let others = [
        "https://idp.example/",
        "HTTPS://IDP.EXAMPLE",
        "http://idp.example",
        "https://idp.example.evil.example",
        " https://idp.example",
    ];
    let good = [
        (json!(ISSUER).to_string(), true),
        (r#""\u0068ttps://idp.example""#.to_owned(), true),
        (r#""https:\/\/idp.example""#.to_owned(), true),
    ];
    let others = others.iter().map(|other| (json!(other).to_string(), false));
    good.into_iter().chain(others).chain(odd_texts().into_iter().map(|odd| (odd, false))).collect()
}

/// The member `jwks_uri`, and where it leads, if anywhere. The rule names the host `keys.example` and `keys.example:8443`.
fn addresses() -> Vec<(String, Option<&'static str>)> {
    let named = [
        ("https://idp.example/keys", Some("https://idp.example/keys")),
        ("https://idp.example:443/keys?v=1", Some("https://idp.example/keys?v=1")),
        ("HTTPS://IDP.example/keys", Some("https://idp.example/keys")),
        ("https://idp.example/../a/./keys", Some("https://idp.example/a/keys")),
        ("https://keys.example/keys", Some("https://keys.example/keys")),
        ("https://keys.example:8443/keys", Some("https://keys.example:8443/keys")),
        ("https://keys.example:9443/keys", None),
        ("https://idp.example:8443/keys", None),
        ("http://idp.example/keys", None),
        ("http://idp.example:443/keys", None),
        ("http://keys.example/keys", None),
        ("ftp://idp.example/keys", None),
        ("file:///etc/passwd", None),
        ("data:application/json,{\"keys\":[]}", None),
        ("javascript:alert(1)", None),
        ("/keys", None),
        ("//idp.example/keys", None),
        ("idp.example/keys", None),
        ("https://evil.example/keys", None),
        ("https://idp.example.evil.example/keys", None),
        ("https://idp.example@evil.example/keys", None),
        ("https://evil.example/https://idp.example/keys", None),
        ("https://evil.example\\@idp.example/keys", None),
        ("https://evil.example#@idp.example/keys", None),
        ("https://evil.example?https://idp.example/keys", None),
        ("https://xn--idp.example/keys", None),
        ("https://169.254.169.254/latest/meta-data", None),
        ("https://0x7f.1/keys", None),
        ("https://[::1]/keys", None),
        ("https://", None),
    ];
    let named = named.into_iter().map(|(uri, leads)| (json!(uri).to_string(), leads));
    let odd = odd_texts().into_iter().map(|odd| (odd, None));
    // The long one is on the issuer's own host, so it counts; only where it leads is too long to write here.
    named.chain(odd.filter(|(odd, _)| odd.len() < 1000)).collect()
}

/// The values that documents are made of.
struct Values {
    odd: Vec<String>,
    issuers: Vec<(String, bool)>,
    addresses: Vec<(String, Option<&'static str>)>,
}

/// One document, and where it leads.
fn document(draw: &mut Draw, values: &Values) -> (String, Option<&'static str>) {
    let (issuer, ours) = if draw.chance(70) { (json!(ISSUER).to_string(), true) } else { draw.of(&values.issuers) };
    let addresses = if draw.chance(60) { values.addresses.get(..6).unwrap() } else { &values.addresses };
    let (uri, leads) = draw.of(addresses);
    let mut leads = leads.filter(|_| ours);
    let mut members = vec![format!("\"issuer\":{issuer}"), format!("\"jwks_uri\":{uri}")];
    for name in UNUSED {
        if draw.chance(20) {
            members.push(format!("\"{name}\":{}", draw.of(&values.odd)));
        }
    }
    for at in (1..members.len()).rev() {
        members.swap(at, draw.below(at + 1));
    }
    if draw.chance(8) {
        // A member that comes twice leaves open which of the two counts (RFC 8259 §4), whichever member it is.
        members.push(draw.of(&members));
        leads = None;
    } else if draw.chance(8) {
        let missing = draw.of(&["\"issuer\":", "\"jwks_uri\":"]);
        members.retain(|member| !member.starts_with(missing));
        leads = None;
    }
    let text = format!("{{{}}}", members.join(draw.of(&[",", " , ", ",\r\n\t"])));
    match draw.below(20) {
        0 => (format!("[{text}]"), None),
        1 => (text.get(..text.len() - 1).unwrap().to_owned(), None),
        2 => (format!("{text}{{}}"), None),
        3 => (json!(text).to_string(), None),
        4..8 => (format!("\u{feff}{text}"), leads),
        8 => (format!("\r\n {text} \n"), leads),
        _ => (text, leads),
    }
}

#[test]
fn whatever_a_discovery_document_says_it_leads_to_the_keys_or_nowhere() {
    let (issuer, hosts) = (Issuer::parse(ISSUER).unwrap(), ["keys.example".to_owned(), "keys.example:8443".to_owned()]);
    let address = Url::parse(&issuer.join("/.well-known/openid-configuration")).unwrap();
    let values = Values { odd: odd_texts(), issuers: issuers(), addresses: addresses() };
    let (mut led, mut refused) = (0, 0);
    for seed in 0..VARIATIONS {
        let (text, leads) = document(&mut Draw(seed), &values);
        let found = address_of_keys(text.as_bytes(), &address, (&issuer, &hosts));
        let shown = text.chars().take(600).collect::<String>();
        assert_eq!(found.as_ref().map(|(_, uri)| uri.as_str()).ok(), leads, "seed {seed}: {shown}");
        *if leads.is_some() { &mut led } else { &mut refused } += 1;
    }
    assert!(led > 1000 && refused > 1000, "{led} lead to keys, {refused} nowhere");
}

/// One answer, and whether it is a good one.
fn answer(draw: &mut Draw, body: &[u8]) -> (Response<Vec<u8>>, bool) {
    let status =
        if draw.chance(75) { 200 } else { draw.of(&[201, 203, 204, 206, 301, 302, 307, 308, 400, 401, 403, 404, 429, 500, 503]) };
    let types = [
        (Some("application/json"), true),
        (Some("application/jwk-set+json"), true),
        (Some("Application/JSON; charset=UTF-8"), true),
        (Some(" application/json ;x=\"y\""), true),
        (Some("application/problem+json"), true),
        (Some("application/vnd.acme.keys+json; v=1"), true),
        (Some("text/plain"), false),
        (Some("text/html; charset=application/json"), false),
        (Some("text/json"), false),
        (Some("application/octet-stream"), false),
        (Some("application/jsonp"), false),
        (Some("application/json, text/html"), false),
        (Some("json"), false),
        (Some(""), false),
        (None, false),
    ];
    let (content_type, is_json) = draw.of(&types);
    let encodings = [(None, true), (None, true), (None, true), (Some("identity"), true), (Some("Identity"), true)];
    let compressed = [(Some("gzip"), false), (Some("br"), false), (Some("identity, gzip"), false), (Some(""), false)];
    let (encoding, is_plain) = draw.of(&[encodings.as_slice(), &compressed].concat());
    let long = draw.chance(2);
    let body = if long { [body, &vec![b' '; net::BODY_BYTES_MAX]].concat() } else { body.to_vec() };
    let mut answer = Response::builder().status(status);
    for (name, value) in [("content-type", content_type), ("content-encoding", encoding)] {
        if let Some(value) = value {
            answer = answer.header(name, value);
        }
    }
    if draw.chance(40) {
        let keep = ["max-age=60", "no-store", "max-age=-1", "max-age=99999999999999999999", "public, max-age=", "private"];
        answer = answer.header("cache-control", draw.of(&keep));
    }
    if draw.chance(20) {
        answer =
            answer.header("location", draw.of(&["https://evil.example/keys", "/", "javascript:1", "https://a:b@idp.example/"]));
    }
    (answer.body(body).unwrap(), status == 200 && is_json && is_plain && !long)
}

#[test]
fn whatever_an_answer_comes_in_its_keys_count_where_it_is_json_as_it_stands_and_nowhere_else() {
    run(async {
        let body = format!(r#"{{"keys":[{}]}}"#, key().public_jwk());
        let uri = Url::parse("https://idp.example/keys").unwrap();
        let (mut taken, mut refused) = (0, 0);
        for seed in 0..VARIATIONS {
            let (answer, good) = answer(&mut Draw(seed), body.as_bytes());
            let shown = format!("seed {seed}: {} {:?}", answer.status(), answer.headers());
            let document = net::as_if_from(&uri, answer, JSON_TYPES).await;
            let keys = document.as_ref().ok().and_then(|document| KeySet::parse(&document.body, KeyUse::Signature).ok());
            assert_eq!(
                keys.is_some_and(|keys| keys.keys().len() == 1),
                good,
                "{shown}: {:?}",
                document.map(|found| found.max_age)
            );
            *if good { &mut taken } else { &mut refused } += 1;
        }
        assert!(taken > 1000 && refused > 1000, "{taken} taken, {refused} refused");
    });
}
