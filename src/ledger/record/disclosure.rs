//! Personal values of a record: salted digests, as selective disclosure makes them (RFC 9901 §4.2). The record holds the digest,
//! the clear value travels beside it as a disclosure.
//!
//! Salts have 128 bits (RFC 9901 §9.3). They are consecutive pieces of one long draw of random bytes, so that they are as
//! independent as the bytes are, at the cost of one call to the generator for up to sixteen disclosures.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::hop::{ActorRecord, AgentSubject, AttributeDigests};
use super::schema::RecordReason;
use crate::crypto::{Digest, random};
use crate::oauth::{ActChain, Actor, Intent, Issuer, Subject, Time};

const SALT_BYTES: usize = 16;
const SALTS_PER_DRAW: usize = 16;

/// Gives the digests under which the personal values of one record stand, and collects their disclosures. Personal are: a subject
/// that a trust rule vouched for, also where it stands as an agent, its attributes, `acr`, `amr` and `auth_time`, the purpose
/// of a task, an intent, and every actor that another server named.
pub struct Discloser {
    json: Zeroizing<Vec<u8>>,
    salts: Zeroizing<[u8; SALT_BYTES * SALTS_PER_DRAW]>,
    used: usize,
}

/// The clear values behind the digests of one record: a JSON array of disclosures, wiped from memory when dropped.
#[derive(Debug)]
pub struct Disclosures {
    json: Zeroizing<Vec<u8>>,
}

/// One disclosure read back.
#[derive(Debug)]
pub struct Disclosure {
    /// The digest that stands in the record.
    pub digest: Digest,
    /// The member's name; none for an element of an array.
    pub name: Option<String>,
    /// The value as JSON.
    pub value: Box<RawValue>,
}

impl Default for Discloser {
    fn default() -> Self {
        Self { json: Zeroizing::default(), salts: Zeroizing::new([0; _]), used: SALTS_PER_DRAW }
    }
}

impl Discloser {
    /// The members `_sd` and `subject` of a record. An agent of this server stands in the clear, every other subject and the
    /// purpose, where there is one, as digests in the order of their bytes, so that it tells nothing (RFC 9901 §4.2.4.1).
    ///
    /// # Errors
    /// `Salt` without randomness.
    pub fn subject<'a>(
        &mut self,
        subject: &'a Subject,
        purpose: &str,
    ) -> Result<(Vec<Digest>, Option<AgentSubject<'a>>), RecordReason> {
        let mut digests = Vec::new();
        if !purpose.is_empty() {
            digests.push(self.member("purpose", purpose)?);
        }
        let shown = match subject.rule() {
            Some(_) => {
                digests.push(self.member("subject", subject.as_str())?);
                None
            }
            None => Some(AgentSubject(Cow::Borrowed(subject.as_str()))),
        };
        digests.sort_unstable();
        Ok((digests, shown))
    }

    /// The member `chain`: an actor that `issuer`, this server, named is shown, every other one stands as a digest.
    ///
    /// # Errors
    /// `Actor` when an actor named by `issuer` has members that this server never writes; `Salt` without randomness.
    pub fn chain<'a>(&mut self, chain: &'a ActChain, issuer: &Issuer) -> Result<Vec<ActorRecord<'a>>, RecordReason> {
        chain.iter().map(|actor| self.actor(actor, issuer)).collect()
    }

    /// The digests of `acr`, `amr` and `auth_time` (RFC 9068 §2.2.1), as far as they are known.
    ///
    /// # Errors
    /// `Salt` without randomness.
    pub fn authentication(
        &mut self,
        acr: Option<&str>,
        amr: &[String],
        auth_time: Option<Time>,
    ) -> Result<Vec<Digest>, RecordReason> {
        let mut digests = Vec::new();
        if let Some(acr) = acr {
            digests.push(self.member("acr", acr)?);
        }
        if !amr.is_empty() {
            digests.push(self.member("amr", amr)?);
        }
        if let Some(time) = auth_time {
            digests.push(self.member("auth_time", &time.seconds())?);
        }
        digests.sort_unstable();
        Ok(digests)
    }

    /// The digest of the name that its issuer has for a workload, which stands in the record as an agent.
    ///
    /// # Errors
    /// `Salt` without randomness.
    pub fn attested(&mut self, name: &Subject) -> Result<Digest, RecordReason> {
        self.member("attested", name.as_str())
    }

    /// The digest of the `authorization_details`: what a client says of its intent may be personal.
    ///
    /// # Errors
    /// `Salt` without randomness; `Malformed` never.
    pub fn details(&mut self, intent: &Intent) -> Result<Digest, RecordReason> {
        let details: &RawValue = serde_json::from_str(intent.as_str()).map_err(|_| RecordReason::Malformed)?;
        self.member("authorization_details", details)
    }

    /// The digests of the subject's attributes, name and value of each. One that is a set (`name[]`) is one of its members' list.
    ///
    /// # Errors
    /// `Salt` without randomness.
    pub fn attributes(&mut self, attributes: &[(String, String)]) -> Result<AttributeDigests, RecordReason> {
        let (mut sd, mut sets) = (Vec::new(), BTreeMap::<&str, Vec<&str>>::new());
        for (name, value) in attributes {
            match name.strip_suffix("[]") {
                Some(set) => sets.entry(set).or_default().push(value),
                None => sd.push(self.member(name, value)?),
            }
        }
        for (name, members) in sets {
            sd.push(self.member(name, &members)?);
        }
        sd.sort_unstable();
        Ok(AttributeDigests { sd })
    }

    /// The disclosures of everything that was asked for.
    pub fn finish(mut self) -> Disclosures {
        if !self.json.is_empty() {
            self.json.push(b']');
        }
        Disclosures { json: self.json }
    }

    fn actor<'a>(&mut self, actor: &'a Actor, issuer: &Issuer) -> Result<ActorRecord<'a>, RecordReason> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct OwnActor<'a> {
            #[serde(borrow)]
            iss: Cow<'a, str>,
            #[serde(borrow)]
            sub: Cow<'a, str>,
            #[serde(borrow)]
            sub_profile: Option<Cow<'a, str>>,
            #[serde(borrow)]
            instance: Option<Cow<'a, str>>,
        }
        if actor.iss() != issuer.as_str() {
            let members: &RawValue = serde_json::from_str(actor.members()).map_err(|_| RecordReason::Malformed)?;
            return Ok(ActorRecord { hidden: Some(self.element(members)?), ..ActorRecord::default() });
        }
        let members: OwnActor<'a> = serde_json::from_str(actor.members()).map_err(|_| RecordReason::Actor)?;
        let OwnActor { iss, sub, sub_profile, instance } = members;
        Ok(ActorRecord { hidden: None, instance, iss: Some(iss), sub: Some(sub), sub_profile })
    }

    /// The digest under which the member `name` with `value` stands in a record (RFC 9901 §4.2.1).
    fn member(&mut self, name: &str, value: &(impl Serialize + ?Sized)) -> Result<Digest, RecordReason> {
        let salt = self.salt()?;
        self.add(&(salt.as_str(), name, value))
    }

    /// The digest under which an element of an array stands in a record (RFC 9901 §4.2.2).
    fn element(&mut self, value: &(impl Serialize + ?Sized)) -> Result<Digest, RecordReason> {
        let salt = self.salt()?;
        self.add(&(salt.as_str(), value))
    }

    fn add(&mut self, disclosure: &impl Serialize) -> Result<Digest, RecordReason> {
        let clear = Zeroizing::new(serde_json::to_vec(disclosure).map_err(|_| RecordReason::Malformed)?);
        let text = Zeroizing::new(URL_SAFE_NO_PAD.encode(clear.as_slice()));
        let opening = if self.json.is_empty() { b"[\"" } else { b",\"" };
        self.json.extend_from_slice(opening);
        self.json.extend_from_slice(text.as_bytes());
        self.json.push(b'"');
        Ok(Digest::of(text.as_bytes()))
    }

    fn salt(&mut self) -> Result<String, RecordReason> {
        if self.used == SALTS_PER_DRAW {
            (*self.salts, self.used) = (random()?, 0);
        }
        let salt = self.salts.chunks_exact(SALT_BYTES).nth(self.used).ok_or(RecordReason::Salt)?;
        self.used += 1;
        Ok(URL_SAFE_NO_PAD.encode(salt))
    }
}

impl Disclosures {
    /// One JSON array of strings; empty when nothing was disclosed. To be stored encrypted.
    pub fn into_json(self) -> Zeroizing<Vec<u8>> {
        self.json
    }

    /// True when the record has no personal value.
    pub fn is_empty(&self) -> bool {
        self.json.is_empty()
    }
}

impl Disclosure {
    /// Reads what [`Disclosures::into_json`] wrote. The digests are computed here: a disclosure belongs to a record only if its
    /// digest stands in it.
    ///
    /// # Errors
    /// `Malformed` when anything is not a disclosure.
    pub fn parse_all(json: &[u8]) -> Result<Vec<Self>, RecordReason> {
        if json.is_empty() {
            return Ok(Vec::new());
        }
        let texts: Vec<&str> = serde_json::from_slice(json).map_err(|_| RecordReason::Malformed)?;
        texts.into_iter().map(Self::parse).collect()
    }

    /// Reads one disclosure: `base64url([salt, name, value])`, or `[salt, value]` for an element of an array.
    ///
    /// # Errors
    /// `Malformed` when it is something else.
    pub fn parse(text: &str) -> Result<Self, RecordReason> {
        let json = URL_SAFE_NO_PAD.decode(text).map_err(|_| RecordReason::Malformed)?;
        let digest = Digest::of(text.as_bytes());
        if let Ok((_, name, value)) = serde_json::from_slice::<(String, String, Box<RawValue>)>(&json) {
            return Ok(Self { digest, name: Some(name), value });
        }
        let element = serde_json::from_slice::<(String, Box<RawValue>)>(&json).map_err(|_| RecordReason::Malformed)?;
        Ok(Self { digest, name: None, value: element.1 })
    }
}
