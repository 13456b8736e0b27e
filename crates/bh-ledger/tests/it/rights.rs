//! Rights from a pool that others draw on too: asked for, granted, denied, given back.

use bh_base::{Millis, NanoUsd, NodeId, Overage, Window};
use bh_ledger::{Ask, Ceilings, Denial, Dot, Effect, Hold, Ledger, Pool, Refusal};

use crate::world::*;

fn shared() -> Ledger {
    with(Pool::Effects, Ceilings::InMemory, 1, &budgets(&[hard("global", 1_000, Window::Total)]))
}

fn asks(ledger: &Ledger) -> Vec<Ask> {
    let ask = |effect| match effect {
        Effect::Ask(ask) => ask,
        Effect::PersistCeiling(_) | Effect::Return { .. } | Effect::Alert(_) | Effect::Overcharge(_) => {
            panic!("only asks are expected, got {effect:?}")
        }
    };
    ledger.take_effects().into_iter().map(ask).collect()
}

fn returned(ledger: &Ledger) -> u64 {
    let amount = |effect: &Effect| match effect {
        Effect::Return { amount, .. } => amount.0,
        Effect::PersistCeiling(_) | Effect::Ask(_) | Effect::Alert(_) | Effect::Overcharge(_) => 0,
    };
    ledger.take_effects().iter().map(amount).sum()
}

fn pending(result: Result<Hold, Refusal>) -> u64 {
    match result {
        Err(Refusal::RightsPending(pending)) => pending.generation,
        other => panic!("expected to wait, got {other:?}"),
    }
}

#[test]
fn the_first_call_waits_for_rights_and_one_ask_serves_all_who_wait() {
    let ledger = shared();
    let before = pending(reserve(&ledger, NOON, &caller("ann"), 100));
    pending(reserve(&ledger, NOON, &caller("bob"), 100));
    let asked = asks(&ledger);
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_eq!((asked[0].needed, asked[0].limit), (NanoUsd(100), NanoUsd(1_000)));
    ledger.granted(NOON, &asked[0].key, NanoUsd(400));
    assert!(before < ledger.generation());
    let ann = reserve(&ledger, NOON, &caller("ann"), 100).expect("rights are here");
    let bob = reserve(&ledger, NOON, &caller("bob"), 100).expect("rights are here");
    assert_eq!(account(&ledger, "global").rights, NanoUsd(400));
    ann.release();
    bob.release();
}

#[test]
fn after_waiting_in_vain_rights_are_unavailable_and_not_exhausted() {
    let ledger = shared();
    pending(reserve(&ledger, NOON, &caller("ann"), 100));
    let waited = bh_ledger::Attempt { waited: true, ..attempt(100) };
    let refused = ledger.reserve(NOON, &caller("ann"), &waited);
    assert!(matches!(refused, Err(Refusal::RightsUnavailable { .. })), "{refused:?}");
}

#[test]
fn only_an_answer_that_the_money_is_gone_says_exhausted() {
    let ledger = shared();
    pending(reserve(&ledger, NOON, &caller("ann"), 100));
    let asked = asks(&ledger);
    ledger.denied(NOON, &asked[0].key, Denial::Gone);
    assert_eq!(exhausted(reserve(&ledger, NOON, &caller("ann"), 100)), "global total");
    assert!(asks(&ledger).is_empty(), "the pool is left alone for a second");
    assert_eq!(exhausted(reserve(&ledger, Millis(NOON.0 + 1_000), &caller("ann"), 100)), "global total");
    let again = asks(&ledger);
    assert_eq!(again.len(), 1);
    ledger.granted(NOON, &again[0].key, NanoUsd(100));
    spend(&ledger, NOON, &caller("ann"), 100);
    pending(reserve(&ledger, NOON, &caller("ann"), 100));
    assert_eq!(asks(&ledger).len(), 1, "somebody gave money back, so there may be more");
}

#[test]
fn a_pool_that_cannot_answer_makes_rights_unavailable() {
    let ledger = shared();
    pending(reserve(&ledger, NOON, &caller("ann"), 100));
    ledger.denied(NOON, &asks(&ledger)[0].key, Denial::Unavailable);
    let refused = reserve(&ledger, NOON, &caller("ann"), 100);
    assert!(matches!(refused, Err(Refusal::RightsUnavailable { .. })), "{refused:?}");
}

#[test]
fn what_is_certainly_beyond_the_limit_is_exhausted_without_asking() {
    let ledger = shared();
    assert_eq!(exhausted(reserve(&ledger, NOON, &caller("ann"), 1_001)), "global total");
    assert!(asks(&ledger).is_empty());
}

#[test]
fn rights_are_asked_for_ahead_of_need() {
    let ledger = shared();
    pending(reserve(&ledger, NOON, &caller("ann"), 100));
    ledger.granted(NOON, &asks(&ledger)[0].key, NanoUsd(250));
    let first = reserve(&ledger, NOON, &caller("ann"), 100).expect("rights are here");
    assert!(asks(&ledger).is_empty(), "150 are left for calls of 100");
    let second = reserve(&ledger, NOON, &caller("ann"), 100).expect("rights are here");
    assert_eq!(asks(&ledger).len(), 1, "50 are left for calls of 100");
    first.release();
    second.release();
}

#[test]
fn idle_rights_go_back_but_for_a_crumb_and_draining_returns_that_too() {
    let ledger = shared();
    pending(reserve(&ledger, NOON, &caller("ann"), 100));
    ledger.granted(NOON, &asks(&ledger)[0].key, NanoUsd(700));
    spend(&ledger, NOON, &caller("ann"), 100);
    ledger.tick(Millis(NOON.0 + 59_000));
    assert_eq!(returned(&ledger), 0);
    ledger.tick(Millis(NOON.0 + 60_000));
    assert_eq!((returned(&ledger), account(&ledger, "global").rights), (500, NanoUsd(200)));
    ledger.drain(Millis(NOON.0 + 61_000));
    assert_eq!((returned(&ledger), account(&ledger, "global").rights), (100, NanoUsd(100)));
}

#[test]
fn a_lowered_limit_gives_rights_back_once() {
    let ledger = shared();
    pending(reserve(&ledger, NOON, &caller("ann"), 100));
    ledger.granted(NOON, &asks(&ledger)[0].key, NanoUsd(700));
    ledger.reload(NOON, &budgets(&[hard("global", 300, Window::Total)]));
    ledger.reload(NOON, &budgets(&[hard("global", 300, Window::Total)]));
    assert_eq!((returned(&ledger), account(&ledger, "global").rights), (400, NanoUsd(300)));
}

#[test]
fn peers_spend_counts_for_soft_budgets_and_alerts() {
    let mut rule = soft("global", 100, Window::Total, Overage::Block);
    rule.alerts_bp = vec![5_000];
    let ledger = with(Pool::Effects, Ceilings::InMemory, 1, &budgets(&[rule]));
    spend(&ledger, NOON, &caller("ann"), 10);
    let own = ledger.meter_dots();
    assert_eq!(own.len(), 1);
    assert_eq!((own[0].node, own[0].spent), (NodeId([1; 16]), NanoUsd(10)));
    let peer = Dot { node: NodeId([2; 16]), spent: NanoUsd(90), key: own[0].key.clone() };
    ledger.merge(NOON, &[peer.clone(), peer.clone(), Dot { spent: NanoUsd(5), ..peer }]);
    assert_eq!(ledger.take_effects().len(), 1, "one alert");
    assert_eq!(exhausted(reserve(&ledger, NOON, &caller("ann"), 1)), "global total");
}
