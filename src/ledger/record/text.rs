//! The forms of values in a record: the strings that the vocabulary knows them by, and instants as milliseconds.

use std::fmt;
use std::marker::PhantomData;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};
use serde::ser::{SerializeSeq, Serializer};

use crate::crypto::Digest;
use crate::oauth::{ClientId, ExchangeMode, GenerationKey, GenerationKind, Jti, Resource, Scopes, TaskId, Time, Txn};

/// The last millisecond of the year 9999; an integer that every JSON reader holds exactly (RFC 7493 §2.2).
pub(crate) const MILLIS_MAX: i64 = 253_402_300_799_999;

/// A value with exactly one string form.
pub(super) trait Text: Sized {
    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error>;
    fn read(text: &str) -> Option<Self>;
}

macro_rules! named {
    ($($name:ident),*) => { $(impl Text for $name {
        fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            to.serialize_str(self.as_str())
        }
        fn read(text: &str) -> Option<Self> {
            Self::parse(text).ok()
        }
    })* };
}

macro_rules! displayed {
    ($($name:ident),*) => { $(impl Text for $name {
        fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            to.collect_str(self)
        }
        fn read(text: &str) -> Option<Self> {
            Self::parse(text).ok()
        }
    })* };
}

named!(ClientId, Resource);
displayed!(Jti, Txn, TaskId);

impl Text for Scopes {
    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
    /// In alphabetical order, each once.
    fn read(text: &str) -> Option<Self> {
        let ascending = text.split(' ').is_sorted_by(|earlier, later| earlier < later);
        Self::parse(text).ok().filter(|_| ascending)
    }
}

impl Text for Digest {
    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
    fn read(text: &str) -> Option<Self> {
        bytes(text).map(Self)
    }
}

impl Text for GenerationKey {
    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
    fn read(text: &str) -> Option<Self> {
        bytes(text).map(Self)
    }
}

impl Text for ExchangeMode {
    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
    fn read(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == text)
    }
}

impl Text for GenerationKind {
    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.label())
    }
    fn read(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.label() == text)
    }
}

fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    (URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()? == N).then_some(bytes)
}

/// A value as it is read, without a string of its own in between: an audit reads ten of them per record.
struct Read<T>(T);

impl<'de, T: Text> Deserialize<'de> for Read<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct TextVisitor<T>(PhantomData<T>);
        impl<T: Text> Visitor<'_> for TextVisitor<T> {
            type Value = Read<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string in the form of its kind")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                T::read(text).map(Read).ok_or_else(|| E::invalid_value(Unexpected::Other("string"), &self))
            }
        }
        from.deserialize_str(TextVisitor(PhantomData))
    }
}

/// One value.
pub(super) struct One;

impl One {
    pub(super) fn serialize<T: Text, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
        value.write(to)
    }

    pub(super) fn deserialize<'de, T: Text, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
        Read::deserialize(from).map(|Read(value)| value)
    }
}

/// A value that may be absent; never `null`.
pub(super) struct Optional;

impl Optional {
    pub(super) fn serialize<T: Text, S: Serializer>(value: &Option<T>, to: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => value.write(to),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, T: Text, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
        One::deserialize(from).map(Some)
    }
}

/// Several values.
pub(super) struct Many;

impl Many {
    pub(super) fn serialize<T: Text, S: Serializer>(values: &[T], to: S) -> Result<S::Ok, S::Error> {
        let mut array = to.serialize_seq(Some(values.len()))?;
        for value in values {
            array.serialize_element(&Written(value))?;
        }
        array.end()
    }

    pub(super) fn deserialize<'de, T: Text, D: Deserializer<'de>>(from: D) -> Result<Vec<T>, D::Error> {
        Ok(Vec::<Read<T>>::deserialize(from)?.into_iter().map(|Read(value)| value).collect())
    }
}

struct Written<'a, T>(&'a T);

impl<T: Text> serde::Serialize for Written<'_, T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.write(to)
    }
}

/// An instant as integral milliseconds since the epoch.
pub(super) struct Millis;

impl Millis {
    pub(super) fn serialize<S: Serializer>(value: &Time, to: S) -> Result<S::Ok, S::Error> {
        match (0..=MILLIS_MAX).contains(&value.millis()) {
            true => to.serialize_i64(value.millis()),
            false => Err(serde::ser::Error::custom("instant out of range")),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Time, D::Error> {
        let millis = i64::deserialize(from)?;
        match (0..=MILLIS_MAX).contains(&millis) {
            true => Ok(Time::from_millis(millis)),
            false => Err(D::Error::custom("instant out of range")),
        }
    }
}

/// An instant that may be absent; never `null`.
pub(super) struct OptionalMillis;

impl OptionalMillis {
    pub(super) fn serialize<S: Serializer>(value: &Option<Time>, to: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => Millis::serialize(value, to),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Time>, D::Error> {
        Millis::deserialize(from).map(Some)
    }
}
