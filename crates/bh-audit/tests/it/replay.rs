//! What the records since a snapshot prove of the spend.

use crate::common::{admit, charged, head_of, open, settle};
use bh_audit::{Chain, ChargeKey, Durability, Entry, Lost, Record, Replay, Replayed};
use bh_base::{HoldMode, Millis, NanoUsd, Window};

const ORG: &str = "org:acme";

fn replay(log: &[Entry], after: Option<u64>, from: u64) -> (bool, Replayed) {
    let mut replay = Replay::new(after, from);
    log.iter().for_each(|entry| replay.see(&Record::parse(&entry.bytes).expect("the chain wrote it")));
    let (complete, found) = replay.finish();
    let key = ChargeKey { scope: ORG.into(), window: Window::Day, window_start_ms: 86_400_000 };
    (complete, found.get(&key).copied().unwrap_or_default())
}

fn spent(settled: u64, in_flight: u64) -> Replayed {
    Replayed { settled: NanoUsd(settled), in_flight: NanoUsd(in_flight), open_ended: false }
}

fn start(durability: Durability) -> (Chain, Vec<Entry>) {
    let (chain, first) = open(None, 0, durability);
    (chain, vec![first])
}

/// Admit 1, Admit 2, Settle 1.
fn one_settled_one_in_flight(durability: Durability) -> (Chain, Vec<Entry>) {
    let (mut chain, mut log) = start(durability);
    log.push(chain.append(Millis(1), admit(1, vec![charged(ORG, 50)])));
    log.push(chain.append(Millis(2), admit(2, vec![charged(ORG, 70)])));
    log.push(chain.append(Millis(3), settle(1, vec![charged(ORG, 30)])));
    (chain, log)
}

#[test]
fn a_strict_epoch_proves_what_was_settled_and_what_was_in_flight() {
    let (_, log) = one_settled_one_in_flight(Durability::Strict);
    assert_eq!(replay(&log, None, 0), (true, spent(30, 70)));
}

#[test]
fn a_relaxed_epoch_that_crashed_proves_nothing() {
    let (chain, mut log) = one_settled_one_in_flight(Durability::Relaxed);
    assert_eq!(replay(&log, None, 0), (false, spent(30, 70)));
    log.push(chain.close(Millis(4)));
    assert!(replay(&log, None, 0).0, "one that closed is complete");
}

#[test]
fn what_was_settled_before_the_snapshot_counts_only_once_in_it() {
    let (mut chain, mut log) = one_settled_one_in_flight(Durability::Strict);
    log.push(chain.append(Millis(5), settle(2, vec![charged(ORG, 60)])));
    assert_eq!(replay(&log, Some(3), 2), (true, spent(60, 0)), "the mark stands after the first settle");
    assert_eq!(replay(&log, Some(4), 5), (true, spent(0, 0)));
}

#[test]
fn a_call_in_flight_at_the_snapshot_counts_when_it_never_settles() {
    let (_, log) = one_settled_one_in_flight(Durability::Strict);
    assert_eq!(replay(&log, Some(3), 2), (true, spent(0, 70)));
}

#[test]
fn every_attempt_of_a_request_in_flight_counts() {
    let (mut chain, mut log) = start(Durability::Strict);
    log.push(chain.append(Millis(1), admit(1, vec![charged(ORG, 50)])));
    log.push(chain.append(Millis(1), admit(1, vec![charged(ORG, 60)])));
    assert_eq!(replay(&log, None, 0), (true, spent(0, 110)));
}

#[test]
fn a_lost_admit_or_a_missing_record_proves_nothing() {
    let lost = |lost: Lost| {
        let (mut chain, mut log) = one_settled_one_in_flight(Durability::Strict);
        log.push(chain.gap(Millis(4), lost));
        replay(&log, None, 0).0
    };
    assert!(!lost(Lost { admits: 1, ..Lost::default() }));
    assert!(lost(Lost { settles: 1, ..Lost::default() }), "its admit still bounds it");
    assert!(lost(Lost { denies: 1, ..Lost::default() }));
    let (_, mut log) = one_settled_one_in_flight(Durability::Strict);
    log.remove(1);
    assert!(!replay(&log, None, 0).0);
    assert!(!replay(&log[1..], None, 0).0, "the first one asked for is missing");
}

#[test]
fn a_hold_that_may_have_been_topped_up_is_open_ended_only_while_in_flight() {
    let adaptive = || vec![bh_audit::Charged { hold: HoldMode::Adaptive, ..charged(ORG, 50) }];
    let (mut chain, mut log) = start(Durability::Strict);
    log.push(chain.append(Millis(1), admit(1, adaptive())));
    assert!(replay(&log, None, 0).1.open_ended);
    log.push(chain.append(Millis(2), settle(1, adaptive())));
    assert!(!replay(&log, None, 0).1.open_ended);
}

#[test]
fn flights_of_a_crashed_epoch_still_count_in_the_next() {
    let (_, mut log) = one_settled_one_in_flight(Durability::Strict);
    let (mut chain, first) = open(Some(head_of(&log[3], false)), 9, Durability::Strict);
    log.push(first);
    log.push(chain.append(Millis(10), admit(3, vec![charged(ORG, 5)])));
    assert_eq!(replay(&log, None, 0), (true, spent(30, 75)));
}

#[test]
fn repeats_are_counted_once() {
    let (_, log) = one_settled_one_in_flight(Durability::Strict);
    let doubled: Vec<Entry> = log.iter().flat_map(|e| [e.clone(), e.clone()]).collect();
    assert_eq!(replay(&doubled, None, 0), replay(&log, None, 0));
}
