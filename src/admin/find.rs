//! Finding records: one question over an index that is derived from them.

use std::collections::{BTreeSet, HashMap};

use super::reason::AdminReason;
use crate::commit::contract::{RecordReader, Select, StoreReason, Stored};
use crate::commit::{FindIndex, IndexExtent, IndexedPage, Selection, subject_mark};
use crate::crypto::{Digest, SealKey};
use crate::ledger::record::{Field, OUTCOMES, Record, Term, terms};
use crate::oauth::{GenerationKey, GenerationKind, Jti, Pseudonyms, TaskId, Time, Txn};

/// The most records of a page.
pub const FIND_PAGE_MAX: usize = 1_000;

/// The records of a page where nothing else is asked for.
pub const FIND_PAGE: usize = 25;

/// A page has no more bytes of records, but always one record.
const BYTES_MAX: usize = 256 * 1024;

/// Records, or subjects of records, that are indexed in one step.
const PAGE: u32 = 8_192;

/// A question about records. Each that answers it meets all of it.
#[derive(Clone, Debug, Default)]
pub struct FindQuery {
    /// What it must be found by.
    pub terms: Vec<Term>,
    /// The subject that it is about.
    pub subject: Option<String>,
    /// The digest of a token: what is wanted is the record of that token, and of everything that came of it.
    pub token: Option<Digest>,
    /// This instant or later.
    pub since: Option<Time>,
    /// Before this instant.
    pub until: Option<Time>,
    /// Only records from this index on.
    pub from: u64,
    /// The most records.
    pub limit: usize,
}

/// The keys by which a subject is known.
pub struct SubjectFinder<'a> {
    /// The key under which the keys of subjects are wrapped.
    pub root: &'a SealKey,
    /// The keys of the pseudonyms.
    pub pseudonyms: &'a Pseudonyms,
}

/// A part of the answer.
#[derive(Debug)]
pub struct FoundRecords {
    /// The records, in the order of the ledger.
    pub records: Vec<Stored>,
    /// The index to go on from; none where that is all.
    pub next: Option<u64>,
    /// The index of the first record that is kept: those before are pruned, and not found.
    pub first: u64,
}

impl FindQuery {
    /// The question in these parameters, which have the names of [`Field::ASKED`], `subject`, `token_digest`, `since` and `until`
    /// (milliseconds since 1970), `after` (an index) and `limit`.
    ///
    /// # Errors
    /// `Malformed`, for a parameter that is unknown, or not what it must be.
    pub fn parse<'a>(parameters: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, AdminReason> {
        let mut query = Self { limit: FIND_PAGE, ..Self::default() };
        for (name, value) in parameters {
            let malformed = |what: &str| AdminReason::Malformed(format!("{name} must be {what}"));
            let instant = || value.parse().map(Time::from_millis).map_err(|_| malformed("milliseconds since 1970"));
            match name {
                "subject" => query.subject = Some(value.to_owned()),
                "token_digest" => {
                    query.token = Some(Digest::parse(value).ok_or_else(|| malformed("the SHA-256 of a token in base64url"))?);
                }
                "since" => query.since = Some(instant()?),
                "until" => query.until = Some(instant()?),
                "after" => {
                    let after: u64 = value.parse().map_err(|_| malformed("the index of a record"))?;
                    query.from = after.saturating_add(1);
                }
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=FIND_PAGE_MAX).contains(limit));
                    query.limit = limit.ok_or_else(|| malformed(&format!("a number from 1 to {FIND_PAGE_MAX}")))?;
                }
                _ => query.terms.push(term(name, value)?),
            }
        }
        Ok(query)
    }
}

/// The term that a parameter asks for, in the form that records have it in.
fn term(name: &str, value: &str) -> Result<Term, AdminReason> {
    let malformed = |what: &str| AdminReason::Malformed(format!("{name} {what}"));
    let Some((_, field)) = Field::ASKED.iter().find(|(asked, _)| *asked == name) else {
        return Err(malformed("is nothing that records are found by"));
    };
    let uuid = |text: Option<String>| text.ok_or_else(|| malformed("must be a UUID"));
    let value = match field {
        Field::Jti => uuid(Jti::parse(value).ok().map(|id| id.to_string()))?,
        Field::Txn => uuid(Txn::parse(value).ok().map(|id| id.to_string()))?,
        Field::Task => uuid(TaskId::parse(value).ok().map(|id| id.to_string()))?,
        Field::Outcome if !OUTCOMES.contains(&value) => {
            return Err(malformed(&format!("must be one of {}", OUTCOMES.join(", "))));
        }
        _ => value.to_owned(),
    };
    Ok(Term { field: *field, value })
}

/// Answers the question from the records, with an `index` that has all of them afterwards. A `finder` is needed where it asks for
/// a subject that does not stand in the clear.
///
/// # Errors
/// `Malformed` where a subject is asked for without the keys; `Store`.
pub fn find(
    index: &mut dyn FindIndex,
    records: &dyn RecordReader,
    query: &FindQuery,
    finder: Option<&SubjectFinder<'_>>,
) -> Result<FoundRecords, AdminReason> {
    index_records(index, records)?;
    let mut wanted = Selection {
        all: query.terms.iter().map(|term| vec![term.clone()]).collect(),
        within: None,
        since: query.since,
        until: query.until,
    };
    if let Some(name) = &query.subject {
        wanted.all.push(subject_terms(index, records, name, finder)?);
    }
    if let Some(token) = &query.token {
        wanted.within = Some(descended(index, records, token)?.into_iter().collect());
    }
    let first = records.first().map_err(AdminReason::Store)?;
    page(index, records, query, &wanted, first)
}

fn page(
    index: &mut dyn FindIndex,
    records: &dyn RecordReader,
    query: &FindQuery,
    wanted: &Selection,
    first: u64,
) -> Result<FoundRecords, AdminReason> {
    let (mut found, mut from) = (FoundRecords { records: Vec::new(), next: None, first }, query.from.max(first));
    let mut bytes = 0;
    loop {
        // One more than is wanted, to know whether that is all.
        let left = query.limit + 1 - found.records.len();
        let candidates = index.select(wanted, from, left).map_err(AdminReason::Store)?;
        let whole = candidates.len() < left;
        for at in candidates {
            from = at + 1;
            let stored = record_at(records, at)?;
            if !answers(&stored, wanted)? {
                continue;
            }
            bytes += stored.record.len();
            if found.records.len() == query.limit || bytes > BYTES_MAX && !found.records.is_empty() {
                found.next = found.records.last().map(|last| last.index);
                return Ok(found);
            }
            found.records.push(stored);
        }
        if whole {
            return Ok(found);
        }
    }
}

/// What the index says is looked at once more, but for subjects, which no record names.
fn answers(stored: &Stored, wanted: &Selection) -> Result<bool, AdminReason> {
    let record = parsed(stored)?;
    let (at, has) = (record.at(), terms(&record));
    let in_time = wanted.since.is_none_or(|since| at >= since) && wanted.until.is_none_or(|until| at < until);
    let shown = wanted.all.iter().filter(|any| any.iter().all(|term| term.field != Field::SubjectMark));
    Ok(in_time && shown.into_iter().all(|any| any.iter().any(|term| has.contains(term))))
}

/// Brings the index up to the records: those that it lacks are added, and where it is of other records it is made anew.
///
/// # Errors
/// `Store`.
pub fn index_records(index: &mut dyn FindIndex, records: &dyn RecordReader) -> Result<(), AdminReason> {
    let failed = AdminReason::Store;
    let mut extent = index.extent().map_err(failed)?;
    if !is_of(&extent, records)? {
        index.clear().map_err(failed)?;
        extent = IndexExtent::default();
    }
    loop {
        let stored = records.records(Select::All, extent.next, PAGE).map_err(failed)?;
        let Some(last) = stored.last() else { return Ok(()) };
        let until = IndexExtent { next: last.index + 1, last: Some(Digest::of(&last.record)), ..extent };
        let entry = |stored: &Stored| parsed(stored).map(|record| (stored.index, Some(record.at()), terms(&record)));
        let entries = stored.iter().map(entry).collect::<Result<_, _>>()?;
        index.add(&IndexedPage { after: extent, until, entries }).map_err(failed)?;
        let reached = index.extent().map_err(failed)?;
        if reached.next <= extent.next {
            return Err(failed(StoreReason::Corrupt("the index of records")));
        }
        extent = reached;
    }
}

/// True where the newest record of the index is one of these: a copy that was put back has others, or fewer.
fn is_of(extent: &IndexExtent, records: &dyn RecordReader) -> Result<bool, AdminReason> {
    let Some(at) = extent.next.checked_sub(1) else { return Ok(true) };
    let first = records.first().map_err(AdminReason::Store)?;
    if at < first {
        return Ok(true);
    }
    let found = records.records(Select::All, at, 1).map_err(AdminReason::Store)?;
    Ok(found.first().is_some_and(|stored| stored.index == at && Some(Digest::of(&stored.record)) == extent.last))
}

/// Adds the subjects of records, each by the mark that dies with its key.
fn index_subjects(index: &mut dyn FindIndex, records: &dyn RecordReader, root: &SealKey) -> Result<(), AdminReason> {
    let failed = AdminReason::Store;
    let mut marks = HashMap::<GenerationKey, Option<Term>>::new();
    loop {
        let extent = index.extent().map_err(failed)?;
        let page = records.subjects(extent.next_subject, PAGE).map_err(failed)?;
        // A record that is not indexed yet is no matter of this turn.
        let page: Vec<_> = page.into_iter().filter(|(at, _)| *at < extent.next).collect();
        let Some((last, _)) = page.last() else { return Ok(()) };
        let until = IndexExtent { next_subject: last + 1, ..extent };
        let mut entries = Vec::with_capacity(page.len());
        for (at, subject) in page {
            let mark = match marks.get(&subject) {
                Some(mark) => mark.clone(),
                None => mark_of(records, root, subject)?,
            };
            marks.insert(subject, mark.clone());
            entries.push((at, None, mark.into_iter().collect()));
        }
        index.add(&IndexedPage { after: extent, until, entries }).map_err(failed)?;
    }
}

fn mark_of(records: &dyn RecordReader, root: &SealKey, subject: GenerationKey) -> Result<Option<Term>, AdminReason> {
    let wrapped = records.wrapped_key(&subject).map_err(AdminReason::Store)?;
    Ok(wrapped.and_then(|wrapped| subject_mark(root, subject, &wrapped)).map(|mark| Term::subject_mark(&mark)))
}

/// The terms that records about a subject have one of.
fn subject_terms(
    index: &mut dyn FindIndex,
    records: &dyn RecordReader,
    name: &str,
    finder: Option<&SubjectFinder<'_>>,
) -> Result<Vec<Term>, AdminReason> {
    let finder = finder.ok_or_else(|| AdminReason::Malformed("subject can be found only with the keys".to_owned()))?;
    index_subjects(index, records, finder.root)?;
    let mut any = vec![Term::new(Field::Subject, name)];
    for key in finder.pseudonyms.every(GenerationKind::Subject, name.as_bytes()) {
        any.push(Term::subject_ended(&key));
        any.extend(mark_of(records, finder.root, key)?);
    }
    Ok(any)
}

/// The records of everything that came of a token, that of its own issuing included, where it is ours.
fn descended(index: &mut dyn FindIndex, records: &dyn RecordReader, token: &Digest) -> Result<BTreeSet<u64>, AdminReason> {
    let (mut found, mut open) = (BTreeSet::new(), vec![Term::token(token)]);
    while let Some(term) = open.pop() {
        let wanted = Selection { all: vec![vec![term.clone()]], ..Selection::default() };
        for at in index.select(&wanted, 0, usize::MAX).map_err(AdminReason::Store)? {
            let stored = match records.first().map_err(AdminReason::Store)? {
                first if at < first || found.contains(&at) => continue,
                _ => record_at(records, at)?,
            };
            let record = parsed(&stored)?;
            if came_of(&record, &term) {
                found.insert(at);
                open.extend(names(&record));
            }
        }
    }
    Ok(found)
}

/// True where a record is of the token, hop or task that a term names, or came of it. What it names besides came before it.
fn came_of(record: &Record<'_>, term: &Term) -> bool {
    let is = |value: String| term.value == value;
    match (record, term.field) {
        (Record::Hop(hop), Field::Jti) => is(hop.jti.to_string()) || hop.parent.is_some_and(|parent| is(parent.to_string())),
        (Record::Task(task), Field::Jti) => task.hop.is_some_and(|hop| is(hop.to_string())),
        _ => terms(record).contains(term),
    }
}

/// The names by which what comes of a record refers to it.
fn names(record: &Record<'_>) -> Vec<Term> {
    match record {
        Record::Hop(hop) => vec![Term::new(Field::Jti, hop.jti)],
        Record::Task(task) => vec![Term::new(Field::Task, task.task)],
        _ => Vec::new(),
    }
}

fn record_at(records: &dyn RecordReader, at: u64) -> Result<Stored, AdminReason> {
    let page = records.records(Select::All, at, 1).map_err(AdminReason::Store)?;
    let found = page.into_iter().next().filter(|stored| stored.index == at);
    found.ok_or(AdminReason::Store(StoreReason::Corrupt("a record that the index has is not there")))
}

fn parsed(stored: &Stored) -> Result<Record<'_>, AdminReason> {
    Record::parse(&stored.record).map_err(|_| AdminReason::Store(StoreReason::Corrupt("a record")))
}
