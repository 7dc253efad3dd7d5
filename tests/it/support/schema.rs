//! JSON Schema (draft 2020-12), as much of it as the schemas of records use. A keyword or pattern that is not known here fails
//! the test: nothing is passed over.

use serde_json::Value;

/// What is wrong with `value` by `schema`, with the place of each; nothing where it is valid.
pub fn complaints(schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    Validator(schema).check(schema, value, "", &mut found);
    found
}

struct Validator<'a>(&'a Value);

impl Validator<'_> {
    fn check(&self, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
        let mut wrong = |what: &str| found.push(format!("{at}: {what}: {value}"));
        for (keyword, rule) in schema.as_object().expect("a schema is an object") {
            let holds = match keyword.as_str() {
                "$schema" | "$id" | "title" | "description" | "$defs" | "properties" | "items" | "$ref" => true,
                "const" => value == rule,
                "enum" => rule.as_array().unwrap().contains(value),
                "type" => is_of(value, rule.as_str().unwrap()),
                "minimum" => value.as_i64().is_none_or(|number| number >= rule.as_i64().unwrap()),
                "maximum" => value.as_i64().is_none_or(|number| number <= rule.as_i64().unwrap()),
                "minItems" => value.as_array().is_none_or(|items| items.len() as u64 >= rule.as_u64().unwrap()),
                "maxItems" => value.as_array().is_none_or(|items| items.len() as u64 <= rule.as_u64().unwrap()),
                "uniqueItems" => {
                    value.as_array().is_none_or(|items| (1..items.len()).all(|at| !items[..at].contains(&items[at])))
                }
                "minProperties" => value.as_object().is_none_or(|members| members.len() as u64 >= rule.as_u64().unwrap()),
                "maxProperties" => value.as_object().is_none_or(|members| members.len() as u64 <= rule.as_u64().unwrap()),
                "pattern" => value.as_str().is_none_or(|text| matches(rule.as_str().unwrap(), text)),
                "required" => rule.as_array().unwrap().iter().all(|name| value.get(name.as_str().unwrap()).is_some()),
                "additionalProperties" => {
                    let known = |name: &String| schema["properties"].get(name).is_some();
                    *rule == Value::Bool(false) && value.as_object().is_none_or(|members| members.keys().all(known))
                }
                "oneOf" => self.so_many(rule, value) == 1,
                "anyOf" => self.so_many(rule, value) >= 1,
                other => panic!("the keyword {other} is not known here"),
            };
            if !holds {
                wrong(&format!("{keyword} {rule}"));
            }
        }
        if let Some(reference) = schema.get("$ref") {
            let target = reference.as_str().unwrap().strip_prefix('#').unwrap();
            self.check(self.0.pointer(target).expect("a definition"), value, at, found);
        }
        for (name, member) in value.as_object().into_iter().flatten() {
            if let Some(schema) = schema.get("properties").and_then(|known| known.get(name)) {
                self.check(schema, member, &format!("{at}/{name}"), found);
            }
        }
        if let (Some(schema), Some(items)) = (schema.get("items"), value.as_array()) {
            items.iter().enumerate().for_each(|(number, item)| self.check(schema, item, &format!("{at}/{number}"), found));
        }
    }

    fn so_many(&self, schemas: &Value, value: &Value) -> usize {
        let valid = |schema: &&Value| {
            let mut found = Vec::new();
            self.check(schema, value, "", &mut found);
            found.is_empty()
        };
        schemas.as_array().unwrap().iter().filter(valid).count()
    }
}

fn is_of(value: &Value, kind: &str) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        other => panic!("the type {other} is not known here"),
    }
}

fn matches(pattern: &str, text: &str) -> bool {
    let base64url =
        |length: usize| text.len() == length && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    match pattern {
        "^[A-Za-z0-9_-]{43}$" => base64url(43),
        "^[A-Za-z0-9_-]{22}$" => base64url(22),
        "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$" => {
            let parts: Vec<&str> = text.split('-').collect();
            let hexadecimal = text.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
            hexadecimal && parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12])
        }
        "^[!#-\\[\\]-~]+( [!#-\\[\\]-~]+)*$" => {
            let token = |token: &str| {
                !token.is_empty() && token.bytes().all(|byte| (0x21..=0x7e).contains(&byte) && !b"\"\\".contains(&byte))
            };
            text.split(' ').all(token)
        }
        other => panic!("the pattern {other} is not known here"),
    }
}
