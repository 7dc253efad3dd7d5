//! Hops, tasks and revocations with every value that a record may hold.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::borrow::Cow;

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;
use serde_json::value::RawValue;

use super::super::*;
use crate::crypto::Digest;
use crate::oauth::{
    ActChain, ClientId, Confirmation, ExchangeMode, GenerationKey, GenerationKind, Issuer, ListId, Resource, RuleName, Scopes,
    ScopesOnApi, StatusPlace, Subject, TaskId, Time, is_printable,
};

pub(super) const ISSUER: &str = "https://sts.example";

/// Text that needs every kind of escaping that canonical JSON knows.
pub(super) fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{1,12}", "\\PC{0,12}", vec(any::<char>(), 0..8).prop_map(|chars| chars.into_iter().collect())]
}

/// Text of an actor, where every character can be seen.
fn seen() -> impl Strategy<Value = String> {
    text().prop_map(|text| text.chars().filter(|char| is_printable(char.encode_utf8(&mut [0; 4]))).collect())
}

pub(super) fn digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest)
}

pub(super) fn time() -> impl Strategy<Value = Time> {
    (0..=text::MILLIS_MAX).prop_map(Time::from_millis)
}

pub(super) fn agent() -> impl Strategy<Value = ClientId> {
    "[!-~]{1,20}".prop_map(|id| ClientId::parse(&id).unwrap())
}

pub(super) fn scopes() -> impl Strategy<Value = Scopes> {
    vec("[a-z.:]{1,9}", 0..4).prop_map(|names| names.iter().map(|name| crate::oauth::Scope::parse(name).unwrap()).collect())
}

pub(super) fn subject() -> impl Strategy<Value = Subject> {
    let rule = RuleName::parse("acme-idp").unwrap();
    prop_oneof![
        agent().prop_map(|id| Subject::agent(&id)),
        "secret-[a-z]{12}".prop_map(move |id| Subject::of_sealed(rule.clone(), &id))
    ]
}

pub(super) fn chain() -> impl Strategy<Value = ActChain> {
    let foreign = "secret-[a-z]{12}".prop_map(|sub| (false, sub));
    let ours = "[a-z]{3,9}".prop_map(|sub| (true, sub));
    vec((prop_oneof![foreign, ours], seen()), 0..4).prop_map(|actors| {
        let claim = actors.into_iter().fold(None, |inner: Option<Value>, ((ours, sub), extra)| {
            let mut act = match ours {
                true => serde_json::json!({"iss": ISSUER, "sub": sub, "sub_profile": "ai_agent", "instance": extra}),
                false => serde_json::json!({"iss": "https://idp.example", "sub": sub, "x": extra}),
            };
            if let Some(inner) = inner {
                act["act"] = inner;
            }
            Some(act)
        });
        let raw = claim.map(|claim| RawValue::from_string(claim.to_string()).unwrap());
        raw.map_or_else(ActChain::default, |raw| ActChain::parse(&raw, "https://idp.example").unwrap())
    })
}

/// The personal values of a hop, which its record holds by digest only.
#[derive(Clone, Debug)]
pub(super) struct Personal {
    pub(super) subject: Subject,
    pub(super) chain: ActChain,
    pub(super) acr: Option<String>,
    pub(super) amr: Vec<String>,
    pub(super) auth_time: Option<Time>,
    pub(super) attributes: Vec<(String, String)>,
}

/// A hop before its personal values are disclosed.
#[derive(Clone, Debug)]
pub(super) struct Hop {
    pub(super) shown: HopRecord<'static>,
    pub(super) personal: Personal,
}

impl Hop {
    pub(super) fn record(&self) -> Result<(Vec<u8>, Disclosures), RecordReason> {
        let Personal { subject, chain, acr, amr, auth_time, attributes } = &self.personal;
        let mut discloser = Discloser::default();
        let (sd, subject) = discloser.subject(subject, "")?;
        let chain = discloser.chain(chain, &issuer())?;
        let inputs = Inputs {
            sd: discloser.authentication(acr.as_deref(), amr, *auth_time)?,
            attributes: discloser.attributes(attributes)?,
            ..self.shown.inputs.clone()
        };
        let hop = HopRecord { sd, subject, chain, inputs, ..self.shown.clone() };
        Ok((hop.to_bytes()?, discloser.finish()))
    }
}

pub(super) fn issuer() -> Issuer {
    Issuer::parse(ISSUER).unwrap()
}

pub(super) fn personal() -> impl Strategy<Value = Personal> {
    let words = ("secret-[a-z]{12}", vec("secret-[a-z]{12}", 0..3), vec(("[a-z]{1,9}", "secret-[a-z]{12}"), 0..3));
    (subject(), chain(), words, time(), any::<bool>()).prop_map(|(subject, chain, (acr, amr, attributes), time, known)| {
        let (acr, auth_time) = (known.then_some(acr), known.then_some(time));
        Personal { subject, chain, acr, amr, auth_time, attributes }
    })
}

pub(super) fn inputs() -> impl Strategy<Value = Inputs<'static>> {
    (vec(text(), 0..3), scopes(), any::<bool>()).prop_map(|(touched, requested, known)| {
        let rule = known.then_some(Cow::Borrowed("acme-idp"));
        Inputs { rule, touched: touched.into(), requested, ..Inputs::default() }
    })
}

pub(super) fn hop() -> impl Strategy<Value = Hop> {
    let ids = (any::<[u8; 16]>(), any::<[u8; 16]>(), proptest::option::of(any::<[u8; 16]>()), 1u32..17, time(), time());
    let who = (agent(), agent(), proptest::option::of(text()), personal());
    let what = (vec("[a-z]{1,9}", 0..3), scopes(), digest(), text(), digest(), vec(text(), 0..3));
    let evidence = [(); 3].map(|()| proptest::option::of(digest()));
    let status = proptest::option::of((any::<[u8; 16]>(), any::<u32>()));
    (ids, who, what, evidence, inputs(), status).prop_map(|(ids, who, what, evidence, inputs, status)| {
        let shown = HopRecord {
            sd: vec![],
            actor: who.1,
            at: ids.4,
            audience: what.0.iter().map(|name| Resource::parse(&format!("https://{name}.example")).unwrap()).collect(),
            basis: ExchangeMode::Delegation,
            binding: Confirmations {
                issued: evidence[2].map(Confirmation::Dpop),
                subject: evidence[0].map(Confirmation::Certificate),
            },
            chain: vec![],
            client: who.0,
            depth: ids.3,
            evidence: Evidence {
                subject_token: evidence[0],
                actor_token: evidence[1],
                client_assertion: evidence[2],
                proof: evidence[1],
                reviews: evidence[0].into_iter().collect(),
            },
            expires: ids.5,
            handed_to: evidence[1].map(|_| "https://as.partner.example".into()),
            inputs,
            instance: who.2.map(Cow::Owned),
            jti: Jti::from_bytes(ids.0),
            kid: what.3.into(),
            kind: Kind::Hop,
            login: "private_key_jwt".into(),
            parent: ids.2.map(Jti::from_bytes),
            policies: what.5.into(),
            policy_set: what.4,
            scope: what.1,
            status: status.map(|(list, index)| StatusPlace { index, list: ListId::from_bytes(list) }),
            subject: None,
            task: ids.2.map(TaskId::from_bytes),
            token: what.2,
            txn: Txn::from_bytes(ids.1),
            v: VERSION,
        };
        Hop { shown, personal: who.3 }
    })
}

pub(super) fn death() -> impl Strategy<Value = RevocationRecord<'static>> {
    let end = (any::<[u8; 16]>(), proptest::option::of(text()), 1..1u64 << 53).prop_map(|(key, name, number)| RevocableRecord {
        key: GenerationKey(key),
        name: name.map(Cow::Owned),
        number,
        of: GenerationKind::Agent,
        txn: None,
    });
    (time(), proptest::option::of(time()), vec(end, 1..4), text()).prop_map(|(at, until, ends, reason)| {
        let (by, reason) = (Cow::Borrowed("ops"), Cow::Owned(reason));
        RevocationRecord { at, by, ends, kind: Kind::Death, reason, until, v: 1 }
    })
}

/// A task with much of what the hop has.
pub(super) fn opened<'a>(hop: &'a Hop, (budget, heartbeat): (u64, u64), purpose: &str) -> (TaskRecord<'a>, Vec<u8>, Disclosures) {
    let shown = hop.shown.clone();
    let mut discloser = Discloser::default();
    let (sd, subject) = discloser.subject(&hop.personal.subject, purpose).unwrap();
    let (api, scopes) = (Resource::parse("https://crm.example").unwrap(), Scopes::parse("b a").unwrap());
    let task = TaskRecord {
        sd,
        at: shown.at,
        authority: vec![AuthorityRecord::from(&ScopesOnApi { api, scopes })],
        budget,
        chain: discloser.chain(&hop.personal.chain, &issuer()).unwrap(),
        client: shown.client,
        data_classes: shown.inputs.touched,
        evidence: shown.evidence,
        expires: shown.expires,
        heartbeat: (heartbeat > 0).then_some(heartbeat),
        holder: shown.actor,
        hop: shown.parent,
        jti: shown.jti,
        kid: shown.kid,
        kind: Kind::Task,
        login: shown.login,
        parent: shown.task,
        policies: shown.policies,
        policy_set: shown.policy_set,
        subject,
        task: TaskId::from_bytes([7; 16]),
        terms: (budget % 2 == 0).then_some(shown.token),
        token: shown.token,
        txn: shown.txn,
        v: VERSION,
    };
    let bytes = task.to_bytes().unwrap();
    (task, bytes, discloser.finish())
}
