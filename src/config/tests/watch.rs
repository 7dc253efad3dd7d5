//! Files that are being written, by a clock of the test's own: nothing here waits, and nothing depends on how fast a machine is.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::scene::{AGENT, API, IDP, JWKS, MAIN, Scene};
use crate::config::{
    BETWEEN, CandidateBoard, CandidateState, ChangedBy, Config, ConfigurationWatch, Loaded, Sources, StartState, Succession,
    Successor, TakeOutcome,
};
use crate::crypto::Digest;
use crate::diagnostic::Diagnostics;

/// What a watch did.
#[derive(Clone, Default)]
struct Witness(Arc<Mutex<Witnessed>>);

#[derive(Default)]
struct Witnessed {
    /// The agents in force.
    agents: BTreeSet<String>,
    taken: Vec<(Digest, ChangedBy)>,
    ended: Vec<String>,
    refused: usize,
    rekeyed: usize,
    /// Nothing can be recorded.
    hindered: bool,
    /// No configuration can be put in force.
    unusable: bool,
    attempts: usize,
}

impl Witness {
    fn of(config: &Config) -> Self {
        let witness = Self::default();
        witness.0.lock().unwrap().agents = agents(config);
        witness
    }

    fn taken(&self) -> Vec<(Digest, ChangedBy)> {
        std::mem::take(&mut self.0.lock().unwrap().taken)
    }
}

fn agents(config: &Config) -> BTreeSet<String> {
    config.catalog.agents().map(|agent| agent.id.to_string()).collect()
}

impl Successor for Witness {
    fn weigh(&self, config: &Config) -> Succession {
        let (before, now) = (self.0.lock().unwrap().agents.clone(), agents(config));
        let ends: Vec<String> = before.difference(&now).cloned().collect();
        let needs_acceptance = ends.len() == before.len();
        Succession { comes: now.difference(&before).cloned().collect(), ends, needs_acceptance }
    }

    fn take(&self, config: Config, digest: Digest, by: ChangedBy) -> TakeOutcome {
        let ended = self.weigh(&config).ends;
        let mut witnessed = self.0.lock().unwrap();
        witnessed.attempts += 1;
        if witnessed.hindered {
            return TakeOutcome::Unrecorded;
        }
        if witnessed.unusable {
            return TakeOutcome::Refused;
        }
        witnessed.ended.extend(ended);
        witnessed.agents = agents(&config);
        witnessed.taken.push((digest, by));
        TakeOutcome::InForce
    }

    fn records(&self) -> bool {
        !self.0.lock().unwrap().hindered
    }

    fn rekey(&self, _: Config) {
        self.0.lock().unwrap().rekeyed += 1;
    }

    fn refuse(&self, _: &Diagnostics) {
        self.0.lock().unwrap().refused += 1;
    }
}

/// A watch over a scene, at a time that only the test moves.
struct Stage {
    scene: Scene,
    sources: Sources,
    watch: ConfigurationWatch<Witness>,
    witness: Witness,
    board: Arc<CandidateBoard>,
    now: Duration,
}

impl Stage {
    fn new(scene: Scene, start: StartState) -> Self {
        let sources = scene.sources();
        let Loaded { config, kept, .. } = sources.load();
        let (config, board) = (config.unwrap(), Arc::new(CandidateBoard::default()));
        let witness = Witness::of(&config);
        let watch =
            ConfigurationWatch::new(sources.clone(), witness.clone(), Arc::clone(&board), (&kept, &config.settings), start);
        Self { scene, sources, watch, witness, board, now: Duration::ZERO }
    }

    /// Looks once a second, for so many seconds.
    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now += Duration::from_secs(1);
            self.watch.look(self.now, false);
        }
    }

    fn state(&self) -> Option<CandidateState> {
        self.board.shown().map(|shown| shown.state)
    }
}

fn two_agents() -> Scene {
    Scene::new().with("agents/a.toml", AGENT).with("agents/b.toml", &AGENT.replace("'a'", "'b'"))
}

#[test]
fn a_change_is_taken_when_it_rests_and_a_broken_one_never() {
    let mut stage = Stage::new(two_agents(), StartState::InForce);
    stage.pass(5);
    assert!(stage.witness.taken().is_empty() && stage.state().is_none());
    for number in 0..5 {
        stage.scene.put("agents/c.toml", &format!("{}# {number}\n", AGENT.replace("'a'", "'c'")));
        stage.pass(1);
        assert_eq!(stage.state(), Some(CandidateState::Settling));
    }
    assert!(stage.witness.taken().is_empty(), "it was being written all the time");
    stage.pass(2);
    assert_eq!(stage.witness.taken(), [(stage.sources.load().digest, ChangedBy::Files)]);
    stage.scene.put("agents/c.toml", "");
    stage.pass(1);
    assert_eq!(stage.witness.0.lock().unwrap().refused, 0, "it is not told of what may be no mistake");
    stage.pass(60);
    assert_eq!((stage.witness.0.lock().unwrap().refused, stage.state()), (1, Some(CandidateState::Unusable)));
    assert!(stage.witness.taken().is_empty());
}

/// What comes back in time has not been away; what does not is a decision; and what would end everything is nobody's yet.
#[test]
fn what_ends_something_waits_and_what_ends_everything_is_asked_for() {
    let mut stage = Stage::new(two_agents(), StartState::InForce);
    let file = stage.scene.path("agents/b.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::remove_file(&file).unwrap();
    stage.pass(11);
    assert_eq!(stage.state(), Some(CandidateState::EndsWait));
    assert_eq!(stage.board.shown().unwrap().in_force_in, Some(2));
    fs::write(&file, &text).unwrap();
    stage.pass(30);
    assert!(stage.witness.taken().is_empty() && stage.state().is_none());
    fs::remove_file(&file).unwrap();
    stage.pass(13);
    assert_eq!(stage.witness.taken().len(), 1);
    assert_eq!(stage.witness.0.lock().unwrap().ended, ["b"]);
    fs::remove_file(stage.scene.path("agents/a.toml")).unwrap();
    stage.pass(1000);
    assert_eq!(stage.state(), Some(CandidateState::NeedsAcceptance));
    let digest = stage.board.shown().unwrap().digest;
    stage.scene.put("agents/a.toml", &AGENT.replace("'a'", "'other'"));
    stage.board.accept(digest);
    stage.pass(1000);
    assert!(stage.witness.taken().is_empty(), "another one was accepted");
    let digest = stage.board.shown().unwrap().digest;
    stage.board.accept(digest);
    stage.pass(1);
    assert_eq!(stage.witness.taken(), [(digest, ChangedBy::Operator)]);
    assert!(stage.state().is_none());
}

/// An accepted change hurries; asked by SIGHUP the same files are taken once more; a policy file that is gone waits as well.
#[test]
fn who_accepts_hurries_and_who_asks_is_answered() {
    let scene = two_agents().with("policies/p.cedar", "permit(principal, action, resource);");
    let mut stage = Stage::new(scene.with("policies/q.cedar", "forbid(principal, action, resource);"), StartState::InForce);
    let file = stage.scene.path("policies/q.cedar");
    let text = fs::read(&file).unwrap();
    fs::remove_file(&file).unwrap();
    stage.pass(12);
    fs::write(&file, text).unwrap();
    stage.pass(20);
    assert!(stage.witness.taken().is_empty(), "its forbid was never out of force");
    stage.now += Duration::from_secs(1);
    stage.watch.look(stage.now, true);
    stage.pass(2);
    assert_eq!(stage.witness.taken().len(), 1);
    fs::remove_file(stage.scene.path("agents/b.toml")).unwrap();
    stage.pass(1);
    let digest = stage.board.shown().unwrap().digest;
    stage.board.accept(digest);
    stage.pass(1);
    assert_eq!(stage.witness.taken(), [(digest, ChangedBy::Operator)]);
}

/// Before anything is in force, what a start read waits in the same way.
#[test]
fn a_start_waits_in_the_same_way() {
    let mut stage = Stage::new(two_agents(), StartState::InForce);
    stage.witness.0.lock().unwrap().agents.insert("z".to_owned());
    let Loaded { config, kept, .. } = stage.sources.load();
    let (sources, witness, board) = (stage.sources.clone(), stage.witness.clone(), Arc::clone(&stage.board));
    stage.watch = ConfigurationWatch::new(sources, witness, board, (&kept, &config.unwrap().settings), StartState::Waits);
    stage.board.refuse();
    stage.pass(11);
    assert!(stage.witness.taken().is_empty() && stage.board.refuses());
    stage.pass(1);
    assert_eq!((stage.witness.taken().len(), stage.board.refuses()), (1, false));
}

/// An acceptance is of what was shown: it is gone when that is written over, and does not come back with it.
#[test]
fn nothing_else_is_accepted_than_what_waits() {
    let mut stage = Stage::new(two_agents(), StartState::InForce);
    let file = stage.scene.path("agents/b.toml");
    let text = fs::read_to_string(&file).unwrap();
    assert!(!stage.board.accept(stage.sources.load().digest), "nothing waits");
    fs::remove_file(&file).unwrap();
    stage.pass(1);
    let shown = stage.board.shown().unwrap().digest;
    fs::write(&file, text.replace("'b'", "'c'")).unwrap();
    assert!(stage.board.accept(shown), "nobody has looked since");
    stage.pass(1);
    assert!(!stage.board.accept(shown) && !stage.board.is_in_force(&shown));
    fs::remove_file(&file).unwrap();
    stage.pass(1);
    assert_eq!(stage.board.shown().unwrap().digest, shown);
    stage.pass(5);
    assert!(stage.witness.taken().is_empty(), "it was accepted before it was written over");
    assert!(stage.board.accept(shown));
    stage.pass(1);
    assert_eq!(stage.witness.taken(), [(shown, ChangedBy::Operator)]);
    assert!(stage.board.is_in_force(&shown));
}

/// What could not be recorded is taken by itself when it can be, by whom it was to be: after a start too.
#[test]
fn what_cannot_be_recorded_is_taken_when_it_can_be() {
    for start in [StartState::InForce, StartState::Unrecorded, StartState::Waits] {
        let mut stage = Stage::new(two_agents(), start);
        if start == StartState::Waits {
            stage.board.refuse();
        }
        if start == StartState::InForce {
            fs::remove_file(stage.scene.path("agents/b.toml")).unwrap();
            stage.pass(1);
            assert!(stage.board.accept(stage.board.shown().unwrap().digest));
        }
        stage.witness.0.lock().unwrap().hindered = true;
        stage.pass(100);
        assert_eq!((stage.state(), stage.board.refuses()), (Some(CandidateState::Unrecorded), start == StartState::Waits));
        assert_eq!(stage.witness.0.lock().unwrap().attempts, 1, "each attempt revokes once more");
        stage.witness.0.lock().unwrap().hindered = false;
        stage.pass(1);
        let by = if start == StartState::InForce { ChangedBy::Operator } else { ChangedBy::Files };
        assert_eq!(stage.witness.taken(), [(stage.sources.load().digest, by)]);
        assert!(stage.state().is_none() && !stage.board.refuses());
    }
}

/// What was asked for, by a start or by SIGHUP, is asked for until it is done: also where files are written meanwhile and hold
/// what they held, and where that happens during a look.
#[test]
fn what_is_asked_for_and_cannot_be_recorded_is_not_forgotten() {
    for start in [StartState::Unrecorded, StartState::InForce] {
        let mut stage = Stage::new(two_agents(), start);
        let file = stage.scene.path("agents/b.toml");
        let text = fs::read_to_string(&file).unwrap();
        stage.witness.0.lock().unwrap().hindered = true;
        stage.now += Duration::from_secs(1);
        stage.watch.look(stage.now, start == StartState::InForce);
        stage.pass(10);
        assert_eq!((stage.state(), stage.witness.0.lock().unwrap().attempts), (Some(CandidateState::Unrecorded), 1));
        fs::write(&file, &text).unwrap();
        let (within, again) = (file.clone(), text.clone());
        within_a_look(&mut stage, 12, Box::new(move || fs::write(within, again).unwrap()));
        stage.pass(10);
        assert_eq!(stage.state(), Some(CandidateState::Unrecorded), "nothing else is on disk, and it is not recorded yet");
        stage.witness.0.lock().unwrap().hindered = false;
        stage.pass(10);
        assert_eq!(stage.witness.taken(), [(stage.sources.load().digest, ChangedBy::Files)]);
        stage.pass(100);
        assert!(stage.witness.taken().is_empty() && stage.state().is_none(), "and then no more");
    }
}

/// What could not be put in force is tried again by whoever asks, and by nobody else.
#[test]
fn what_is_refused_is_tried_again_on_sighup() {
    let mut stage = Stage::new(two_agents(), StartState::InForce);
    stage.scene.put("agents/c.toml", &AGENT.replace("'a'", "'c'"));
    stage.witness.0.lock().unwrap().unusable = true;
    stage.pass(100);
    assert_eq!((stage.state(), stage.witness.0.lock().unwrap().attempts), (Some(CandidateState::Unusable), 1));
    stage.witness.0.lock().unwrap().unusable = false;
    stage.pass(100);
    assert!(stage.witness.taken().is_empty());
    stage.now += Duration::from_secs(1);
    stage.watch.look(stage.now, true);
    stage.pass(2);
    assert_eq!(stage.witness.taken(), [(stage.sources.load().digest, ChangedBy::Files)]);
}

/// A look during which something was written says nothing: the next one is one, whatever the files hold by then.
#[test]
fn after_a_look_that_says_nothing_there_is_another() {
    // Whichever file of the look it is that is written before.
    for files in 1..=40 {
        let mut stage = Stage::new(two_agents(), StartState::InForce);
        let file = stage.scene.path("agents/b.toml");
        let text = fs::read_to_string(&file).unwrap();
        fs::remove_file(&file).unwrap();
        stage.pass(3);
        assert_eq!(stage.state(), Some(CandidateState::EndsWait));
        fs::write(&file, "id = ").unwrap();
        within_a_look(&mut stage, files, Box::new(move || fs::write(file, text).unwrap()));
        stage.pass(1);
        assert_eq!(stage.state(), None, "{files}: the files are again those in force, and no report says otherwise");
    }
}

/// Two files that are written during a look: what is shown is what was there before it or after it, never one of each.
#[test]
fn what_is_shown_was_on_disk_at_one_time() {
    for files in 1..=20 {
        let mut stage = Stage::new(two_agents(), StartState::InForce);
        let [one, other] = ["agents/a.toml", "agents/b.toml"].map(|file| stage.scene.path(file));
        let version = |path: &PathBuf, number: u32| fs::write(path, format!("{}# {number}\n", fs::read_to_string(path).unwrap()));
        [&one, &other].into_iter().for_each(|path| version(path, 1).unwrap());
        let before = stage.sources.load().digest;
        let paths = [one.clone(), other.clone()];
        within_a_look(&mut stage, files, Box::new(move || paths.iter().for_each(|path| version(path, 2).unwrap())));
        let after = stage.sources.load().digest;
        let shown = stage.board.shown().map(|shown| shown.digest);
        assert!(shown.is_none_or(|shown| shown == before || shown == after), "{files}: nobody wrote that");
    }
}

/// A key that is revoked is out of use at once, also while the other files are broken: under those that are in force.
#[test]
fn keys_are_taken_up_whatever_the_other_files_are_about() {
    let scene = two_agents().with("main.toml", &format!("[keys]\ndir = 'keys'\n{MAIN}"));
    fs::create_dir(scene.path("keys")).unwrap();
    let mut stage = Stage::new(scene, StartState::InForce);
    stage.scene.put("agents/b.toml", "id = ");
    stage.pass(10);
    stage.scene.put("keys/keyring.json", "{}");
    stage.pass(1);
    assert_eq!((stage.witness.0.lock().unwrap().rekeyed, stage.state()), (1, Some(CandidateState::Unusable)));
    stage.pass(10);
    assert_eq!(stage.witness.0.lock().unwrap().rekeyed, 1);
}

/// Numbers that look random and are the same every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Something that happens to a file.
type WriterAct = Box<dyn FnOnce()>;

/// A step of whoever writes: so long after the one before.
type WriterStep = (Duration, WriterAct);

/// The steps by which `path` comes to hold `text`: in place, by a file beside it, or removed and written anew. None leaves a file
/// alone for more than `most` milliseconds, nor lets it be away for as long as an end must wait.
fn rewrite(path: PathBuf, text: String, dice: &mut Dice, most: u64) -> Vec<WriterStep> {
    let pause = |dice: &mut Dice, most: u64| Duration::from_millis(dice.below(most));
    let mut steps: Vec<WriterStep> = Vec::new();
    let (way, target) = (dice.below(3), path.clone());
    let target = if way == 1 { path.with_extension("new") } else { target };
    if way == 2 {
        let path = path.clone();
        steps.push((Duration::ZERO, Box::new(move || fs::remove_file(path).unwrap())));
    }
    let (first, away) = (target.clone(), if way == 2 { 9_000 } else { most });
    steps.push((pause(dice, away), Box::new(move || fs::write(first, "").unwrap())));
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let cut = rest.floor_char_boundary(1 + usize::try_from(dice.below(rest.len() as u64)).unwrap());
        let (piece, later) = rest.split_at(cut.max(1));
        rest = later;
        let (target, piece) = (target.clone(), piece.to_owned());
        let append = move || {
            let mut file = fs::File::options().append(true).open(target).unwrap();
            std::io::Write::write_all(&mut file, piece.as_bytes()).unwrap();
        };
        steps.push((pause(dice, most), Box::new(append)));
    }
    if way == 1 {
        steps.push((pause(dice, most), Box::new(move || fs::rename(target, path).unwrap())));
    }
    steps
}

/// A version of a file of each kind. Its beginning is a valid file of its own, wherever that can be, and means something else.
fn version(file: usize, number: u64) -> (&'static str, String) {
    match file {
        0 => ("main.toml", format!("{MAIN}[tokens]\nlifetime_max = '15m'\nlifetime = '{}s'\n", 60 + number % 60)),
        1 => ("trust/i.toml", format!("lifetime_max = '{}s'\n{IDP}", 60 + number % 600)),
        2 => ("agents/a.toml", format!("{}[[login]]\nmethod = 'private_key_jwt'\njwks_file = 'a.json'\n# {number}\n", AGENT)),
        3 => ("agents/a.json", format!("{JWKS}{}", " ".repeat(usize::try_from(number % 50).unwrap()))),
        4 => ("apis/a.toml", format!("{API}write = {{ effect = 'reversible' }}\n# {number}\n")),
        _ => (
            "policies/p.cedar",
            format!(
                "permit(principal, action, resource);\n\
                 forbid(principal, action == Action::\"exchange\", resource) when {{ context.depth > {} }};\n",
                2 + number % 9
            ),
        ),
    }
}

/// No configuration that nobody wrote comes into force, and nothing ends that comes back. `COUNTERSIGN_REWRITES=10000` for more.
#[test]
fn rewritten_files_are_one_version_or_the_next_and_end_nothing() {
    let rewrites = std::env::var("COUNTERSIGN_REWRITES").ok().map_or(150, |number| number.parse().unwrap());
    let mut scene = Scene::new();
    for file in 0..6 {
        let (name, text) = version(file, 0);
        scene = scene.with(name, &text);
    }
    let mut stage = Stage::new(scene.with("agents/b.toml", &AGENT.replace("'a'", "'b'")), StartState::InForce);
    let (mut dice, mut taken) = (Dice(13), 0);
    let mut whole = stage.sources.load().digest;
    for number in 1..=rewrites {
        let (name, text) = version(usize::try_from(dice.below(6)).unwrap(), number);
        // Who writes in the middle of a look comes up to a look later: then the pauses are shorter.
        let (most, within) = if dice.below(2) == 0 { (1_900, 1) } else { (900, 3) };
        let mut due = stage.now;
        for (pause, step) in rewrite(stage.scene.path(name), text, &mut dice, most) {
            due += pause;
            while due > stage.now + Duration::from_secs(1) {
                stage.pass(1);
                no_other_than(&stage, whole, &mut taken);
            }
            match dice.below(within) {
                1 => within_a_look(&mut stage, dice.below(60), step),
                _ => step(),
            }
            no_other_than(&stage, whole, &mut taken);
        }
        whole = stage.sources.load().digest;
        stage.pass(dice.below(16));
        no_other_than(&stage, whole, &mut taken);
        if dice.below(4) == 0 {
            stage.pass(16);
            no_other_than(&stage, whole, &mut taken);
            assert_eq!(stage.state(), None, "the files rest");
        }
    }
    stage.pass(20);
    no_other_than(&stage, whole, &mut taken);
    assert!(taken > rewrites / 8 && stage.state().is_none(), "{taken} of {rewrites} were taken up");
    assert_eq!(stage.witness.0.lock().unwrap().ended, Vec::<String>::new());
}

/// Takes the step in the middle of the next look, after so many files of it; after the look where it has fewer.
fn within_a_look(stage: &mut Stage, mut files: u64, step: WriterAct) {
    let waiting: Rc<RefCell<Option<WriterAct>>> = Rc::new(RefCell::new(Some(step)));
    let due = Rc::clone(&waiting);
    let between = move || {
        files = files.saturating_sub(1);
        let step = due.borrow_mut().take_if(|_| files == 0);
        step.into_iter().for_each(|step| step());
    };
    BETWEEN.set(Some(Box::new(between)));
    stage.pass(1);
    BETWEEN.set(None);
    let late = waiting.borrow_mut().take();
    late.into_iter().for_each(|step| step());
}

fn no_other_than(stage: &Stage, whole: Digest, taken: &mut u64) {
    for (digest, by) in stage.witness.taken() {
        assert_eq!((digest, by), (whole, ChangedBy::Files), "nobody wrote that");
        *taken += 1;
    }
}
