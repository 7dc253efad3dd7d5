#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::json::DEPTH_MAX;

fn parse(json: &str) -> Result<Object, JoseReason> {
    Object::parse(json)
}

#[test]
fn repeated_members_are_refused_at_every_depth() {
    for json in [
        r#"{"a":1,"a":1}"#,
        r#"{"a":1,"b":2,"\u0061":3}"#,
        r#"{"x":{"a":1,"a":2}}"#,
        r#"{"x":[[{"a":1,"b":{"c":1,"\u0063":2}}]]}"#,
        r#"{"":1,"":2}"#,
    ] {
        assert_eq!(parse(json).unwrap_err(), JoseReason::Claims, "{json}");
    }
    assert!(parse(r#"{"a":{"a":{"a":1}},"b":[{"a":1},{"a":2}]}"#).is_ok());
}

#[test]
fn what_is_not_one_object_in_utf_8_is_refused() {
    for json in ["", "{", "[]", "null", "\"a\"", "1", "{} {}", "{}x", "{\"a\":1,}", "\u{feff}{}", "{'a':1}", r#"{"a":{"b":01}}"#]
    {
        assert!(parse(json).is_err(), "{json}");
    }
    assert!(Object::parse(*b"{\"a\":\"\xff\"}").is_err());
    assert!(parse(r#"{"\ud800":1}"#).is_err());
    assert!(parse(" {}\n").is_ok());
}

#[test]
fn nesting_is_bounded() {
    let objects = |depth: usize| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
    let arrays = |depth: usize| format!(r#"{{"a":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
    assert!(parse(&objects(DEPTH_MAX)).is_ok());
    assert!(parse(&objects(DEPTH_MAX + 1)).is_err());
    assert!(parse(&arrays(DEPTH_MAX - 1)).is_ok());
    assert!(parse(&arrays(DEPTH_MAX)).is_err());
    assert!(parse(&objects(100_000)).is_err());
    assert!(parse(&arrays(100_000)).is_err());
}

#[test]
fn strings_dates_and_lists_are_read_by_their_type_only() {
    let object = parse(
        r#"{"t":"a","e":"a\u002fb\/c","n":null,"i":5,"f":1.5,"neg":-1,"big":1e30,
        "s":"5","far":253402300800,"one":"x","many":["x","y"],"none":[],"mixed":["x",1]}"#,
    )
    .unwrap();
    assert_eq!(object.text("t"), Ok(Some("a".into())));
    assert_eq!(object.text("e"), Ok(Some("a/b/c".into())));
    assert_eq!(object.text("absent"), Ok(None));
    assert_eq!(object.text("n"), Err(JoseReason::ClaimType("n")));
    assert_eq!(object.text("i"), Err(JoseReason::ClaimType("i")));
    assert_eq!(object.date("i"), Ok(Some(Time::from_seconds(5))));
    assert_eq!(object.date("f"), Ok(Some(Time::from_millis(1500))));
    for wrong in ["s", "neg", "big", "far", "n", "many"] {
        assert_eq!(object.date(wrong), Err(JoseReason::ClaimType(wrong)), "{wrong}");
    }
    assert_eq!(object.strings("one").unwrap().unwrap(), ["x"]);
    assert_eq!(object.strings("many").unwrap().unwrap(), ["x", "y"]);
    assert_eq!(object.strings("none").unwrap().unwrap().len(), 0);
    for wrong in ["mixed", "i", "n"] {
        assert_eq!(object.strings(wrong), Err(JoseReason::ClaimType(wrong)), "{wrong}");
    }
}

#[test]
fn pointers_follow_rfc_6901() {
    let object = parse(r#"{"kubernetes.io":{"pod":{"uid":"u"}},"a/b":{"m~n":7},"l":[10,{"x":11}],"":{"":1}}"#).unwrap();
    for (pointer, value) in [
        ("/kubernetes.io/pod/uid", Some("\"u\"")),
        ("/a~1b/m~0n", Some("7")),
        ("/l/0", Some("10")),
        ("/l/1/x", Some("11")),
        ("//", Some("1")),
        ("/l/00", None),
        ("/l/+1", None),
        ("/l/2", None),
        ("/l/-", None),
        ("/kubernetes.io/pod/uid/x", None),
        ("/absent", None),
        ("l", None),
    ] {
        assert_eq!(object.pointer(pointer), value, "{pointer}");
    }
    assert_eq!(object.find("a/b").unwrap(), r#"{"m~n":7}"#);
    assert_eq!(object.find("/l/0").unwrap(), "10");
}

proptest! {
    #[test]
    fn agrees_with_serde_json_on_every_member(members in proptest::collection::btree_map(".{0,6}", any_json(), 0..20)) {
        let text = serde_json::to_string(&members).unwrap();
        let object = parse(&text).unwrap();
        prop_assert_eq!(object.names().count(), members.len());
        for (name, value) in &members {
            let read: Value = serde_json::from_str(object.raw(name).unwrap()).unwrap();
            prop_assert_eq!(&read, value);
        }
    }

    #[test]
    fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Object::parse(bytes);
    }

    #[test]
    fn accepts_only_what_serde_json_accepts(text in r#"[{}\[\]",:a0-9\\ eu.-]{0,40}"#) {
        if parse(&text).is_ok() {
            prop_assert!(serde_json::from_str::<serde_json::Map<String, Value>>(&text).is_ok(), "{}", text);
        }
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(".{0,3}", inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}
