//! Reading canonical JSON (RFC 8785) and nothing else, as far as hops need it: strings, integers, arrays and objects.
//!
//! An audit reads every hop that there ever was, so its form is judged in the one pass that reads it: members in ascending
//! order, each once, no space, one escape for each character that needs one. Empty arrays, empty objects, `false` and `null`
//! are left out of records and refused here. What is refused here may still be a record: whoever asks looks more closely then.

use std::borrow::Cow;

use serde::de::value::{BorrowedStrDeserializer, Error};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

/// No record nests deeper.
const DEPTH_MAX: u32 = 16;

/// Reads one value that is all of `text`.
///
/// # Errors
/// When the form is not the canonical one, or the content not that of a `T`.
pub(super) fn from_str<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, Error> {
    let mut reader = CanonicalReader { rest: text, depth: 0 };
    let value = T::deserialize(&mut reader)?;
    if reader.rest.is_empty() { Ok(value) } else { Err(other()) }
}

struct CanonicalReader<'de> {
    rest: &'de str,
    depth: u32,
}

impl<'de> Deserializer<'de> for &mut CanonicalReader<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.rest.as_bytes().first() {
            Some(b'"') => match self.string()? {
                Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
                Cow::Owned(text) => visitor.visit_string(text),
            },
            Some(b'{') => self.nested(|reader| visitor.visit_map(ObjectMembers { reader, last: None })),
            Some(b'[') => self.nested(|reader| visitor.visit_seq(ArrayElements { reader, first: true })),
            Some(b'-' | b'0'..=b'9') => visitor.visit_i64(self.integer()?),
            Some(b't') => self.skip("true").and_then(|()| visitor.visit_bool(true)),
            _ => Err(other()),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    /// An enumeration stands as the name of one of its variants.
    fn deserialize_enum<V>(self, _: &'static str, _: &'static [&'static str], visitor: V) -> Result<V::Value, Error>
    where
        V: Visitor<'de>,
    {
        visitor.visit_enum(self.string()?.into_deserializer())
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

impl<'de> CanonicalReader<'de> {
    fn skip(&mut self, what: &str) -> Result<(), Error> {
        self.rest = self.rest.strip_prefix(what).ok_or_else(other)?;
        Ok(())
    }

    fn next(&mut self) -> Result<u8, Error> {
        let (first, rest) = self.rest.split_at_checked(1).ok_or_else(other)?;
        self.rest = rest;
        first.bytes().next().ok_or_else(other)
    }

    /// A value whose first character opens it.
    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        self.next()?;
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(other());
        }
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    /// An integer as ECMAScript prints it.
    fn integer(&mut self) -> Result<i64, Error> {
        let end = self.rest.bytes().position(|byte| !matches!(byte, b'-' | b'0'..=b'9')).unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at_checked(end).ok_or_else(other)?;
        self.rest = rest;
        let leading = digits.strip_prefix('-').unwrap_or(digits).starts_with('0');
        if leading && digits != "0" {
            return Err(other());
        }
        digits.parse().map_err(|_| other())
    }

    fn string(&mut self) -> Result<Cow<'de, str>, Error> {
        self.skip("\"")?;
        let plain = self.plain()?;
        if self.rest.starts_with('"') {
            self.next()?;
            return Ok(Cow::Borrowed(plain));
        }
        let mut text = plain.to_owned();
        loop {
            match self.next()? {
                b'"' => return Ok(Cow::Owned(text)),
                b'\\' => text.push(self.escaped()?),
                _ => return Err(other()),
            }
            text.push_str(self.plain()?);
        }
    }

    /// Up to the next quotation mark or escape; every other character that needs an escape is refused.
    fn plain(&mut self) -> Result<&'de str, Error> {
        let end = special(self.rest.as_bytes()).ok_or_else(other)?;
        let (plain, rest) = self.rest.split_at_checked(end).ok_or_else(other)?;
        self.rest = rest;
        Ok(plain)
    }

    /// The one escape of each character that has one (RFC 8785 §3.2.2.2).
    fn escaped(&mut self) -> Result<char, Error> {
        Ok(match self.next()? {
            b'"' => '"',
            b'\\' => '\\',
            b'b' => '\u{8}',
            b't' => '\t',
            b'n' => '\n',
            b'f' => '\u{c}',
            b'r' => '\r',
            b'u' => {
                self.skip("00")?;
                let (high, low) = (self.next()?, self.next()?);
                let low = char::from(low).to_digit(16).filter(|_| !low.is_ascii_uppercase()).ok_or_else(other)?;
                let high = char::from(high).to_digit(2).ok_or_else(other)?;
                let named = |code: &u32| !matches!(code, 0x8 | 0x9 | 0xa | 0xc | 0xd);
                Some(high * 16 + low).filter(named).and_then(char::from_u32).ok_or_else(other)?
            }
            _ => return Err(other()),
        })
    }
}

/// The members of an object, in ascending order of their names; records have none whose name needs an escape.
struct ObjectMembers<'a, 'de> {
    reader: &'a mut CanonicalReader<'de>,
    last: Option<&'de str>,
}

impl<'de> MapAccess<'de> for ObjectMembers<'_, 'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        if self.last.is_some() {
            match self.reader.next()? {
                b'}' => return Ok(None),
                b',' => {}
                _ => return Err(other()),
            }
        }
        let Cow::Borrowed(name) = self.reader.string()? else { return Err(other()) };
        if self.last.is_some_and(|last| last >= name) {
            return Err(other());
        }
        self.last = Some(name);
        self.reader.skip(":")?;
        seed.deserialize(BorrowedStrDeserializer::new(name)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(&mut *self.reader)
    }
}

struct ArrayElements<'a, 'de> {
    reader: &'a mut CanonicalReader<'de>,
    first: bool,
}

impl<'de> SeqAccess<'de> for ArrayElements<'_, 'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        if !std::mem::take(&mut self.first) {
            match self.reader.next()? {
                b']' => return Ok(None),
                b',' => {}
                _ => return Err(other()),
            }
        }
        seed.deserialize(&mut *self.reader).map(Some)
    }
}

/// The place of the first quotation mark, backslash or control character: what follows it is looked at by whoever asks. Eight
/// bytes at a time, as nearly all strings of records are too short for a call to pay.
fn special(bytes: &[u8]) -> Option<usize> {
    let (words, rest) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let found = marked(u64::from_le_bytes(*word));
        if found != 0 {
            return Some(at * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let at = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20))?;
    Some(words.len() * 8 + at)
}

/// The highest bit of each byte of `word` that is special; bytes above the lowest such one may be marked without being it.
fn marked(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 0xff;
    let below = |word: u64, bound: u8| word.wrapping_sub(ONES * u64::from(bound)) & !word;
    let equal = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    (below(word, 0x20) | equal(b'"') | equal(b'\\')) & (ONES * 0x80)
}

/// Whoever reads is told one thing only: that it is not in its form.
fn other() -> Error {
    Error::custom("not in canonical form")
}
