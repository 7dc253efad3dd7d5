//! One record of a transaction, with what is known of it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::cli::log::Inclusion;
use crate::cli::text::{instant, plain};

/// One record of the transaction, with what was disclosed of it.
pub(crate) struct Step {
    pub(super) index: u64,
    pub(super) record: Value,
    pub(super) disclosed: BTreeMap<String, Value>,
    /// Its place in the signed tree; none where there is no tree.
    pub(super) inclusion: Option<Inclusion>,
}

impl Step {
    pub(super) fn json(&self) -> Value {
        let (proved, size) = match self.inclusion {
            Some(Inclusion::Yes(size)) => (json!(true), Some(size)),
            Some(Inclusion::No) => (json!(false), None),
            Some(Inclusion::NotYet) | None => (Value::Null, None),
        };
        let mut object = json!({"index": self.index, "record": self.record, "proved": proved});
        if let (Some(size), Some(object)) = (size, object.as_object_mut()) {
            object.insert("proved_in_size".to_owned(), json!(size));
        }
        if let (false, Some(object)) = (self.disclosed.is_empty(), object.as_object_mut()) {
            object.insert("disclosed".to_owned(), json!(self.disclosed));
        }
        object
    }

    /// True for a record of that instant or before, in milliseconds since 1970.
    pub(super) fn is_of(&self, at: i64) -> bool {
        self.record.get("at").and_then(Value::as_i64).is_some_and(|of| of <= at)
    }

    pub(super) fn is_hop(&self) -> bool {
        self.record.get("kind") == Some(&"hop".into())
    }

    /// The id by which other records refer to it.
    pub(super) fn name(&self) -> Option<String> {
        match self.record.get("kind").and_then(Value::as_str) {
            Some("hop") => Some(self.text("jti")),
            Some("task") => Some(self.text("task")),
            _ => None,
        }
    }

    pub(super) fn proof(&self) -> String {
        match self.inclusion {
            Some(Inclusion::Yes(size)) => format!("index {}, proved in the signed tree of {size}", self.index),
            Some(Inclusion::NotYet) => format!("index {}, not yet in a checkpoint", self.index),
            Some(Inclusion::No) => format!("index {}, NOT THE RECORD THAT WAS SIGNED: verify the ledger", self.index),
            None => format!("index {}, no signed tree beside it", self.index),
        }
    }

    pub(super) fn text(&self, name: &str) -> String {
        self.record.get(name).map_or_else(|| "-".to_owned(), plain)
    }

    pub(super) fn instant(&self, name: &str) -> String {
        self.record.get(name).and_then(Value::as_i64).map_or_else(|| "-".to_owned(), |millis| instant(millis.div_euclid(1000)))
    }

    pub(super) fn subject(&self) -> String {
        let disclosed = self.disclosed.get("subject").and_then(Value::as_str);
        let shown = self.record.get("subject").and_then(Value::as_str);
        disclosed.or(shown).unwrap_or("a person (sealed; --keys discloses)").to_owned()
    }
}
