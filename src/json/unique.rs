//! One walk over a value that keeps nothing: no object in it repeats a member, and none is nested too deeply.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::JsonReason;
use super::text::NameText;

/// Objects and arrays nested deeper than this are refused; the outermost one counts.
pub const DEPTH_MAX: usize = 32;

/// Checks a value that stands at `depth`, 1 for the outermost.
///
/// # Errors
/// When it repeats a member, is nested deeper than [`DEPTH_MAX`], or is no JSON value.
pub(crate) fn check(text: &str, depth: usize) -> Result<(), JsonReason> {
    walk(text, Walk { depth, fits: |_: &str| true })
}

/// True where each string in a value, names of members too, is as `fits` wants it.
pub(crate) fn all_texts(text: &str, fits: impl Fn(&str) -> bool + Copy) -> bool {
    walk(text, Walk { depth: 1, fits }).is_ok()
}

fn walk<F: Fn(&str) -> bool + Copy>(text: &str, walk: Walk<F>) -> Result<(), JsonReason> {
    let mut json = serde_json::Deserializer::from_str(text);
    walk.deserialize(&mut json)?;
    Ok(json.end()?)
}

/// Refuses a name that stands twice among `sorted`.
///
/// # Errors
/// When one does.
pub(crate) fn refuse_repeats<'a>(sorted: impl Iterator<Item = &'a str>) -> Result<(), JsonReason> {
    let mut last = None;
    for name in sorted {
        if last.replace(name) == Some(name) {
            return Err(JsonReason);
        }
    }
    Ok(())
}

/// Walks a value at this depth.
#[derive(Clone, Copy)]
struct Walk<F> {
    depth: usize,
    fits: F,
}

impl<'de, F: Fn(&str) -> bool + Copy> DeserializeSeed<'de> for Walk<F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<F: Fn(&str) -> bool + Copy> Walk<F> {
    fn inner<E: de::Error>(self) -> Result<Self, E> {
        if self.depth > DEPTH_MAX { Err(E::custom("nested too deeply")) } else { Ok(Self { depth: self.depth + 1, ..self }) }
    }

    fn text<E: de::Error>(self, text: &str) -> Result<(), E> {
        if (self.fits)(text) { Ok(()) } else { Err(E::custom("a text that does not fit")) }
    }
}

impl<'de, F: Fn(&str) -> bool + Copy> Visitor<'de> for Walk<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        self.text(text)
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let inner = self.inner()?;
        while seq.next_element_seed(inner)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let inner = self.inner()?;
        let mut names = Vec::new();
        while let Some(NameText(name)) = map.next_key()? {
            self.text(&name)?;
            names.push(name);
            map.next_value_seed(inner)?;
        }
        names.sort_unstable();
        refuse_repeats(names.iter().map(Cow::as_ref)).map_err(|_| de::Error::custom("a member twice"))
    }
}
