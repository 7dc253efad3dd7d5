//! A drafted rule as the text of its file, each line with the reason for it.

use std::path::{Path, absolute};
use std::time::Duration;

use serde_json::{Value, json};

use crate::trust::{DraftMatcher, Provider, RuleDraft, SubjectKind, TrustKind};

/// Where the keys of the rule are.
pub(super) struct RuleKeyPlaces<'a> {
    /// A file with them.
    pub(super) jwks: Option<&'a Path>,
    /// Hosts beside the issuer's own.
    pub(super) hosts: &'a [String],
}

/// Scopes that are about ID tokens, and mean nothing at an API (OpenID Connect Core §5.4, §11).
const OF_IDENTITY: [&str; 6] = ["openid", "profile", "email", "address", "phone", "offline_access"];

/// The text of the rule's file.
pub(super) fn rule(draft: &RuleDraft, name: &str, issuer: &str, keys: &RuleKeyPlaces<'_>) -> String {
    let mut lines = Vec::new();
    if !draft.complete {
        lines.push("# No token has shown yet who is meant: until `require` says it, this rule admits nobody.".to_owned());
        lines.push(line("enabled", "false", "until require says who is meant"));
    }
    lines.push(line("name", &quoted(name), "its subjects are called after it; never give it to another issuer"));
    lines.push(line("kind", &quoted(draft.kind.name()), draft.known_by));
    match &draft.trust_domain {
        _ if draft.kind != TrustKind::Spiffe => {
            if draft.kind.default_issuer() != Some(issuer) {
                lines.push(line("issuer", &quoted(issuer), "the iss of its tokens, to the letter"));
            }
        }
        domain => {
            let named = domain.as_deref().unwrap_or_else(|| issuer.trim_start_matches("spiffe://"));
            lines.push(line("trust_domain", &quoted(named), "that of the SPIFFE IDs of its workloads"));
        }
    }
    lines.push(audiences(draft));
    if let Some(algorithm) = draft.algorithm {
        lines.push(line("algorithms", &list(&[algorithm]), "by which the token is signed"));
    }
    if let Some(lifetime) = draft.lifetime {
        lines.push(line("lifetime_max", &quoted(&duration(lifetime)), "as long as the token lives; less is safer"));
    }
    lines.extend(draft.provider.map(provider));
    lines.extend(subject(draft));
    lines.extend(require(draft));
    lines.extend(maps(draft));
    lines.extend(self::keys(draft, keys));
    lines.join("\n") + "\n"
}

fn audiences(draft: &RuleDraft) -> String {
    match draft.audiences.as_slice() {
        [] => "# audiences = [\"…\"]   # say whom its tokens are for: this server's issuer identifier".to_owned(),
        named => line("audiences", &list(named), "its tokens must be for this; never what others accept too"),
    }
}

fn provider(provider: Provider) -> String {
    let name = Provider::ALL.iter().find(|(_, known)| *known == provider).map_or("", |(name, _)| name);
    line("provider", &quoted(name), "it writes its access tokens in a form of its own")
}

fn subject(draft: &RuleDraft) -> Option<String> {
    let (kind, id) = draft.subject.zip(draft.id.as_deref())?;
    let why = match kind {
        SubjectKind::User => "its tokens are about people",
        SubjectKind::Workload => "its tokens are about workloads, and so they are attestations",
    };
    Some(line("subject", &format!("{{ kind = {}, id = {} }}", quoted(kind.name()), quoted(id)), why))
}

fn require(draft: &RuleDraft) -> Vec<String> {
    if draft.require.is_empty() {
        return vec![
            "# Everybody whom the issuer knows; which of its clients may hand on their tokens says each agent's file.".into(),
        ];
    }
    let matcher = |one: &DraftMatcher| line(&key(&one.claim), &value(&one.value), one.why);
    [String::new(), "[require]".to_owned()].into_iter().chain(draft.require.iter().map(matcher)).collect()
}

/// The scopes of the sample, each to be mapped by somebody who knows what it is to mean here. No configuration with an API that
/// is not registered is loaded.
fn maps(draft: &RuleDraft) -> Vec<String> {
    if draft.kind != TrustKind::Oauth {
        return Vec::new();
    }
    let mut lines = vec![String::new(), "# What its scopes mean here; any other gives nothing.".to_owned()];
    let placeholder = "to-be-filled-in".to_owned();
    let named = draft.scopes.iter().filter(|scope| !OF_IDENTITY.contains(&scope.as_str())).collect::<Vec<_>>();
    for scope in if named.is_empty() { vec![&placeholder] } else { named } {
        lines.push("[[map]]".to_owned());
        lines.push(line("from", &quoted(scope), "its name there"));
        let ours = "{ api = \"https://to-be-filled-in.example\", scope = \"to-be-filled-in\" }";
        lines.push(line("to", ours, "say which API here, and which of its scopes"));
    }
    lines
}

fn keys(draft: &RuleDraft, places: &RuleKeyPlaces<'_>) -> Vec<String> {
    let whole = |path: &Path| absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string();
    let table = |line: String| vec![String::new(), "[keys]".to_owned(), line];
    match places.jwks {
        Some(file) if draft.kind == TrustKind::Spiffe => {
            table(line("bundle_file", &quoted(&whole(file)), "its bundle, which somebody has to keep fresh"))
        }
        Some(file) => table(line("jwks_file", &quoted(&whole(file)), "its keys, which somebody has to keep fresh")),
        None if !draft.kind.is_platform() || !places.hosts.is_empty() => {
            let mut lines = table(line("discovery", "true", "found by its discovery document, and kept fresh"));
            if !places.hosts.is_empty() {
                lines.push(line("hosts", &list(places.hosts), "where its keys may be, beside its own host"));
            }
            lines
        }
        None => Vec::new(),
    }
}

fn line(key: &str, value: &str, why: &str) -> String {
    format!("{key} = {value}   # {why}")
}

/// A key of a table: bare where it may be.
fn key(name: &str) -> String {
    let bare = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if bare { name.to_owned() } else { quoted(name) }
}

/// A JSON string is a TOML string, but for the one control character that JSON lets stand.
fn quoted(text: &str) -> String {
    json!(text).to_string().replace('\u{7f}', "\\u007f")
}

/// A value of a token as TOML.
fn value(raw: &str) -> String {
    match serde_json::from_str::<Value>(raw).unwrap_or_default() {
        Value::String(text) => quoted(&text),
        other => other.to_string(),
    }
}

fn list<T: AsRef<str>>(texts: &[T]) -> String {
    format!("[{}]", texts.iter().map(|text| quoted(text.as_ref())).collect::<Vec<_>>().join(", "))
}

fn duration(lifetime: Duration) -> String {
    let seconds = lifetime.as_secs();
    if seconds.is_multiple_of(3600) { format!("{}h", seconds / 3600) } else { format!("{}m", seconds.div_ceil(60)) }
}
