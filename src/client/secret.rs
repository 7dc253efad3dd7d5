//! `client_secret_basic` and `client_secret_post` (RFC 6749 §2.3.1), for clients that cannot do better.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::context::{AuthContext, AuthOutcome};
use super::{AuthMethod, ClientReason};
use crate::catalog::Catalog;
use crate::crypto::Digest;
use crate::oauth::ClientId;
use crate::request::Form;

/// The form in which a client secret is kept: its SHA-256. Secrets are generated with full entropy, so a slow hash would add
/// nothing.
pub fn hash_secret(secret: &str) -> Digest {
    Digest::of(secret.as_bytes())
}

/// A longer header is no pair of client id and secret.
const HEADER_BYTES_MAX: usize = 4096;

/// The longest client id.
const ID_BYTES_MAX: usize = 255;

/// The standard alphabet (RFC 7617 §2); some clients leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Proves a client by its `Authorization` header.
///
/// # Errors
/// `Scheme` for another scheme than `Basic`, and one and the same answer, after the same work, for everything else.
pub(super) fn basic(context: &AuthContext<'_>, header: &str) -> Result<AuthOutcome, ClientReason> {
    let text = credentials(header)?;
    // Every reading is always tried, so that the time taken does not tell whether the client exists.
    let (encoded, raw) = (form_encoded(&text, context.catalog), as_it_is(&text, context.catalog));
    let (client, readings) = encoded.or(raw).unzip();
    prove(context, client, readings.unwrap_or([&text, &text].map(String::clone)), AuthMethod::SecretBasic)
}

/// Proves a client by `client_id` and `client_secret` in the body.
///
/// # Errors
/// One and the same answer, after the same work, for every failure.
pub(super) fn post(context: &AuthContext<'_>, client: &str, secret: &str) -> Result<AuthOutcome, ClientReason> {
    prove(context, registered(client, context.catalog), [secret.to_owned()], AuthMethod::SecretPost)
}

/// The client, if one of the readings of what it sent is its secret; all of them are looked at.
fn prove<const READINGS: usize>(
    context: &AuthContext<'_>,
    client: Option<ClientId>,
    readings: [String; READINGS],
    method: AuthMethod,
) -> Result<AuthOutcome, ClientReason> {
    let proves = |secret: &String| context.logins.secret_proves(client.as_ref(), hash_secret(secret), method);
    let proven = readings.iter().fold(false, |proven, secret| proven | proves(secret));
    match client.filter(|_| proven) {
        Some(client) => Ok(AuthOutcome::new(client, method)),
        None => Err(ClientReason::Secret),
    }
}

/// The pair inside the header, still joined by its colon.
fn credentials(header: &str) -> Result<String, ClientReason> {
    let (scheme, rest) = header.split_once(' ').unwrap_or((header, ""));
    if !scheme.eq_ignore_ascii_case("Basic") {
        return Err(ClientReason::Scheme);
    }
    let short = Some(rest.trim_matches(' ')).filter(|rest| rest.len() <= HEADER_BYTES_MAX);
    let decoded = short.and_then(|text| BASE64.decode(text).ok());
    decoded.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or(ClientReason::Secret)
}

/// As RFC 6749 §2.3.1 has it: id and secret are form-encoded, so the first colon separates them. Many clients encode
/// nothing: then a secret with `+` or `%` in it is itself the second reading.
fn form_encoded(text: &str, catalog: &Catalog) -> Option<(ClientId, [String; 2])> {
    let (client, secret) = text.split_once(':')?;
    let readings = [Form::component(secret).ok()?, secret.to_owned()];
    registered(&Form::component(client).ok()?, catalog).map(|client| (client, readings))
}

/// As many clients have it: nothing is encoded, and an id with colons, such as a URL, ends where the longest registered id
/// does.
fn as_it_is(text: &str, catalog: &Catalog) -> Option<(ClientId, [String; 2])> {
    let colons = text.match_indices(':').map(|(at, _)| at).take_while(|at| *at <= ID_BYTES_MAX);
    let pairs = colons.filter_map(|at| Some((text.get(..at)?, text.get(at + 1..)?)));
    let known =
        pairs.filter_map(|(client, secret)| registered(client, catalog).map(|client| (client, [secret; 2].map(str::to_owned))));
    known.last()
}

fn registered(client: &str, catalog: &Catalog) -> Option<ClientId> {
    ClientId::parse(client).ok().filter(|client| catalog.agent(client).is_some())
}

#[cfg(test)]
mod tests;
