//! JSON that strangers wrote, read strictly: objects are objects, no member comes twice (RFC 8725 §3.10 in spirit; RFC 7519 §4
//! lets a parser refuse them), and nothing is nested deeply. No other file reads what strangers sent; `tests/it/tidy` sees to
//! that.

mod canonical;
mod members;
mod strict;
mod text;
mod unique;

use serde::Deserialize;

pub use canonical::canonical;
pub use members::Members;
pub(crate) use members::member;
pub(crate) use text::{kind_of, string, strings};
pub use unique::DEPTH_MAX;
pub(crate) use unique::{all_texts, check};

/// Why a text is refused: it is no JSON of the shape that is read, repeats a member, or is nested too deeply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonReason;

/// Reads `text`, which is checked as a whole first. A structure is read from an object alone, though its serialisation library
/// would take its members in order from an array too; a member that may be left out is left out, and is not `null`.
///
/// # Errors
/// See [`JsonReason`].
pub fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, JsonReason> {
    check(text, 1)?;
    read_checked(text)
}

/// The text of a document of others, without the byte order mark that some tools put first (RFC 8259 §8.1 lets a reader ignore
/// it).
///
/// # Errors
/// When it is not UTF-8.
pub(crate) fn text(document: &[u8]) -> Result<&str, JsonReason> {
    let text = str::from_utf8(document).map_err(|_| JsonReason)?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// Reads `text`, part of what was checked already, by the rules of [`read`].
///
/// # Errors
/// See [`JsonReason`].
pub(crate) fn read_checked<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, JsonReason> {
    let mut json = serde_json::Deserializer::from_str(text);
    let value = T::deserialize(strict::Strict(&mut json))?;
    json.end()?;
    Ok(value)
}

/// The cause says too much: it repeats what stood there.
impl From<serde_json::Error> for JsonReason {
    fn from(_: serde_json::Error) -> Self {
        Self
    }
}

#[cfg(test)]
mod tests;
