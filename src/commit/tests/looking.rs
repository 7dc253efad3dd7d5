//! What a look at the status lists costs, and that it misses nothing: compared with a look at every token after every step.

use std::collections::HashSet;

use super::histories::Dice;
use super::tasks::terms;
use super::*;
use crate::catalog::StatusBits;
use crate::lifecycle::status::TokenStatus;
use crate::lifecycle::{GenerationState, InactiveStatus, StateView, Task};
use crate::oauth::StatusPlace;

/// Things by number; from `TASKS` on they are tasks.
const THINGS: u64 = 12;
const TASKS: u64 = 8;

/// The state with the suspensions of the files over it, told naively.
struct Held<'a>(&'a State, &'a HashSet<GenerationKey>);

impl StateView for Held<'_> {
    fn generations(&self, keys: &[GenerationKey]) -> Vec<GenerationState> {
        let mut all = StateView::generations(self.0, keys);
        for (_, state) in keys.iter().zip(&mut all).filter(|(key, _)| self.1.contains(*key)) {
            state.inactive = state.inactive.max(Some(InactiveStatus::Suspended));
        }
        all
    }

    fn task(&self, id: &TaskId) -> Option<Task> {
        StateView::task(self.0, id)
    }

    fn floor(&self) -> Time {
        State::floor(self.0)
    }
}

/// A token, and whether it was over for good at some step.
struct Known {
    place: StatusPlace,
    generations: Vec<Generation>,
    expires: i64,
    is_dead: bool,
}

/// A register that is looked at, and everything that it is to show.
struct Scene {
    state: State,
    lists: Arc<StatusLists>,
    held: HashSet<GenerationKey>,
    now: i64,
    epoch: u64,
    tokens: Vec<Known>,
}

fn key(id: u64) -> GenerationKey {
    GenerationKey([id as u8; 16])
}

fn some_thing(id: u64, number: u64) -> Thing {
    let kind = if id < TASKS { GenerationKind::Agent } else { GenerationKind::Task };
    Thing { key: key(id), kind, number, task: None, txn: None, agent: None }
}

impl Scene {
    fn new(max: usize) -> Self {
        let (state, held, tokens) = Default::default();
        Self { state, lists: StatusLists::new(max), held, now: START, epoch: 0, tokens }
    }

    fn at(&self) -> Time {
        Time::from_millis(self.now)
    }

    fn number(&self, id: u64) -> u64 {
        StateView::generations(&self.state, &[key(id)])[0].number
    }

    fn issue(&mut self, on: &[u64], lasting: i64) {
        let api = super::listing::api();
        let expires = self.now + lasting;
        let time = Time::from_millis(expires);
        let place = self.lists.reserve((&api, StatusBits::Two), time, ShareKey::NOBODY).unwrap();
        let epoch = Generation { key: GenerationKey::EPOCH, number: self.epoch };
        let on = on.iter().map(|id| Generation { key: key(*id), number: self.number(*id) });
        let generations: Vec<Generation> = on.chain([epoch]).collect();
        let known = Known { place: place.place(), generations: generations.clone(), expires, is_dead: false };
        let _row = self.lists.add(Registration { place, expires: time, share: ShareKey::NOBODY, generations });
        self.tokens.push(known);
    }

    fn end(&self, id: u64) {
        let things = vec![some_thing(id, self.number(id) + 1)];
        self.state.apply(0, &Effect::End { at: self.at(), things, until: None }, self.at());
    }

    fn turn(&self, id: u64, transition: Transition) {
        let things = vec![some_thing(id, self.number(id))];
        self.state.apply(0, &Effect::Status { at: self.at(), transition, things, by: None }, self.at());
    }

    fn open(&self, id: u64, on: u64) {
        let heartbeat = Some(std::time::Duration::from_secs(10));
        let terms = TaskTerms { opened: self.at(), heartbeat, ..terms(id as u8, 9, 0, None, &[on as u8]) };
        self.state.open(TaskTerms { deadline: Time::from_millis(self.now + 120_000), ..terms }, self.at());
    }

    fn begin_epoch(&mut self) {
        self.epoch += 1;
        self.state.apply(0, &Effect::Epoch { at: self.at(), number: self.epoch, held: false }, self.at());
    }

    /// The writer records the ends of tasks that time has ended.
    fn sweep(&self) {
        for task in self.state.overdue(self.at()) {
            self.end(u64::from(task.id.as_bytes()[0]));
        }
    }

    fn step(&mut self, dice: &mut Dice) {
        let (id, other) = (dice.roll(THINGS), dice.roll(TASKS));
        match dice.roll(12) {
            0..4 => {
                let on: Vec<u64> = (0..1 + dice.roll(4)).map(|_| dice.roll(THINGS)).collect();
                self.issue(&on, 1_000 + dice.roll(200_000) as i64);
            }
            4 => self.end(id),
            5 => self.turn(id, Transition::Suspend),
            6 => self.turn(id, Transition::Resume),
            7 => {
                self.held = (0..dice.roll(3)).map(|_| key(dice.roll(TASKS))).collect();
                let _beats = self.state.suspend_configured(self.held.clone(), self.at());
                self.lists.hold(self.held.clone());
            }
            8 => self.now += dice.roll(12_000) as i64,
            9 => self.open(TASKS + dice.roll(THINGS - TASKS), other),
            10 => drop(self.state.beat(TaskId::from_bytes(key(TASKS + dice.roll(THINGS - TASKS)).0), self.at())),
            _ if dice.roll(8) == 0 => self.begin_epoch(),
            _ => self.sweep(),
        }
    }

    /// What every token is to be shown as, and what it is.
    fn check(&mut self, seed: u64) {
        let (view, at) = (Held(&self.state, &self.held), self.at());
        for known in &mut self.tokens {
            if known.expires + 60_000 <= self.now {
                continue;
            }
            let status = if known.is_dead { TokenStatus::Invalid } else { TokenStatus::of(&view, &known.generations, at) };
            known.is_dead = status == TokenStatus::Invalid;
            let shown = self.lists.shown(&known.place.list).unwrap();
            let value = shown.bytes[known.place.index as usize / 4] >> (known.place.index % 4 * 2) & 3;
            assert_eq!(value, status as u8, "{seed}: {:?}", known.generations);
        }
    }
}

#[test]
fn after_every_step_of_many_histories_the_lists_say_what_a_look_at_every_token_says() {
    for seed in 0..150 {
        let (mut scene, mut dice) = (Scene::new(10_000), Dice(seed));
        for _ in 0..120 {
            scene.step(&mut dice);
            scene.lists.look(&scene.state, scene.at());
            scene.check(seed);
            let before = scene.lists.looked();
            scene.lists.look(&scene.state, scene.at());
            assert_eq!(scene.lists.looked(), before, "{seed}: nothing changed, so nothing is looked at");
        }
    }
}

/// The tokens that are looked at are counted: as many as depend on what changed, each once, however often it changed.
#[test]
fn a_look_costs_what_changed_and_not_what_there_is() {
    let mut scene = Scene::new(100_000);
    const ROOT: u64 = 3;
    let own = |index: u64| GenerationKey(*Digest::of(&index.to_be_bytes()).0.first_chunk().unwrap());
    for index in 0..5_000 {
        scene.issue(&[ROOT], 600_000);
        let token =
            scene.lists.reserve((&super::listing::api(), StatusBits::Two), Time::from_millis(START + 600_000), ShareKey::NOBODY);
        // Each has a thing of its own, and shares another with one more.
        let on = [own(index), own(10_000 + index / 2)].map(|key| Generation { key, number: 0 });
        let (place, generations) = (token.unwrap(), on.to_vec());
        let expires = Time::from_millis(START + 600_000);
        let _row = scene.lists.add(Registration { place, expires, share: ShareKey::NOBODY, generations });
    }
    let looked = |scene: &Scene| {
        let before = scene.lists.looked();
        scene.lists.look(&scene.state, scene.at());
        scene.lists.looked() - before
    };
    let change = |scene: &Scene, keys: &[GenerationKey]| {
        let thing = |key: &GenerationKey| Thing { key: *key, ..some_thing(0, 0) };
        let things = keys.iter().map(thing).collect();
        scene.state.apply(0, &Effect::Status { at: scene.at(), transition: Transition::Suspend, things, by: None }, scene.at());
    };
    assert_eq!((looked(&scene), looked(&scene)), (10_000, 0));
    change(&scene, &[own(7)]);
    assert_eq!(looked(&scene), 1);
    change(&scene, &[own(10_000), own(10_001), own(0), own(1)]);
    assert_eq!(looked(&scene), 4, "two and two, some by two of their things");
    change(&scene, &[own(999_999)]);
    assert_eq!(looked(&scene), 0, "nothing depends on it");
    (0..50).for_each(|_| change(&scene, &[key(ROOT)]));
    assert_eq!(looked(&scene), 5_000);
    // As many changes as there are tokens cost no more than one look at each.
    (0..400).for_each(|_| change(&scene, &(0..10).map(own).chain([key(ROOT)]).collect::<Vec<_>>()));
    assert!(looked(&scene) <= 10_000);
    scene.now += 500_000;
    assert_eq!(looked(&scene), 0, "that time passes is no change");
    scene.now += 200_000;
    assert_eq!((looked(&scene), scene.lists.len()), (0, 0), "and what is over is let go without a look");
}
