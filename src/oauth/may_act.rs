//! Whom a token lets act for its subject (RFC 8693 §4.4).

use std::fmt;

use crate::json::{Members, string};

/// Who a subject token says may act for its subject: each member that is present must match. At least one names a party.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MayAct {
    /// The actor's name in the namespace of `iss`.
    pub sub: Option<String>,
    /// The namespace; the token's issuer when absent.
    pub iss: Option<String>,
    /// The client that may ask, in the same namespace.
    pub client_id: Option<String>,
}

/// Why a `may_act` is refused. `Display` completes a sentence about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MayActReason {
    /// No object, a member of the wrong type, or nobody named.
    Shape,
    /// A member that says more of the party than is understood here: by its name where that is a known one.
    Member(Option<&'static str>),
}

/// RFC 8693 §4.4: not meaningful inside `may_act`, and therefore not used.
const MEANINGLESS: [&str; 4] = ["exp", "nbf", "iat", "aud"];

/// Members that issuers are known to write to narrow a party down: told by name.
const KNOWN: [&str; 22] = [
    "acr",
    "act",
    "amr",
    "auth_time",
    "authorization_details",
    "azp",
    "cnf",
    "email",
    "entity_type",
    "groups",
    "instance",
    "jti",
    "may_act",
    "oid",
    "org",
    "roles",
    "scope",
    "sub_profile",
    "sub_type",
    "task",
    "tid",
    "txn",
];

impl MayAct {
    /// Reads the claim. A member that is not understood may be what keeps others from acting, so it refuses the token.
    ///
    /// # Errors
    /// See [`MayActReason`].
    pub fn parse(raw: &str) -> Result<Self, MayActReason> {
        let members = Members::read(raw).map_err(|_| MayActReason::Shape)?;
        let mut named = Self { sub: None, iss: None, client_id: None };
        for (name, value) in members.iter() {
            let member = match name {
                "sub" => &mut named.sub,
                "iss" => &mut named.iss,
                "client_id" => &mut named.client_id,
                name if MEANINGLESS.contains(&name) => continue,
                name => return Err(MayActReason::Member(KNOWN.into_iter().find(|known| *known == name))),
            };
            let text = string(value.get()).filter(|text| !text.is_empty()).ok_or(MayActReason::Shape)?;
            *member = Some(text.into_owned());
        }
        if named.sub.is_some() || named.client_id.is_some() { Ok(named) } else { Err(MayActReason::Shape) }
    }
}

impl fmt::Display for MayActReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape => f.write_str("must be an object with sub or client_id, and strings only"),
            Self::Member(name) => write!(
                f,
                "has {}, which is not understood here and may restrict who acts; sub, iss and client_id are understood",
                name.unwrap_or("a member")
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_party_is_named_by_sub_or_client_in_the_namespace_of_iss() {
        let read = MayAct::parse(r#"{"exp":1,"sub":"a","iss":"https:\/\/i","client_id":"c","aud":[]}"#);
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(read, Ok(MayAct { sub: text("a"), iss: text("https://i"), client_id: text("c") }));
        assert!(MayAct::parse(r#"{"client_id":"c"}"#).is_ok());
    }

    #[test]
    fn what_names_nobody_or_says_more_is_refused() {
        for raw in [
            "null",
            "7",
            "\"a\"",
            "[]",
            r#"["a",null,null]"#,
            r#"[{"sub":"a"}]"#,
            "{}",
            r#"{"iss":"https://i"}"#,
            r#"{"sub":null}"#,
            r#"{"sub":"a","iss":null}"#,
            r#"{"sub":"a","client_id":null}"#,
            r#"{"sub":""}"#,
            r#"{"sub":["a"]}"#,
            r#"{"sub":"a","sub":"a"}"#,
        ] {
            assert_eq!(MayAct::parse(raw), Err(MayActReason::Shape), "{raw}");
        }
        for name in KNOWN {
            for value in ["null", "{}", "\"x\""] {
                let raw = format!(r#"{{"sub":"a","{name}":{value}}}"#);
                assert_eq!(MayAct::parse(&raw), Err(MayActReason::Member(Some(name))), "{raw}");
            }
        }
        assert_eq!(MayAct::parse(r#"{"sub":"a","https://i/only":true}"#), Err(MayActReason::Member(None)));
    }
}
