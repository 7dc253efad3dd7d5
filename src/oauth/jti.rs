//! Identifiers of hops, transactions and tasks: UUIDv7 (RFC 9562 §5.7), so that records and indexes grow at their end.

use std::fmt;

use uuid::fmt::Hyphenated;
use uuid::{Builder, Uuid};

use super::Time;

/// Declares the identifiers, which differ in nothing but what they name.
macro_rules! identifiers {
    ($($(#[$meaning:meta])+ $name:ident;)+) => {$(
        $(#[$meaning])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            /// A new identifier made at `now` from ten random bytes.
            pub fn new(now: Time, random: [u8; 10]) -> Self {
                Self(version_7(now, random))
            }

            /// Parses the hyphenated lower-case form and no other.
            ///
            /// # Errors
            /// When `text` is anything else.
            pub fn parse(text: &str) -> Result<Self, UuidReason> {
                canonical(text).map(Self)
            }

            /// The sixteen bytes.
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// From the sixteen bytes of a stored identifier.
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }
    )+};
}

identifiers! {
    /// A hop: the `jti` of the token it issued.
    Jti;
    /// A transaction: all hops that descend from one first hop, or from one task; the `txn` claim (RFC 8417 §2.2).
    Txn;
    /// A task: a bounded piece of work; the `task` claim.
    TaskId;
}

/// Why a string is not one of our identifiers: not a hyphenated lower-case UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UuidReason;

fn version_7(now: Time, random: [u8; 10]) -> Uuid {
    Builder::from_unix_timestamp_millis(u64::try_from(now.millis()).unwrap_or(0), &random).into_uuid()
}

fn canonical(text: &str) -> Result<Uuid, UuidReason> {
    let uuid = Uuid::try_parse(text).map_err(|_| UuidReason)?;
    let mut canonical = [0; Hyphenated::LENGTH];
    (uuid.hyphenated().encode_lower(&mut canonical) == text).then_some(uuid).ok_or(UuidReason)
}
