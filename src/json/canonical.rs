//! The one canonical form of a JSON text (RFC 8785): whoever has a value in hand writes it in the same bytes.

use serde_json::Value;

use super::{JsonReason, check};

/// The canonical form of `text`, which is checked as everything that strangers wrote. Its numbers are those of IEEE 754, as
/// ECMAScript prints them (RFC 8785 §3.2.2.3).
///
/// # Errors
/// When it is no JSON, repeats a member, is nested too deeply, or has a number that no double holds exactly where it is whole,
/// or holds at all: another reader would see another value (RFC 7493 §2.2).
pub fn canonical(text: &str) -> Result<String, JsonReason> {
    check(text, 1)?;
    let value: Value = serde_json::from_str(text)?;
    if exact(&value) { serde_jcs::to_string(&value).map_err(|_| JsonReason) } else { Err(JsonReason) }
}

/// True where every whole number is one that a double holds.
fn exact(value: &Value) -> bool {
    match value {
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => i128::from(number) == number as f64 as i128,
            (None, Some(number)) => i128::from(number) == number as f64 as i128,
            (None, None) => true,
        },
        Value::Array(items) => items.iter().all(exact),
        Value::Object(members) => members.values().all(exact),
        Value::Null | Value::Bool(_) | Value::String(_) => true,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use proptest::prelude::*;

    use super::*;

    /// The samples of RFC 8785 §3.2.2 and §3.2.3.
    #[test]
    fn rfc_8785_samples_come_out_as_published() {
        let text = r#"{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],
            "string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}"#;
        let form = "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],\
                    \"string\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}";
        assert_eq!(canonical(text).unwrap(), form);
        let names = r#"{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One",
            "\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}"#;
        let order = ["Carriage", "One", "Control", "Latin", "Euro", "Emoji", "Hebrew"];
        let form = canonical(names).unwrap();
        let places: Vec<usize> = order.iter().map(|name| form.find(name).unwrap()).collect();
        assert!(places.is_sorted(), "{form}");
    }

    /// The samples of RFC 8785 appendix B: bits of a double, and its text.
    #[test]
    fn rfc_8785_appendix_b_numbers_come_out_as_published() {
        let samples = [
            (0x0000_0000_0000_0000, "0"),
            (0x8000_0000_0000_0000, "0"),
            (0x0000_0000_0000_0001, "5e-324"),
            (0x8000_0000_0000_0001, "-5e-324"),
            (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
            (0xffef_ffff_ffff_ffff, "-1.7976931348623157e+308"),
            (0x4340_0000_0000_0000, "9007199254740992"),
            (0xc340_0000_0000_0000, "-9007199254740992"),
            (0x4430_0000_0000_0000, "295147905179352830000"),
            (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
            (0x44b5_2d02_c7e1_4af6, "1e+23"),
            (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23"),
            (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
            (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"),
            (0x444b_1ae4_d6e2_ef50, "1e+21"),
            (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
            (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
            (0x41b3_de43_5555_5553, "333333333.3333332"),
            (0x41b3_de43_5555_5554, "333333333.33333325"),
            (0x41b3_de43_5555_5555, "333333333.3333333"),
            (0x41b3_de43_5555_5556, "333333333.3333334"),
            (0x41b3_de43_5555_5557, "333333333.33333343"),
            (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
            (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
        ];
        for (bits, text) in samples {
            let number = f64::from_bits(bits);
            assert_eq!(canonical(&format!("{number:e}")).unwrap(), text, "{number:e}");
            assert_eq!(canonical(text).unwrap(), text);
        }
    }

    #[test]
    fn hostile_texts_are_refused_or_have_one_form() {
        let deep = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        for refused in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"b":[{"a":{},"a":{}}]}"#,
            "1e400",
            "[-1e400]",
            r#""\ud800""#,
            r#""\udc00\ud800""#,
            r#"{"\ud83d":1}"#,
            "9007199254740993",
            "-9007199254740993",
            "18446744073709551615",
            "NaN",
            "Infinity",
            "01",
            "+1",
            "1.",
            "[1,]",
            "{} {}",
            "\u{feff}{}",
            "",
            &deep(33),
            &"[".repeat(65_536),
            &format!("{}{}", "{\"a\":".repeat(13_000), "1"),
        ] {
            assert_eq!(canonical(refused), Err(JsonReason), "{}", refused.get(..40).unwrap_or(refused));
        }
        assert!(canonical(&deep(32)).is_ok());
        let same = [
            ("-0", "0"),
            ("[-0.0,0e5,-0E-7]", "[0,0,0]"),
            ("1e2", "100"),
            ("100.0", "100"),
            ("0.1000000000000000055", "0.1"),
            (" { \"b\" : 1 , \"a\" : [ ] } ", r#"{"a":[],"b":1}"#),
            (r#""\u0041\/\u00e9""#, "\"A/é\""),
        ];
        for (text, form) in same {
            assert_eq!(canonical(text).as_deref(), Ok(form), "{text}");
        }
        let long = format!("\"{}\"", "é".repeat(32_767));
        assert_eq!(canonical(&long), Ok(long.clone()), "64 KiB are as good as one");
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let number = prop_oneof![
            any::<i32>().prop_map(Value::from),
            (-(1_i64 << 53)..=1 << 53).prop_map(Value::from),
            any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(Value::from),
        ];
        let leaf =
            prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), number, any::<String>().prop_map(Value::from)];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_form_is_its_own_form_however_the_value_was_written(value in any_value()) {
            let form = canonical(&value.to_string()).unwrap();
            prop_assert_eq!(&canonical(&form).unwrap(), &form);
            prop_assert_eq!(&canonical(&serde_json::to_string_pretty(&value).unwrap()).unwrap(), &form);
        }
    }
}
