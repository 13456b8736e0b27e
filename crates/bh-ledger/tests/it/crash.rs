//! Ceilings: what is on disk before it is spent, and what a restart makes of it.

use std::collections::HashMap;

use bh_base::{HoldMode, Millis, NanoUsd, NodeId, Overage, Window};
use bh_ledger::{
    AccountKey, Attempt, Ceiling, Ceilings, Config, Effect, Hold, Ledger, Pool, Refusal, RestoreError, Snapshot,
};
use proptest::prelude::*;

use crate::world::*;

fn on_disk(node: u8, config: &Config) -> Ledger {
    with(Pool::OwnLimit, Ceilings::Persist, node, config)
}

fn ceilings(ledger: &Ledger) -> Vec<Ceiling> {
    let ceiling = |effect| match effect {
        Effect::PersistCeiling(ceiling) => Some(ceiling),
        Effect::Ask(_) | Effect::Return { .. } | Effect::Alert(_) | Effect::Overcharge(_) => None,
    };
    ledger.take_effects().into_iter().filter_map(ceiling).collect()
}

fn is_pending(result: &Result<Hold, Refusal>) -> bool {
    matches!(result, Err(Refusal::RightsPending(_)))
}

fn is_unavailable(result: &Result<Hold, Refusal>) -> bool {
    matches!(result, Err(Refusal::RightsUnavailable { .. }))
}

#[test]
fn nothing_is_spent_before_its_ceiling_is_durable() {
    let ledger = on_disk(1, &budgets(&[hard("user:*", 1_000, Window::Day), hard("global", 1_000, Window::Day)]));
    assert!(is_pending(&reserve(&ledger, NOON, &caller("ann"), 10)));
    let asked = ceilings(&ledger);
    assert_eq!(asked.len(), 2, "every scope asks at once: {asked:?}");
    assert!(asked.iter().all(|ceiling| ceiling.amount == NanoUsd(20)), "the call and as much again: {asked:?}");
    ledger.ceiling_durable(NOON, &asked[0]);
    assert!(is_pending(&reserve(&ledger, NOON, &caller("ann"), 10)));
    ledger.ceiling_durable(NOON, &asked[1]);
    reserve(&ledger, NOON, &caller("ann"), 10).expect("both are durable").release();
    assert!(ceilings(&ledger).is_empty());
}

#[test]
fn one_ceiling_covers_everyone_who_waited() {
    let ledger = on_disk(1, &budgets(&[hard("global", 100_000, Window::Total)]));
    for _ in 0..200 {
        assert!(is_pending(&reserve(&ledger, NOON, &caller("ann"), 10)));
    }
    let first = ceilings(&ledger);
    assert_eq!(first.len(), 1);
    ledger.ceiling_durable(NOON, &first[0]);
    let second = ceilings(&ledger);
    assert_eq!(second.len(), 1, "those who came meanwhile are covered without asking again");
    ledger.ceiling_durable(NOON, &second[0]);
    let holds: Vec<_> = (0..200).map(|_| reserve(&ledger, NOON, &caller("ann"), 10)).collect();
    let passed = holds.iter().filter(|hold| hold.is_ok()).count();
    assert!(199 <= passed, "{passed}");
    holds.into_iter().flatten().for_each(Hold::release);
}

#[test]
fn ceilings_are_raised_ahead_of_need() {
    let ledger = on_disk(1, &budgets(&[hard("global", 100_000, Window::Total)]));
    assert!(is_pending(&reserve(&ledger, NOON, &caller("ann"), 10)));
    write_ceilings(&ledger, NOON);
    for step in 0..1_000 {
        let now = Millis(NOON.0 + step * 10);
        let hold = reserve(&ledger, now, &caller("ann"), 10).expect("the next ceiling is always there in time");
        assert!(!hold.settle(now, NanoUsd(9)).overcharged);
        write_ceilings(&ledger, now);
    }
    let written = account(&ledger, "global");
    assert_eq!(written.spent, NanoUsd(9_000));
}

#[test]
fn a_hard_ceiling_never_exceeds_the_limit() {
    let ledger = on_disk(1, &budgets(&[hard("global", 15, Window::Total)]));
    assert!(is_pending(&reserve(&ledger, NOON, &caller("ann"), 10)));
    assert_eq!(ceilings(&ledger)[0].amount, NanoUsd(15));
}

#[test]
fn after_waiting_in_vain_a_hard_budget_is_unavailable_and_a_soft_one_passes() {
    let waited = Attempt { waited: true, ..attempt(10) };
    let ledger = on_disk(1, &budgets(&[hard("global", 1_000, Window::Total)]));
    assert!(is_unavailable(&ledger.reserve(NOON, &caller("ann"), &waited)));
    let ledger = on_disk(1, &budgets(&[soft("global", 1_000, Window::Total, Overage::Block)]));
    assert!(is_pending(&reserve(&ledger, NOON, &caller("ann"), 10)));
    ledger.reserve(NOON, &caller("ann"), &waited).expect("a soft budget does not wait for ever").release();
    assert_eq!(ledger.unprotected(), 1);
}

#[test]
fn a_failing_disk_is_tried_again_after_a_second() {
    let ledger = on_disk(1, &budgets(&[hard("global", 1_000, Window::Total)]));
    assert!(is_pending(&reserve(&ledger, NOON, &caller("ann"), 10)));
    ledger.ceiling_failed(NOON, &ceilings(&ledger)[0]);
    assert!(is_unavailable(&reserve(&ledger, Millis(NOON.0 + 999), &caller("ann"), 10)));
    assert!(ceilings(&ledger).is_empty());
    assert!(is_pending(&reserve(&ledger, Millis(NOON.0 + 1_000), &caller("ann"), 10)));
    write_ceilings(&ledger, NOON);
    reserve(&ledger, Millis(NOON.0 + 1_001), &caller("ann"), 10).expect("the disk is back").release();
}

#[test]
fn a_meter_without_a_budget_needs_no_ceiling() {
    let meters = vec![bh_ledger::MeterRule { kind: bh_base::ScopeKind::Org, window: Window::Month }];
    let ledger = on_disk(1, &Config { meters, ..Config::default() });
    spend(&ledger, NOON, &caller("ann"), 10);
    assert!(ledger.take_effects().is_empty());
}

/// A ledger in which `ann` has spent 30 under a ceiling of 120, as a crash leaves it.
fn crashed(config: &Config) -> (Option<Snapshot>, Vec<Ceiling>) {
    let ledger = on_disk(1, config);
    assert!(is_pending(&reserve(&ledger, NOON, &caller("ann"), 60)));
    let written = ceilings(&ledger);
    ledger.ceiling_durable(NOON, &written[0]);
    let hold = reserve(&ledger, NOON, &caller("ann"), 60).expect("the ceiling is durable");
    assert!(!hold.settle(NOON, NanoUsd(30)).overcharged);
    (None, written)
}

#[test]
fn an_open_ceiling_counts_as_spent_until_replay_proves_less() {
    let config = budgets(&[hard("user:*", 500, Window::Day)]);
    let (snapshot, written) = crashed(&config);
    let ledger = on_disk(2, &config);
    ledger.restore(NOON, snapshot.as_ref(), &written).expect("another node's state");
    let view = account(&ledger, "user:ann");
    assert_eq!((view.spent, view.stranded), (NanoUsd(120), NanoUsd(120)));
    assert!(!ledger.replayed(NOON, &view.key, NodeId([9; 16]), NanoUsd(7)), "nobody knows that process");
    assert_eq!(account(&ledger, "user:ann").spent, NanoUsd(120));
    assert!(ledger.replayed(NOON, &view.key, NodeId([1; 16]), NanoUsd(30)));
    let view = account(&ledger, "user:ann");
    assert_eq!((view.spent, view.stranded), (NanoUsd(30), NanoUsd(0)));
    assert!(is_pending(&reserve(&ledger, NOON, &caller("ann"), 470)));
    assert_eq!(exhausted(reserve(&ledger, NOON, &caller("ann"), 471)), "user:ann day");
}

#[test]
fn restoring_twice_changes_nothing_and_old_processes_are_folded_into_one() {
    let config = budgets(&[hard("user:*", 500, Window::Day)]);
    let (mut snapshot, mut written) = crashed(&config);
    for node in 2..50 {
        let ledger = on_disk(node, &config);
        for _ in 0..2 {
            ledger.restore(NOON, snapshot.as_ref(), &written).expect("another node's state");
        }
        assert_eq!(account(&ledger, "user:ann").spent, NanoUsd(120), "restart {node}");
        snapshot = Some(ledger.snapshot());
        if node % 3 == 0 {
            written.clear();
        }
    }
    let saved = snapshot.expect("there is one").accounts;
    assert_eq!(saved.len(), 1);
    assert!(saved[0].slots.len() + saved[0].stranded.len() <= 2, "{saved:?}");
}

#[test]
fn state_of_this_very_process_is_refused() {
    let config = budgets(&[hard("user:*", 500, Window::Day)]);
    let (_, written) = crashed(&config);
    let refused = on_disk(1, &config).restore(NOON, None, &written);
    assert_eq!(refused, Err(RestoreError::NodeReused { node: NodeId([1; 16]) }));
}

#[test]
fn a_clean_snapshot_is_exact_and_one_with_open_holds_counts_them() {
    let config = budgets(&[hard("user:*", 500, Window::Day)]);
    let ledger = ledger(&config);
    spend(&ledger, NOON, &caller("ann"), 30);
    assert_eq!(ledger.snapshot().accounts[0].spent(), NanoUsd(30));
    let hold = reserve(&ledger, NOON, &caller("ann"), 50).expect("there is money");
    assert_eq!(ledger.snapshot().accounts[0].spent(), NanoUsd(80));
    hold.release();
}

#[test]
fn closed_windows_are_not_brought_back_and_alerts_are_not_raised_again() {
    let mut rule = hard("user:*", 100, Window::Hour);
    rule.alerts_bp = vec![1_000];
    let config = budgets(&[rule]);
    let old = ledger(&config);
    spend(&old, NOON, &caller("ann"), 50);
    let snapshot = old.snapshot();
    let soon = with(Pool::OwnLimit, Ceilings::InMemory, 2, &config);
    soon.restore(NOON, Some(&snapshot), &[]).expect("another node's state");
    spend(&soon, NOON, &caller("ann"), 1);
    assert!(soon.take_effects().is_empty());
    let late = with(Pool::OwnLimit, Ceilings::InMemory, 3, &config);
    late.restore(Millis(NOON.0 + 2 * HOUR), Some(&snapshot), &[]).expect("another node's state");
    assert_eq!(late.accounts(), []);
}

/// One step of a process that will crash.
#[derive(Clone, Debug)]
enum Step {
    Reserve {
        user: bool,
        strict: u64,
        adaptive: u64,
    },
    TopUp {
        hold: usize,
        more: u64,
    },
    Settle {
        hold: usize,
        percent: u64,
    },
    Release {
        hold: usize,
    },
    Wait {
        ms: u64,
    },
    /// The disk finishes the oldest ceilings it was given.
    Write {
        count: usize,
    },
    /// A snapshot is written; the ceilings of earlier processes are dropped, or the crash comes just before that.
    Save {
        drop_ceilings: bool,
    },
    Tick,
    Crash {
        replay: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (any::<bool>(), 0_u64..60, 0_u64..60).prop_map(|(user, a, b)| Step::Reserve {
            user,
            strict: a.max(b),
            adaptive: a.min(b),
        }),
        2 => (0_usize..8, 1_u64..30).prop_map(|(hold, more)| Step::TopUp { hold, more }),
        3 => (0_usize..8, 0_u64..=100).prop_map(|(hold, percent)| Step::Settle { hold, percent }),
        1 => (0_usize..8).prop_map(|hold| Step::Release { hold }),
        1 => (1_u64..20_000).prop_map(|ms| Step::Wait { ms }),
        4 => (1_usize..4).prop_map(|count| Step::Write { count }),
        1 => any::<bool>().prop_map(|drop_ceilings| Step::Save { drop_ceilings }),
        1 => Just(Step::Tick),
        1 => any::<bool>().prop_map(|replay| Step::Crash { replay }),
    ]
}

/// A process, its disk, and what truly happened.
struct Process {
    config: Config,
    now: Millis,
    node: u8,
    ledger: Ledger,
    holds: Vec<Hold>,
    queue: Vec<Ceiling>,
    snapshot: Option<Snapshot>,
    written: Vec<Ceiling>,
    /// Truly spent, by counter and process.
    real: HashMap<(AccountKey, NodeId), u64>,
}

impl Process {
    fn start() -> Self {
        let mut rules = vec![
            hard("user:ann", 300, Window::Hour),
            adaptive(hard("team:ml", 5_000, Window::Day)),
            adaptive(soft("org:acme", 400, Window::Total, Overage::Alert)),
            soft("global", 700, Window::Total, Overage::Block),
        ];
        rules[0].hold = HoldMode::Strict;
        let config = budgets(&rules);
        let ledger = on_disk(1, &config);
        let (holds, queue, written, real) = Default::default();
        Process { config, now: NOON, node: 1, ledger, holds, queue, snapshot: None, written, real }
    }

    fn real(&self, key: &AccountKey) -> u64 {
        self.real.iter().filter(|((of, _), _)| of == key).map(|(_, spent)| spent).sum()
    }

    fn charge(&mut self, hold: Hold, cost: u64) {
        let node = NodeId([self.node; 16]);
        for key in hold.accounts() {
            *self.real.entry((key.clone(), node)).or_default() += cost;
        }
        assert!(!hold.settle(self.now, NanoUsd(cost)).overcharged);
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Reserve { user, strict, adaptive } => {
                let caller = caller(if user { "ann" } else { "bob" });
                let attempt = Attempt { strict: NanoUsd(strict), adaptive: NanoUsd(adaptive), ..attempt(0) };
                self.holds.extend(self.ledger.reserve(self.now, &caller, &attempt));
            }
            Step::TopUp { hold, more } => {
                if let Some(hold) = self.holds.get_mut(hold) {
                    // A refusal leaves the hold as it was, which is what the next settlement respects.
                    drop(hold.top_up(self.now, NanoUsd(more), false));
                }
            }
            Step::Settle { hold, percent } if hold < self.holds.len() => {
                let hold = self.holds.swap_remove(hold);
                let cost = hold.covered().0 * percent / 100;
                self.charge(hold, cost);
            }
            Step::Release { hold } if hold < self.holds.len() => self.holds.swap_remove(hold).release(),
            Step::Settle { .. } | Step::Release { .. } => (),
            Step::Wait { ms } => self.now.0 += ms,
            Step::Write { count } => {
                for ceiling in self.queue.drain(..count.min(self.queue.len())) {
                    self.written.push(ceiling.clone());
                    self.ledger.ceiling_durable(self.now, &ceiling);
                }
            }
            Step::Save { drop_ceilings } => {
                self.snapshot = Some(self.ledger.snapshot());
                if drop_ceilings {
                    self.written.retain(|ceiling| ceiling.node == NodeId([self.node; 16]));
                }
            }
            Step::Tick => self.ledger.tick(self.now),
            Step::Crash { replay } => self.crash(replay),
        }
        self.queue.extend(ceilings(&self.ledger));
    }

    /// Everything in memory is gone, and what was in flight was served at the full price that was held.
    fn crash(&mut self, replay: bool) {
        for hold in std::mem::take(&mut self.holds) {
            let cost = hold.covered().0;
            self.charge(hold, cost);
        }
        self.queue.clear();
        let dead = NodeId([self.node; 16]);
        self.node += 1;
        self.ledger = on_disk(self.node, &self.config);
        self.ledger.restore(self.now, self.snapshot.as_ref(), &self.written).expect("ids are fresh");
        self.check_restored();
        if replay {
            let real: Vec<_> = self.real.iter().filter(|((_, node), _)| *node == dead).collect();
            for ((key, node), spent) in real {
                self.ledger.replayed(self.now, key, *node, NanoUsd(*spent));
            }
            self.check_restored();
        }
    }

    fn check_restored(&self) {
        let views = self.ledger.accounts();
        for (key, _) in self.real.keys() {
            let restored = views.iter().find(|view| view.key == *key).map_or(0, |view| view.spent.0);
            assert!(self.real(key) <= restored, "{key}: {} was spent, {restored} was restored", self.real(key));
        }
        for view in views.iter().filter(|view| view.mode == Some(bh_base::BudgetMode::Hard)) {
            assert!(view.spent <= view.limit.expect("it is hard"), "a hard budget is never restored above its limit");
        }
    }
}

proptest! {
    #[test]
    fn after_any_crash_the_restored_spend_is_at_least_the_real_one(steps in proptest::collection::vec(step(), 1..200)) {
        let mut process = Process::start();
        for step in steps.into_iter().chain([Step::Crash { replay: true }]) {
            process.run(step);
        }
        prop_assert_eq!(process.ledger.unprotected(), 0);
    }
}
