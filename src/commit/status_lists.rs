//! The status lists: the tokens that stand in each, and the statuses it shows. The store is the truth; this is loaded from it.
//!
//! A place is reserved before its token is signed and taken when its hop is committed; what was reserved for nothing is free
//! again. A place that was taken is never given again while its list exists, and no list comes back.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::capacity::Capacity;
use super::contract::StatusRow;
use super::listed_tokens::{ListedToken, ListedTokens, Touched};
use super::receipt::CommitReason;
use super::recent_changes::Changed;
use super::shares::Shares;
use super::state::State;
use crate::catalog::StatusBits;
use crate::crypto::random;
use crate::lifecycle::status::{ListKey, PLACES, TAKEN_MAX, TokenStatus, all_valid, put};
use crate::lifecycle::{GenerationState, InactiveStatus, StateView, Task};
use crate::oauth::{Generation, GenerationKey, ListId, Resource, ShareKey, StatusPlace, TaskId, Time};

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
    /// How many tokens were looked at since the start.
    looked: AtomicU64,
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
    /// Tokens that were not looked at yet.
    fresh: Vec<ListedToken>,
    /// When the next token is over, as far as is known.
    next_over: Option<Time>,
    /// The tokens that are remembered, by whom they were issued to. Who had one that was read from the store is not known.
    tokens: Shares,
}

#[derive(Debug)]
struct ListState {
    /// The places that are reserved or recorded, and those of them that are recorded.
    taken: PlaceSet,
    recorded: PlaceSet,
    shown: Arc<ShownList>,
}

/// Places of one list.
#[derive(Debug)]
struct PlaceSet {
    words: Vec<u64>,
    count: u32,
}

/// The tokens as of the last look, and the state of things then.
#[derive(Debug, Default)]
struct LastLook {
    tokens: ListedTokens,
    changes: u64,
    held: Arc<HashSet<GenerationKey>>,
    /// The present of then; none before the first.
    at: Option<Time>,
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
            looked: AtomicU64::new(0),
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
                lists.remember(ListedToken { place, expires, share: ShareKey::NOBODY, generations: generations.into() });
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
        let mut seen = self.seen();
        let mut lists = self.lists();
        for place in places {
            if lists.of.get_mut(&place.list).is_some_and(|list| list.release(place.index, &self.version)) {
                let fresh = lists.fresh.extract_if(.., |token| token.place == *place).map(|token| token.share);
                let gone: Vec<ShareKey> = fresh.chain(seen.tokens.release(*place)).collect();
                gone.into_iter().for_each(|share| lists.tokens.give_back(share, 1));
            }
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
        self.require_room(who)?;
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

    fn require_room(&self, who: ShareKey) -> Result<(), CommitReason> {
        let (lists, checked) = (self.lists(), self.checked());
        let retry = || lists.next_over.map_or(1, |over| over.seconds_after(checked).max(1));
        lists.tokens.room((Capacity::StatusTokens, self.max), who, 1, retry)
    }

    /// Takes up a token whose hop is being committed. If it is not committed after all, its place is released.
    pub(super) fn add(&self, registration: Registration) -> StatusRow {
        let Registration { mut place, expires, share, generations } = registration;
        place.kept = true;
        let mut lists = self.lists();
        let StatusPlace { index, list } = place.place;
        if let Some(list) = lists.of.get_mut(&list) {
            list.recorded.insert(index);
            lists.remember(ListedToken { place: place.place, expires, share, generations: generations.as_slice().into() });
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

    /// How many tokens were looked at since the start: one that is new, and one each time that something changes which it
    /// depends on.
    pub fn looked(&self) -> u64 {
        self.looked.load(Ordering::Relaxed)
    }

    /// Looks at the tokens that are new, and at those that depend on anything that changed since the last look: by a record, by
    /// the configuration, or because its time was over. Nobody waits for it.
    pub(super) fn look(&self, recorded: &State, now: Time) {
        let mut seen = self.seen();
        // Before anything is looked at: what changes meanwhile is looked at the next time.
        let (changes, changed) = recorded.changed_since(seen.changes);
        let held = Arc::clone(&self.held.lock().unwrap_or_else(PoisonError::into_inner));
        let present = now.max(recorded.floor());
        let touched = match changed {
            Changed::Things(things) => {
                let files = held.symmetric_difference(&seen.held).copied();
                let over = seen.at.map(|at| recorded.over_between(at, present)).unwrap_or_default();
                seen.tokens.touched(&things.into_iter().chain(files).chain(over).collect::<BTreeSet<_>>())
            }
            Changed::Everything => Touched::All,
        };
        let fresh = std::mem::take(&mut self.lists().fresh);
        let fresh: Vec<u32> = fresh.into_iter().map(|token| seen.tokens.add(token)).collect();
        let state = WithFiles { recorded, held: &held };
        match touched {
            Touched::Some(numbers) => self.look_at(&mut seen.tokens, numbers.into_iter().chain(fresh), &state, now),
            // The new ones are among them.
            Touched::All => {
                let all = seen.tokens.numbers();
                self.look_at(&mut seen.tokens, all, &state, now);
            }
        }
        self.forget(&mut seen.tokens, recorded, now);
        (seen.changes, seen.held, seen.at) = (changes, held, Some(present));
        self.checked.store(now.millis(), Ordering::Release);
    }

    /// Looks at these tokens, and shows what changed.
    fn look_at(&self, tokens: &mut ListedTokens, numbers: impl Iterator<Item = u32>, state: &WithFiles<'_>, now: Time) {
        let (mut looked, mut told) = (0, HashMap::<ListId, Vec<(u32, TokenStatus)>>::new());
        for number in numbers {
            let changed = tokens.look(number, |generations| {
                looked += 1;
                TokenStatus::of(state, generations, now)
            });
            if let Some((place, status)) = changed {
                told.entry(place.list).or_default().push((place.index, status));
            }
        }
        self.looked.fetch_add(looked, Ordering::Relaxed);
        for (list, changed) in told {
            let mut lists = self.lists();
            lists.of.get_mut(&list).into_iter().for_each(|list| list.show(&changed, &self.version));
        }
    }

    /// Forgets the tokens and the lists that are over, and stay so whatever a clock says later.
    fn forget(&self, tokens: &mut ListedTokens, recorded: &State, now: Time) {
        let gone = |list: &ListState| list.shown.key.forgettable() <= now;
        let over = tokens.forget(now);
        let mut lists = self.lists();
        if !over.is_empty() || lists.of.values().any(gone) {
            recorded.raise_floor(now);
        }
        over.into_iter().for_each(|share| lists.tokens.give_back(share, 1));
        lists.next_over = lists.fresh.iter().map(ListedToken::forgotten).chain(tokens.next_over()).min();
        let forgotten = lists.of.extract_if(|_, list| gone(list)).count() > 0;
        self.forgotten.fetch_or(forgotten, Ordering::Relaxed);
    }

    fn seen(&self) -> MutexGuard<'_, LastLook> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
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
            let (taken, recorded) = Default::default();
            ListState { taken, recorded, shown }
        })
    }

    /// Remembers a token, which is looked at soon.
    fn remember(&mut self, token: ListedToken) {
        self.tokens.take(token.share, 1);
        self.next_over = self.next_over.into_iter().chain([token.forgotten()]).min();
        self.fresh.push(token);
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

    /// Gives back a place, and what was shown there; false where it was nobody's.
    fn release(&mut self, index: u32, version: &AtomicU64) -> bool {
        let released = self.recorded.remove(index);
        if released {
            self.taken.remove(index);
            self.show(&[(index, TokenStatus::Valid)], version);
        }
        released
    }

    fn show(&mut self, changed: &[(u32, TokenStatus)], version: &AtomicU64) {
        let (mut bytes, bits) = (self.shown.bytes.clone(), self.shown.key.bits);
        changed.iter().for_each(|(index, status)| put(&mut bytes, bits, *index, status.within(bits)));
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

/// The recorded state, with the suspensions of the configuration over it.
struct WithFiles<'a> {
    recorded: &'a State,
    held: &'a HashSet<GenerationKey>,
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
