//! The spool at its boundary: crashes, failing disks, crowds, retention.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bh_audit::{
    Admit, Caller, Charged, Deny, Durability, Kind, Latency, Record, RecordBody, Report, Settle, Text, Verdict,
    VerifyOptions, verify,
};
use bh_base::{Millis, NanoUsd, RequestId, Usage};
use proptest::prelude::*;

use crate::faulty::FaultyMedia;
use crate::scratch::Scratch;
use crate::{
    CloseError, DataFolder, LogReader, Mark, Media, Opener, RealMedia, Recovery, Spool, SpoolConfig, SpoolFault, Tail,
};

pub(crate) fn request(n: u64) -> RequestId {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&n.to_be_bytes());
    RequestId(id)
}

pub(crate) fn deny(n: u64) -> RecordBody {
    RecordBody::Deny(Box::new(Deny {
        request: request(n),
        caller: None,
        op: Text::word("messages"),
        asked: None,
        decision: None,
        status: 401,
        code: Text::word("token_expired"),
        config_version: Text::word("c1"),
        latency: Latency::default(),
    }))
}

pub(crate) fn admit(n: u64, charges: Vec<Charged>) -> RecordBody {
    RecordBody::Admit(Box::new(Admit {
        request: request(n),
        caller: Arc::new(Caller::default()),
        op: Text::word("messages"),
        asked: Text::word("smart"),
        decision: None,
        attempt: 1,
        provider: Text::word("echo"),
        model: Text::word("echo"),
        est: NanoUsd(5),
        charges,
        price_version: Text::word("p1"),
        config_version: Text::word("c1"),
        request_commit: None,
        warnings: vec![],
    }))
}

pub(crate) fn settle(n: u64, charges: Vec<Charged>) -> RecordBody {
    RecordBody::Settle(Box::new(Settle {
        request: request(n),
        caller: Arc::new(Caller::default()),
        op: Text::word("messages"),
        asked: Text::word("smart"),
        provider: Text::word("echo"),
        model: Text::word("echo"),
        usage: Usage::default(),
        usage_estimated: false,
        est: NanoUsd(5),
        cost: NanoUsd(3),
        charges,
        price_version: Text::word("p1"),
        config_version: Text::word("c1"),
        outcome: Text::word("ok"),
        status: 200,
        latency: Latency::default(),
        attempts: vec![],
        response_commit: None,
        warnings: vec![],
    }))
}

pub(crate) fn open_with(
    folder: &Path,
    media: impl Media,
    now: u64,
    change: impl FnOnce(&mut SpoolConfig),
) -> (Spool, Recovery) {
    let held = Arc::new(DataFolder::open(folder, "test").unwrap());
    let mut config = SpoolConfig::new(Durability::Strict);
    change(&mut config);
    let opener = Opener { node: Text::word("n1"), software: Text::word("0.1.0") };
    Spool::open(&held, Arc::new(media), Millis(now), config, opener).unwrap()
}

pub(crate) fn open(folder: &Path, now: u64) -> (Spool, Recovery) {
    open_with(folder, FaultyMedia::default(), now, |_| {})
}

fn audit(folder: &Path) -> PathBuf {
    DataFolder::audit_in(folder)
}

fn report(folder: &Path) -> Report {
    verify(LogReader::open(&[audit(folder)]).unwrap(), &VerifyOptions::default()).unwrap()
}

#[track_caller]
fn check(folder: &Path, verdict: Verdict) -> Report {
    let report = report(folder);
    assert_eq!(report.verdict, verdict, "{report:#?}");
    report
}

fn records(folder: &Path) -> Vec<Record> {
    let lines = LogReader::open(&[audit(folder)]).unwrap().lines();
    lines.map(|line| Record::parse(&line.unwrap()).unwrap()).collect()
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(audit(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(audit(to)).unwrap();
    fs::copy(from.join("pseudonym.key"), to.join("pseudonym.key")).unwrap();
    for segment in segments(from) {
        fs::copy(&segment, audit(to).join(segment.file_name().unwrap())).unwrap();
    }
}

/// A log of one epoch with three Denies, and whether it closed.
fn small_log(closes: bool) -> Scratch {
    let scratch = Scratch::new();
    let (spool, _) = open(scratch.path(), 1_000);
    for n in 0..3 {
        spool.append(Millis(1_001 + n), deny(n)).unwrap().wait().unwrap();
    }
    if closes {
        spool.close(Millis(1_010)).unwrap();
    }
    drop(spool);
    scratch
}

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
fn a_tail_cut_at_any_byte_is_recovered_and_never_worse_than_a_crash() {
    let log = small_log(false);
    let segment = segments(log.path()).remove(0);
    let bytes = fs::read(&segment).unwrap();
    let ends: Vec<usize> = {
        let mut ends = vec![0];
        for record in records(log.path()) {
            ends.push(ends.last().unwrap() + 16 + record.to_bytes().len());
        }
        ends
    };
    for cut in (0..=bytes.len()).rev() {
        let copied = Scratch::new();
        fs::create_dir_all(audit(copied.path())).unwrap();
        fs::copy(log.path().join("pseudonym.key"), copied.path().join("pseudonym.key")).unwrap();
        fs::write(audit(copied.path()).join(segment.file_name().unwrap()), &bytes[..cut]).unwrap();
        let whole = ends.iter().filter(|end| **end <= cut).count() - 1;
        let before = report(copied.path());
        assert!(before.verdict <= Verdict::CrashTail, "cut at {cut}: {before:#?}");
        let (spool, recovery) = open(copied.path(), 3_000);
        assert_eq!(recovery.torn_bytes as usize, cut - ends[whole], "cut at {cut}");
        assert!(recovery.quarantined.is_empty());
        spool.close(Millis(3_001)).unwrap();
        let after = report(copied.path());
        let expected = if whole == 0 { Verdict::Ok } else { Verdict::CrashTail };
        assert_eq!((after.verdict, after.records as usize), (expected, whole + 2), "cut at {cut}: {after:#?}");
    }
}

#[test]
fn any_flipped_byte_of_a_closed_log_is_tampering_and_stays_evidence() {
    let log = small_log(true);
    let segment = segments(log.path()).remove(0);
    let bytes = fs::read(&segment).unwrap();
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x5a;
        fs::remove_file(&segment).unwrap();
        fs::write(&segment, &flipped).unwrap();
        assert_eq!(report(log.path()).verdict, Verdict::Tampered, "byte {at}");
    }
    // A restart sets the segment aside, says so, and changes nothing about the verdict.
    let (spool, recovery) = open(log.path(), 3_000);
    assert_eq!(recovery.quarantined.len(), 1);
    spool.close(Millis(3_001)).unwrap();
    drop(spool);
    check(log.path(), Verdict::Tampered);
    let (spool, _) = open(log.path(), 4_000);
    spool.close(Millis(4_001)).unwrap();
    check(log.path(), Verdict::Tampered);
}

#[test]
fn records_cut_out_or_exchanged_in_the_file_have_their_own_codes() {
    let log = small_log(true);
    let segment = segments(log.path()).remove(0);
    let bytes = fs::read(&segment).unwrap();
    let mut frames: Vec<Vec<u8>> = Vec::new();
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        let len = 16 + u32::from_le_bytes(rest[..4].try_into().unwrap()) as usize;
        frames.push(rest[..len].to_vec());
        rest = &rest[len..];
    }
    let check = |frames: &[Vec<u8>], verdict: Verdict| {
        fs::write(&segment, frames.concat()).unwrap();
        check(log.path(), verdict);
    };
    let without = |n: usize| [&frames[..n], &frames[n + 1..]].concat();
    let swapped = |a: usize, b: usize| {
        let mut frames = frames.clone();
        frames.swap(a, b);
        frames
    };
    check(&frames, Verdict::Ok);
    check(&without(2), Verdict::Gap);
    check(&without(0), Verdict::Gap);
    check(&without(4), Verdict::CrashTail);
    check(&swapped(1, 2), Verdict::Tampered);
    check(&swapped(3, 4), Verdict::Tampered);
    check(&swapped(0, 4), Verdict::Tampered);
}

#[test]
fn an_older_epoch_cut_short_is_tampering() {
    let log = small_log(false);
    let segment = segments(log.path()).remove(0);
    let (spool, _) = open(log.path(), 2_000);
    spool.close(Millis(2_001)).unwrap();
    check(log.path(), Verdict::CrashTail);
    let bytes = fs::read(&segment).unwrap();
    let last = records(log.path())[3].to_bytes().len() + 16;
    fs::write(&segment, &bytes[..bytes.len() - last]).unwrap();
    check(log.path(), Verdict::Tampered);
    fs::write(&segment, &bytes[..bytes.len() - 5]).unwrap();
    check(log.path(), Verdict::Tampered);
}

#[test]
fn two_nodes_on_copies_of_one_folder_are_a_fork() {
    let log = small_log(true);
    let other = Scratch::new();
    copy(log.path(), other.path());
    for (folder, n) in [(log.path(), 1), (other.path(), 2)] {
        let (spool, _) = open(folder, 2_000 + n);
        spool.append(Millis(2_010), deny(n)).unwrap().wait().unwrap();
        spool.close(Millis(2_020)).unwrap();
        check(folder, Verdict::Ok);
    }
    let both = LogReader::open(&[audit(log.path()), audit(other.path())]).unwrap();
    let report = verify(both, &VerifyOptions::default()).unwrap();
    assert_eq!(report.verdict, Verdict::Fork, "{report:#?}");
    assert_eq!(report.repeats, 5, "what both have in common is no fork");
}

#[test]
fn a_copy_taken_at_any_moment_of_writing_is_at_worst_a_crash() {
    let scratch = Scratch::new();
    let (spool, _) = open_with(scratch.path(), RealMedia, 1_000, |config| config.segment_bytes = 8 * 1024);
    let spool = Arc::new(spool);
    let writer = std::thread::spawn({
        let spool = Arc::clone(&spool);
        move || (0..3000).for_each(|n| spool.queue(Millis(1_000 + n), deny(n)))
    });
    let mut copies = Vec::new();
    while !writer.is_finished() || copies.len() < 10 {
        let acknowledged = spool.append(Millis(4_000), admit(9, vec![])).unwrap().wait().unwrap();
        let copied = Scratch::new();
        // Segments are listed before they are read, so a copy is what a crash could have left: a prefix.
        copy(scratch.path(), copied.path());
        copies.push((copied, acknowledged));
    }
    writer.join().unwrap();
    for (copied, acknowledged) in &copies {
        let report = check(copied.path(), Verdict::CrashTail);
        assert!(report.range.is_some_and(|(_, last)| acknowledged.seq <= last), "an acknowledged record is lost");
        let (spool, _) = open(copied.path(), 9_000);
        spool.close(Millis(9_001)).unwrap();
        check(copied.path(), Verdict::CrashTail);
    }
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
fn a_failing_disk_refuses_and_once_it_works_again_a_gap_says_what_was_lost() {
    let scratch = Scratch::new();
    let media = FaultyMedia::default();
    let plan = Arc::clone(&media.0);
    let (spool, _) = open_with(scratch.path(), media, 1_000, |_| {});
    plan.failing_syncs.store(2, Ordering::SeqCst);
    let refused = spool.append(Millis(1_001), admit(1, vec![])).unwrap().wait();
    assert_eq!(refused, Err(SpoolFault::Failing));
    assert_eq!(spool.health().failing, Some(SpoolFault::Failing));
    assert_eq!(spool.append(Millis(1_002), admit(2, vec![])).unwrap_err(), SpoolFault::Failing);
    spool.queue(Millis(1_003), settle(3, vec![]));
    spool.queue(Millis(1_005), deny(4));
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
    let mark = |after, from| Mark { after, from, durability: Durability::Strict };
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

#[derive(Debug, Clone)]
enum Step {
    Append,
    Queue,
    Close,
    Crash { torn: prop::sample::Index },
    FailSync,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Append),
        4 => Just(Step::Queue),
        1 => Just(Step::Close),
        2 => any::<prop::sample::Index>().prop_map(|torn| Step::Crash { torn }),
        1 => Just(Step::FailSync),
    ]
}

/// Cuts the newest segment anywhere behind what was acknowledged, as a crash may.
fn crash(folder: &Path, acknowledged: u64, torn: prop::sample::Index) {
    let Some(last) = segments(folder).pop() else { return };
    let bytes = fs::read(&last).unwrap();
    let (mut kept, mut rest) = (0, &bytes[..]);
    while let Some(header) = rest.get(..16) {
        let len = 16 + u32::from_le_bytes(header[..4].try_into().unwrap()) as usize;
        if acknowledged < u64::from_le_bytes(header[8..].try_into().unwrap()) {
            break;
        }
        kept += len;
        rest = &rest[len..];
    }
    let cut = kept + torn.index(bytes.len() - kept + 1);
    fs::OpenOptions::new().write(true).open(&last).unwrap().set_len(cut as u64).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// Whatever happens in whatever order: nothing acknowledged is lost, order is kept, the log is at worst a crash.
    #[test]
    fn no_history_loses_what_was_acknowledged(steps in prop::collection::vec(step(), 1..40)) {
        let scratch = Scratch::new();
        let media = FaultyMedia::default();
        let plan = Arc::clone(&media.0);
        let begin = |now| open_with(scratch.path(), media.clone(), now, |config| config.segment_bytes = 2048).0;
        let mut spool = begin(0);
        let (mut acknowledged, mut last, mut crashed) = (Vec::new(), 0, false);
        for (n, step) in (1_u64..).zip(steps) {
            match step {
                Step::Append => {
                    last = spool.append(Millis(n), admit(n, vec![])).unwrap().wait().unwrap().seq;
                    acknowledged.push((last, request(n)));
                }
                Step::Queue => spool.queue(Millis(n), deny(n)),
                Step::FailSync => plan.failing_syncs.store(1, Ordering::SeqCst),
                Step::Close => {
                    spool.close(Millis(n)).unwrap();
                    drop(spool);
                    last = report(scratch.path()).range.unwrap().1;
                    plan.failing_syncs.store(0, Ordering::SeqCst);
                    spool = begin(n);
                }
                Step::Crash { torn } => {
                    drop(spool);
                    crashed = true;
                    // Its epoch's opening was acknowledged to nobody but is written before anything else is.
                    crash(scratch.path(), last, torn);
                    plan.failing_syncs.store(0, Ordering::SeqCst);
                    spool = begin(n);
                }
            }
        }
        spool.close(Millis(1_000)).unwrap();
        drop(spool);
        let report = report(scratch.path());
        prop_assert!(report.verdict <= if crashed { Verdict::CrashTail } else { Verdict::Ok }, "{report:#?}");
        let found = records(scratch.path());
        for (seq, request) in acknowledged {
            prop_assert!(found.iter().any(|r| r.seq == seq && r.request_id == Some(request)), "{seq} is lost");
        }
    }
}
