#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::SanType;

use super::super::{Roots, TlsRole, X509Reason, lead, refusals, validate};
use super::*;
use crate::x509::testing::{Authority, NOW, ca, params, root};

/// The outcome of a chain, and how many signatures it cost.
fn cost(roots: &Roots, chain: &[Vec<u8>]) -> (Result<(), X509Reason>, u32) {
    let budget = SignatureBudget::default();
    let outcome = lead(roots, chain, NOW, TlsRole::Client, &budget);
    (outcome, budget.checked())
}

fn leaf(of: &Authority) -> Vec<u8> {
    let mut leaf = params("web");
    leaf.subject_alt_names = vec![SanType::DnsName("web.example".try_into().unwrap())];
    of.issue(&leaf)
}

/// As many authorities of one name as a chain has room for, each self-made.
fn namesakes(name: &str) -> Vec<Vec<u8>> {
    (1..super::super::CHAIN_MAX).map(|_| root(name).der).collect()
}

#[test]
fn self_made_chains_cost_a_few_signatures_whatever_they_name() {
    let (ours, theirs) = (root("root"), root("root"));
    let chain: Vec<_> = std::iter::once(leaf(&theirs)).chain(namesakes("root")).collect();
    assert_eq!(cost(&ours.roots(), &chain), (Err(X509Reason::Path), WRONG_MAX), "all bear the name of the root");
    let chain: Vec<_> = std::iter::once(leaf(&root("x"))).chain(namesakes("x")).collect();
    assert_eq!(cost(&ours.roots(), &chain), (Err(X509Reason::Path), 0), "no name leads to the root");
    // Below a genuine authority too, whose certificate everybody has.
    let genuine = ours.authority(ca("middle"));
    let forged: Vec<_> = [leaf(&root("middle")), genuine.der.clone()].into_iter().chain(namesakes("middle")).take(8).collect();
    let (outcome, checked) = cost(&ours.roots(), &forged);
    assert!(outcome == Err(X509Reason::Path) && checked <= 3 * WRONG_MAX, "{checked}");
}

#[test]
fn many_namesakes_are_looked_at_a_bounded_number_of_times() {
    let ours = root("root");
    for name in ["root", "x"] {
        let namesakes = namesakes(name);
        let others: Vec<Issuing<'_>> = namesakes.iter().filter_map(|der| Issuing::read(der)).collect();
        let issuer = &others.first().unwrap().subject;
        let roots = ours.roots();
        let mut search = Search { others: &others, roots: &roots.anchors, steps: 0, found: Vec::new() };
        search.walk(issuer, &mut Vec::new());
        assert!(search.steps <= STEPS_MAX && search.found.len() <= PATHS_MAX, "{name}: {} steps", search.steps);
    }
}

#[test]
fn honest_chains_cost_as_many_signatures_as_they_are_long() {
    let root = root("root");
    let middle = root.authority(ca("middle"));
    let lower = middle.authority(ca("lower"));
    let web = leaf(&lower);
    for chain in [
        vec![web.clone(), lower.der.clone(), middle.der.clone()],
        vec![web.clone(), root.der.clone(), middle.der.clone(), lower.der.clone()],
    ] {
        assert_eq!(cost(&root.roots(), &chain), (Ok(()), 3));
    }
    assert_eq!(cost(&root.roots(), &[web, middle.der]), (Err(X509Reason::Path), 0));
}

/// RFC 4210 §4.4: who trusts the old root alone finds the new one by a certificate of the same name.
#[test]
fn a_root_that_was_renewed_is_found_by_the_old_one() {
    let old = root("root");
    let new = old.authority(ca("root"));
    assert_eq!(cost(&old.roots(), &[leaf(&new), new.der.clone()]).0, Ok(()));
    let below = new.authority(ca("middle"));
    assert_eq!(cost(&old.roots(), &[leaf(&below), below.der.clone(), new.der]).0, Ok(()));
}

/// Of two certificates of one authority, each from another root, the one counts whose root is trusted.
#[test]
fn an_authority_that_two_roots_vouch_for_is_found_by_either() {
    let (one, other, key) = (root("one"), root("other"), rcgen::KeyPair::generate().unwrap());
    let (by_one, by_other) = (one.issue_for(&ca("shared"), &key), other.issue_for(&ca("shared"), &key));
    let shared = Authority::with_key(ca("shared"), key, by_one.clone());
    let chain = [leaf(&shared), by_one, by_other];
    assert_eq!([cost(&one.roots(), &chain), cost(&other.roots(), &chain)], [(Ok(()), 2), (Ok(()), 2)]);
}

#[test]
fn a_refused_chain_costs_nothing_for_a_minute_and_other_roots_ask_anew() {
    let (ours, theirs) = (root("root"), root("root"));
    let (roots, chain) = (ours.roots(), [leaf(&theirs)]);
    let (identity, later) = (refusals::identity(&chain), |seconds: u64| NOW.plus(std::time::Duration::from_secs(seconds)));
    assert_eq!(validate(&roots, &chain, NOW, TlsRole::Client).err(), Some(X509Reason::Path));
    let known = |roots: &Roots, seconds: u64| roots.refused.of(&identity, later(seconds));
    assert_eq!([known(&roots, 0), known(&roots, 59), known(&roots, 60)], [Some(X509Reason::Path), Some(X509Reason::Path), None]);
    assert_eq!(known(&ours.roots(), 0), None);
    assert_eq!(known(&roots.clone().under(ours.revoke(&[])), 0), None);
    let unnamed = [leaf(&root("x"))];
    assert!(validate(&roots, &unnamed, NOW, TlsRole::Client).is_err());
    assert_eq!(roots.refused.of(&refusals::identity(&unnamed), NOW), None, "it cost nothing");
}

#[test]
fn a_bounded_number_of_refusals_is_remembered() {
    let refused = refusals::Refusals::default();
    let chain = |number: u32| refusals::identity(&[number.to_be_bytes()]);
    (0..2_000).for_each(|number| refused.remember(chain(number), X509Reason::Path, NOW));
    let known = (0..2_000).filter(|number| refused.of(&chain(*number), NOW).is_some()).count();
    assert_eq!((known, refused.of(&chain(1_999), NOW)), (1_024, Some(X509Reason::Path)));
}

#[test]
fn longer_rsa_keys_than_anybody_needs_are_refused_before_any_signature() {
    let der = STANDARD.decode(OVERSIZED).unwrap();
    assert!(has_oversized_key(&der));
    let roots = Roots::from_der([&der]).unwrap();
    assert_eq!(validate(&roots, std::slice::from_ref(&der), NOW, TlsRole::Client).err(), Some(X509Reason::Long));
    assert!(Issuing::read(&der).is_none(), "nor does it issue any");
    assert!(!has_oversized_key(&root("root").der));
}

/// A certificate with an RSA key of 4,160 bits.
const OVERSIZED: &str = concat!(
    "MIIEozCCAoOgAwIBAgIBATANBgkqhkiG9w0BAQsFADAMMQowCAYDVQQDDAFhMCAXDTIwMDEwMTAwMDAwMFoYDzIwNjAwMTAxMDAwMDAwWjAMMQow",
    "CAYDVQQDDAFhMIICKjANBgkqhkiG9w0BAQEFAAOCAhcAMIICEgKCAgkA1bfqRw0Qept9CLy6B8fgI/Ry/2k589sz1l2dYdFldJ4LLfaRbw2/9v8+",
    "kbxphBUbwchTJmOPEnN/TkQJxO5xQskwvr2nAiVY5aDBJDh3KTW0lMJctxvQ/Sai+8G+jHynjxf7zYu0J46grPpm1jLR1bHy5XK/wgZlv5jGkagf",
    "MiK37Fxtdv8jzw6WdbTLFT7+UycOcflsYjqGAQyJ0sxz5KiWzWqbYHarGdZMxg2jFH9d84RXBKh325860jWHhEub7f/SBHk4gZ6WcqPwMzHmQ+JU",
    "xuuwUXcizj6ZffNy+qO8i7uompOnuXz11IOWEtgzOp/QvFP7QAZbbSuNXQSvPCVbsb67II045/2zWKZjvmQ3kyLAHoZpjT7YdPtEAZtI/AIJj5aN",
    "pILE1fpgLXYsrzgaaaV1RtYTVsXUnk2kql/y4+uBf4DQ8cu95GlJQ0gTMfH+E/7cqxGaEr1j/TIBkk8qhqOTz5B9sI5IFNo52+dwjNe7djzw7BRO",
    "2xDOjfsZ2XB8rqSMGuveQfn7jK4JQqS39BTEbimkLC/O5O+oJRLHCLIoqm8dGqHyWdNNQE7bYZwKzb8WmDx1s+cPgtjuSgcg6P9z4TqtOl0QaZO2",
    "xm+QeLzVfPxwOnnM0Q7d7x00XoErs6X/hPSU82qXsiJ8BLDs5JS0o0mDwOQEs1d+dYmL0Qj+qmPJfQIDAQABMA0GCSqGSIb3DQEBCwUAA4ICCQB2",
    "FBxjvBX1Avp/iyP5stiPhVLSol6Z2JdGAmOjzR+iKHlDiuMqX29plFhyG5jtAhJ+LFqnWv/0P+7t7WFXTPjOyupOi9uEmlMy23Z6+l/4gDRwqgfz",
    "nUcOzouJlXX2IGvmOytTFAAZjmw+ttQIFs/2NqrAobposSMN/u7c171EsKmXiB6Z0RsXFtcWi9LJFRfUckrqHvOF5SlTK74mH/hI7xZOPNcQ5QDQ",
    "LmDg2XuJR2bdkWyfoLzrOf2TyS1kMojpAegF76RAk5keuro+IHdCOwAgoxZ4vROlNtmTB5WFn4gvGzQLDyrJY8gaFlfcVqIVn75unNzZhFjGJlRP",
    "CyRXKQfSboBzq8rDX+px56wiuK9cRDffVT2I0YQRPMOFB4OlPrVVye4ppozrGrBb7v10ZVmNtGqW8BA0rn9aJrNRo6NgiXpQZn2X3qm+srXtsLiB",
    "FA9DjLR3Zz2moS0fdm+xLa+3oOBldU563ADJSSpZqrlryN0U5SuEpnx+cHDMg4e+Xlx8NNO8tuw5WhsOAMss0eVyEmDqcKnXt5QIj/yNTrhQ6otZ",
    "P32LTi8ZfcO39bITB/jMqvkaDqa1pPLLmwiBLRfMVRrbZfOOyuKA1oKP1UwcRoCZ5JPpHUAW+sV6/Jd0uOWNqSIhggB8Yh+kFr2YQ4BVVkSMVrsE",
    "HxuV+MNKFsSmtRo7thKo",
);
