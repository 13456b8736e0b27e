//! Many threads at once: no lock order, no lost update, no budget overrun.

use std::sync::atomic::{AtomicU64, Ordering};

use bh_base::{Millis, NanoUsd, Overage, Window};
use bh_ledger::{Caller, Ceilings, Ledger, Limits, Pool, Refusal, Tokens};

use crate::world::*;

const THREADS: u64 = 200;
const CALLS: u64 = 200;
const LIMIT: u64 = 20_000;

/// A small generator, so that threads differ and a failure can be run again.
struct Draw(u64);

impl Draw {
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }
}

/// What one client does, again and again; what it truly spent is added to `served`.
fn client(ledger: &Ledger, caller: &Caller, seed: u64, served: &AtomicU64) {
    let mut draw = Draw(seed * 2 + 1);
    for call in 0..CALLS {
        let now = Millis(NOON.0 + call);
        let (strict, adaptive) = (1 + draw.below(100), 1 + draw.below(50));
        let attempt = bh_ledger::Attempt { strict: NanoUsd(strict), adaptive: NanoUsd(adaptive), ..attempt(0) };
        let mut hold = match ledger.reserve(now, caller, &attempt) {
            Ok(hold) => hold,
            Err(Refusal::RightsPending(_)) => {
                write_ceilings(ledger, now);
                continue;
            }
            Err(_) => continue,
        };
        if draw.below(3) == 0 {
            // A refused top-up leaves the hold as it was.
            drop(hold.top_up(now, NanoUsd(20), false));
        }
        let cost = draw.below(hold.covered().0 + 1);
        match draw.below(10) {
            0 => hold.release(),
            1 => {
                served.fetch_add(hold.settle_unknown(now).cost.0, Ordering::Relaxed);
            }
            _ => {
                served.fetch_add(cost, Ordering::Relaxed);
                assert!(!hold.settle(now, NanoUsd(cost)).overcharged);
            }
        }
        if draw.below(50) == 0 {
            ledger.tick(now);
        }
    }
}

fn check(ceilings: Ceilings) {
    let rules = [
        hard("global", LIMIT, Window::Day),
        hard("user:*", LIMIT / 4, Window::Hour),
        soft("team:ml", 10 * LIMIT, Window::Month, Overage::Alert),
    ];
    let ledger = with(Pool::OwnLimit, ceilings, 1, &budgets(&rules));
    let served = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (ledger, served) = (&ledger, &served);
            scope.spawn(move || {
                let caller =
                    caller(["ann", "bob", "cat", "dan", "eve"][usize::try_from(thread % 5).expect("it is below five")]);
                client(ledger, &caller, thread + 1, served);
            });
        }
    });
    let served = served.into_inner();
    assert!(0 < served && served <= LIMIT, "{served}");
    let mut users = 0;
    for view in ledger.accounts() {
        assert_eq!(view.held, NanoUsd::ZERO, "{view:?}");
        if view.key.scope.kind() == bh_base::ScopeKind::User {
            users += view.spent.0;
        } else {
            // All of these hold strictly, so an unknown outcome costs the same at each.
            assert_eq!(view.spent.0, served, "{view:?}");
        }
    }
    assert_eq!((users, ledger.leaked()), (served, 0));
}

#[test]
fn two_hundred_threads_never_overspend_a_hard_budget() {
    check(Ceilings::InMemory);
}

#[test]
fn two_hundred_threads_never_overspend_a_hard_budget_with_ceilings_on_disk() {
    check(Ceilings::Persist);
}

#[test]
fn places_are_never_given_twice() {
    let ledger = ledger(&limits("team:ml", Limits { concurrency: Some(7), ..Limits::default() }));
    let running = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| {
                for call in 0..500 {
                    let now = Millis(NOON.0 + call);
                    let Ok(slot) = ledger.limit(now, &caller("ann"), Tokens::default()) else { continue };
                    assert!(running.fetch_add(1, Ordering::SeqCst) < 7);
                    running.fetch_sub(1, Ordering::SeqCst);
                    slot.settle(now, Tokens::default());
                    ledger.tick(now);
                }
            });
        }
    });
}
