//! Actor claims: who acts, and who acted before (RFC 8693 §4.1, §4.4).

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;

use super::{ForeignName, is_printable};
use crate::json::{self, Members};

/// No configuration raises the depth of a chain beyond this; deeper input is refused, never cut.
pub const CHAIN_DEPTH_CEILING: usize = 16;

/// The members of one `act` object beyond this many bytes are refused.
const ACTOR_BYTES_MAX: usize = 2048;

/// Members that have no meaning inside `act` and are neither honoured nor passed on (RFC 8693 §4.1).
const MEANINGLESS: [&str; 6] = ["act", "exp", "nbf", "iat", "aud", "cnf"];

/// The chain of actors: the current one first, the first one last. Empty when nobody acts for the subject.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ActChain(Vec<Actor>);

/// One actor: its identity members in the order in which they came, without the `act` nested in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Actor {
    iss: Arc<str>,
    sub: Arc<str>,
    members: Arc<str>,
}

/// Why an `act` claim is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActReason {
    /// Not a JSON object, or a repeated member.
    Malformed,
    /// No `sub` of type string, or an `iss` that is not a string.
    Identity,
    /// A name, or a text in another member, with characters that cannot be seen.
    Unprintable,
    /// A `may_act` inside: it would restrict who acts, and is not understood there.
    MayAct,
    /// Deeper than the ceiling.
    Deep,
    /// More bytes of members than an actor needs.
    Long,
    /// Claims to have been named by this server, in a token of somebody else.
    Ours,
}

impl ActChain {
    /// Reads the `act` claim of a token issued by `issuer`. A missing `act.iss` becomes `issuer`; identity members stay as
    /// they came.
    ///
    /// # Errors
    /// See [`ActReason`]; depth is counted over the whole claim and never cut.
    pub fn parse(act: &RawValue, issuer: &str) -> Result<Self, ActReason> {
        let mut actors = Vec::new();
        let mut next = Some(act);
        while let Some(raw) = next {
            if actors.len() == CHAIN_DEPTH_CEILING {
                return Err(ActReason::Deep);
            }
            let (actor, nested) = Actor::parse(raw, issuer)?;
            actors.push(actor);
            next = nested;
        }
        Ok(Self(actors))
    }

    /// The chain with `actor` as the new current actor. Nothing is removed.
    #[must_use]
    pub fn extended(&self, actor: Actor) -> Self {
        Self(std::iter::once(actor).chain(self.0.iter().cloned()).collect())
    }

    /// The parts of the chain, current actor first: `iss`, `sub` and all members of each.
    pub fn parts(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.iter().map(|actor| (&*actor.iss, &*actor.sub, &*actor.members))
    }

    /// The chain that [`parts`](Self::parts) were of. Nothing is checked: they must come from where only this server writes.
    pub fn of_parts<'a>(parts: impl IntoIterator<Item = (&'a str, &'a str, &'a str)>) -> Self {
        let mut actors: Vec<Actor> = Vec::new();
        for (iss, sub, members) in parts {
            // Nearly always all of them are of one issuer.
            let known = actors.last().filter(|last| &*last.iss == iss).map(|last| Arc::clone(&last.iss));
            actors.push(Actor { iss: known.unwrap_or_else(|| iss.into()), sub: sub.into(), members: members.into() });
        }
        Self(actors)
    }

    /// Only the current actor: what a token for an API with `chain = "current"` shows.
    #[must_use]
    pub fn outermost(&self) -> Self {
        Self(self.0.first().cloned().into_iter().collect())
    }

    /// Who acts now.
    pub fn current(&self) -> Option<&Actor> {
        self.0.first()
    }

    /// Current actor first.
    pub fn iter(&self) -> std::slice::Iter<'_, Actor> {
        self.0.iter()
    }

    /// How many actors there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True when nobody acts.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Refuses a chain in which any actor claims to have been named by `issuer`.
    ///
    /// # Errors
    /// `Ours` when one does: only our own tokens may say so.
    pub fn refuse_named_by(&self, issuer: &str) -> Result<(), ActReason> {
        let claims = self.iter().any(|actor| actor.iss() == issuer);
        if claims { Err(ActReason::Ours) } else { Ok(()) }
    }

    /// The running copy of the current actor, as attested.
    pub fn instance(&self) -> Option<String> {
        let members = Members::read(&self.current()?.members).ok()?;
        members.text("instance").ok().flatten().map(std::borrow::Cow::into_owned)
    }

    /// The nested `act` claim; none for an empty chain.
    pub fn to_claim(&self) -> Option<String> {
        self.0.iter().rev().fold(None, |inner, actor| Some(actor.enclosing(inner.as_deref())))
    }
}

impl Actor {
    /// An agent of this server acting now: `iss` is ours, `sub` the agent's id.
    pub fn agent(issuer: &str, agent: &str, profile: &str, instance: Option<&str>) -> Self {
        #[derive(Serialize)]
        struct AgentMembers<'a> {
            iss: &'a str,
            sub: &'a str,
            sub_profile: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            instance: Option<&'a str>,
        }
        let members = AgentMembers { iss: issuer, sub: agent, sub_profile: profile, instance };
        let members = serde_json::to_string(&members).unwrap_or_default();
        Self { iss: issuer.into(), sub: agent.into(), members: members.into() }
    }

    /// The namespace of `sub`.
    pub fn iss(&self) -> &str {
        &self.iss
    }

    /// The actor's name in that namespace.
    pub fn sub(&self) -> &str {
        &self.sub
    }

    /// The identity members as one JSON object.
    pub fn members(&self) -> &str {
        &self.members
    }

    fn parse<'a>(raw: &'a RawValue, issuer: &str) -> Result<(Self, Option<&'a RawValue>), ActReason> {
        let members = Members::read(raw.get()).map_err(|_| ActReason::Malformed)?;
        let text = |name| members.text(name).map_err(|_| ActReason::Identity);
        let sub = text("sub")?.filter(|sub| !sub.is_empty()).ok_or(ActReason::Identity)?;
        let iss = text("iss")?;
        if members.get("may_act").is_some() {
            return Err(ActReason::MayAct);
        }
        let mut written = kept(&members);
        if iss.is_none() {
            written.insert(0, format!("\"iss\":{}", quoted(issuer)));
        }
        let written = format!("{{{}}}", written.join(","));
        if written.len() > ACTOR_BYTES_MAX {
            return Err(ActReason::Long);
        }
        if !are_printable(&written) {
            return Err(ActReason::Unprintable);
        }
        let name = |text: &str| ForeignName::parse(text).map_err(|_| ActReason::Identity);
        let (sub, iss) = (name(&sub)?, name(iss.as_deref().unwrap_or(issuer))?);
        Ok((Self { iss: iss.as_str().into(), sub: sub.as_str().into(), members: written.into() }, members.get("act")))
    }

    fn enclosing(&self, inner: Option<&str>) -> String {
        match (inner, self.members.strip_suffix('}')) {
            (Some(inner), Some(open)) => format!("{open},\"act\":{inner}}}"),
            _ => self.members.to_string(),
        }
    }
}

/// The identity members, each as it came.
fn kept(members: &Members<'_>) -> Vec<String> {
    let kept = members.iter().filter(|(name, _)| !MEANINGLESS.contains(name));
    kept.map(|(name, value)| format!("{}:{}", quoted(name), value.get())).collect()
}

/// True where no text in the members, at any depth, has a character that cannot be seen: they are copied as they are.
fn are_printable(written: &str) -> bool {
    let plain = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b'\\';
    written.bytes().all(plain) || json::all_texts(written, is_printable)
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

impl fmt::Display for ActReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "act must be a JSON object without repeated members",
            Self::Identity => "act needs a sub and its iss must be a string",
            Self::Unprintable => "act has a name or text with control, invisible or direction characters",
            Self::MayAct => "act has a may_act inside, which is not understood there",
            Self::Deep => "act is nested too deeply",
            Self::Long => "act carries too many members",
            Self::Ours => "act names an actor of this server in a token that this server did not issue",
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    fn parse(json: &str) -> Result<ActChain, ActReason> {
        let raw: Box<RawValue> = serde_json::from_str(json).map_err(|_| ActReason::Malformed)?;
        ActChain::parse(&raw, "https://idp.example")
    }

    #[test]
    fn keeps_identity_members_in_order_and_drops_what_has_no_meaning() {
        let chain =
            parse(r#"{"sub":"b","x":{"k":[1, 2]},"exp":1,"aud":"a","act":{"iss":"https://i","sub":"a","cnf":{}}}"#).unwrap();
        let claim = chain.to_claim().unwrap();
        assert_eq!(claim, r#"{"iss":"https://idp.example","sub":"b","x":{"k":[1, 2]},"act":{"iss":"https://i","sub":"a"}}"#);
    }

    #[test]
    fn a_written_chain_reads_back_the_same() {
        let chain =
            parse(r#"{"sub":"b","act":{"sub":"a"}}"#).unwrap().extended(Actor::agent("https://us", "c", "ai_agent", Some("pod")));
        let again = parse(&chain.to_claim().unwrap()).unwrap();
        assert_eq!(again, chain);
        assert_eq!(again.current().unwrap().sub(), "c");
    }

    #[test]
    fn refuses_what_is_not_an_actor() {
        for (json, reason) in [
            ("\"a\"", ActReason::Malformed),
            ("[]", ActReason::Malformed),
            ("null", ActReason::Malformed),
            (r#"{"sub":"a","sub":"b"}"#, ActReason::Malformed),
            ("{}", ActReason::Identity),
            (r#"{"sub":7}"#, ActReason::Identity),
            (r#"{"sub":""}"#, ActReason::Identity),
            (r#"{"sub":"a","iss":{}}"#, ActReason::Identity),
            (r#"{"sub":"a","iss":null}"#, ActReason::Identity),
            (r#"{"sub":"a","iss":""}"#, ActReason::Identity),
            (r#"{"sub":"a","act":"b"}"#, ActReason::Malformed),
            (r#"{"sub":"a","act":["b"]}"#, ActReason::Malformed),
            (r#"{"sub":"a","may_act":{"sub":"b"}}"#, ActReason::MayAct),
            (r#"{"sub":"a","act":{"sub":"b","may_act":null}}"#, ActReason::MayAct),
        ] {
            assert_eq!(parse(json), Err(reason), "{json}");
        }
    }

    #[test]
    fn no_actor_at_any_depth_has_a_name_that_cannot_be_seen() {
        for unseen in ["\\u001b[2J", "\\n", "\\u009b", "\\u202e", "\u{202e}", "\u{9b}", "\\u200b"] {
            for actor in [
                r#"{"sub":"a~"}"#,
                r#"{"sub":"a","iss":"https://i~"}"#,
                r#"{"sub":"a","client_id":"~"}"#,
                r#"{"sub":"a","x":{"k":["~"]}}"#,
                r#"{"sub":"a","x~":1}"#,
            ] {
                let actor = actor.replace('~', unseen);
                assert_eq!(parse(&actor), Err(ActReason::Unprintable), "{actor}");
                assert_eq!(parse(&format!(r#"{{"sub":"b","act":{actor}}}"#)), Err(ActReason::Unprintable), "{actor}");
            }
        }
        assert!(parse("{\n\t\"sub\": \"J\u{e4}ger\", \"x\": \"\\\"\\/\"\n}").is_ok());
        // What is not copied need not be seen.
        assert!(parse(r#"{"sub":"a","aud":"\n"}"#).is_ok());
    }

    #[test]
    fn refuses_depth_beyond_the_ceiling_and_long_actors() {
        let nest = |depth| (0..depth).fold(r#"{"sub":"a"}"#.to_owned(), |inner, _| format!(r#"{{"sub":"a","act":{inner}}}"#));
        assert_eq!(parse(&nest(CHAIN_DEPTH_CEILING - 1)).unwrap().len(), CHAIN_DEPTH_CEILING);
        assert_eq!(parse(&nest(CHAIN_DEPTH_CEILING)), Err(ActReason::Deep));
        assert_eq!(parse(&nest(1000)), Err(ActReason::Deep));
        let long = format!(r#"{{"sub":"a","x":"{}"}}"#, "y".repeat(ACTOR_BYTES_MAX));
        assert_eq!(parse(&long), Err(ActReason::Long));
    }

    #[test]
    fn a_foreign_chain_may_not_claim_our_naming() {
        let chain = parse(r#"{"sub":"b","act":{"iss":"https://us","sub":"a"}}"#).unwrap();
        assert_eq!(chain.refuse_named_by("https://us"), Err(ActReason::Ours));
        assert_eq!(chain.refuse_named_by("https://other"), Ok(()));
    }
}
