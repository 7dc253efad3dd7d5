//! `DATA/keys.known`: the check values of the keys that a data folder was written with. A start with another key, or without
//! one, would change the meaning of what is recorded; it is refused, and says which key is meant.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::reason::KeyFilesReason;
use super::role::{KeyCheck, KeyRole};
use super::sum;
use crate::crypto::MacKey;
use crate::files::{self, Access};

/// The file's name.
const KNOWN: &str = "keys.known";

const VERSION: u32 = 1;

/// The file is no longer.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The label under which the file is authenticated.
const FILE: &str = "keys.known";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KnownFile {
    version: u32,
    keys: Vec<KeyCheck>,
    /// HMAC under the root key, so that the file is not made by whoever has the data alone.
    mac: String,
}

/// The keys that a data folder was written with; none where none was remembered.
pub(super) fn read(data: &Path, roots: &[MacKey]) -> Result<Option<Vec<KeyCheck>>, KeyFilesReason> {
    let path = data.join(KNOWN);
    let read = files::read_if_there(&path, FILE_BYTES_MAX).map_err(|error| KeyFilesReason::File(path.clone(), error))?;
    let Some(text) = read else { return Ok(None) };
    let malformed = || KeyFilesReason::Malformed(path.clone());
    let file: KnownFile =
        sum::without(&String::from_utf8_lossy(&text)).filter(|file: &KnownFile| file.version == VERSION).ok_or_else(malformed)?;
    let content = content(&file.keys);
    let tag = URL_SAFE_NO_PAD.decode(&file.mac).map_err(|_| malformed())?;
    let genuine = roots.iter().any(|root| root.verifies(FILE, &content, &tag));
    // Under another root key nothing is genuine; then that key is what is missing.
    let mine = |check: &KeyCheck| roots.iter().any(|root| KeyCheck::of_secret(KeyRole::Root, root) == *check);
    if genuine || !file.keys.iter().any(mine) { Ok(Some(file.keys)) } else { Err(malformed()) }
}

/// Remembers the keys in the data folder.
pub(super) fn write(data: &Path, root: &MacKey, keys: &[KeyCheck]) -> Result<(), KeyFilesReason> {
    let path = data.join(KNOWN);
    let mac = URL_SAFE_NO_PAD.encode(root.tag(FILE, &content(keys)));
    let file = KnownFile { version: VERSION, keys: keys.to_vec(), mac };
    let text = sum::with(&file).ok_or_else(|| KeyFilesReason::Malformed(path.clone()))?;
    files::replace(&path, text.as_bytes(), Access::Owner).map_err(|error| KeyFilesReason::File(path, error))
}

/// The refusal of a data folder whose keys were lost.
pub(super) fn lost(data: &Path, beside: &str) -> KeyFilesReason {
    KeyFilesReason::Lost(data.join(KNOWN), beside.to_owned())
}

fn content(keys: &[KeyCheck]) -> Vec<u8> {
    keys.iter().flat_map(|check| format!("{}\0{}\0", check.of.name(), check.id).into_bytes()).collect()
}
