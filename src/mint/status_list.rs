//! A status list as a signed token (draft-ietf-oauth-status-list-21 §5.1).

use std::io::Write;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use serde::Serialize;

use super::signers::{MintReason, Minting};
use crate::catalog::{Catalog, StatusList};
use crate::commit::ShownList;
use crate::jose::SigningKey;
use crate::oauth::{Issuer, ListId, Time};

/// The `typ` of a status list: nothing that takes access tokens takes it.
const TYP: &str = "statuslist+jwt";

/// A list is relied upon for a few times as long as it may be kept, and at least so long: clocks need not agree to the second.
const RELIED_ON_MIN: Duration = Duration::from_secs(60);

/// A status list that may be told.
#[derive(Debug)]
pub struct SignedList {
    /// The compact JWS.
    pub jwt: String,
    /// As of when it is true.
    pub issued_at: Time,
    /// For how long it may be kept.
    pub ttl: Duration,
}

#[derive(Serialize)]
struct StatusListClaims<'a> {
    iss: &'a str,
    sub: &'a str,
    iat: i64,
    exp: i64,
    ttl: u64,
    status_list: Statuses<'a>,
}

#[derive(Serialize)]
struct Statuses<'a> {
    bits: u8,
    lst: &'a str,
    aggregation_uri: &'a str,
}

/// The address of a list: what tokens name, and the `sub` of the list itself.
pub fn status_uri(issuer: &Issuer, list: &ListId) -> String {
    issuer.join(&format!("/status/{list}"))
}

/// The address at which all lists are named (draft-ietf-oauth-status-list-21 §9).
pub fn status_aggregation_uri(issuer: &Issuer) -> String {
    issuer.join("/status")
}

/// Signs `list`, which says what was true at `checked`, as its API has its tokens signed.
///
/// # Errors
/// `NoKey` when no key signs so now; `Crypto`.
pub fn status_list(
    list: &ShownList,
    minting: &Minting<'_>,
    catalog: &Catalog,
    checked: Time,
    now: Time,
) -> Result<SignedList, MintReason> {
    let api = catalog.api(&list.key.api);
    let ttl = api.and_then(|api| api.status_list).unwrap_or(StatusList::DEFAULT).ttl;
    let key = match api {
        Some(api) => minting.signers.ready(api.signing_alg, now),
        // Its tokens live on for a while after an API is gone.
        None => minting.signers.algorithms().into_iter().find_map(|algorithm| minting.signers.ready(algorithm, now)),
    };
    let key: &SigningKey = key.ok_or(MintReason::NoKey)?;
    let relied_on = (ttl * 3).max(RELIED_ON_MIN);
    let claims = StatusListClaims {
        iss: minting.issuer.as_str(),
        sub: &status_uri(minting.issuer, &list.key.id()),
        iat: checked.seconds(),
        exp: checked.plus(relied_on).seconds(),
        ttl: ttl.as_secs().max(1),
        status_list: Statuses {
            bits: list.key.bits.count(),
            lst: &compressed(&list.bytes).map_err(|_| MintReason::Crypto)?,
            aggregation_uri: &status_aggregation_uri(minting.issuer),
        },
    };
    let claims = serde_json::to_vec(&claims).map_err(|_| MintReason::Crypto)?;
    let jwt = key.sign(TYP, &claims).map_err(|_| MintReason::Crypto)?;
    Ok(SignedList { jwt, issued_at: checked, ttl })
}

/// `lst`: DEFLATE in the ZLIB format, in base64url (draft-ietf-oauth-status-list-21 §4.1, §4.2).
fn compressed(bytes: &[u8]) -> std::io::Result<String> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(encoder.finish()?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use std::io::Read;

    use flate2::read::ZlibDecoder;

    use super::*;
    use crate::catalog::StatusBits;
    use crate::lifecycle::status::put;

    fn bytes(lst: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        ZlibDecoder::new(URL_SAFE_NO_PAD.decode(lst).unwrap().as_slice()).read_to_end(&mut bytes).unwrap();
        bytes
    }

    fn list(bits: StatusBits, values: &[(u32, u8)]) -> Vec<u8> {
        let mut bytes = vec![0; (1 << 20) / 8 * usize::from(bits.count())];
        values.iter().for_each(|(index, value)| put(&mut bytes, bits, *index, *value));
        bytes
    }

    #[test]
    fn the_vectors_of_the_specification_say_what_we_pack() {
        // draft-ietf-oauth-status-list-21 §4.2.
        assert_eq!(bytes("eNrbuRgAAhcBXQ"), [0xb9, 0xa3]);
        assert_eq!(bytes("eNo76fITAAPfAgc"), [0xc9, 0x44, 0xf9]);
        // draft-ietf-oauth-status-list-21 §C.1, §C.2: lists of 2^20 places.
        let places = [0, 1993, 25460, 159_495, 495_669, 554_353, 645_645, 723_232, 854_545, 934_534, 1_000_345];
        let one: Vec<(u32, u8)> = places.iter().map(|place| (*place, 1)).collect();
        assert!(bytes(VECTOR_1) == list(StatusBits::One, &one));
        let values = [1, 2, 1, 3, 1, 1, 2, 1, 1, 2, 3];
        let two: Vec<(u32, u8)> = places.into_iter().zip(values).collect();
        assert!(bytes(VECTOR_2) == list(StatusBits::Two, &two));
    }

    #[test]
    fn what_is_packed_unpacks_the_same() {
        for values in [&[][..], &[(0, 1)], &[(1_048_575, 1), (77, 1)]] {
            let list = list(StatusBits::One, values);
            let lst = compressed(&list).unwrap();
            assert!(bytes(&lst) == list && lst.starts_with("eN"), "the header of ZLIB for the highest compression");
        }
    }

    const VECTOR_1: &str = concat!(
        "eNrt3AENwCAMAEGogklACtKQPg9LugC9k_ACvreiogEAAKkeCQAAAAAAAAAAAAAAAAAAAIBylgQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAXG9IAAAAAAAAAPwsJAAAAAAAAAAAAAAAvhsSAAAAAAAAAAAA7KpLAAAAAAAAAAAAAAAAAAAAAJsLCQAAAAAAAAAAADjelAAA",
        "AAAAAAAAKjDMAQAAAACAZC8L2AEb",
    );

    const VECTOR_2: &str = concat!(
        "eNrt2zENACEQAEEuoaBABP5VIO01fCjIHTMStt9ovGVIAAAAAABAbiEBAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAEB5WwIAAAAAAAAA",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAID0ugQAAAAAAAAA",
        "AAAAAAAAQG12SgAAAAAAAAAAAAAAAAAAAAAAAAAAAOCSIQEAAAAAAAAAAAAAAAAAAAAAAAD8ExIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "AAAAwJEuAQAAAAAAAAAAAAAAAAAAAAAAAMB9SwIAAAAAAAAAAAAAAAAAAACoYUoAAAAAAAAAAAAAAEBqH81gAQw",
    );
}
