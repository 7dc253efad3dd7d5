#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests fail by panicking")]

mod samples;

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;
use serde_json::value::RawValue;

use super::*;
use crate::crypto::Digest;
use crate::oauth::{ActChain, ClientId, Resource, Time, Txn};
use samples::{ISSUER, Personal, agent, death, hop, issuer, opened, scopes, text, time};

/// The form that an independent implementation of RFC 8785 gives to this content.
fn canonical(bytes: &[u8]) -> Vec<u8> {
    serde_jcs::to_vec(&serde_json::from_slice::<Value>(bytes).unwrap()).unwrap()
}

/// Reads back as itself, byte for byte, and is what the other implementation writes.
fn assert_canonical(bytes: &[u8]) {
    assert_eq!(canonical(bytes), bytes, "{}", String::from_utf8_lossy(bytes));
    assert_eq!(Record::parse(bytes).unwrap().to_bytes().unwrap(), bytes);
}

proptest! {
    #[test]
    fn hops_are_canonical_and_read_back(hop in hop()) {
        let (bytes, _) = hop.record().unwrap();
        assert_canonical(&bytes);
        let Record::Hop(record) = Record::parse(&bytes).unwrap() else { panic!("a hop") };
        let shown = &hop.shown;
        assert_eq!((record.jti, record.txn, record.parent), (shown.jti, shown.txn, shown.parent));
        assert_eq!((record.at, record.expires, record.depth), (shown.at, shown.expires, shown.depth));
        assert_eq!((&record.client, &record.actor, &*record.audience), (&shown.client, &shown.actor, &*shown.audience));
        assert_eq!((record.token, record.policy_set, &*record.policies), (shown.token, shown.policy_set, &*shown.policies));
        assert_eq!(record.scope, shown.scope);
        let chain = &hop.personal.chain;
        assert_eq!(record.chain.len(), chain.len());
        for (shown, actor) in record.chain.iter().zip(chain.iter()) {
            assert_eq!(shown.sub.as_deref(), (actor.iss() == ISSUER).then_some(actor.sub()));
        }
    }

    #[test]
    fn personal_values_are_only_in_disclosures(hop in hop()) {
        let (bytes, disclosures) = hop.record().unwrap();
        let record = String::from_utf8(bytes).unwrap();
        prop_assert!(!record.contains("secret-"), "{record}");
        let disclosures = Disclosure::parse_all(&disclosures.into_json()).unwrap();
        for disclosure in &disclosures {
            prop_assert!(record.contains(&disclosure.digest.to_string()));
        }
        let named = |name: &str| disclosures.iter().find(|one| one.name.as_deref() == Some(name)).map(|one| one.value.get());
        let quoted = |text: &str| serde_json::to_string(text).unwrap();
        let Personal { subject, chain, acr, amr, attributes, .. } = &hop.personal;
        let subject = subject.rule().map(|_| quoted(subject.as_str()));
        prop_assert_eq!(named("subject"), subject.as_deref());
        let foreign = chain.iter().filter(|actor| actor.iss() != ISSUER).map(|actor| actor.members());
        let elements = disclosures.iter().filter(|one| one.name.is_none()).map(|one| one.value.get());
        prop_assert!(foreign.eq(elements));
        let personal = attributes.len() + usize::from(!amr.is_empty());
        let personal = personal + 2 * usize::from(acr.is_some()) + usize::from(subject.is_some());
        prop_assert_eq!(disclosures.iter().filter(|one| one.name.is_some()).count(), personal);
    }

    #[test]
    fn tasks_are_canonical_and_hide_what_is_personal(
        hop in hop(), numbers in (1..1u64 << 53, 0..1u64 << 53), words in "(secret-[a-z]{12})?",
    ) {
        let (task, bytes, disclosures) = opened(&hop, numbers, &words);
        assert_canonical(&bytes);
        let parsed = Record::parse(&bytes).unwrap();
        assert_eq!((parsed.kind(), parsed.jti(), parsed.txn()), (Kind::Task, Some(task.jti), Some(task.txn)));
        let Record::Task(record) = parsed else { panic!("a task") };
        assert_eq!((record.budget, record.heartbeat), (numbers.0, task.heartbeat));
        assert_eq!((&record.holder, record.hop, record.parent), (&task.holder, task.hop, task.parent));
        prop_assert!(!String::from_utf8(bytes.clone()).unwrap().contains("secret-"));
        let disclosures = Disclosure::parse_all(&disclosures.into_json()).unwrap();
        let purpose = disclosures.iter().find(|one| one.name.as_deref() == Some("purpose")).map(|one| one.value.get().to_owned());
        prop_assert_eq!(purpose, (!words.is_empty()).then(|| format!("\"{words}\"")));
    }

    #[test]
    fn the_same_hop_never_has_the_same_digests(hop in hop()) {
        let digests = || {
            let json = hop.record().unwrap().1.into_json();
            Disclosure::parse_all(&json).unwrap().iter().map(|one| one.digest).collect::<Vec<_>>()
        };
        let (one, other) = (digests(), digests());
        prop_assert!(one.iter().all(|digest| !other.contains(digest)));
    }

    #[test]
    fn deaths_withheld_and_refusals_are_canonical(
        death in death(), index in 0..1u64 << 53, ids in any::<([u8; 16], [u8; 16])>(), at in time(), agent in agent(),
        words in text(), suppressed in 0..1u64 << 53, scopes in scopes(), policies in vec(text(), 0..3),
    ) {
        assert_canonical(&Record::Revocation(death.clone()).to_bytes().unwrap());
        let (jti, txn) = (Jti::from_bytes(ids.0), Txn::from_bytes(ids.1));
        let things: Vec<_> = death.ends.into_iter().map(|end| RevocableRecord { txn: Some(txn), ..end }).collect();
        for kind in [Kind::Suspension, Kind::Resumption, Kind::Retirement] {
            let holding = Record::StatusChange(StatusChangeRecord::new(at, "ops", kind, &words, things.clone()));
            assert_canonical(&holding.to_bytes().unwrap());
            assert_eq!((holding.kind(), holding.txn()), (kind, Some(txn)));
        }
        assert_canonical(&Record::Withheld(WithheldRecord::new(at, index, jti, txn)).to_bytes().unwrap());
        let refusal = RefusalRecord {
            txn: Some(txn), parent: Some(jti), audience: vec![Resource::parse("https://a.example").unwrap()], requested: scopes,
            policies: policies.into(), policy_set: Some(Digest([7; 32])), suppressed,
            ..RefusalRecord::new(agent, at, "invalid_scope", words.clone(), words)
        };
        assert_canonical(&refusal.fitted().unwrap());
    }

    #[test]
    fn no_bytes_make_the_parser_panic_or_accept_another_form(
        bytes in vec(any::<u8>(), 0..200), hop in hop(), at in any::<usize>(),
    ) {
        let _refused = Record::parse(&bytes);
        let (record, _) = hop.record().unwrap();
        let mut changed = record.clone();
        let position = at % changed.len();
        changed.insert(position, b' ');
        if let Ok(other) = Record::parse(&changed) {
            // A space inside a string is another record, but still a canonical one.
            prop_assert_eq!(canonical(&other.to_bytes().unwrap()), changed);
        }
    }

    #[test]
    fn a_hop_is_read_in_one_pass_and_only_in_its_canonical_form(
        hop in hop(), at in any::<usize>(), cut in 0..3usize, splice in prop::sample::select(SPLICES),
    ) {
        let (record, _) = hop.record().unwrap();
        prop_assert_eq!(Record::read_hop(&record).unwrap().to_bytes().unwrap(), record.clone());
        let start = at % record.len();
        let changed = [&record[..start], splice.as_bytes(), &record[(start + cut).min(record.len())..]].concat();
        if let Some(other) = Record::read_hop(&changed) {
            prop_assert_eq!(&other.to_bytes().unwrap(), &changed);
            prop_assert_eq!(canonical(&changed), changed);
        }
    }
}

/// Bytes that may make a canonical form another one.
const SPLICES: &[&str] = &[
    "",
    " ",
    "\n",
    ",",
    "\"",
    "\\",
    "\\\"",
    "\\/",
    "\\u0061",
    "\\u000a",
    "\\n",
    "\\u001F",
    "\\u001f",
    "\\u0000",
    "\\ud83d",
    "0",
    "-",
    "-0",
    "00",
    "1.0",
    "1e3",
    "[]",
    "{}",
    "null",
    "false",
    "true",
    "\"audience\":[],",
    "\"sub\":\"x\",",
    "\"v\":1,",
    "A",
    "\u{0}",
    "é",
    "}",
    "]",
];

#[test]
fn a_hop_in_another_form_is_not_canonical() {
    let hop = SCHEMA.lines().find(|line| line.starts_with('{') && line.contains(r#""kind":"hop""#)).unwrap();
    for (from, to) in [
        (r#"{"_sd""#, r#"{ "_sd""#),
        (r#""actor":"#, r#""actor" :"#),
        (r#""actor":"#, r#""\u0061ctor":"#),
        (r#""kind":"hop""#, r#""kind":"h\u006fp""#),
        (r#""depth":"#, r#""chain":[],"depth":"#),
        (r#""v":1}"#, "\"v\":1}\n"),
    ] {
        let changed = hop.replacen(from, to, 1);
        assert_ne!(changed, hop, "{to}");
        assert!(Record::read_hop(changed.as_bytes()).is_none(), "{to}");
        let reason = Record::parse(changed.as_bytes()).unwrap_err();
        assert!(matches!(reason, RecordReason::NotCanonical | RecordReason::Malformed), "{to}: {reason}");
    }
    assert!(Record::read_hop(hop.as_bytes()).is_some());
}

const WITHHELD: &str = concat!(
    r#"{"at":1700000000000,"index":7,"jti":"0190163d-8694-739b-aea5-966c26f8ad91","kind":"withheld","#,
    r#""txn":"0190163d-8694-739b-aea5-966c26f8ad90","v":1}"#
);

#[test]
fn only_the_canonical_form_of_known_members_is_a_record() {
    assert_eq!(Record::parse(WITHHELD.as_bytes()).unwrap().kind(), Kind::Withheld);
    for (from, to, reason) in [
        (r#"{"at":"#, r#"{ "at":"#, RecordReason::NotCanonical),
        (r#""v":1}"#, "\"v\":1}\n", RecordReason::NotCanonical),
        (r#""index":7,"#, r#""index":7.0,"#, RecordReason::Malformed),
        (r#""index":7,"#, r#""index":-0,"#, RecordReason::Malformed),
        (r#""index":7,"#, r#""index":9007199254740992,"#, RecordReason::Malformed),
        (r#""index":7,"#, r#""index":7,"index":7,"#, RecordReason::Malformed),
        (r#""index":7,"#, "", RecordReason::Malformed),
        (r#""index":7,"#, r#""index":7,"note":"x","#, RecordReason::Malformed),
        (r#""at":1700000000000,"index":7"#, r#""index":7,"at":1700000000000"#, RecordReason::NotCanonical),
        (r#""kind""#, r#""\u006bind""#, RecordReason::NotCanonical),
        ("1700000000000", "253402300800000", RecordReason::Malformed),
        ("1700000000000", "-1", RecordReason::Malformed),
        (r#""kind":"withheld""#, r#""kind":"hop""#, RecordReason::Malformed),
        (r#""kind":"withheld""#, r#""kind":"mystery""#, RecordReason::Malformed),
        (r#""kind":"withheld""#, r#""kind":"Withheld""#, RecordReason::Malformed),
        (r#""v":1"#, r#""v":2"#, RecordReason::Version),
        ("f8ad91", "F8AD91", RecordReason::Malformed),
        ("withheld", "with\u{fffd}held", RecordReason::Malformed),
    ] {
        assert_ne!(WITHHELD.replacen(from, to, 1), WITHHELD, "{to}");
        assert_eq!(Record::parse(WITHHELD.replacen(from, to, 1).as_bytes()), Err(reason), "{to}");
    }
    for other in ["", "null", "[]", "{}", "\u{feff}{}", "\"hop\""] {
        assert_eq!(Record::parse(other.as_bytes()), Err(RecordReason::Malformed), "{other}");
    }
}

#[test]
fn a_hop_and_a_death_keep_the_rules_of_the_schema() {
    let example = |kind: &str| SCHEMA.lines().find(|line| line.starts_with('{') && line.contains(kind)).unwrap();
    let (hop, death) = (example(r#""kind":"hop""#), example(r#""kind":"death""#));
    let task = example(r#""kind":"task""#);
    let (suspension, retirement) = (example(r#""kind":"suspension""#), example(r#""kind":"retirement""#));
    let sd = r#""_sd":["uutlBuYeMDyjLLTpf6Jxi7yNkEF35jdyWMn9U7b_RYY"]"#;
    for (record, from, to, reason) in [
        (hop, sd, r#""_sd":[]"#, RecordReason::NotCanonical),
        (hop, &format!("{sd},"), "", RecordReason::Malformed),
        (hop, r#""token":"#, r#""subject":"a","token":"#, RecordReason::Malformed),
        (hop, "_RYY\"]", "_RYY\",\"uutlBuYeMDyjLLTpf6Jxi7yNkEF35jdyWMn9U7b_RYc\"]", RecordReason::Malformed),
        (hop, "_RYY", "_RYZ", RecordReason::Malformed),
        (hop, r#""basis":"delegation""#, r#""basis":"whim""#, RecordReason::Malformed),
        (hop, r#""depth":1"#, r#""depth":0"#, RecordReason::Malformed),
        (hop, r#""sub":"orchestrator","#, "", RecordReason::Malformed),
        (hop, r#"[{"iss""#, r#"[{"...":"47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU","iss""#, RecordReason::Malformed),
        (hop, r#""kid":"k1","#, r#""kid":"k1","kid":"k1","#, RecordReason::Malformed),
        (hop, r#""scope":"contacts.read""#, r#""scope":"b a""#, RecordReason::Malformed),
        (hop, r#""scope":"contacts.read""#, r#""scope":null"#, RecordReason::Malformed),
        (death, r#""number":1"#, r#""number":0"#, RecordReason::Malformed),
        (death, r#""of":"agent""#, r#""of":"ghost""#, RecordReason::Malformed),
        (task, r#""budget":100"#, r#""budget":0"#, RecordReason::Malformed),
        (task, r#""heartbeat":60"#, r#""heartbeat":0"#, RecordReason::Malformed),
        (task, r#""scope":"contacts.read""#, r#""scope":"a a""#, RecordReason::Malformed),
        (task, r#""task":"018b"#, r#""subject":"a","subject":"b","task":"018b"#, RecordReason::Malformed),
        (task, r#""kind":"task""#, r#""kind":"hop""#, RecordReason::Malformed),
        (task, r#""holder":"orchestrator","#, "", RecordReason::Malformed),
        (retirement, r#""number":1"#, r#""number":0"#, RecordReason::Malformed),
        (retirement, r#""kind":"retirement""#, r#""kind":"death""#, RecordReason::Malformed),
        (suspension, r#""number":0,"#, "", RecordReason::Malformed),
        (suspension, r#""things":[{"#, r#""things":[],"x":[{"#, RecordReason::Malformed),
    ] {
        assert_ne!(record.replacen(from, to, 1), record, "{to}");
        assert_eq!(Record::parse(record.replacen(from, to, 1).as_bytes()).map(|_| ()), Err(reason), "{to}");
    }
}

#[test]
fn a_record_has_at_most_65_535_bytes_and_a_refusal_1_024() {
    let mut refusal = RefusalRecord {
        audience: vec![Resource::parse(&format!("https://a/{}", "x".repeat(2000))).unwrap()],
        suppressed: 3,
        ..RefusalRecord::new(ClientId::parse("a").unwrap(), Time::from_millis(1), "invalid_scope", "e".into(), "r".into())
    };
    let bytes = refusal.fitted().unwrap();
    assert_canonical(&bytes);
    let Record::Refusal(record) = Record::parse(&bytes).unwrap() else { panic!("a refusal") };
    assert_eq!((record.abridged, record.suppressed, record.audience.len()), (true, 3, 0));
    let names: Vec<String> = (0..60).map(|at| format!("scope-of-some-length-{at}")).collect();
    refusal.requested = crate::oauth::Scopes::parse(&names.join(" ")).unwrap();
    refusal.audience = vec![Resource::parse("https://a.example").unwrap()];
    let bytes = refusal.fitted().unwrap();
    let Record::Refusal(record) = Record::parse(&bytes).unwrap() else { panic!("a refusal") };
    assert!(record.abridged && record.requested.is_empty() && record.audience == refusal.audience, "what decided stays");
    refusal.reason = "r".repeat(2000).into();
    assert_eq!(refusal.fitted(), Err(RecordReason::Long));
    let long = format!(r#"{{"at":1,"by":"{}""#, "x".repeat(RECORD_BYTES_MAX));
    assert_eq!(Record::parse(long.as_bytes()), Err(RecordReason::Long));
}

#[test]
fn an_actor_of_ours_with_members_that_we_never_write_is_refused() {
    let act = RawValue::from_string(r#"{"iss":"https://sts.example","sub":"a","email":"x"}"#.into()).unwrap();
    let chain = ActChain::parse(&act, ISSUER).unwrap();
    assert_eq!(Discloser::default().chain(&chain, &issuer()).unwrap_err(), RecordReason::Actor);
}

/// RFC 9901 §4.2.1: the disclosure of its example, and the digest that §4.2.3 gives for it.
#[test]
fn a_disclosure_has_the_digest_that_the_specification_gives() {
    let text = "WyI2cU1RdlJMNWhhaiIsICJmYW1pbHlfbmFtZSIsICJNw7ZiaXVzIl0";
    let disclosure = Disclosure::parse(text).unwrap();
    assert_eq!(disclosure.digest.to_string(), "uutlBuYeMDyjLLTpf6Jxi7yNkEF35jdyWMn9U7b_RYY");
    assert_eq!((disclosure.name.as_deref(), disclosure.value.get()), (Some("family_name"), r#""Möbius""#));
}

const SCHEMA: &str = include_str!("../../../docs/records.md");

#[test]
fn the_examples_of_the_schema_are_records() {
    let examples: Vec<Record<'_>> = SCHEMA
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| Record::parse(line.as_bytes()).unwrap_or_else(|reason| panic!("{reason}: {line}")))
        .collect();
    let kinds: Vec<Kind> = examples.iter().map(Record::kind).collect();
    assert_eq!(
        kinds,
        [
            Kind::Hop,
            Kind::Task,
            Kind::Refusal,
            Kind::Withheld,
            Kind::Death,
            Kind::Suspension,
            Kind::Resumption,
            Kind::Retirement,
            Kind::Configuration,
            Kind::Key,
            Kind::Epoch,
            Kind::Retention,
            Kind::Retention,
            Kind::Retention,
            Kind::State,
        ]
    );
}

/// Wherever it stands among the eight bytes that are looked at together, and whatever stands beside it.
#[test]
fn a_character_that_needs_an_escape_ends_a_string_wherever_it_stands() {
    for (byte, at, length) in (0..=0x7f_u8).flat_map(|byte| (0..18).map(move |at| (byte, at, 18))) {
        for beside in ["a", "\u{7f}", "é"] {
            let mut inner: Vec<char> = beside.repeat(length).chars().collect();
            inner[at] = char::from(byte);
            let text: String = inner.iter().collect();
            let read = super::canonical::from_str::<String>(&format!("\"{text}\"")).ok();
            let plain = byte >= 0x20 && !matches!(byte, b'"' | b'\\');
            assert_eq!(read, plain.then(|| text.clone()), "{byte:#x} at {at}");
        }
    }
}
