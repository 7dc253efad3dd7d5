#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::*;

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Outer<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    inner: Option<Inner>,
    #[serde(default)]
    list: Vec<Inner>,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Inner {
    number: u64,
}

#[test]
fn a_structure_is_read_from_an_object_at_every_depth_and_never_from_its_members_in_order() {
    let good = r#"{"name":"a","inner":{"number":1,"more":[null]},"list":[{"number":2}]}"#;
    let read_good: Outer<'_> = read(good).unwrap();
    assert_eq!(read_good, Outer { name: "a".into(), inner: Some(Inner { number: 1 }), list: vec![Inner { number: 2 }] });
    for text in [
        r#"["a",{"number":1},[]]"#,
        r#"{"name":"a","inner":[1]}"#,
        r#"{"name":"a","list":[[1]]}"#,
        r#"{"name":"a","inner":null}"#,
        r#"{"name":"a","list":null}"#,
        r#"{"name":"a","list":[null]}"#,
        r#"{"name":null}"#,
        r#"{"name":"a","name":"b"}"#,
        r#"{"name":"a","inner":{"number":1,"x":1,"x":2}}"#,
        r#"{"name":"a"} {}"#,
        r#"{"name":"a","more":1}"#,
        r#""a""#,
        "null",
        "",
    ] {
        assert_eq!(read::<Outer<'_>>(text), Err(JsonReason), "{text}");
        // The library alone takes the first three; what is here is not there for nothing.
        let lax = serde_json::from_str::<Outer<'_>>(text).is_ok();
        assert_eq!(
            lax,
            text.contains("[1]") || text.starts_with('[') || text.contains("inner\":null") || text.contains("\"x\""),
            "{text}"
        );
    }
}

#[test]
fn values_without_a_shape_and_values_as_written_are_read_too() {
    assert_eq!(read::<Value>(r#"{"a":[1,-2,1.5,"x",true,null]}"#), Ok(serde_json::json!({"a": [1, -2, 1.5, "x", true, null]})));
    let written: BTreeMap<String, &RawValue> = read(r#"{"a": [1, {}] }"#).unwrap();
    assert_eq!(written.get("a").unwrap().get(), "[1, {}]");
    assert_eq!(read::<Vec<&RawValue>>(r#"[1,null]"#).unwrap().len(), 2);
    assert!(read::<Option<u64>>("null").is_err() && read::<Option<u64>>("7") == Ok(Some(7)));
    assert_eq!(read::<Value>(r#"{"a":{"b":1,"b":2}}"#), Err(JsonReason));
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(read::<Value>(&nested(DEPTH_MAX)).is_ok() && read::<Value>(&nested(DEPTH_MAX + 1)).is_err());
    assert!(read::<Value>(&nested(100_000)).is_err());
}

#[test]
fn members_keep_their_order_and_come_once() {
    let members = Members::read(r#"{"b":"x","a":[1], "\u0063":"y\n"}"#).unwrap();
    let names: Vec<&str> = members.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["b", "a", "c"]);
    assert_eq!((members.text("c"), members.text("a"), members.text("d")), (Ok(Some("y\n".into())), Err(JsonReason), Ok(None)));
    for text in [r#"{"a":1,"\u0061":2}"#, "[]", "null", "7", "{} x", r#"["a"]"#] {
        assert!(Members::read(text).is_err(), "{text}");
    }
}

#[test]
fn every_text_of_a_value_is_looked_at_names_too() {
    let fits = |text: &str| text != "x";
    assert!(all_texts(r#"{"a":["b",{"c":"d"}],"e":1}"#, fits));
    for text in [r#""x""#, r#"{"x":1}"#, r#"[{"a":"\u0078"}]"#, r#"{"a":{"x":[]}}"#] {
        assert!(!all_texts(text, fits), "{text}");
    }
}
