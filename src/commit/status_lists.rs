//! The status lists: the tokens that stand in each, and the statuses it shows. The store is the truth; this is loaded from it.
//!
//! A place is reserved before its token is signed and taken when its hop is committed; what was reserved for nothing is free
//! again. A place that was taken is never given again while its list exists, and no list comes back.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::capacity::Capacity;
use super::contract::StatusRow;
use super::receipt::CommitReason;
use super::recent_changes::Changed;
use super::shares::Shares;
use super::state::State;
use crate::catalog::StatusBits;
use crate::crypto::random;
use crate::lifecycle::status::{ListKey, PLACES, TAKEN_MAX, TokenStatus, all_valid, put};
use crate::lifecycle::{GenerationState, InactiveStatus, StateView, Task};
use crate::oauth::{Generation, GenerationKey, ListId, Resource, ShareKey, StatusPlace, TaskId, Time};

/// Looked at again after so long even if nothing is known to have changed, so that what has expired is let go.
const LOOK_AGAIN_MILLIS: i64 = 30_000;
const LOOK_AGAIN_SECONDS: u32 = 30;

/// All status lists.
#[derive(Debug)]
pub struct StatusLists {
    lists: Mutex<Lists>,
    /// The most tokens that are remembered.
    max: usize,
    /// The version of the list that changed last.
    version: AtomicU64,
    /// As of when the lists are true.
    checked: AtomicI64,
    /// The things that the configuration suspends: nothing under them is active.
    held: Mutex<Arc<HashSet<GenerationKey>>>,
    seen: Mutex<LastLook>,
    /// A list was forgotten that the store may still hold.
    forgotten: AtomicBool,
}

/// A list as it is shown.
#[derive(Debug)]
pub struct ShownList {
    /// The API, window and part that it is for.
    pub key: ListKey,
    /// Another one for every change of any list.
    pub version: u64,
    /// The statuses, packed (draft-ietf-oauth-status-list-21 §4.1).
    pub bytes: Vec<u8>,
}

/// A place that nobody else gets. It is given back when this is dropped before its hop was committed.
pub struct ReservedPlace {
    lists: Arc<StatusLists>,
    key: ListKey,
    place: StatusPlace,
    kept: bool,
}

/// A token on its way into a list.
#[derive(Debug)]
pub struct Registration {
    /// The place of its status.
    pub place: ReservedPlace,
    /// Its `exp`.
    pub expires: Time,
    /// The client that it is issued to, in whose share it counts.
    pub share: ShareKey,
    /// Everything that it depends on, its own hop included.
    pub generations: Vec<Generation>,
}

#[derive(Debug, Default)]
struct Lists {
    of: HashMap<ListId, ListState>,
    /// The tokens that are remembered, by whom they were issued to. Who had one that was read from the store is not known.
    tokens: Shares,
}

#[derive(Debug)]
struct ListState {
    /// The places that are reserved or recorded, and those of them that are recorded.
    taken: PlaceSet,
    recorded: PlaceSet,
    /// Tokens that were not looked at yet, and those that were.
    fresh: Vec<ListedToken>,
    known: Vec<ListedToken>,
    shown: Arc<ShownList>,
}

/// Places of one list.
#[derive(Debug)]
struct PlaceSet {
    words: Vec<u64>,
    count: u32,
}

#[derive(Debug)]
struct ListedToken {
    index: u32,
    status: TokenStatus,
    expires: Time,
    share: ShareKey,
    generations: Box<[Generation]>,
}

/// The state of things at the last look.
#[derive(Debug, Default)]
struct LastLook {
    changes: u64,
    held: Arc<HashSet<GenerationKey>>,
    at: Option<Time>,
    /// The time at which something dies by itself.
    due: Option<Time>,
}

impl StatusLists {
    pub(super) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self {
            lists: Mutex::default(),
            max,
            version: AtomicU64::new(0),
            checked: AtomicI64::new(0),
            held: Mutex::default(),
            seen: Mutex::default(),
            forgotten: AtomicBool::new(false),
        })
    }

    /// Takes up the tokens that are stored. Those that are known already stay as they are.
    pub(super) fn learn(&self, stored: Vec<StatusRow>) {
        let mut lists = self.lists();
        for StatusRow { list, place, expires, generations } in stored {
            let list = lists.list(place.list, &list, &self.version);
            list.taken.insert(place.index);
            if list.recorded.insert(place.index) {
                list.fresh.push(ListedToken::new(place.index, expires, ShareKey::NOBODY, &generations));
                lists.tokens.take(ShareKey::NOBODY, 1);
            }
        }
    }

    /// False where somebody else recorded a token in that place, after it was reserved here.
    pub(super) fn is_free(&self, reserved: &ReservedPlace) -> bool {
        let StatusPlace { index, list } = reserved.place;
        self.lists().of.get(&list).is_none_or(|list| !list.recorded.contains(index))
    }

    /// Gives back the places of tokens whose hops turned out not to be recorded.
    pub(super) fn release(&self, places: &[StatusPlace]) {
        // A look has tokens in hand while it goes on.
        let _no_look = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lists = self.lists();
        for StatusPlace { index, list } in places {
            let released = lists.of.get_mut(list).map(|list| list.release(*index, &self.version)).unwrap_or_default();
            released.into_iter().for_each(|share| lists.tokens.give_back(share, 1));
        }
    }

    /// True where a list was forgotten since this was asked last.
    pub(super) fn has_forgotten(&self) -> bool {
        self.forgotten.swap(false, Ordering::Relaxed)
    }

    /// Reserves a random place for a token of `api` that expires at `expires`, and is issued to `who`.
    ///
    /// # Errors
    /// `Full` when as many tokens are remembered as may be; `Share`; `Unavailable` without randomness.
    pub fn reserve(
        self: &Arc<Self>,
        (api, bits): (&Resource, StatusBits),
        expires: Time,
        who: ShareKey,
    ) -> Result<ReservedPlace, CommitReason> {
        self.lists().tokens.room((Capacity::StatusTokens, self.max), who, 1, || LOOK_AGAIN_SECONDS)?;
        let mut key = ListKey::first(api, bits, expires);
        let mut id = key.id();
        let mut lists = self.lists();
        // As many lists as there are tokens for, so this ends.
        while lists.of.get(&id).is_some_and(|list| list.taken.count >= TAKEN_MAX) {
            key = key.next_part();
            id = key.id();
        }
        let list = lists.list(id, &key, &self.version);
        let index = list.free()?;
        list.taken.insert(index);
        drop(lists);
        let place = StatusPlace { index, list: id };
        Ok(ReservedPlace { lists: Arc::clone(self), key, place, kept: false })
    }

    /// Takes up a token whose hop is being committed. If it is not committed after all, its place is released.
    pub(super) fn add(&self, registration: Registration) -> StatusRow {
        let Registration { mut place, expires, share, generations } = registration;
        place.kept = true;
        let mut lists = self.lists();
        let StatusPlace { index, list } = place.place;
        if let Some(list) = lists.of.get_mut(&list) {
            list.recorded.insert(index);
            list.fresh.push(ListedToken::new(index, expires, share, &generations));
            lists.tokens.take(share, 1);
        }
        drop(lists);
        StatusRow { list: place.key.clone(), place: place.place, expires, generations }
    }

    /// The things that the configuration suspends from now on: tokens that depend on any of them are shown as suspended.
    pub fn hold(&self, keys: HashSet<GenerationKey>) {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
    }

    /// The list, as it is told now.
    pub fn shown(&self, list: &ListId) -> Option<Arc<ShownList>> {
        self.lists().of.get(list).map(|list| Arc::clone(&list.shown))
    }

    /// Every list that there is.
    pub fn all(&self) -> Vec<ListId> {
        let mut all: Vec<ListId> = self.lists().of.keys().copied().collect();
        all.sort_unstable();
        all
    }

    /// How many tokens are remembered.
    pub fn len(&self) -> usize {
        self.lists().tokens.held()
    }

    /// True where no token is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// As of when the lists are true: they tell of every revocation before it.
    pub fn checked(&self) -> Time {
        Time::from_millis(self.checked.load(Ordering::Acquire))
    }

    /// Looks at tokens that are new, at those that depend on anything that changed, and at all of them when the configuration
    /// suspends other things, or some may have died by themselves.
    pub(super) fn look(&self, recorded: &State, now: Time) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        // Before anything is looked at: what changes meanwhile is looked at the next time.
        let (changes, changed) = recorded.changed_since(seen.changes);
        let held = Arc::clone(&self.held.lock().unwrap_or_else(PoisonError::into_inner));
        let stale = seen.at.is_none_or(|at| now < at || now.millis() - at.millis() >= LOOK_AGAIN_MILLIS);
        let all = stale || !Arc::ptr_eq(&held, &seen.held) || seen.due.is_some_and(|due| due <= now);
        let changed = if all { Changed::Everything } else { changed };
        let all = changed == Changed::Everything;
        let state = WithFiles { recorded, held: &held };
        let mut due = if all { None } else { seen.due };
        for list in self.all() {
            let earliest = self.look_at(&list, &state, now, &changed);
            due = due.into_iter().chain(earliest).min();
        }
        self.forget(recorded, now);
        let at = if all { Some(now) } else { seen.at };
        *seen = LastLook { changes, held, at, due };
        self.checked.store(now.millis(), Ordering::Release);
    }

    /// Looks at the tokens of one list; nobody waits for it. Returns when the first of them dies by itself.
    fn look_at(&self, id: &ListId, state: &WithFiles<'_>, now: Time, changed: &Changed) -> Option<Time> {
        let (mut fresh, mut known, bits) = {
            let mut lists = self.lists();
            let list = lists.of.get_mut(id)?;
            let known = if changed.is_nothing() { Vec::new() } else { std::mem::take(&mut list.known) };
            (std::mem::take(&mut list.fresh), known, list.shown.key.bits)
        };
        let over = |entry: &mut ListedToken| entry.expires.plus(ListKey::LEEWAY) <= now;
        let all = *changed == Changed::Everything;
        let mut gone: Vec<ListedToken> = fresh.extract_if(.., over).collect();
        if all {
            gone.extend(known.extract_if(.., over));
        }
        if !gone.is_empty() {
            state.recorded.raise_floor(now);
            let mut lists = self.lists();
            gone.iter().for_each(|token| lists.tokens.give_back(token.share, 1));
        }
        let (mut told, mut due) = (Vec::new(), None);
        // What is over for good need not be looked at again.
        let touched =
            known.iter_mut().filter(|entry| entry.status != TokenStatus::Invalid && changed.touches(&entry.generations));
        for entry in touched.chain(&mut fresh) {
            let status = TokenStatus::of(state, &entry.generations, now);
            if status != entry.status {
                entry.status = status;
                told.push((entry.index, status.within(bits)));
            }
            due = due.into_iter().chain(state.due(&entry.generations)).min();
        }
        known.append(&mut fresh);
        self.put_back(id, known, &told);
        due
    }

    fn put_back(&self, id: &ListId, mut entries: Vec<ListedToken>, changed: &[(u32, u8)]) {
        let mut lists = self.lists();
        let Some(list) = lists.of.get_mut(id) else { return };
        list.known.append(&mut entries);
        if changed.is_empty() {
            return;
        }
        list.show(changed, &self.version);
    }

    /// Forgets the lists that are over, and stay so whatever a clock says later.
    fn forget(&self, recorded: &State, now: Time) {
        let gone = |list: &ListState| list.shown.key.forgettable() <= now;
        let mut lists = self.lists();
        if lists.of.values().any(gone) {
            recorded.raise_floor(now);
        }
        let over: Vec<ListState> = lists.of.extract_if(|_, list| gone(list)).map(|(_, list)| list).collect();
        for token in over.iter().flat_map(|list| list.fresh.iter().chain(&list.known)) {
            lists.tokens.give_back(token.share, 1);
        }
        self.forgotten.fetch_or(!over.is_empty(), Ordering::Relaxed);
    }

    fn lists(&self) -> MutexGuard<'_, Lists> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lists {
    /// The list of `key`, whose identifier is `id`.
    fn list(&mut self, id: ListId, key: &ListKey, version: &AtomicU64) -> &mut ListState {
        self.of.entry(id).or_insert_with(|| {
            let version = version.fetch_add(1, Ordering::Relaxed) + 1;
            let shown = Arc::new(ShownList { key: key.clone(), version, bytes: all_valid(key.bits) });
            let (taken, recorded, fresh, known) = Default::default();
            ListState { taken, recorded, fresh, known, shown }
        })
    }
}

impl ListState {
    /// A place that nobody has, at random. A quarter of them is always free, so a few attempts find one.
    fn free(&self) -> Result<u32, CommitReason> {
        loop {
            let index = u32::from_be_bytes(random().map_err(|_| CommitReason::Unavailable)?) % PLACES;
            if !self.taken.contains(index) {
                return Ok(index);
            }
        }
    }

    /// Removes the token in a place, and what it showed there. Returns in whose shares there were any.
    fn release(&mut self, index: u32, version: &AtomicU64) -> Vec<ShareKey> {
        if !self.recorded.remove(index) {
            return Vec::new();
        }
        self.taken.remove(index);
        let here = |token: &mut ListedToken| token.index == index;
        let gone = self.fresh.extract_if(.., here).chain(self.known.extract_if(.., here));
        let gone = gone.map(|token| token.share).collect();
        self.show(&[(index, TokenStatus::Valid.within(self.shown.key.bits))], version);
        gone
    }

    fn show(&mut self, changed: &[(u32, u8)], version: &AtomicU64) {
        let mut bytes = self.shown.bytes.clone();
        changed.iter().for_each(|(index, value)| put(&mut bytes, self.shown.key.bits, *index, *value));
        let version = version.fetch_add(1, Ordering::Relaxed) + 1;
        self.shown = Arc::new(ShownList { key: self.shown.key.clone(), version, bytes });
    }
}

impl Default for PlaceSet {
    fn default() -> Self {
        Self { words: vec![0; PLACES as usize / 64], count: 0 }
    }
}

impl PlaceSet {
    /// True also for what is no place.
    fn contains(&self, index: u32) -> bool {
        self.words.get(index as usize / 64).is_none_or(|word| word >> (index % 64) & 1 == 1)
    }

    /// False where it was there already, or is no place.
    fn insert(&mut self, index: u32) -> bool {
        let absent = !self.contains(index);
        if let Some(word) = self.words.get_mut(index as usize / 64).filter(|_| absent) {
            *word |= 1 << (index % 64);
            self.count += 1;
        }
        absent
    }

    /// False where it was not there.
    fn remove(&mut self, index: u32) -> bool {
        match self.words.get_mut(index as usize / 64) {
            Some(word) if *word >> (index % 64) & 1 == 1 => {
                *word &= !(1 << (index % 64));
                self.count -= 1;
                true
            }
            _ => false,
        }
    }
}

impl ListedToken {
    fn new(index: u32, expires: Time, share: ShareKey, generations: &[Generation]) -> Self {
        Self { index, status: TokenStatus::Valid, expires, share, generations: generations.into() }
    }
}

impl Changed {
    fn is_nothing(&self) -> bool {
        matches!(self, Self::Things(keys) if keys.is_empty())
    }

    /// True where anything changed that these generations name.
    fn touches(&self, generations: &[Generation]) -> bool {
        match self {
            Self::Everything => true,
            Self::Things(keys) => generations.iter().any(|generation| keys.contains(&generation.key)),
        }
    }
}

/// The recorded state, with the suspensions of the configuration over it.
struct WithFiles<'a> {
    recorded: &'a State,
    held: &'a HashSet<GenerationKey>,
}

impl WithFiles<'_> {
    /// When the first of these dies by itself, as a task does.
    fn due(&self, generations: &[Generation]) -> Option<Time> {
        if !self.recorded.has_tasks() {
            return None;
        }
        let keys: Vec<GenerationKey> = generations.iter().map(|generation| generation.key).collect();
        self.recorded.generations(&keys).into_iter().filter_map(|life| life.until).min()
    }
}

impl StateView for WithFiles<'_> {
    fn generations(&self, keys: &[GenerationKey]) -> Vec<GenerationState> {
        let mut lives = self.recorded.generations(keys);
        if self.held.is_empty() {
            return lives;
        }
        for (_, life) in keys.iter().zip(&mut lives).filter(|(key, _)| self.held.contains(*key)) {
            life.inactive = life.inactive.max(Some(InactiveStatus::Suspended));
        }
        lives
    }

    fn task(&self, id: &TaskId) -> Option<Task> {
        self.recorded.task(id)
    }

    fn floor(&self) -> Time {
        self.recorded.floor()
    }
}

impl ReservedPlace {
    /// The list and the index within it.
    pub fn place(&self) -> StatusPlace {
        self.place
    }
}

impl Drop for ReservedPlace {
    fn drop(&mut self) {
        if !self.kept
            && let Some(list) = self.lists.lists().of.get_mut(&self.place.list)
            && !list.recorded.contains(self.place.index)
        {
            list.taken.remove(self.place.index);
        }
    }
}

impl fmt::Debug for ReservedPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReservedPlace").field(&self.place).finish()
    }
}
