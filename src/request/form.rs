//! `application/x-www-form-urlencoded`, decoded in order so that repeats are visible.

use std::fmt;

use memchr::{memchr, memchr2};

/// The ordered pairs of a form. Made only by [`Form::decode`].
#[derive(Debug, Default)]
pub struct Form(Vec<(String, String)>);

/// Why bytes are not a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormReason {
    /// A `%` that is not followed by two hexadecimal digits, or bytes that are not UTF-8.
    Encoding,
    /// More parameters than allowed.
    Count,
    /// Another content type than a form's.
    ContentType,
    /// A `charset` that is not UTF-8, or is given more than once.
    Charset,
    /// A `Content-Encoding`: what the body says is not what was sent.
    ContentEncoding,
    /// A longer body than allowed.
    Length,
    /// A body that takes too long to come.
    Slow,
}

impl Form {
    /// Decodes a form of at most `parameters_max` pairs.
    ///
    /// # Errors
    /// `Encoding` for a broken escape or text that is not UTF-8; `Count` for too many pairs, before decoding the rest.
    pub fn decode(body: &[u8], parameters_max: usize) -> Result<Self, FormReason> {
        let mut pairs = Vec::with_capacity(12.min(parameters_max));
        let mut rest = Some(body);
        while let Some(body) = rest {
            let pair;
            (pair, rest) = cut(body, b'&');
            if pair.is_empty() {
                continue;
            }
            if pairs.len() == parameters_max {
                return Err(FormReason::Count);
            }
            let (name, value) = cut(pair, b'=');
            pairs.push((decoded(name)?, decoded(value.unwrap_or_default())?));
        }
        Ok(Self(pairs))
    }

    /// Decodes one component on its own, such as a client id in `Authorization: Basic` (RFC 6749 §2.3.1).
    ///
    /// # Errors
    /// `Encoding`.
    pub fn component(text: &str) -> Result<String, FormReason> {
        decoded(text.as_bytes())
    }

    /// The first value of `name` that is not empty: an empty parameter counts as absent (RFC 6749 §3.2).
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Every parameter that is not empty, in order.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Every value of `name` that is not empty, in order.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(known, value)| known == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }
}

/// What stands before the first `byte`, and what behind it if there is one.
fn cut(text: &[u8], byte: u8) -> (&[u8], Option<&[u8]>) {
    match memchr(byte, text).and_then(|at| text.split_at_checked(at)) {
        Some((before, behind)) => (before, behind.get(1..)),
        None => (text, None),
    }
}

/// Decodes one form-encoded component: `+` is a space, `%XX` a byte. Tokens are long and have nothing to decode, so whatever
/// stands between two escapes is copied as a whole.
fn decoded(text: &[u8]) -> Result<String, FormReason> {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some((plain, escape)) = memchr2(b'+', b'%', rest).and_then(|at| rest.split_at_checked(at)) {
        bytes.extend_from_slice(plain);
        rest = match escape {
            [b'%', high, low, rest @ ..] => {
                bytes.push(hexadecimal(*high)? << 4 | hexadecimal(*low)?);
                rest
            }
            [b'+', rest @ ..] => {
                bytes.push(b' ');
                rest
            }
            _ => return Err(FormReason::Encoding),
        };
    }
    bytes.extend_from_slice(rest);
    String::from_utf8(bytes).map_err(|_| FormReason::Encoding)
}

fn hexadecimal(digit: u8) -> Result<u8, FormReason> {
    let value = char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    value.ok_or(FormReason::Encoding)
}

impl fmt::Display for FormReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Encoding => "the body is not a form in UTF-8 (application/x-www-form-urlencoded)",
            Self::Count => "the form has too many parameters",
            Self::ContentType => "the content type must be application/x-www-form-urlencoded",
            Self::Charset => "the charset of the content type must be utf-8, or left out",
            Self::ContentEncoding => "the body must be sent as it is, without Content-Encoding",
            Self::Length => "the body is longer than this server reads",
            Self::Slow => "the body must arrive within 10 seconds",
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    fn decode(body: &str) -> Result<Form, FormReason> {
        Form::decode(body.as_bytes(), 4)
    }

    #[test]
    fn keeps_order_and_repeats_and_treats_empty_as_absent() {
        let form = decode("a=1&b=&a=2&c").unwrap();
        assert_eq!(form.all("a").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!((form.get("b"), form.get("c"), form.get("d")), (None, None, None));
    }

    #[test]
    fn decodes_plus_percent_and_utf_8() {
        assert_eq!(decode("a+b=%C3%A9%26+%3d").unwrap().get("a b"), Some("\u{e9}& ="));
    }

    #[test]
    fn refuses_broken_escapes_bytes_that_are_not_text_and_floods() {
        for body in ["a=%", "a=%4", "a=%zz", "a=%ff", "%=1", "a=%+1"] {
            assert_eq!(decode(body).unwrap_err(), FormReason::Encoding, "{body}");
        }
        assert_eq!(decode("a&b&c&d&e").unwrap_err(), FormReason::Count);
        assert!(decode("&&&&&&&&a=1").is_ok());
    }
}
