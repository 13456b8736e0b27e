//! The ledger against a model that is too simple to be wrong: a table of counters and a list of holds.

use std::collections::BTreeMap;

use bh_base::{BudgetMode, HoldMode, Millis, NanoUsd, Overage, ScopeKind, Window};
use bh_ledger::{Attempt, BudgetRule, CLOSE_AFTER, Ceilings, Config, Hold, Ledger, Pattern, Pool, Refusal, span};
use proptest::prelude::*;

use crate::world::*;

/// Scope, window, start: printed keys are enough for a model.
type Key = String;

#[derive(Clone, Debug, Default)]
struct Counter {
    spent: u64,
    held: u64,
    open: u64,
    end: Option<u64>,
    used_at: u64,
    /// The largest hard limit that was in force, and whether nothing excuses spend above it.
    largest_hard: u64,
    provable: bool,
}

/// What a call holds at one counter: held now, and at most.
struct Part {
    key: Key,
    held: u64,
    most: u64,
    budget: bool,
}

#[derive(Clone, Debug)]
enum Step {
    Reserve {
        who: usize,
        model: bool,
        strict: u64,
        adaptive: u64,
    },
    TopUp {
        hold: usize,
        more: u64,
    },
    /// `percent` of the bound; above 100 the provider overcharges.
    Settle {
        hold: usize,
        percent: u64,
    },
    Unknown {
        hold: usize,
    },
    Release {
        hold: usize,
    },
    Leak {
        hold: usize,
    },
    Wait {
        ms: u64,
    },
    Reload {
        config: usize,
    },
    Tick,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let hold = 0_usize..12;
    prop_oneof![
        12 => (0_usize..4, any::<bool>(), 0_u64..80, 0_u64..80)
            .prop_map(|(who, model, strict, adaptive)| Step::Reserve { who, model, strict, adaptive }),
        3 => (hold.clone(), 1_u64..40).prop_map(|(hold, more)| Step::TopUp { hold, more }),
        8 => (hold.clone(), 0_u64..=105).prop_map(|(hold, percent)| Step::Settle { hold, percent }),
        1 => hold.clone().prop_map(|hold| Step::Unknown { hold }),
        2 => hold.clone().prop_map(|hold| Step::Release { hold }),
        1 => hold.prop_map(|hold| Step::Leak { hold }),
        2 => prop_oneof![1_u64..5_000, 1_u64..3 * HOUR, 1_u64..40 * 24 * HOUR].prop_map(|ms| Step::Wait { ms }),
        1 => (0_usize..3).prop_map(|config| Step::Reload { config }),
        2 => Just(Step::Tick),
        1 => Just(Step::Restart),
    ]
}

fn configs() -> Vec<Config> {
    let mut first = budgets(&[
        hard("global", 3_000, Window::Total),
        adaptive(hard("org:acme", 900, Window::Month)),
        adaptive(hard("user:*", 300, Window::Day)),
        soft("user:ann", 120, Window::Hour, Overage::Alert),
        soft("team:ml", 400, Window::Day, Overage::Block),
        hard("model:*", 500, Window::Day),
    ]);
    first.meters = vec![bh_ledger::MeterRule { kind: ScopeKind::Project, window: Window::Month }];
    let second = budgets(&[
        hard("global", 2_000, Window::Total),
        hard("user:*", 300, Window::Day),
        hard("user:ann", 200, Window::Day),
        hard("team:ml", 700, Window::Day),
        adaptive(hard("tag:env=*", 600, Window::Hour)),
    ]);
    let third = budgets(&[
        soft("global", 2_500, Window::Total, Overage::Block),
        hard("user:*", 500, Window::Day),
        hard("model:m", 100, Window::Hour),
        hard("model:m", 350, Window::Day),
    ]);
    vec![first, second, third]
}

/// Who calls: a user, and the budgets of the token (hard, strict).
const CALLERS: [(&str, &[(u64, Window)]); 4] = [
    ("ann", &[]),
    ("ann", &[(250, Window::Total), (90, Window::Hour)]),
    ("bob", &[(150, Window::Month)]),
    ("cat", &[]),
];

/// The ledger under test beside its model.
struct World {
    now: u64,
    node: u8,
    ledger: Ledger,
    configs: Vec<Config>,
    config: usize,
    counters: BTreeMap<Key, Counter>,
    holds: Vec<(Hold, u64, Vec<Part>)>,
    leaked: u64,
}

impl World {
    fn new() -> Self {
        let configs = configs();
        let ledger = ledger(&configs[0]);
        let (counters, holds) = Default::default();
        World { now: NOON.0, node: 1, ledger, configs, config: 0, counters, holds, leaked: 0 }
    }

    /// The budgets of one scope and window: exact, else a tag's own wildcard, else the kind's.
    fn rules(&self, scope: &str, window: Window) -> Vec<BudgetRule> {
        let kind = scope.split(':').next().unwrap_or_default();
        let tag = scope.split_once('=').map(|(key, _)| format!("{key}=*"));
        for wanted in [Some(scope.to_owned()), tag, Some(format!("{kind}:*"))].into_iter().flatten() {
            let matches = |rule: &&BudgetRule| rule.scope.to_string() == wanted && rule.window == window;
            let found: Vec<_> = self.configs[self.config].budgets.iter().filter(matches).cloned().collect();
            if !found.is_empty() {
                return found;
            }
        }
        Vec::new()
    }

    /// Every counter a call is charged to, with the budgets that bind it, in the order of reserving.
    fn lines(&self, who: usize, model: &str) -> Vec<(Key, Option<u64>, Vec<BudgetRule>)> {
        let (user, token) = CALLERS[who];
        let id = format!("token:{}", format!("{:02x}", who + 1).repeat(32));
        let scopes = [
            id.clone(),
            format!("user:{user}"),
            "project:p".to_owned(),
            "team:ml".to_owned(),
            "tag:env=prod".to_owned(),
            format!("model:{model}"),
            "org:acme".to_owned(),
            "global".to_owned(),
        ];
        let mut lines = Vec::new();
        for scope in &scopes {
            for window in Window::ALL {
                let mut rules = self.rules(scope, *window);
                let claimed = token.iter().filter(|(_, of)| *scope == id && of == window);
                rules.extend(claimed.map(|(limit, window)| BudgetRule {
                    scope: Pattern::parse(scope).expect("a scope"),
                    ..hard("global", *limit, *window)
                }));
                let metered = self.config == 0 && scope == "project:p" && *window == Window::Month;
                if !rules.is_empty() || metered {
                    let span = span(*window, Millis(self.now));
                    let key = format!("{scope}@{window}/{}", span.start.0);
                    lines.push((key, span.end.map(|end| end.0), rules));
                }
            }
        }
        lines
    }

    /// What the model says of an attempt: the parts it would hold, or the key that refuses.
    fn predict(&mut self, who: usize, model: &str, strict: u64, adaptive: u64) -> Result<Vec<Part>, Key> {
        let mut parts = Vec::new();
        let mut refused = None;
        for (key, end, rules) in self.lines(who, model) {
            let counter = self.counters.entry(key.clone()).or_default();
            counter.end = end;
            counter.used_at = self.now;
            let holds_strictly = rules.iter().any(|rule| rule.hold == HoldMode::Strict);
            let held = match (rules.is_empty(), holds_strictly) {
                (true, _) => 0,
                (false, true) => strict,
                (false, false) => adaptive.min(strict),
            };
            for rule in &rules {
                let fits = match rule.mode {
                    BudgetMode::Hard => counter.spent + counter.held + held <= rule.limit.0,
                    BudgetMode::Soft => rule.overage != Overage::Block || counter.spent < rule.limit.0,
                };
                if !fits {
                    refused = Some(key.clone());
                }
            }
            if refused.is_some() {
                break;
            }
            let most = if rules.is_empty() { 0 } else { strict };
            parts.push(Part { key, held, most, budget: !rules.is_empty() });
        }
        if let Some(key) = refused {
            return Err(key);
        }
        for part in &parts {
            if let Some(counter) = self.counters.get_mut(&part.key) {
                counter.held += part.held;
                counter.open += 1;
            }
        }
        self.note_limits(who, model);
        Ok(parts)
    }

    /// A counter is provable while only hard, strict budgets bound it and nobody was charged beyond a hold.
    fn note_limits(&mut self, who: usize, model: &str) {
        for (key, _, rules) in self.lines(who, model) {
            let Some(counter) = self.counters.get_mut(&key) else { continue };
            let limit = rules.iter().filter(|rule| rule.mode == BudgetMode::Hard).map(|rule| rule.limit.0).min();
            match limit {
                Some(limit) => {
                    counter.provable |= counter.spent == 0 && counter.largest_hard == 0;
                    counter.largest_hard = counter.largest_hard.max(limit);
                }
                None => counter.provable = false,
            }
        }
    }

    fn end(&mut self, parts: &[Part], charge: impl Fn(&Part) -> u64) {
        for part in parts {
            let counter = self.counters.get_mut(&part.key).expect("a held counter is never forgotten");
            counter.held -= part.held;
            counter.open -= 1;
            let cost = charge(part);
            counter.spent += cost;
            if part.held < cost {
                counter.provable = false;
            }
        }
    }

    fn reserve(&mut self, who: usize, model: bool, strict: u64, adaptive: u64) {
        let model = if model { "m" } else { "other" };
        let (user, token) = CALLERS[who];
        let claimed: Vec<_> = token.iter().map(|(limit, window)| token_budget(*limit, *window)).collect();
        let caller = chain(user, &[link(u8::try_from(who + 1).expect("there are four"), &claimed)]);
        let attempt = Attempt { model, strict: NanoUsd(strict), adaptive: NanoUsd(adaptive), waited: false };
        let real = self.ledger.reserve(Millis(self.now), &caller, &attempt);
        match (real, self.predict(who, model, strict, adaptive)) {
            (Ok(hold), Ok(parts)) => {
                let keys: Vec<_> = hold.accounts().map(ToString::to_string).collect();
                assert_eq!(keys, parts.iter().map(|part| part.key.clone()).collect::<Vec<_>>());
                self.holds.push((hold, strict, parts));
            }
            (Err(Refusal::Exhausted(refused)), Err(key)) => {
                assert!(key.starts_with(&format!("{}@{}/", refused.scope, refused.window)), "{refused:?} not {key}");
                let counter = &self.counters[&key];
                assert_eq!((refused.spent.0, refused.held.0), (counter.spent, counter.held));
            }
            (real, model) => panic!("{real:?}, but the model says {:?}", model.map(|_| ())),
        }
    }

    fn top_up(&mut self, at: usize, more: u64) {
        let Some((hold, _, parts)) = self.holds.get_mut(at) else { return };
        let before = hold.covered();
        let done = hold.top_up(Millis(self.now), NanoUsd(more), false);
        match done {
            Ok(()) => {
                for part in parts.iter_mut() {
                    let amount = more.min(part.most - part.held);
                    part.held += amount;
                    self.counters.get_mut(&part.key).expect("it is held").held += amount;
                }
            }
            Err(refused) => {
                assert!(matches!(refused, Refusal::Exhausted(_)), "{refused:?}");
                assert_eq!(hold.covered(), before);
            }
        }
    }

    fn run(&mut self, step: Step) {
        let now = Millis(self.now);
        match step {
            Step::Reserve { who, model, strict, adaptive } => self.reserve(who, model, strict, adaptive),
            Step::TopUp { hold, more } => self.top_up(hold, more),
            Step::Settle { hold, percent } if hold < self.holds.len() => {
                let (hold, strict, parts) = self.holds.swap_remove(hold);
                let cost = strict * percent / 100;
                assert_eq!(hold.settle(now, NanoUsd(cost)).overcharged, strict < cost);
                self.end(&parts, |_| cost);
            }
            Step::Unknown { hold } if hold < self.holds.len() => {
                let (hold, _, parts) = self.holds.swap_remove(hold);
                let cost = hold.settle_unknown(now).cost.0;
                self.end(&parts, |part| if part.budget && 0 < part.most { part.held } else { cost });
            }
            Step::Leak { hold } if hold < self.holds.len() => {
                let (hold, _, parts) = self.holds.swap_remove(hold);
                let cost = hold.covered().0;
                drop(hold);
                self.leaked += 1;
                self.end(&parts, |part| if part.budget && 0 < part.most { part.held } else { cost });
            }
            Step::Release { hold } if hold < self.holds.len() => {
                let (hold, _, parts) = self.holds.swap_remove(hold);
                hold.release();
                self.end(&parts, |_| 0);
            }
            Step::Unknown { .. } | Step::Leak { .. } | Step::Release { .. } | Step::Settle { .. } => (),
            Step::Wait { ms } => self.now += ms,
            Step::Reload { config } => {
                self.config = config;
                self.ledger.reload(now, &self.configs[config]);
            }
            Step::Tick => {
                self.ledger.tick(now);
                let closed = |counter: &Counter| counter.end.is_some_and(|end| end + CLOSE_AFTER.0 <= self.now);
                let idle = |counter: &Counter| counter.spent == 0 && counter.used_at + 60_000 <= self.now;
                self.counters.retain(|_, counter| 0 < counter.open || !closed(counter) && !idle(counter));
            }
            Step::Restart => self.restart(),
        }
    }

    /// A clean stop with calls in flight: they are charged what they hold, by the snapshot and by the model.
    fn restart(&mut self) {
        let snapshot = self.ledger.snapshot();
        for (hold, _, parts) in std::mem::take(&mut self.holds) {
            self.end(&parts, |part| part.held);
            hold.release();
        }
        self.node += 1;
        self.ledger = with(Pool::OwnLimit, Ceilings::InMemory, self.node, &self.configs[self.config]);
        self.ledger.restore(Millis(self.now), Some(&snapshot), &[]).expect("ids are fresh");
        self.leaked = 0;
        let closed = |counter: &Counter| counter.end.is_some_and(|end| end + CLOSE_AFTER.0 <= self.now);
        self.counters.retain(|_, counter| 0 < counter.spent && !closed(counter));
    }

    /// The two agree on every number; broken invariants inside the ledger panic by themselves in debug builds.
    fn check(&self) {
        let mut real: BTreeMap<Key, (u64, u64)> = BTreeMap::new();
        for view in self.ledger.accounts() {
            real.insert(view.key.to_string(), (view.spent.0, view.held.0));
        }
        for (key, counter) in &self.counters {
            let known = real.remove(key).unwrap_or_default();
            assert_eq!(known, (counter.spent, counter.held), "{key}");
            if counter.provable {
                assert!(counter.spent + counter.held <= counter.largest_hard, "{key}: {counter:?}");
            }
        }
        assert!(real.values().all(|numbers| *numbers == (0, 0)), "unknown to the model: {real:?}");
        assert_eq!(self.ledger.leaked(), self.leaked);
    }
}

proptest! {
    #[test]
    fn any_interleaving_agrees_with_the_model(steps in proptest::collection::vec(step(), 1..250)) {
        let mut world = World::new();
        for step in steps {
            world.run(step);
            world.check();
        }
        while let Some((hold, _, parts)) = world.holds.pop() {
            hold.release();
            world.end(&parts, |_| 0);
        }
        world.check();
        prop_assert!(world.ledger.accounts().iter().all(|view| view.held == NanoUsd::ZERO), "holds return to zero");
    }
}
