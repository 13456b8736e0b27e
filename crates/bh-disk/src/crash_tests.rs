//! What a crash leaves and what tampering looks like, byte by byte.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bh_audit::{Verdict, VerifyOptions, verify};
use bh_base::Millis;
use proptest::prelude::*;

use crate::LogReader;
use crate::RealMedia;
use crate::faulty::FaultyMedia;
use crate::scratch::Scratch;
use crate::test_support::{
    admit, audit, check, copy, crash, deny, open, open_with, records, report, request, segments, small_log,
};

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
