#![allow(clippy::indexing_slicing, reason = "tests fail by panicking")]

use super::*;
use crate::crypto::Digest;

fn key(name: &str) -> Digest {
    Digest::of(name.as_bytes())
}

fn dpop(name: &str) -> Option<Confirmation> {
    Some(Confirmation::Dpop(key(name)))
}

fn certificate(name: &str) -> Option<Confirmation> {
    Some(Confirmation::Certificate(key(name)))
}

fn proven(dpop: &str, certificate: &str) -> ProvenKeys {
    let named = |name: &str| Some(key(name)).filter(|_| !name.is_empty());
    ProvenKeys::for_tests(named(dpop), named(certificate))
}

/// A question about an unbound subject token of a client without wishes, for an API without wishes.
fn question(proven: &ProvenKeys) -> ConstraintInputs<'_> {
    ConstraintInputs {
        subject: None,
        actor: None,
        attestation: None,
        task: false,
        proven,
        mode: ExchangeMode::Continuation,
        login: AuthMethod::PrivateKeyJwt,
        agent: BoundTokens::default(),
        apis: Constraints::default(),
    }
}

fn issued(question: &ConstraintInputs<'_>) -> Result<Option<Confirmation>, BindingReason> {
    question.decide().map(|bound| bound.issued)
}

const REQUIRED: Constraints = Constraints { required: true, refused: false };
const BEARER_ONLY: Constraints = Constraints { required: false, refused: true };

#[test]
fn a_proof_binds_and_a_certificate_alone_does_not() {
    // RFC 9449 §5: the token is bound to the key of the proof. RFC 8705 §3.4: to a certificate where the client asks for that.
    assert_eq!(issued(&question(&proven("", ""))), Ok(None));
    assert_eq!(issued(&question(&proven("k", ""))), Ok(dpop("k")));
    assert_eq!(issued(&question(&proven("", "c"))), Ok(None));
    assert_eq!(issued(&question(&proven("k", "c"))), Ok(dpop("k")));
}

#[test]
fn a_bound_subject_token_needs_its_holders_proof() {
    // Negative test 34.
    let with = |subject, proven: &ProvenKeys| issued(&ConstraintInputs { subject, ..question(proven) });
    let subject_key = |kind, other| Err(BindingReason::SubjectKey(MissingProof { kind, other }));
    assert_eq!(with(dpop("k"), &proven("k", "")), Ok(dpop("k")));
    assert_eq!(with(dpop("k"), &proven("", "")), subject_key(ConfirmationMethod::Dpop, false));
    assert_eq!(with(dpop("k"), &proven("other", "")), subject_key(ConfirmationMethod::Dpop, true));
    assert_eq!(with(dpop("k"), &proven("", "k")), subject_key(ConfirmationMethod::Dpop, false));
    assert_eq!(with(certificate("c"), &proven("", "c")), Ok(certificate("c")));
    assert_eq!(with(certificate("c"), &proven("c", "")), subject_key(ConfirmationMethod::Certificate, false));
    assert_eq!(with(certificate("c"), &proven("c", "d")), subject_key(ConfirmationMethod::Certificate, true));
    // Who proves the certificate may go on under the key of the proof that came with it.
    assert_eq!(with(certificate("c"), &proven("k", "c")), Ok(dpop("k")));
}

#[test]
fn a_direct_credential_rebinds_to_the_next_holders_key() {
    let with =
        |actor, proven: &ProvenKeys| issued(&ConstraintInputs { subject: dpop("k"), actor: Some(actor), ..question(proven) });
    assert_eq!(with(None, &proven("next", "")), Ok(dpop("next")));
    assert_eq!(with(None, &proven("", "c")), Ok(certificate("c")));
    assert_eq!(with(None, &proven("", "")), Err(BindingReason::NextKey));
    assert_eq!(with(dpop("next"), &proven("next", "")), Ok(dpop("next")));
    assert_eq!(
        with(dpop("next"), &proven("k", "")),
        Err(BindingReason::ActorKey(MissingProof { kind: ConfirmationMethod::Dpop, other: true }))
    );
    assert_eq!(with(certificate("c"), &proven("", "c")), Ok(certificate("c")));
}

#[test]
fn a_bound_actor_token_counts_with_its_own_proof_only() {
    let with = |proven: &ProvenKeys| issued(&ConstraintInputs { actor: Some(dpop("a")), ..question(proven) });
    assert_eq!(with(&proven("a", "")), Ok(dpop("a")));
    assert_eq!(
        with(&proven("", "")),
        Err(BindingReason::ActorKey(MissingProof { kind: ConfirmationMethod::Dpop, other: false }))
    );
}

#[test]
fn what_is_issued_on_a_bound_login_is_bound() {
    let with =
        |agent, proven: &ProvenKeys| issued(&ConstraintInputs { attestation: certificate("c"), agent, ..question(proven) });
    assert_eq!(with(BoundTokens::default(), &proven("", "c")), Ok(certificate("c")));
    assert_eq!(with(BoundTokens::default(), &proven("k", "c")), Ok(dpop("k")));
    let dpop_only = BoundTokens { dpop: true, certificate: false };
    assert_eq!(with(dpop_only, &proven("", "c")), Err(BindingReason::Agent(dpop_only)));
    let apis = BEARER_ONLY;
    let refused = ConstraintInputs { attestation: dpop("k"), apis, ..question(&proven("k", "")) }.decide().map(|_| ());
    assert_eq!(refused, Err(BindingReason::ApiRefuses { inherited: true }));
}

#[test]
fn an_apis_own_agent_rebinds_what_it_was_handed() {
    let with = |login, proven: &ProvenKeys| {
        issued(&ConstraintInputs { subject: dpop("k"), mode: ExchangeMode::OnBehalfOf, login, ..question(proven) })
    };
    assert_eq!(with(AuthMethod::PrivateKeyJwt, &proven("next", "")), Ok(dpop("next")));
    assert_eq!(with(AuthMethod::PrivateKeyJwt, &proven("", "")), Err(BindingReason::NextKey));
    let refused = Err(BindingReason::SubjectKey(MissingProof { kind: ConfirmationMethod::Dpop, other: true }));
    assert_eq!(with(AuthMethod::SecretBasic, &proven("next", "")), refused);
    assert_eq!(with(AuthMethod::SecretPost, &proven("next", "")), refused);
}

#[test]
fn what_is_issued_in_a_task_that_was_opened_with_a_bound_token_is_bound() {
    let with = |proven: &ProvenKeys| issued(&ConstraintInputs { task: true, ..question(proven) });
    assert_eq!(with(&proven("", "")), Err(BindingReason::NextKey));
    assert_eq!(with(&proven("k", "")), Ok(dpop("k")));
    assert_eq!(with(&proven("", "c")), Ok(certificate("c")));
}

#[test]
fn an_agent_whose_tokens_must_be_bound_never_gets_another() {
    // RFC 9449 §5.2, RFC 8705 §3.4.
    let with = |dpop, certificate, proven: &ProvenKeys| {
        issued(&ConstraintInputs { agent: BoundTokens { dpop, certificate }, ..question(proven) })
    };
    let agent = |dpop, certificate| Err(BindingReason::Agent(BoundTokens { dpop, certificate }));
    assert_eq!(with(true, false, &proven("k", "")), Ok(dpop("k")));
    assert_eq!(with(true, false, &proven("", "c")), agent(true, false));
    assert_eq!(with(true, false, &proven("", "")), agent(true, false));
    assert_eq!(with(false, true, &proven("", "c")), Ok(certificate("c")));
    assert_eq!(with(false, true, &proven("", "")), agent(false, true));
    assert_eq!(with(false, true, &proven("k", "c")), Err(BindingReason::AgentCertificate));
    assert_eq!(with(true, true, &proven("k", "c")), Ok(dpop("k")));
    assert_eq!(with(true, true, &proven("", "c")), Ok(certificate("c")));
    assert_eq!(with(true, true, &proven("", "")), agent(true, true));
}

#[test]
fn an_api_says_what_it_takes() {
    let with = |apis, proven: &ProvenKeys| issued(&ConstraintInputs { apis, ..question(proven) });
    assert_eq!(with(REQUIRED, &proven("k", "")), Ok(dpop("k")));
    assert_eq!(with(REQUIRED, &proven("", "c")), Ok(certificate("c")));
    assert_eq!(with(REQUIRED, &proven("", "")), Err(BindingReason::ApiRequires));
    assert_eq!(with(BEARER_ONLY, &proven("", "")), Ok(None));
    assert_eq!(with(BEARER_ONLY, &proven("", "c")), Ok(None));
    assert_eq!(with(BEARER_ONLY, &proven("k", "")), Err(BindingReason::ApiRefuses { inherited: false }));
    let inherited = ConstraintInputs { subject: dpop("k"), apis: BEARER_ONLY, ..question(&proven("k", "")) }.decide().map(|_| ());
    assert_eq!(inherited, Err(BindingReason::ApiRefuses { inherited: true }));
    let both: Constraints = [ConstraintRequirement::Required, ConstraintRequirement::None].into_iter().collect();
    assert_eq!(with(both, &proven("k", "")), Err(BindingReason::ApiRefuses { inherited: false }));
    assert_eq!(with(both, &proven("", "")), Err(BindingReason::ApiRequires));
}

/// Every combination: nothing that comes in bound leaves unbound, nothing is bound to a key that was not proved, and the type of
/// the token says what it is.
#[test]
fn no_combination_strips_a_binding() {
    let bindings = [None, dpop("k"), dpop("a"), certificate("c")];
    let proofs = ["", "k", "a", "x"];
    let flags = [false, true];
    let mut issued_bound = 0;
    for (subject, actor) in bindings.iter().flat_map(|subject| bindings.iter().map(move |actor| (*subject, *actor))) {
        for (key_proved, certificate_proved) in proofs.iter().flat_map(|one| ["", "c", "d"].map(|other| (*one, other))) {
            let proven = proven(key_proved, certificate_proved);
            for bits in 0..=255_u8 {
                let flag = |bit: u8| flags[usize::from(bits >> bit & 1)];
                let question = ConstraintInputs {
                    subject,
                    actor: (actor.is_some() || flag(0)).then_some(actor),
                    mode: if flag(1) { ExchangeMode::OnBehalfOf } else { ExchangeMode::Continuation },
                    login: if flag(2) { AuthMethod::SecretPost } else { AuthMethod::SpiffeJwt },
                    agent: BoundTokens { dpop: flag(3), certificate: flag(4) },
                    apis: Constraints { required: flag(5), refused: false },
                    task: flag(6),
                    attestation: certificate("c").filter(|_| flag(7)),
                    ..self::question(&proven)
                };
                let Ok(bound) = question.decide() else { continue };
                assert!(bound.issued.is_some() || (subject.is_none() && actor.is_none()), "stripped");
                assert!(bound.issued.is_some() || !(flag(3) || flag(4) || flag(5) || flag(6) || flag(7)), "unbound");
                assert!(bound.issued.is_none_or(|binding| proven.holds(&binding)), "bound to a key that nobody proved");
                assert!(bound.issued.is_some() || key_proved.is_empty(), "a proof that was not honoured");
                assert_eq!(bound.token_type() == "DPoP", matches!(bound.issued, Some(Confirmation::Dpop(_))));
                issued_bound += u32::from(bound.issued.is_some());
            }
        }
    }
    assert!(issued_bound > 500);
}

#[test]
fn the_strictest_api_of_an_audience_counts_wherever_it_stands() {
    use ConstraintRequirement::{None, Optional, Required};
    let all = |apis: [ConstraintRequirement; 2]| -> (bool, bool) {
        let all: Constraints = apis.into_iter().collect();
        (all.required, all.refused)
    };
    for (one, both) in [(Required, (true, false)), (None, (false, true)), (Optional, (false, false))] {
        assert_eq!([all([one, Optional]), all([Optional, one])], [both; 2], "{one:?}");
    }
}

#[test]
fn what_the_subject_token_was_bound_to_is_kept_for_the_record() {
    let key = proven("next", "");
    let question = ConstraintInputs { subject: dpop("k"), actor: Some(Option::None), ..question(&key) };
    let bound = question.decide().map(|bound| (bound.issued(), bound.subject()));
    assert_eq!(bound, Ok((dpop("next"), dpop("k"))));
}

/// RFC 9449 §5: `invalid_dpop_proof` where a proof is missing or wrong, and nowhere else.
#[test]
fn only_a_proof_that_is_missing_or_wrong_is_one() {
    let kind = |reason: BindingReason| reason.is_proof();
    assert!(kind(BindingReason::NextKey) && kind(BindingReason::ApiRequires));
    assert!(kind(BindingReason::SubjectKey(MissingProof { kind: ConfirmationMethod::Dpop, other: false })));
    assert!(kind(BindingReason::Agent(BoundTokens { dpop: true, certificate: true })));
    assert!(!kind(BindingReason::Agent(BoundTokens { dpop: false, certificate: true })));
    assert!(!kind(BindingReason::SubjectKey(MissingProof { kind: ConfirmationMethod::Certificate, other: true })));
    assert!(!kind(BindingReason::AgentCertificate) && !kind(BindingReason::ApiRefuses { inherited: false }));
}

#[test]
fn sentences_are_printable_and_name_what_would_help() {
    let bound = |dpop, certificate| BindingReason::Agent(BoundTokens { dpop, certificate });
    let reasons = [
        BindingReason::SubjectKey(MissingProof { kind: ConfirmationMethod::Dpop, other: false }),
        BindingReason::SubjectKey(MissingProof { kind: ConfirmationMethod::Certificate, other: true }),
        BindingReason::ActorKey(MissingProof { kind: ConfirmationMethod::Dpop, other: true }),
        BindingReason::NextKey,
        bound(true, false),
        bound(false, true),
        bound(true, true),
        BindingReason::AgentCertificate,
        BindingReason::ApiRequires,
        BindingReason::ApiRefuses { inherited: true },
        BindingReason::ApiRefuses { inherited: false },
    ];
    for reason in reasons {
        let sentence = reason.to_string();
        assert!(sentence.is_ascii() && !sentence.contains(['"', '\\']) && sentence.len() < 400, "{sentence}");
        // Of the actor token alone no more can be said than which key was expected; all others end in what would help.
        let help = sentence.rsplit_once("; ").map_or("", |(_, help)| help);
        let begins =
            ["prove that key", "send a DPoP header", "connect with", "leave out the DPoP header", "have sender_constraint"];
        let expected = matches!(reason, BindingReason::ActorKey(_)) && sentence.contains(" was expected ");
        assert!(expected || begins.iter().any(|words| help.starts_with(words)), "{sentence}");
    }
}
