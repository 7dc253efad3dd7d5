//! granted ⊆ authority(in) ∩ policy ∩ request, over random catalogs, tokens, policies and requests, against a model that knows
//! nothing of the code under test: plain sets of pairs, and policies as predicates.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::index::Dice;
use super::*;

const APIS: [&str; 4] = ["https://a.example", "https://b.example", "https://c.example", "https://d.example"];
const EFFECTS: [&str; 2] = ["read", "irreversible"];

/// A scope of an API.
type Pair = (usize, usize);

/// A world as the model sees it. Scope `n` of API `m` is called `m<m>.s<n>`, so that no two APIs have one of the same name.
#[derive(Debug)]
struct World {
    /// By API, the effect of each of its scopes.
    scopes: Vec<Vec<usize>>,
    defaults: BTreeSet<Pair>,
    /// The APIs that are one group.
    group: BTreeSet<usize>,
    derive: BTreeSet<(Pair, Pair)>,
    /// None for a user's token.
    token: Option<Token>,
    policies: Vec<Rule>,
    targets: Vec<usize>,
    /// Scopes by name; one more than the API has is a scope that it does not know.
    asked: Option<BTreeSet<Pair>>,
    narrow: bool,
    agent: usize,
}

#[derive(Debug)]
struct Token {
    held: BTreeMap<usize, BTreeSet<Pair>>,
    history: BTreeMap<usize, BTreeSet<Pair>>,
}

#[derive(Debug)]
struct Rule {
    kind: Kind,
    team: Option<usize>,
    api: Option<usize>,
    effect: Option<usize>,
    seconds: Option<u64>,
}

#[derive(Debug, PartialEq)]
enum Kind {
    Permit,
    Forbid,
    /// Raises an error where it applies.
    Broken,
}

/// The outcome that the model expects.
#[derive(Debug, PartialEq)]
enum Expected {
    Granted(BTreeSet<Pair>),
    Target,
    Scope,
}

fn name((api, scope): Pair) -> String {
    format!("m{api}.s{scope}")
}

fn names(pairs: &BTreeSet<Pair>) -> String {
    pairs.iter().copied().map(name).collect::<Vec<_>>().join(" ")
}

impl World {
    fn new(dice: &mut Dice) -> Self {
        let scopes: Vec<Vec<usize>> = APIS.iter().map(|_| (0..1 + dice.below(3)).map(|_| dice.below(2)).collect()).collect();
        let all: Vec<Pair> =
            scopes.iter().enumerate().flat_map(|(api, list)| (0..list.len()).map(move |scope| (api, scope))).collect();
        let some = |dice: &mut Dice, sides| all.iter().copied().filter(|_| dice.below(sides) > 0).collect::<BTreeSet<Pair>>();
        let edge = |dice: &mut Dice| (all[dice.below(all.len())], all[dice.below(all.len())]);
        let derive = (0..dice.below(8)).map(|_| edge(dice)).filter(|(from, to)| from.0 != to.0).collect();
        let by_api = |pairs: BTreeSet<Pair>, dice: &mut Dice, often: usize| {
            let mut found = BTreeMap::new();
            for api in (0..APIS.len()).filter(|_| dice.below(4) < often) {
                found.insert(api, pairs.iter().copied().filter(|(of, _)| *of == api).collect());
            }
            found
        };
        let (held, passed) = (some(dice, 4), some(dice, 4));
        let token = Token { held: by_api(held, dice, 3), history: by_api(passed, dice, 1) };
        let targets: BTreeSet<usize> = (0..1 + dice.below(5) / 3).map(|_| dice.below(APIS.len())).collect();
        let mut asked = some(dice, 3);
        asked.retain(|(api, _)| targets.contains(api) || dice.below(8) == 0);
        if dice.below(8) == 0 {
            asked.insert((dice.below(APIS.len()), 9));
        }
        Self {
            defaults: some(dice, 3),
            group: (0..APIS.len()).filter(|_| dice.below(5) > 0).collect(),
            derive,
            token: (dice.below(3) > 0).then_some(token),
            policies: (0..1 + dice.below(6)).map(|_| Rule::new(dice)).collect(),
            targets: targets.into_iter().collect(),
            asked: (dice.below(4) > 0 && !asked.is_empty()).then_some(asked),
            narrow: dice.below(2) > 0,
            agent: dice.below(2),
            scopes,
        }
    }

    fn declared(&self) -> impl Iterator<Item = Pair> {
        self.scopes.iter().enumerate().flat_map(|(api, list)| (0..list.len()).map(move |scope| (api, scope)))
    }

    fn authority(&self, pair: Pair) -> bool {
        let Some(token) = &self.token else { return true };
        let held = |pair: &Pair| token.held.get(&pair.0).is_some_and(|pairs| pairs.contains(pair));
        let here = held(&pair) || self.derive.iter().any(|(from, to)| *to == pair && held(from));
        here && token.history.get(&pair.0).is_none_or(|pairs| pairs.contains(&pair))
    }

    fn policy(&self, (api, scope): Pair) -> bool {
        let applies = |rule: &&Rule| {
            rule.team.is_none_or(|team| team == self.agent)
                && rule.api.is_none_or(|of| of == api)
                && rule.effect.is_none_or(|effect| effect == self.scopes[api][scope])
        };
        let kinds: Vec<&Kind> = self.policies.iter().filter(applies).map(|rule| &rule.kind).collect();
        kinds.contains(&&Kind::Permit) && kinds.iter().all(|kind| **kind == Kind::Permit)
    }

    fn expected(&self) -> Expected {
        let several = self.targets.len() > 1;
        if several && !self.targets.iter().all(|api| self.group.contains(api)) {
            return Expected::Target;
        }
        let possible: BTreeSet<Pair> = self.declared().filter(|pair| self.authority(*pair) && self.policy(*pair)).collect();
        let on_all = |pairs: &BTreeSet<Pair>| self.targets.iter().all(|api| pairs.iter().any(|(of, _)| of == api));
        if !on_all(&possible) {
            return Expected::Target;
        }
        let wanted = self.asked.as_ref().unwrap_or(&self.defaults);
        let given: BTreeSet<Pair> =
            wanted.intersection(&possible).copied().filter(|(api, _)| self.targets.contains(api)).collect();
        let short = self.asked.as_ref().is_some_and(|asked| *asked != given);
        match (short && !self.narrow) || given.is_empty() {
            true => Expected::Scope,
            false if on_all(&given) => Expected::Granted(given),
            false => Expected::Target,
        }
    }

    fn catalog(&self) -> Catalog {
        let written = |at: usize| {
            let scopes: Vec<String> = self.scopes[at]
                .iter()
                .enumerate()
                .map(|(n, effect)| format!("{}::{}", name((at, n)), EFFECTS[*effect]))
                .collect();
            let defaults = self.defaults.iter().copied().filter(|(of, _)| *of == at).collect();
            let mut api = api(APIS[at], &names(&defaults), &scopes.iter().map(String::as_str).collect::<Vec<_>>());
            api.group = self.group.contains(&at).then(|| "g".to_owned());
            let here = self.derive.iter().filter(|(_, to)| to.0 == at);
            api.derive = here.map(|(from, to)| derive(APIS[from.0], &name(*from), &name(*to))).collect();
            api
        };
        Catalog::new(vec![agent("one", "team0"), agent("two", "team1")], (0..APIS.len()).map(written).collect(), &[]).unwrap()
    }

    fn subject(&self) -> VerifiedSubject {
        let pairs = |found: &BTreeMap<usize, BTreeSet<Pair>>| {
            let lists: Vec<(&str, String)> = found.iter().map(|(api, pairs)| (APIS[*api], names(pairs))).collect();
            held(&lists.iter().map(|(api, list)| (*api, list.as_str())).collect::<Vec<_>>())
        };
        subject(self.token.as_ref().map_or_else(user, |token| own(pairs(&token.held), pairs(&token.history))))
    }

    fn parameters(&self) -> String {
        let mut parameters: Vec<String> = self.targets.iter().map(|api| format!("resource={}", APIS[*api])).collect();
        parameters.extend(self.asked.as_ref().map(|asked| format!("scope={}", names(asked).replace(' ', "+"))));
        parameters.extend(self.narrow.then(|| "scope_mode=narrow".to_owned()));
        parameters.join("&")
    }
}

impl Rule {
    fn new(dice: &mut Dice) -> Self {
        let kind = [Kind::Permit, Kind::Permit, Kind::Permit, Kind::Forbid, Kind::Broken].into_iter().nth(dice.below(5)).unwrap();
        let seconds = (kind == Kind::Permit && dice.below(3) == 0).then(|| 1 + dice.below(1000) as u64);
        let maybe = |dice: &mut Dice, sides: usize| dice.below(sides + 1).checked_sub(1);
        let pinned = kind != Kind::Permit;
        let broad = dice.below(2) == 0;
        let mut rule = Self { kind, team: maybe(dice, 2), api: maybe(dice, 4), effect: maybe(dice, 2), seconds };
        if broad && !pinned {
            (rule.team, rule.api) = (None, None);
        } else if pinned {
            (rule.api, rule.effect) = (Some(dice.below(4)), Some(dice.below(2)));
        }
        rule
    }

    fn text(&self) -> String {
        let lifetime = self.seconds.map(|seconds| format!("@lifetime(\"{seconds}s\") ")).unwrap_or_default();
        let principal = self.team.map_or("principal".to_owned(), |team| format!("principal in Team::\"team{team}\""));
        let resource = self.api.map_or("resource".to_owned(), |api| format!("resource in Api::\"{}\"", APIS[api]));
        let effect = self.effect.map_or("true".to_owned(), |effect| format!("resource.effect == \"{}\"", EFFECTS[effect]));
        let (kind, condition) = match self.kind {
            Kind::Permit => ("permit", effect),
            Kind::Forbid => ("forbid", effect),
            Kind::Broken => ("forbid", format!("{effect} && context.depth + 9223372036854775807 < 0")),
        };
        format!("{lifetime}{kind} ({principal}, action == Action::\"exchange\", {resource}) when {{ {condition} }};\n")
    }
}

fn as_model(grant: &Grant) -> BTreeSet<Pair> {
    let pair = |scope: &Scope| {
        let (api, scope) = scope.as_str().trim_start_matches('m').split_once(".s").unwrap();
        (api.parse().unwrap(), scope.parse().unwrap())
    };
    let pairs: BTreeSet<Pair> = grant.scopes().iter().map(pair).collect();
    for held in grant.held() {
        assert!(!held.scopes.is_empty());
        assert!(held.scopes.iter().all(|scope| APIS[pair(scope).0] == held.api.as_str()));
    }
    assert_eq!(grant.held().iter().map(|held| held.scopes.len()).sum::<usize>(), pairs.len());
    pairs
}

fn decided_as_the_model_expects(rolls: Vec<u16>) {
    let world = World::new(&mut Dice::new(rolls));
    let catalog = world.catalog();
    let text: String = world.policies.iter().map(Rule::text).collect();
    let admitted = admitted(&catalog, ["one", "two"][world.agent], world.subject());
    let policies = Policies::unvalidated(&[("p.cedar".into(), text)]);
    let outcome = exchanged(&policies, &catalog, &admitted, &world.parameters());
    let seen = match &outcome {
        Ok(grant) => Expected::Granted(as_model(grant)),
        Err(Refused::Authority(_)) => Expected::Target,
        Err(Refused::Denial(denial)) => match denial.reason() {
            DenialReason::TargetRefused | DenialReason::TargetEmpty => Expected::Target,
            DenialReason::Scope(_) => Expected::Scope,
            other => unreachable!("{other:?}"),
        },
        Err(other) => unreachable!("{other:?}"),
    };
    assert_eq!(seen, world.expected(), "{world:#?} {outcome:?}");
    if let Ok(grant) = &outcome {
        narrow_enough(&world, grant);
    }
}

/// The bounds that a grant must never exceed, whatever the model of outcomes says.
fn narrow_enough(world: &World, grant: &Grant) {
    for pair in as_model(grant) {
        assert!(world.authority(pair) && world.policy(pair) && world.targets.contains(&pair.0));
        assert!(world.asked.as_ref().unwrap_or(&world.defaults).contains(&pair));
        let applying = world.policies.iter().filter(|rule| {
            rule.kind == Kind::Permit
                && rule.team.is_none_or(|team| team == world.agent)
                && rule.api.is_none_or(|api| api == pair.0)
                && rule.effect.is_none_or(|effect| effect == world.scopes[pair.0][pair.1])
        });
        let least = applying.filter_map(|rule| rule.seconds).min().unwrap_or(u64::MAX);
        assert!(grant.expires().since(NOW).as_secs() <= least.min(300));
    }
    assert!(!grant.policies().is_empty() && grant.policies().is_sorted());
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn nothing_is_granted_beyond_authority_policy_and_request(rolls in proptest::collection::vec(any::<u16>(), 160)) {
        decided_as_the_model_expects(rolls);
    }
}

#[test]
fn the_worlds_are_worth_trying() {
    let mut seen = BTreeMap::<&str, usize>::new();
    let mut state = 1_u64;
    let mut roll = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as u16
    };
    for _ in 0..2000 {
        let world = World::new(&mut Dice::new((0..160).map(|_| roll()).collect()));
        let outcome = match world.expected() {
            Expected::Granted(pairs) if pairs.iter().any(|(api, _)| *api != pairs.iter().next().unwrap().0) => "several",
            Expected::Granted(_) => "one",
            Expected::Target => "target",
            Expected::Scope => "scope",
        };
        *seen.entry(outcome).or_default() += 1;
    }
    assert!(
        ["several", "one", "target", "scope"].iter().all(|outcome| seen.get(outcome).is_some_and(|count| *count > 50)),
        "{seen:?}"
    );
}
