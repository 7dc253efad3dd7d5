//! The entries of the state, each with one form in bytes, in which it is hashed, stored and read back.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::contract::ConfiguredPrincipal;
use super::retained::{RecordedArchive, RecordedHold, RetentionChange};
use crate::crypto::Digest;
use crate::ledger::record::{KeyCheck, KeyEvent, KeyRole};
use crate::lifecycle::{GenerationState, InactiveStatus};
use crate::oauth::{ClientId, GenerationKey, Resource, RuleName, ShareKey, TaskId, Time, Txn};

/// One thing that is not simply in generation 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordedGeneration {
    /// The number of its current generation.
    pub number: u64,
    /// The time at which it was last ended.
    pub ended: Option<Time>,
    /// Its status, where that keeps it from acting.
    pub inactive: Option<InactiveStatus>,
    /// The time from which its end may be forgotten, because nothing could present what it ended; none for never.
    pub until: Option<Time>,
}

/// A task, as far as its records tell it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedTask {
    /// The index of the record that opened it.
    pub index: u64,
    pub(super) txn: [u8; 16],
    pub(super) forget: i64,
    /// SHA-256 of its sealed terms.
    pub terms: Option<[u8; 32]>,
    /// The number of exchanges left.
    pub left: u64,
    /// The party that suspended it, while it is suspended.
    pub suspended_by: Option<String>,
    pub(super) opener: String,
    pub(super) holder: String,
    pub(super) parent: Option<[u8; 16]>,
    /// When it, or a task above it, was ended.
    pub(super) over: Option<i64>,
}

/// So long a task that is over is still told of.
const OVER_MILLIS: i64 = 60_000;

/// A key of this server, as far as its records tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordedKey {
    /// The newest event in its life.
    pub event: KeyEvent,
    /// The time of that.
    pub at: Time,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum EntryKey {
    Generation(GenerationKey),
    Task(TaskId),
    Principal(ConfiguredPrincipal),
    /// A key of this server.
    Key(KeyCheck),
    /// A configuration was taken up.
    Configured,
    /// A transaction that is held.
    Hold(Txn),
    /// The extent of what archives have.
    Archive,
    /// The index of the first record that is kept.
    First,
}

#[derive(Serialize, Deserialize)]
struct PackedGeneration {
    number: u64,
    ended: Option<i64>,
    inactive: Option<u8>,
    until: Option<i64>,
}

impl RecordedGeneration {
    pub(super) fn state(&self) -> GenerationState {
        GenerationState { number: self.number, ended: self.ended, inactive: self.inactive, until: None }
    }

    pub(super) fn packed(&self) -> Vec<u8> {
        let inactive = self.inactive.map(|status| match status {
            InactiveStatus::Suspended => 1,
            InactiveStatus::Retired => 2,
        });
        let (ended, until) = (self.ended.map(Time::millis), self.until.map(Time::millis));
        postcard::to_allocvec(&PackedGeneration { number: self.number, ended, inactive, until }).unwrap_or_default()
    }

    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let PackedGeneration { number, ended, inactive, until } = postcard::from_bytes(bytes).ok()?;
        let inactive = match inactive {
            None => None,
            Some(1) => Some(InactiveStatus::Suspended),
            Some(2) => Some(InactiveStatus::Retired),
            Some(_) => return None,
        };
        let (ended, until) = (ended.map(Time::from_millis), until.map(Time::from_millis));
        Some(Self { number, ended, inactive, until })
    }
}

impl RecordedTask {
    pub(super) fn packed(&self) -> Vec<u8> {
        postcard::to_allocvec(self).unwrap_or_default()
    }

    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        postcard::from_bytes(bytes).ok()
    }

    /// True where its record does not name another digest than that of the `sealed` terms.
    pub fn is_sealed_as(&self, sealed: &[u8]) -> bool {
        self.terms.is_none_or(|terms| Digest(terms).same_as(&Digest::of(sealed)))
    }

    /// The time from which it may be forgotten.
    pub fn forget(&self) -> Time {
        let over = self.over.map_or(i64::MAX, |over| over.saturating_add(OVER_MILLIS));
        Time::from_millis(self.forget.min(over))
    }
}

impl RecordedKey {
    pub(super) fn packed(&self) -> Vec<u8> {
        let event: u8 = match self.event {
            KeyEvent::Begin => 1,
            KeyEvent::Retire => 2,
            KeyEvent::Revoke => 3,
        };
        postcard::to_allocvec(&(event, self.at.millis())).unwrap_or_default()
    }

    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (event, at): (u8, i64) = postcard::from_bytes(bytes).ok()?;
        let event = match event {
            1 => KeyEvent::Begin,
            2 => KeyEvent::Retire,
            3 => KeyEvent::Revoke,
            _ => return None,
        };
        Some(Self { event, at: Time::from_millis(at) })
    }
}

impl EntryKey {
    /// The entry that a change of how long records are kept is about.
    pub(super) fn of_retention(change: &RetentionChange) -> Self {
        match change {
            RetentionChange::Archive(_) => Self::Archive,
            RetentionChange::Hold(txn, _) | RetentionChange::Release(txn) => Self::Hold(*txn),
            RetentionChange::Prune(_) => Self::First,
        }
    }

    pub(super) fn packed(&self) -> Vec<u8> {
        let named = |tag: u8, name: &str| [&[tag], name.as_bytes()].concat();
        match self {
            Self::Generation(key) => [&[1], key.0.as_slice()].concat(),
            Self::Task(id) => [&[2], id.as_bytes().as_slice()].concat(),
            Self::Configured => vec![3],
            Self::Key(KeyCheck { of, id }) => [&[10], of.name().as_bytes(), &[0], id.as_bytes()].concat(),
            Self::Hold(txn) => [&[11], txn.as_bytes().as_slice()].concat(),
            Self::Archive => vec![12],
            Self::First => vec![13],
            Self::Principal(ConfiguredPrincipal::Agent(id)) => named(4, id.as_str()),
            Self::Principal(ConfiguredPrincipal::Rule(name)) => named(5, name.as_str()),
            Self::Principal(ConfiguredPrincipal::Issuer(name, digest)) => named(6, &format!("{name} {digest}")),
            Self::Principal(ConfiguredPrincipal::Api(id)) => named(7, id.as_str()),
            Self::Principal(ConfiguredPrincipal::ApiTerm(id, digest)) => named(8, &format!("{} {digest}", id.as_str())),
        }
    }

    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (tag, rest) = bytes.split_first()?;
        let text = || std::str::from_utf8(rest).ok();
        let principal = match tag {
            1 => return Some(Self::Generation(GenerationKey(rest.try_into().ok()?))),
            2 => return Some(Self::Task(TaskId::from_bytes(rest.try_into().ok()?))),
            3 => return rest.is_empty().then_some(Self::Configured),
            11 => return Some(Self::Hold(Txn::from_bytes(rest.try_into().ok()?))),
            12 => return rest.is_empty().then_some(Self::Archive),
            13 => return rest.is_empty().then_some(Self::First),
            10 => {
                let (name, id) = text()?.split_once('\0')?;
                let of = KeyRole::ALL.into_iter().find(|of| of.name() == name)?;
                return Some(Self::Key(KeyCheck { of, id: id.to_owned() }));
            }
            4 => ConfiguredPrincipal::Agent(ClientId::parse(text()?).ok()?),
            5 => ConfiguredPrincipal::Rule(RuleName::parse(text()?).ok()?),
            6 => {
                let (name, digest) = text()?.split_once(' ')?;
                ConfiguredPrincipal::Issuer(RuleName::parse(name).ok()?, Digest::parse(digest)?)
            }
            7 => ConfiguredPrincipal::Api(Resource::parse(text()?).ok()?),
            8 => {
                let (id, digest) = text()?.rsplit_once(' ')?;
                ConfiguredPrincipal::ApiTerm(Resource::parse(id).ok()?, Digest::parse(digest)?)
            }
            _ => return None,
        };
        Some(Self::Principal(principal))
    }
}

/// The bytes of a value that has one form.
pub(super) fn packed(value: &impl Serialize) -> Vec<u8> {
    postcard::to_allocvec(value).unwrap_or_default()
}

/// Such a value, from its bytes.
pub(super) fn unpacked<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
    postcard::from_bytes(bytes).ok()
}

/// What an entry is about, where nobody knows a name for it.
pub(super) fn name(key: &[u8]) -> String {
    match EntryKey::read(key) {
        Some(EntryKey::Generation(GenerationKey::EPOCH)) => "the epoch".to_owned(),
        Some(EntryKey::Generation(key)) => format!("the thing with the pseudonym {}", URL_SAFE_NO_PAD.encode(key.0)),
        Some(EntryKey::Task(id)) => format!("task {id}"),
        Some(EntryKey::Key(KeyCheck { of, id })) => format!("the {} key {id}", of.name()),
        Some(EntryKey::Configured) => "the configuration".to_owned(),
        Some(EntryKey::Hold(txn)) => format!("the hold of transaction {txn}"),
        Some(EntryKey::Archive) => "what archives have".to_owned(),
        Some(EntryKey::First) => "the first record that is kept".to_owned(),
        Some(EntryKey::Principal(ConfiguredPrincipal::Agent(id))) => format!("agent {id} in the configuration"),
        Some(EntryKey::Principal(ConfiguredPrincipal::Api(id))) => format!("API {} in the configuration", id.as_str()),
        Some(EntryKey::Principal(ConfiguredPrincipal::ApiTerm(id, _))) => format!("a term of API {}", id.as_str()),
        Some(EntryKey::Principal(ConfiguredPrincipal::Rule(name))) => format!("trust rule {name} in the configuration"),
        Some(EntryKey::Principal(ConfiguredPrincipal::Issuer(name, _))) => format!("the issuer of trust rule {name}"),
        None => "an entry that this program does not write".to_owned(),
    }
}

/// What an entry says, in words.
pub(super) fn describe(key: &[u8], value: &[u8]) -> String {
    let generation = |known: RecordedGeneration| {
        let status = match known.inactive {
            None => "active",
            Some(InactiveStatus::Suspended) => "suspended",
            Some(InactiveStatus::Retired) => "retired",
        };
        let until = known.until.map_or_else(String::new, |until| format!(", to be forgotten from {} on", until.seconds()));
        format!("generation {}, {status}{until}", known.number)
    };
    let task = |task: RecordedTask| format!("{} exchanges left", task.left);
    let known = |known: RecordedKey| {
        let event = match known.event {
            KeyEvent::Begin => "in use",
            KeyEvent::Retire => "retired",
            KeyEvent::Revoke => "revoked",
        };
        format!("{event} since {}", known.at.seconds())
    };
    let told = match EntryKey::read(key) {
        Some(EntryKey::Generation(_)) => RecordedGeneration::read(value).map(generation),
        Some(EntryKey::Task(_)) => RecordedTask::read(value).map(task),
        Some(EntryKey::Key(_)) => RecordedKey::read(value).map(known),
        Some(EntryKey::Principal(_) | EntryKey::Configured) => Some("in force".to_owned()),
        Some(EntryKey::Hold(_)) => unpacked::<RecordedHold>(value).map(|hold| format!("held since {}", hold.since().seconds())),
        Some(EntryKey::Archive) => unpacked::<RecordedArchive>(value).map(|archive| format!("{} records", archive.until)),
        Some(EntryKey::First) => unpacked::<u64>(value).map(|first| format!("record {first}")),
        None => None,
    };
    told.unwrap_or_else(|| "not readable".to_owned())
}

/// An entry as it is hashed: the length of its key, its key, its value.
pub(super) fn element(key: &[u8], value: &[u8]) -> Vec<u8> {
    let length = u32::try_from(key.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes(), key, value].concat()
}

/// The client in whose share a task counts.
pub(super) fn opened_by(task: &RecordedTask) -> ShareKey {
    ClientId::parse(&task.opener).map_or(ShareKey::NOBODY, |opener| ShareKey::of(&opener))
}
