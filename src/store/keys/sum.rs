//! JSON files with a checksum of their content: bytes that changed by themselves are noticed, whatever they say.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::crypto::Digest;

/// The member that holds it: SHA-256 over the other members, in one line, in the order of their names.
const SUM: &str = "sum";

/// The text of a file that holds `content`.
pub(super) fn with(content: &impl Serialize) -> Option<String> {
    let mut value = serde_json::to_value(content).ok()?;
    let sum = sum(&value)?;
    value.as_object_mut()?.insert(SUM.to_owned(), Value::String(sum));
    Some(format!("{}\n", serde_json::to_string_pretty(&value).ok()?))
}

/// The content of a file; none where it is malformed or its sum is another. One without a sum was written by an earlier version.
pub(super) fn without<T: DeserializeOwned>(text: &str) -> Option<T> {
    let mut value: Value = serde_json::from_str(text).ok()?;
    if let Some(stated) = value.as_object_mut()?.remove(SUM)
        && stated.as_str() != sum(&value).as_deref()
    {
        return None;
    }
    serde_json::from_value(value).ok()
}

/// True for a file that has a sum.
pub(super) fn is_in(text: &str) -> bool {
    serde_json::from_str::<Value>(text).is_ok_and(|value| value.get(SUM).is_some())
}

/// No map keeps another order than that of names, but the order is not to hang on a feature of a crate.
fn sum(value: &Value) -> Option<String> {
    let mut value = value.clone();
    value.sort_all_objects();
    Some(Digest::of(serde_json::to_string(&value).ok()?.as_bytes()).to_string())
}
