//! One word, one meaning: replaced names of types stay replaced, and doc comments say what an item is.

use std::collections::HashSet;

use super::source::{Source, line, words};
use super::twice;

/// Names that a type had, each with the one in its place. The words of the domain among them stand in `docs/glossary.md`.
const REPLACED: &[(&str, &str)] = &[
    ("About", "ScopeContext"),
    ("Acting", "CurrentActor"),
    ("Anchor", "IssuerSelector"),
    ("Basis", "ExchangeMode"),
    ("Binding", "Confirmation"),
    ("BindingKind", "ConfirmationMethod"),
    ("Bound", "SenderConstraint"),
    ("Bundle", "EntryBundle or TrustBundle"),
    ("Complaint", "Diagnostic"),
    ("Complaints", "Diagnostics"),
    ("Crowd", "ConnectionLimits"),
    ("Dead", "NotAlive"),
    ("Death", "Revocation"),
    ("DeathRecord", "RevocationRecord"),
    ("Desk", "Admin"),
    ("Door", "AppState"),
    ("DoorLimits", "InputLimits"),
    ("Doubt", "UncertainBatch"),
    ("Ending", "Revocable"),
    ("Errand", "FetchTarget"),
    ("Facts", "RequestContext"),
    ("FixedTask", "TaskTerms"),
    ("Found", "Located"),
    ("Frame", "RequestTemplate"),
    ("Front", "Frontend"),
    ("Gate", "ConnectionPlaces"),
    ("Hearing", "Evaluation"),
    ("Held", "ScopesOnApi"),
    ("Hidden", "WithheldHop"),
    ("HintedToken", "TokenQuery"),
    ("Hold", "InactiveStatus"),
    ("Holding", "StatusChange"),
    ("InTask", "TaskMembership"),
    ("Inside", "Snapshot"),
    ("Issue", "RecordHop"),
    ("Known", "ConfiguredPrincipal"),
    ("LedgerDoor", "LedgerState"),
    ("Life", "GenerationState"),
    ("Lives", "RecordedState"),
    ("Login", "ClientAuth"),
    ("LoginMethod", "AuthMethod"),
    ("Logins", "ClientAuths"),
    ("Material", "KeyMaterial"),
    ("MintedTask", "MintedTaskToken"),
    ("Mirror", "State"),
    ("Missed", "MissingProof"),
    ("Needs", "UsedAttributes"),
    ("OpenedTask", "IssuedTaskToken"),
    ("Opening", "AdmittedTask"),
    ("Opens", "SealedTask"),
    ("Opinion", "PolicyDecision"),
    ("Own", "IssuedClaims"),
    ("OwnKeys", "IssuerKeys"),
    ("Pace", "RefreshPolicy"),
    ("People", "DelegationClaims"),
    ("Place", "SourceLocation"),
    ("Proven", "ProvenKeys"),
    ("PublishedKeys", "ClientJwks"),
    ("Question", "RequestHead"),
    ("Reading", "PolicyLoader"),
    ("Refusal", "ExchangeError or RefusalRecord"),
    ("Refused", "RefusedRequest"),
    ("Register", "StatusLists"),
    ("RemoteKeys", "JwksCache"),
    ("Rhythm", "Schedule"),
    ("Room", "AuthContext"),
    ("Seat", "ConnectionPermit"),
    ("Speaks", "TlsSetup"),
    ("Spent", "ReplayCache"),
    ("Standing", "AdmittedExchange"),
    ("StandingReason", "AdmissionReason"),
    ("StoredLife", "StateRow"),
    ("Tended", "TaskOutcome"),
    ("Tending", "TaskChange"),
    ("Told", "IntrospectionResponse"),
    ("Trust", "TrustStore"),
    ("Turn", "Transition"),
    ("Unproved", "ProofError"),
    ("VerifiedOwn", "VerifiedIssued"),
    ("Vouched", "VerifiedAssertion"),
    ("WantedTask", "TaskSpec"),
    ("Way", "Route"),
    ("Wish", "TaskAction"),
    ("World", "Deployment"),
];

/// How a doc comment does not begin: it would make the reader guess what the item is.
const VAGUE: [&str; 5] = ["What ", "Which ", "Where ", "Whether ", "The same"];

/// Doc comments that do not say what the item is.
pub fn vague_comments(source: &Source) -> Vec<String> {
    let mut inside = false;
    let mut complaints = Vec::new();
    for (number, line) in source.text.lines().map(str::trim_start).enumerate() {
        let comment = line.strip_prefix("/// ").or_else(|| line.strip_prefix("//! "));
        let begins = comment.filter(|_| !inside).and_then(|text| VAGUE.iter().find(|word| text.starts_with(**word)));
        if let Some(word) = begins {
            let word = word.trim_end();
            complaints.push(format!("{}:{}: says \"{word}\"; a doc comment says what the item is", source.path, number + 1));
        }
        inside = line.starts_with("///") || line.starts_with("//!");
    }
    complaints
}

/// Types of the product under a name that was replaced.
pub fn replaced_names(source: &Source) -> Vec<String> {
    let code = &source.product;
    let mut complaints = Vec::new();
    for at in ["struct", "enum", "trait", "type"].iter().flat_map(|keyword| words(code, keyword)) {
        let name = code[at..].split_whitespace().nth(1).unwrap_or_default();
        let name = name.split(|next: char| !next.is_alphanumeric()).next().unwrap_or_default();
        if let Some((old, new)) = REPLACED.iter().find(|(old, _)| *old == name) {
            complaints.push(format!("{}:{}: {old} was replaced; it is called {new}", source.path, line(code, at)));
        }
    }
    complaints
}

/// Names in the place of others that no type has.
pub fn missing_names(sources: &[Source]) -> Vec<String> {
    let types: HashSet<String> = sources.iter().flat_map(twice::types).collect();
    let names = REPLACED.iter().flat_map(|(old, new)| new.split(" or ").map(move |new| (old, new)));
    names.filter(|(_, new)| !types.contains(*new)).map(|(old, new)| format!("{old} points to {new}, which is no type")).collect()
}

#[test]
fn a_vague_comment_is_seen() {
    let complaints = |text: &str| vague_comments(&Source::new("src/a.rs", text)).len();
    for vague in VAGUE {
        assert_eq!(complaints(&format!("fn a() {{}}\n/// {vague} it is.\n/// {vague} it was.\nfn b() {{}}")), 1);
        assert_eq!(complaints(&format!("//! {vague} it is.\n")), 1);
        assert_eq!(complaints(&format!("/// A thing.\n/// {vague} it is.\n// {vague}\n")), 0);
    }
}

#[test]
fn a_name_that_no_type_has_is_seen() {
    let mut all: Vec<&str> = REPLACED.iter().flat_map(|(_, new)| new.split(" or ")).collect();
    let complaints = |names: &[&str]| {
        let code: String = names.iter().map(|name| format!("struct {name};\n")).collect();
        missing_names(&[Source::new("src/a.rs", &code)]).len()
    };
    assert_eq!(complaints(&all), 0);
    all.retain(|name| *name != "ConnectionPlaces");
    assert_eq!(complaints(&all), 1);
}

#[test]
fn a_replaced_name_is_seen() {
    let complaints = |text: &str| replaced_names(&Source::new("src/a.rs", text)).len();
    for (old, new) in REPLACED {
        for form in ["struct _;", "enum _ { A }", "trait _ {}", "type _ = u8;", "struct _<T>(T);", "pub struct _ { a: u8 }"] {
            assert_eq!(complaints(&form.replace('_', old)), 1, "{form} {old}");
            assert_eq!(complaints(&form.replace('_', &new.replace(" or ", ""))), 0, "{form} {new}");
        }
    }
    assert_eq!(complaints("enum A { Death }\n#[cfg(test)]\nmod tests { struct Death; }\n// struct Death\n"), 0);
}
