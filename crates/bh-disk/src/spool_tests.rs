//! The spool at its boundary: groups, failing disks, crowds, retention.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bh_audit::{Durability, Kind, Record, Verdict, VerifyOptions, verify};
use bh_base::{Millis, RequestId};

use crate::faulty::FaultyMedia;
use crate::scratch::Scratch;
use crate::test_support::{
    admit, audit, check, deny, open, open_with, records, report, request, segments, settle, small_log,
};
use crate::{CloseError, DataFolder, LogReader, Mark, RealMedia, SpoolFault, Tail};

#[test]
fn what_was_acknowledged_is_on_disk_and_the_log_is_whole() {
    let log = small_log(true);
    let report = check(log.path(), Verdict::Ok);
    assert_eq!((report.records, report.epochs), (5, 1));
    let kinds: Vec<Kind> = records(log.path()).into_iter().map(|r| r.kind).collect();
    assert_eq!(kinds, [Kind::EpochOpen, Kind::Deny, Kind::Deny, Kind::Deny, Kind::EpochClose]);
}

#[test]
fn a_receipt_is_a_witness_that_the_log_agrees_with() {
    let scratch = Scratch::new();
    let (spool, _) = open(scratch.path(), 1_000);
    let receipt = spool.append(Millis(1_001), deny(1)).unwrap().wait().unwrap();
    spool.close(Millis(1_002)).unwrap();
    let witness = bh_audit::Witness { log_id: receipt.log_id, seq: receipt.seq, leaf: receipt.leaf };
    let options = VerifyOptions { witnesses: vec![witness], ..VerifyOptions::default() };
    let reader = || LogReader::open(&[audit(scratch.path())]).unwrap();
    assert_eq!(verify(reader(), &options).unwrap().verdict, Verdict::Ok);
}

#[test]
fn the_next_epoch_goes_on_where_the_last_one_ended() {
    let log = small_log(true);
    let (spool, recovery) = open(log.path(), 2_000);
    assert_eq!((recovery.epoch, recovery.torn_bytes), (1, 0));
    assert!(recovery.head.is_some_and(|head| head.seq == 4 && head.closed));
    spool.append(Millis(2_001), deny(9)).unwrap().wait().unwrap();
    spool.close(Millis(2_002)).unwrap();
    assert_eq!(check(log.path(), Verdict::Ok).range, Some((0, 7)));
}

#[test]
fn a_spool_dropped_without_closing_loses_nothing_and_looks_like_a_crash() {
    let scratch = Scratch::new();
    let (spool, _) = open(scratch.path(), 1_000);
    (0..1000).for_each(|n| spool.queue(Millis(1_001), deny(n)));
    drop(spool);
    assert_eq!(check(scratch.path(), Verdict::CrashTail).records, 1001);
}

#[test]
fn a_second_process_is_refused_while_the_first_one_writes() {
    let scratch = Scratch::new();
    let (spool, _) = open(scratch.path(), 1_000);
    let fault = DataFolder::open(scratch.path(), "other").unwrap_err();
    assert!(fault.to_string().contains("in use by test"), "{fault}");
    spool.close(Millis(1_001)).unwrap();
}

#[test]
fn after_the_end_nothing_is_taken_in() {
    let scratch = Scratch::new();
    let (spool, _) = open(scratch.path(), 1_000);
    spool.close(Millis(1_001)).unwrap();
    assert_eq!(spool.append(Millis(1_002), deny(1)).unwrap_err(), SpoolFault::Closed);
    spool.queue(Millis(1_002), deny(1));
    spool.close(Millis(1_003)).unwrap();
    check(scratch.path(), Verdict::Ok);
}

#[test]
fn a_failed_sync_moves_the_records_to_a_new_segment_and_nobody_notices() {
    for torn in [false, true] {
        let scratch = Scratch::new();
        let media = FaultyMedia::default();
        let plan = Arc::clone(&media.0);
        let (spool, _) = open_with(scratch.path(), media, 1_000, |_| {});
        spool.append(Millis(1_001), deny(1)).unwrap().wait().unwrap();
        if torn { &plan.torn_appends } else { &plan.failing_syncs }.store(1, Ordering::SeqCst);
        spool.append(Millis(1_002), deny(2)).unwrap().wait().unwrap();
        spool.append(Millis(1_003), deny(3)).unwrap().wait().unwrap();
        assert_eq!(spool.health().failures, 1);
        spool.close(Millis(1_004)).unwrap();
        let report = check(scratch.path(), Verdict::Ok);
        assert_eq!((report.records, report.repeats), (5, u64::from(!torn)));
        assert_eq!(segments(scratch.path()).len(), 2);
        drop(spool);
        let (spool, recovery) = open(scratch.path(), 2_000);
        assert!(recovery.quarantined.is_empty());
        spool.close(Millis(2_001)).unwrap();
        check(scratch.path(), Verdict::Ok);
    }
}

#[test]
fn a_failing_disk_refuses_admits_and_what_followed_waits_for_it() {
    let scratch = Scratch::new();
    let media = FaultyMedia::default();
    let plan = Arc::clone(&media.0);
    let (spool, _) = open_with(scratch.path(), media, 1_000, |_| {});
    plan.hold_syncs();
    let refused = spool.append(Millis(1_001), admit(1, vec![])).unwrap();
    while plan.syncs.load(Ordering::SeqCst) < 2 {
        std::thread::yield_now();
    }
    // Queued behind a write that is about to fail.
    let never = spool.append(Millis(1_002), admit(2, vec![])).unwrap();
    spool.queue(Millis(1_003), settle(3, vec![]));
    plan.failing_syncs.store(2, Ordering::SeqCst);
    plan.release_syncs();
    assert_eq!((refused.wait(), never.wait()), (Err(SpoolFault::Failing), Err(SpoolFault::Failing)));
    assert_eq!(spool.health().failing, Some(SpoolFault::Failing));
    assert_eq!(spool.append(Millis(1_004), admit(4, vec![])).unwrap_err(), SpoolFault::Failing);
    spool.queue(Millis(1_005), deny(5));
    spool.close(Millis(1_006)).unwrap();
    check(scratch.path(), Verdict::Ok);
    let requests: Vec<RequestId> = records(scratch.path()).into_iter().filter_map(|r| r.request_id).collect();
    assert_eq!(requests, [1, 3, 5].map(request), "the first Admit was half-way to the disk, the others never happened");
}

#[test]
fn what_finds_no_room_while_the_disk_fails_becomes_a_gap() {
    let scratch = Scratch::new();
    let media = FaultyMedia::default();
    let plan = Arc::clone(&media.0);
    let (spool, _) = open_with(scratch.path(), media, 1_000, |config| config.queue_records_max = 4);
    plan.failing_syncs.store(2, Ordering::SeqCst);
    assert_eq!(spool.append(Millis(1_001), admit(1, vec![])).unwrap().wait(), Err(SpoolFault::Failing));
    (0..4).for_each(|n| spool.queue(Millis(1_002), settle(n, vec![])));
    spool.queue(Millis(1_003), settle(8, vec![]));
    spool.queue(Millis(1_005), deny(9));
    spool.close(Millis(1_006)).unwrap();
    let report = check(scratch.path(), Verdict::Gap);
    assert_eq!(report.longest_unaccounted.map(|i| (i.from, i.until)), Some((Millis(1_003), Some(Millis(1_005)))));
    let lost = records(scratch.path()).into_iter().find_map(|r| r.lost).expect("a gap");
    assert_eq!((lost.admits, lost.settles, lost.denies, lost.others), (0, 1, 1, 0), "a refused Admit is no loss");
}

#[test]
fn a_disk_that_never_works_again_is_said_when_closing() {
    let scratch = Scratch::new();
    let media = FaultyMedia::default();
    let plan = Arc::clone(&media.0);
    let (spool, _) = open_with(scratch.path(), media, 1_000, |_| {});
    plan.failing_creates.store(1_000_000, Ordering::SeqCst);
    plan.failing_syncs.store(1_000_000, Ordering::SeqCst);
    assert_eq!(spool.append(Millis(1_001), admit(1, vec![])).unwrap().wait(), Err(SpoolFault::Full));
    assert_eq!(spool.close(Millis(1_002)), Err(CloseError::Unwritten(SpoolFault::Full)));
}

#[test]
fn a_full_queue_refuses_admits_first_and_says_what_it_lost() {
    let scratch = Scratch::new();
    let media = FaultyMedia::default();
    let plan = Arc::clone(&media.0);
    let (spool, _) = open_with(scratch.path(), media, 1_000, |config| config.queue_records_max = 8);
    plan.hold_syncs();
    let under_way = spool.append(Millis(1_000), deny(0)).unwrap();
    while plan.syncs.load(Ordering::SeqCst) < 2 {
        std::thread::yield_now();
    }
    (0..6).for_each(|n| spool.queue(Millis(1_001), settle(n, vec![])));
    assert_eq!(spool.append(Millis(1_002), admit(7, vec![])).unwrap_err(), SpoolFault::Overloaded);
    spool.queue(Millis(1_003), settle(6, vec![]));
    spool.queue(Millis(1_003), settle(7, vec![]));
    (0..5).for_each(|n| spool.queue(Millis(1_004 + n), deny(n)));
    plan.release_syncs();
    under_way.wait().unwrap();
    while spool.flush(Millis(1_009)).map(|ticket| ticket.wait().unwrap()).is_err() {}
    assert_eq!(spool.health().lost, 5);
    spool.close(Millis(1_010)).unwrap();
    check(scratch.path(), Verdict::Gap);
    let found = records(scratch.path());
    assert_eq!(found.iter().filter(|r| r.kind == Kind::Settle).count(), 8, "calls under way could settle");
    assert_eq!(found.iter().find_map(|r| r.lost).map(|lost| lost.denies), Some(5));
}

#[test]
fn a_disk_that_takes_too_long_counts_as_slow_and_refuses_admits_only() {
    let scratch = Scratch::new();
    let media = FaultyMedia::default();
    let plan = Arc::clone(&media.0);
    let (spool, _) = open_with(scratch.path(), media, 1_000, |_| {});
    plan.hold_syncs();
    let stuck = spool.append(Millis(1_001), deny(1)).unwrap();
    while !spool.health().slow {
        std::thread::yield_now();
    }
    assert_eq!(spool.append(Millis(1_002), admit(1, vec![])).unwrap_err(), SpoolFault::Slow);
    let settles = spool.append(Millis(1_003), settle(1, vec![])).unwrap();
    plan.release_syncs();
    stuck.wait().unwrap();
    settles.wait().unwrap();
    spool.close(Millis(1_004)).unwrap();
    check(scratch.path(), Verdict::Ok);
}

#[test]
fn many_callers_share_syncs_and_keep_their_order() {
    let scratch = Scratch::new();
    let media = FaultyMedia::default();
    let plan = Arc::clone(&media.0);
    let (spool, _) = open_with(scratch.path(), media, 1_000, |_| {});
    let spool = Arc::new(spool);
    let caller = |caller: u64| {
        let spool = Arc::clone(&spool);
        std::thread::spawn(move || {
            for n in 0..200 {
                spool.append(Millis(1_001), deny(caller * 1000 + n)).unwrap().wait().unwrap();
            }
        })
    };
    let callers: Vec<_> = (0..8).map(caller).collect();
    callers.into_iter().for_each(|thread| thread.join().unwrap());
    spool.close(Millis(1_002)).unwrap();
    assert_eq!(check(scratch.path(), Verdict::Ok).records, 1602);
    assert!(plan.syncs.load(Ordering::SeqCst) < 1602, "syncs are shared");
    let found = records(scratch.path());
    for caller in 0..8_u64 {
        let own: Vec<RequestId> = found.iter().filter_map(|r| r.request_id).collect();
        let own: Vec<_> = own.iter().filter(|id| id.0[..8] >= (caller * 1000).to_be_bytes()[..]).collect();
        let own: Vec<_> = own.iter().filter(|id| id.0[..8] < (caller * 1000 + 1000).to_be_bytes()[..]).collect();
        assert!(own.is_sorted(), "caller {caller}");
    }
}

#[test]
fn nobody_waiting_records_share_one_sync() {
    let scratch = Scratch::new();
    let media = FaultyMedia::default();
    let plan = Arc::clone(&media.0);
    let (spool, _) = open_with(scratch.path(), media, 1_000, |config| config.durability = Durability::Relaxed);
    (0..63).for_each(|n| spool.queue(Millis(1_001), deny(n)));
    spool.flush(Millis(1_002)).unwrap().wait().unwrap();
    assert!(plan.syncs.load(Ordering::SeqCst) <= 4, "{:?}", plan.syncs);
    spool.close(Millis(1_003)).unwrap();
}

#[test]
fn retention_removes_whole_segments_and_the_log_says_so() {
    let scratch = Scratch::new();
    let hour = 3_600_000;
    let (spool, _) = open_with(scratch.path(), FaultyMedia::default(), hour, |config| {
        config.segment_bytes = 2 * 1024;
        config.retain = Some(Duration::from_secs(24 * 3600));
    });
    for n in 0..100 {
        let now = Millis(hour + n * hour / 2);
        spool.append(now, deny(n)).unwrap().wait().unwrap();
    }
    spool.close(Millis(60 * hour)).unwrap();
    let report = check(scratch.path(), Verdict::Ok);
    let (first, last) = report.range.unwrap();
    assert!(0 < first && 100 < last, "{first}..{last}");
    let oldest = records(scratch.path()).remove(0).ts_ms;
    assert!(20 * hour < oldest && oldest < 28 * hour, "kept from {oldest}");
    // Without the record that says so, the same log has a hole where it should begin.
    let segment = segments(scratch.path()).remove(0);
    fs::remove_file(segment).unwrap();
    check(scratch.path(), Verdict::Gap);
}

#[test]
fn a_spool_that_reached_its_bound_refuses_until_retention_makes_room() {
    let scratch = Scratch::new();
    let (spool, _) = open_with(scratch.path(), RealMedia, 1_000, |config| {
        config.segment_bytes = 512;
        config.spool_bytes_max = 4 * 1024;
        config.retain = Some(Duration::from_millis(500));
    });
    let mut n = 0;
    while spool.health().failing.is_none() {
        spool.queue(Millis(1_001), deny(n));
        assert!(spool.flush(Millis(1_001)).and_then(crate::Ticket::wait).is_ok() || spool.health().failing.is_some());
        n += 1;
        assert!(n < 100, "the bound is never reached");
    }
    assert_eq!(spool.append(Millis(1_400), admit(1, vec![])).unwrap_err(), SpoolFault::Full);
    // Time passes: what a refused caller says is enough to find that old segments may go.
    while spool.append(Millis(9_000), admit(1, vec![])).is_err() {
        std::thread::yield_now();
    }
    spool.close(Millis(9_001)).unwrap();
    let report = report(scratch.path());
    assert!(report.verdict <= Verdict::Gap && 0 < report.range.unwrap().0, "{report:#?}");
}

#[test]
fn the_mark_reaches_back_to_the_oldest_call_in_flight() {
    let scratch = Scratch::new();
    let (spool, _) = open(scratch.path(), 1_000);
    let durable = |body| spool.append(Millis(1_001), body).unwrap().wait().unwrap();
    let log_id = spool.mark().log_id;
    let mark = |after, from| Mark { log_id, epoch: 0, after, from, durability: Durability::Strict };
    assert_eq!(spool.mark(), mark(0, 1));
    durable(admit(1, vec![]));
    durable(admit(2, vec![]));
    assert_eq!(spool.mark(), mark(2, 1));
    durable(settle(1, vec![]));
    assert_eq!(spool.mark(), mark(3, 2));
    durable(settle(2, vec![]));
    assert_eq!(spool.mark(), mark(4, 5));
    spool.close(Millis(1_002)).unwrap();
}

#[test]
fn a_follower_sees_every_record_once_across_segments() {
    let scratch = Scratch::new();
    let (spool, _) = open_with(scratch.path(), RealMedia, 1_000, |config| config.segment_bytes = 4 * 1024);
    let mut tail = Tail::from(audit(scratch.path()), 0);
    let mut seen = Vec::new();
    for round in 0..50 {
        for n in 0..7 {
            spool.queue(Millis(1_001), deny(round * 7 + n));
        }
        if round % 3 == 0 {
            spool.flush(Millis(1_001)).unwrap().wait().unwrap();
        }
        seen.extend(tail.look().unwrap());
    }
    spool.close(Millis(1_002)).unwrap();
    seen.extend(tail.look().unwrap());
    assert!(tail.look().unwrap().is_empty());
    let seqs: Vec<u64> = seen.iter().map(|line| Record::parse(line).unwrap().seq).collect();
    assert_eq!(seqs, (0..352).collect::<Vec<u64>>());
    let last = Tail::last(audit(scratch.path()), 3).unwrap().look().unwrap();
    assert_eq!(last, seen[349..]);
}
