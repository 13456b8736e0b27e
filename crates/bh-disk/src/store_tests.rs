//! The ledger's memory at its boundary: restarts, crashes, proofs, failing disks.

use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};

use bh_audit::{Charged, Durability, RecordBody};
use bh_base::{BudgetMode, HoldMode, Millis, NanoUsd, NodeId, Overage, Window};
use bh_ledger::{
    Attempt, BudgetRule, Caller, Ceilings, Config, Effect, Hold, Identity, Ledger, Pattern, Pool, Refusal, Scope, Setup,
};
use bh_pipeline::ports::CeilingStore as _;
use proptest::prelude::*;

use crate::faulty::FaultyMedia;
use crate::scratch::Scratch;
use crate::test_support::{admit, crash, settle};
use crate::{DataFolder, LedgerStore, Opener, Proof, Spool, SpoolConfig, StateError};

const NOW: Millis = Millis(86_400_000 + 5_000);
/// A process never asks for a ceiling in steps smaller than a few seconds of its spend; tests spend in dollars.
const USD: u64 = 1_000_000_000;

/// One process: a ledger, its memory and a log on one folder.
struct Process {
    ledger: Ledger,
    store: LedgerStore,
    spool: Arc<Spool>,
    proof: Proof,
}

fn config() -> Config {
    let budget = |scope: &str, mode| BudgetRule {
        scope: Pattern::parse(scope).unwrap(),
        limit: NanoUsd(1000 * USD),
        window: Window::Day,
        mode,
        hold: HoldMode::Strict,
        alerts_bp: vec![],
        overage: if mode == BudgetMode::Hard { Overage::Block } else { Overage::Alert },
    };
    let budgets = vec![budget("org:acme", BudgetMode::Hard), budget("user:*", BudgetMode::Soft)];
    Config { budgets, ..Config::default() }
}

fn caller() -> Caller {
    let identity = Identity { org: Some("acme".into()), user: Some("alice@example.com".into()), ..Identity::default() };
    Caller::new(&identity, &[])
}

impl Process {
    fn try_start(folder: &Path, n: u8, durability: Durability) -> Result<Self, StateError> {
        let held = Arc::new(DataFolder::open(folder, "test").unwrap());
        let node = NodeId([n; 16]);
        let setup = Setup { node, pool: Pool::OwnLimit, ceilings: Ceilings::Persist, notify: Box::new(()) };
        let ledger = Ledger::new(setup, &config());
        let store = LedgerStore::open_on(Arc::new(FaultyMedia::default()), &held, NOW, &ledger)?;
        let opener = Opener { node: node.to_string().into(), software: "0.1.0".into() };
        let media = Arc::new(FaultyMedia::default());
        let (spool, _) = Spool::open(&held, media, NOW, SpoolConfig::new(durability), opener).unwrap();
        let spool = Arc::new(spool);
        let proof = store.follow(NOW, &ledger, &spool)?;
        Ok(Process { ledger, store, spool, proof })
    }

    fn start(folder: &Path, n: u8, durability: Durability) -> Self {
        Process::try_start(folder, n, durability).unwrap()
    }

    /// Does what the ledger asks for until it lets the attempt pass, and records the Admit.
    fn reserve(&self, request: u64, bound: u64) -> (Hold, u64) {
        let bound = NanoUsd(bound);
        let attempt = Attempt { model: "echo", strict: bound, adaptive: bound, waited: false };
        let hold = loop {
            match self.ledger.reserve(NOW, &caller(), &attempt) {
                Ok(hold) => break hold,
                Err(Refusal::RightsPending(_)) => self.serve(),
                Err(other) => panic!("{other:?}"),
            }
        };
        self.serve();
        let charges =
            hold.held().map(|(key, amount, hold)| charged(&key.scope, key.window, key.start, (amount, hold))).collect();
        let ticket = self.spool.append(NOW, admit(request, charges)).unwrap();
        (hold, ticket.wait().unwrap().seq)
    }

    fn settle(&self, request: u64, hold: Hold, cost: u64) -> RecordBody {
        let charges = hold
            .accounts()
            .map(|key| charged(&key.scope, key.window, key.start, (NanoUsd(cost), HoldMode::Strict)))
            .collect();
        assert!(!hold.settle(NOW, NanoUsd(cost)).overcharged);
        self.serve();
        settle(request, charges)
    }

    fn serve(&self) {
        for effect in self.ledger.take_effects() {
            let Effect::PersistCeiling(ceiling) = effect else { continue };
            let (told, answer) = mpsc::channel();
            self.store.persist(ceiling.clone(), Box::new(move |kept| told.send(kept).unwrap()));
            assert!(answer.recv().unwrap());
            self.ledger.ceiling_durable(NOW, &ceiling);
        }
    }

    fn spent(&self, scope: &str) -> u64 {
        let views = self.ledger.status(NOW, &Scope::parse(scope).unwrap());
        views.iter().map(|view| view.spent.0).max().unwrap_or(0)
    }

    fn both(&self) -> (u64, u64) {
        (self.spent("org:acme"), self.spent("user:alice@example.com"))
    }

    fn close(self) {
        self.ledger.drain(NOW);
        self.spool.close(NOW).unwrap();
        self.store.close(NOW, &self.ledger).unwrap();
    }

    /// What is queued is written, but nothing is said to have ended.
    fn crash(self) {
        let Process { ledger, store, spool, .. } = self;
        drop(store);
        drop(spool);
        drop(ledger);
    }
}

fn charged(scope: &Scope, window: Window, window_start: Millis, (amount, hold): (NanoUsd, HoldMode)) -> Charged {
    Charged { scope: scope.to_string().into(), window, window_start, amount, hold }
}

fn files(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder.join("ledger")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[test]
fn a_restart_in_order_counts_exactly_what_was_spent() {
    for durability in [Durability::Strict, Durability::Relaxed] {
        let scratch = Scratch::new();
        let first = Process::start(scratch.path(), 1, durability);
        let (hold, _) = first.reserve(1, 5 * USD);
        let record = first.settle(1, hold, 3 * USD);
        first.spool.queue(NOW, record);
        first.close();
        let second = Process::start(scratch.path(), 2, durability);
        assert_eq!(second.both(), (3 * USD, 3 * USD));
        second.close();
        let third = Process::start(scratch.path(), 3, durability);
        assert_eq!(third.both(), (3 * USD, 3 * USD));
    }
}

#[test]
fn after_a_crash_a_strict_log_proves_what_was_spent() {
    let scratch = Scratch::new();
    let first = Process::start(scratch.path(), 1, Durability::Strict);
    let (hold, _) = first.reserve(1, 5 * USD);
    let record = first.settle(1, hold, 3 * USD);
    first.spool.queue(NOW, record);
    let (in_flight, _) = first.reserve(2, 7 * USD);
    let Process { ledger, store, spool, .. } = first;
    drop((store, spool));
    drop((in_flight, ledger));
    let second = Process::start(scratch.path(), 2, Durability::Strict);
    assert!(second.proof.is_complete);
    assert_eq!(second.both(), (10 * USD, 10 * USD), "three settled, seven may have been spent");
    second.crash();
    let third = Process::start(scratch.path(), 3, Durability::Strict);
    assert_eq!(third.both(), (10 * USD, 10 * USD), "a process that spent nothing adds nothing");
}

#[test]
fn after_a_crash_a_relaxed_log_proves_nothing_and_the_ceiling_stands() {
    let scratch = Scratch::new();
    let first = Process::start(scratch.path(), 1, Durability::Relaxed);
    let (hold, _) = first.reserve(1, 5 * USD);
    let record = first.settle(1, hold, 3 * USD);
    first.spool.queue(NOW, record);
    first.crash();
    let second = Process::start(scratch.path(), 2, Durability::Relaxed);
    assert!(!second.proof.is_complete);
    let (org, user) = second.both();
    assert!(5 * USD <= org && 3 * USD <= user, "{org} {user}");
}

#[test]
fn a_log_that_is_gone_or_is_another_proves_nothing() {
    let scratch = Scratch::new();
    let first = Process::start(scratch.path(), 1, Durability::Strict);
    let (hold, _) = first.reserve(1, 5 * USD);
    let record = first.settle(1, hold, 3 * USD);
    first.spool.queue(NOW, record);
    first.crash();
    fs::remove_dir_all(DataFolder::audit_in(scratch.path())).unwrap();
    let second = Process::start(scratch.path(), 2, Durability::Strict);
    assert!(!second.proof.is_complete);
    assert!(5 * USD <= second.spent("org:acme"), "the ceiling stands");
}

#[test]
fn a_failing_disk_is_said_and_the_next_ceiling_brings_back_all() {
    let scratch = Scratch::new();
    let held = Arc::new(DataFolder::open(scratch.path(), "test").unwrap());
    let media = FaultyMedia::default();
    let plan = Arc::clone(&media.0);
    let node = |n: u8| NodeId([n; 16]);
    let ledger = |n| {
        let setup = Setup { node: node(n), pool: Pool::OwnLimit, ceilings: Ceilings::Persist, notify: Box::new(()) };
        Ledger::new(setup, &config())
    };
    let first = ledger(1);
    let store = LedgerStore::open_on(Arc::new(media), &held, NOW, &first).unwrap();
    let key = |scope: &str| bh_ledger::AccountKey {
        scope: Scope::parse(scope).unwrap(),
        window: Window::Day,
        start: Millis(86_400_000),
    };
    let persist = |scope: &str, amount| {
        let (told, answer) = mpsc::channel();
        let ceiling = bh_ledger::Ceiling { key: key(scope), node: node(1), amount: NanoUsd(amount) };
        store.persist(ceiling, Box::new(move |kept| told.send(kept).unwrap()));
        answer.recv().unwrap()
    };
    assert!(persist("org:a", 5));
    plan.failing_syncs.store(1, Ordering::SeqCst);
    assert!(persist("org:b", 6), "one failed sync is mended in a new file");
    plan.failing_syncs.store(2, Ordering::SeqCst);
    assert!(!persist("org:c", 7));
    assert!(persist("org:a", 8));
    drop(store);
    drop(held);
    let held = Arc::new(DataFolder::open(scratch.path(), "test").unwrap());
    let second = ledger(2);
    let _store = LedgerStore::open_on(Arc::new(FaultyMedia::default()), &held, NOW, &second).unwrap();
    let stranded = |scope: &str| second.status(NOW, &key(scope).scope).first().map(|view| view.stranded.0);
    assert_eq!((stranded("org:a"), stranded("org:b")), (Some(8), Some(6)));
    assert!(stranded("org:c").is_none_or(|amount| amount == 7), "what was refused may be there");
}

#[test]
fn a_snapshot_leaves_only_itself_and_open_promises() {
    let scratch = Scratch::new();
    let first = Process::start(scratch.path(), 1, Durability::Strict);
    let (hold, _) = first.reserve(1, 5 * USD);
    first.store.save(NOW, &first.ledger, false).unwrap();
    assert_eq!(files(scratch.path()).len(), 2, "{:?}", files(scratch.path()));
    let record = first.settle(1, hold, USD);
    first.spool.queue(NOW, record);
    first.close();
    assert_eq!(files(scratch.path()).len(), 1, "{:?}", files(scratch.path()));
}

#[test]
fn damaged_state_stops_the_start_and_says_which_file() {
    let scratch = Scratch::new();
    let first = Process::start(scratch.path(), 1, Durability::Strict);
    let (hold, _) = first.reserve(1, 5 * USD);
    hold.release();
    first.crash();
    for name in files(scratch.path()) {
        let path = scratch.path().join("ledger").join(&name);
        let bytes = fs::read(&path).unwrap();
        let mut changed = bytes.clone();
        changed[10] ^= 1;
        fs::write(&path, changed).unwrap();
        let fault = Process::try_start(scratch.path(), 2, Durability::Strict).err().expect("damage is refused");
        assert!(matches!(&fault, StateError::Damaged { path: found } if found == &path), "{fault}");
        fs::write(&path, bytes).unwrap();
    }
    Process::start(scratch.path(), 2, Durability::Strict);
}

#[derive(Debug, Clone)]
enum Step {
    Call { bound: u64, cost: u64 },
    Begin { bound: u64 },
    Finish,
    Save,
    Close,
    Crash { torn: prop::sample::Index },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..50_u64, 0..=100_u64).prop_map(|(bound, part)| Step::Call { bound, cost: bound * part / 100 }),
        3 => (1..50_u64).prop_map(|bound| Step::Begin { bound }),
        2 => Just(Step::Finish),
        1 => Just(Step::Save),
        1 => Just(Step::Close),
        2 => any::<prop::sample::Index>().prop_map(|torn| Step::Crash { torn }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// Whatever happens in whatever order, in both modes: a restart never counts less than providers charged.
    #[test]
    fn no_history_counts_too_little(steps in prop::collection::vec(step(), 1..30), strict in any::<bool>()) {
        let durability = if strict { Durability::Strict } else { Durability::Relaxed };
        let scratch = Scratch::new();
        let mut process = Process::start(scratch.path(), 1, durability);
        let (mut flights, mut charged_by_provider, mut acknowledged) = (Vec::new(), 0, 0);
        for (n, step) in (2_u8..).zip(steps) {
            let request = u64::from(n);
            match step {
                Step::Call { bound, cost } => {
                    let (hold, seq) = process.reserve(request, bound * USD);
                    acknowledged = seq;
                    charged_by_provider += cost * USD;
                    let record = process.settle(request, hold, cost * USD);
                    process.spool.queue(NOW, record);
                }
                Step::Begin { bound } => {
                    let (hold, seq) = process.reserve(request, bound * USD);
                    acknowledged = seq;
                    // The provider may charge all of it, whether we hear of it or not.
                    charged_by_provider += bound * USD;
                    flights.push((request, hold, bound * USD));
                }
                Step::Finish => {
                    if let Some((request, hold, cost)) = flights.pop() {
                        let record = process.settle(request, hold, cost);
                        process.spool.queue(NOW, record);
                    }
                }
                Step::Save => process.store.save(NOW, &process.ledger, false).unwrap(),
                Step::Close => {
                    for (request, hold, cost) in flights.drain(..) {
                        let record = process.settle(request, hold, cost);
                        process.spool.queue(NOW, record);
                    }
                    process.close();
                    process = Process::start(scratch.path(), n, durability);
                    acknowledged = process.spool.mark().after;
                }
                Step::Crash { torn } => {
                    process.crash();
                    flights.clear();
                    crash(scratch.path(), acknowledged, torn);
                    process = Process::start(scratch.path(), n, durability);
                    prop_assert_eq!(process.proof.is_complete, strict);
                    acknowledged = process.spool.mark().after;
                }
            }
            let (org, user) = process.both();
            let held: u64 = flights.iter().map(|(_, _, cost)| cost).sum();
            prop_assert!(charged_by_provider <= org + held, "org {org} + {held} < {charged_by_provider}");
            prop_assert!(charged_by_provider <= user + held, "user {user} + {held} < {charged_by_provider}");
        }
    }
}
