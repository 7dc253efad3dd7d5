//! The intent of a request as entities: what a client says has members of any name, which no schema has.

use std::collections::BTreeMap;

use cedar_policy::{Entity, EntityUid, RestrictedExpression};

use crate::oauth::{Fact, Intent};

/// The intent, whose tags are its texts, and its numbers, under these ids. Without one there are no tags.
pub(super) fn entities([stated, held]: [EntityUid; 2], intent: Option<&Intent>) -> Option<[Entity; 2]> {
    let (mut texts, mut numbers) = (BTreeMap::new(), BTreeMap::new());
    for (pointer, fact) in intent.map(Intent::facts).unwrap_or_default() {
        match fact {
            Fact::Text(text) => drop(texts.insert(pointer.clone(), RestrictedExpression::new_string(text.clone()))),
            Fact::Number(number) => drop(numbers.insert(pointer.clone(), RestrictedExpression::new_long(*number))),
        }
    }
    let attributes = [("numbers".to_owned(), RestrictedExpression::new_entity_uid(held.clone()))];
    let stated = Entity::new_with_tags(stated, attributes, [], texts).ok()?;
    Some([stated, Entity::new_with_tags(held, [], [], numbers).ok()?])
}
