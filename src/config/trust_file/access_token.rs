//! `provider` and `[access_token]`: the form that an authorization server gives its access tokens.

use std::time::Duration;

use crate::config::matcher_file::{self, claim};
use crate::config::reader::{TableReader, all};
use crate::trust::{AccessTokenForm, Provider, TrustKind};

/// The provider that the file names, or that the issuer of an authorization server or OpenID provider can only be.
pub(super) fn take_provider(rule: &mut TableReader<'_>, kind: Option<TrustKind>, issuer: Option<&str>) -> Option<Provider> {
    if kind.is_some_and(|kind| !matches!(kind, TrustKind::Oauth | TrustKind::Oidc)) {
        rule.refuse("provider", "belongs to the kinds \"oauth\" and \"oidc\"");
        return None;
    }
    let named = rule.take_choice("provider", &Provider::ALL).map(|provider| provider.value);
    named.or_else(|| Provider::of_issuer(issuer?))
}

/// The longest lifetime of tokens of that kind and provider, where the file names none.
pub(super) fn usual_lifetime(kind: TrustKind, provider: Option<Provider>) -> Duration {
    provider.and_then(Provider::lifetime).unwrap_or(kind.default_lifetime())
}

/// The form of the access tokens: as the file says, or as the provider writes them, or that of RFC 9068; none when the file says
/// something wrong.
pub(super) fn take_form(
    rule: &mut TableReader<'_>,
    kind: Option<TrustKind>,
    provider: Option<Provider>,
) -> Option<AccessTokenForm> {
    if kind.is_some_and(|kind| kind != TrustKind::Oauth) {
        rule.refuse("access_token", "belongs to kind \"oauth\"");
        return Some(AccessTokenForm::default());
    }
    if !rule.has("access_token") {
        return Some(provider.map(Provider::access_tokens).unwrap_or_default());
    }
    form(rule.take_table("access_token")?)
}

fn form(mut reader: TableReader<'_>) -> Option<AccessTokenForm> {
    let usual = AccessTokenForm::default();
    let types = if reader.has("typ") { texts(&mut reader, "typ", typ) } else { Some(usual.types) };
    let marks = if reader.has("marks") { matcher_file::take(&mut reader, "marks") } else { Some(Vec::new()) };
    let scope = if reader.has("scope") { reader.take_parsed("scope", claim).map(|found| found.value) } else { Some(usual.scope) };
    let client = if reader.has("client") { texts(&mut reader, "client", claim) } else { Some(usual.client) };
    reader.finish();
    let marks = marks?.into_iter().map(|mark| mark.value).collect();
    Some(AccessTokenForm { types: types?, marks, scope: scope?, client: client?, ..AccessTokenForm::default() })
}

fn texts(
    reader: &mut TableReader<'_>,
    key: &'static str,
    parse: impl Fn(&str) -> Result<String, &'static str>,
) -> Option<Vec<String>> {
    let location = reader.location_of(key);
    let each = all(reader.take_each(key, parse)?.into_iter())?;
    if each.is_empty() {
        reader.error(location, format!("`{key}` must name at least one"));
        return None;
    }
    Some(each.into_iter().map(|found| found.value).collect())
}

/// A `typ` as tokens have it; `none` for tokens without any.
fn typ(text: &str) -> Result<String, &'static str> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte);
    match text {
        "none" => Ok(String::new()),
        _ if !text.is_empty() && text.bytes().all(token) => Ok(text.to_owned()),
        _ => Err("must be a typ without application/, such as \"at+jwt\" or \"JWT\", or \"none\" for tokens without any"),
    }
}
