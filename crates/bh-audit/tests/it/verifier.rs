//! Every kind of tampering is caught with its own exit code.

use crate::common::{LOG, admit, bytes_of, charged, deny, head_of, memory, one_of_each, open, settle, stored};
use bh_audit::{Durability, Entry, Fault, Hash, Interval, Report, Stored, Verdict, VerifyOptions, Witness, verify};
use bh_base::Millis;
use proptest::prelude::*;

fn report(records: &[Vec<u8>]) -> Report {
    verify(memory(records), &VerifyOptions::default()).unwrap()
}

#[track_caller]
fn check(records: &[Vec<u8>], exit: u8, fault: Option<&Fault>) -> Report {
    let report = report(records);
    assert_eq!(report.verdict.exit_code(), exit, "{report:#?}");
    if let Some(fault) = fault {
        assert!(report.findings.iter().any(|f| &f.fault == fault), "{fault:?} in {report:#?}");
    }
    report
}

/// Two epochs of four and five records, both closed.
fn two_epochs() -> Vec<Entry> {
    let (mut chain, first) = open(None, 1_000, Durability::Strict);
    let mut log = vec![first];
    log.push(chain.append(Millis(1_100), admit(1, vec![charged("org:acme", 5)])));
    log.push(chain.append(Millis(1_200), settle(1, vec![charged("org:acme", 3)])));
    log.push(chain.close(Millis(1_300)));
    let (mut chain, first) = open(Some(head_of(&log[3], true)), 2_000, Durability::Relaxed);
    log.push(first);
    for n in 1..4 {
        log.push(chain.append(Millis(2_000 + n * 100), deny(n as u8)));
    }
    log.push(chain.close(Millis(2_900)));
    log
}

/// The same, but the first epoch crashed after its Settle.
fn crashed_then_closed() -> Vec<Entry> {
    let (mut chain, first) = open(None, 1_000, Durability::Strict);
    let mut log = vec![first];
    log.push(chain.append(Millis(1_100), admit(1, vec![])));
    log.push(chain.append(Millis(1_200), settle(1, vec![])));
    let (mut chain, first) = open(Some(head_of(&log[2], false)), 5_000, Durability::Strict);
    log.push(first);
    log.push(chain.append(Millis(5_100), deny(1)));
    log.push(chain.close(Millis(5_200)));
    log
}

#[test]
fn a_whole_log_is_ok() {
    let report = check(&bytes_of(&two_epochs()), 0, None);
    assert_eq!((report.records, report.epochs, report.range), (9, 2, Some((0, 8))));
    assert_eq!(report.head, Some(two_epochs()[8].leaf));
    assert_eq!(report.longest_unaccounted, None);
    assert!(report.findings.is_empty());
}

#[test]
fn an_empty_log_is_ok_unless_somebody_saw_a_record() {
    check(&[], 0, None);
    let witnesses = vec![Witness { log_id: LOG, seq: 0, leaf: Hash::ZERO }];
    let report = verify(memory(&[]), &VerifyOptions { witnesses, ..VerifyOptions::default() }).unwrap();
    assert_eq!(report.verdict, Verdict::Tampered);
}

#[test]
fn an_epoch_without_its_close_is_a_crash_tail_and_the_silence_is_named() {
    let report = check(&bytes_of(&crashed_then_closed()), 1, Some(&Fault::Unclosed));
    let silence = Interval { from: Millis(1_200), until: Some(Millis(5_000)) };
    assert_eq!(report.longest_unaccounted, Some(silence));
}

#[test]
fn the_silence_after_the_last_record_ends_with_the_time_that_is_handed_in() {
    let log = bytes_of(&two_epochs()[..7]);
    let now = |now| VerifyOptions { now, ..VerifyOptions::default() };
    let with = |options| verify(memory(&log), &options).unwrap().longest_unaccounted;
    assert_eq!(with(now(None)), Some(Interval { from: Millis(2_200), until: None }));
    let known = Interval { from: Millis(2_200), until: Some(Millis(9_000)) };
    assert_eq!(with(now(Some(Millis(9_000)))), Some(known));
}

#[test]
fn a_log_that_a_running_node_holds_is_not_a_crash() {
    let options = VerifyOptions { live: true, ..VerifyOptions::default() };
    assert_eq!(verify(memory(&bytes_of(&two_epochs()[..7])), &options).unwrap().verdict, Verdict::Ok);
    assert_eq!(verify(memory(&bytes_of(&crashed_then_closed())), &options).unwrap().verdict, Verdict::CrashTail);
}

#[test]
fn a_cut_at_any_record_of_the_newest_epoch_is_a_crash_tail() {
    let log = bytes_of(&two_epochs());
    for kept in 5..9 {
        check(&log[..kept], 1, Some(&Fault::Unclosed));
    }
}

#[test]
fn a_cut_below_what_was_witnessed_is_tampering() {
    let log = two_epochs();
    let saw = |seq: usize| Witness { log_id: LOG, seq: seq as u64, leaf: log[seq].leaf };
    for kept in 0..9 {
        for seq in 0..9 {
            let options = VerifyOptions { witnesses: vec![saw(seq)], ..VerifyOptions::default() };
            let report = verify(memory(&bytes_of(&log[..kept])), &options).unwrap();
            assert_eq!(report.verdict == Verdict::Tampered, kept <= seq, "kept {kept}, saw {seq}");
        }
    }
}

#[test]
fn a_history_rewritten_from_its_start_is_a_fork_to_whoever_saw_it() {
    let (mut chain, first) = open(None, 1_000, Durability::Strict);
    let rewritten = vec![first, chain.append(Millis(1_100), deny(9)), chain.close(Millis(1_300))];
    let witnesses = vec![Witness { log_id: LOG, seq: 1, leaf: two_epochs()[1].leaf }];
    check(&bytes_of(&rewritten), 0, None);
    let options = VerifyOptions { witnesses, ..VerifyOptions::default() };
    assert_eq!(verify(memory(&bytes_of(&rewritten)), &options).unwrap().verdict, Verdict::Fork);
}

#[test]
fn an_older_epoch_cut_short_is_tampering() {
    for whole in [two_epochs(), crashed_then_closed()] {
        let opens = whole.iter().position(|e| e.epoch == 1).unwrap();
        for gone in 1..opens {
            let mut log = bytes_of(&whole);
            log.drain(opens - gone..opens);
            check(&log, 3, Some(&Fault::Shortened));
        }
    }
}

#[test]
fn a_missing_record_is_a_gap() {
    let whole = two_epochs();
    for n in (0..whole.len() - 1).filter(|n| whole[n + 1].epoch == whole[*n].epoch) {
        let mut log = bytes_of(&whole);
        log.remove(n);
        check(&log, 2, Some(if n == 0 { &Fault::NoBeginning } else { &Fault::Missing(1) }));
    }
}

#[test]
fn the_silence_of_a_gap_is_named() {
    let mut log = bytes_of(&two_epochs());
    log.drain(5..7);
    let report = check(&log, 2, Some(&Fault::Missing(2)));
    assert_eq!(report.longest_unaccounted, Some(Interval { from: Millis(2_000), until: Some(Millis(2_300)) }));
}

#[test]
fn records_that_changed_places_are_tampering() {
    let whole = bytes_of(&two_epochs());
    for a in 0..whole.len() {
        for b in a + 1..whole.len() {
            let mut log = whole.clone();
            log.swap(a, b);
            check(&log, 3, None);
        }
    }
}

#[test]
fn an_edit_is_tampering_even_when_it_is_well_formed() {
    let whole = two_epochs();
    let edit = |n: usize, from: &str, to: &str| {
        let mut log = bytes_of(&whole);
        let text = String::from_utf8(log[n].clone()).unwrap();
        assert!(text.contains(from), "{text}");
        log[n] = text.replacen(from, to, 1).into_bytes();
        log
    };
    check(&edit(2, "\"cost_nano_usd\":3000", "\"cost_nano_usd\":2000"), 3, Some(&Fault::BrokenLink));
    check(&edit(5, "token_expired", "token_revoked"), 3, Some(&Fault::BrokenLink));
    check(&edit(8, "\"size\":4", "\"size\":3"), 3, Some(&Fault::WrongRoot));
    check(&edit(3, "\"ts_ms\":1300", "\"ts_ms\":1100"), 3, Some(&Fault::TimeFell));
    check(&edit(4, "\"closed\":true", "\"closed\":false"), 3, Some(&Fault::Shortened));
    check(&edit(1, "\"epoch\":0", "\"epoch\":7"), 3, Some(&Fault::WrongEpoch));
    check(&edit(6, "\"log_id\":\"10", "\"log_id\":\"11"), 3, Some(&Fault::OtherLog));
    check(&edit(2, "\"cost_nano_usd\":3000,", ""), 3, Some(&Fault::NotARecord));
    check(&edit(2, "{\"v\":1", "\"v\":1"), 3, Some(&Fault::NotARecord));
}

#[test]
fn two_writers_of_one_log_are_a_fork() {
    let one = two_epochs();
    let (mut chain, first) = open(Some(head_of(&one[3], true)), 2_050, Durability::Relaxed);
    let other = [first, chain.append(Millis(2_060), deny(8)), chain.close(Millis(2_070))];
    // As a merging reader hands them out: in the order of sequence numbers.
    let mut both: Vec<&Entry> = one.iter().chain(&other).collect();
    both.sort_by_key(|e| e.seq);
    let both: Vec<Vec<u8>> = both.into_iter().map(|e| e.bytes.clone()).collect();
    check(&both, 4, Some(&Fault::TwoAtOnePlace));
}

#[test]
fn a_record_stored_twice_is_harmless_and_counted() {
    let mut log = bytes_of(&two_epochs());
    log.insert(6, log[5].clone());
    assert_eq!(check(&log, 0, None).repeats, 1);
}

#[test]
fn a_declared_loss_is_a_gap() {
    let report = check(&bytes_of(&one_of_each()), 2, None);
    assert!(matches!(report.findings[0].fault, Fault::DeclaredLost(lost) if lost.total() == 2));
}

#[test]
fn a_beginning_that_retention_removed_is_no_gap_but_only_as_the_record_says() {
    let (mut chain, first) = open(None, 1_000, Durability::Relaxed);
    let mut log = vec![first];
    for n in 1..6 {
        log.push(chain.append(Millis(1_000 + n), deny(n as u8)));
    }
    log.push(chain.prune(Millis(1_010), bh_audit::Pruned { through_seq: 2, through_leaf: log[2].leaf }));
    log.push(chain.close(Millis(1_011)));
    let log = bytes_of(&log);
    for gone in 1..=3 {
        check(&log[gone..], 0, None);
    }
    check(&log[4..], 2, Some(&Fault::NoBeginning));
    let elsewhere = log[7].clone();
    check(&[elsewhere], 2, Some(&Fault::NoBeginning));
}

#[test]
fn torn_and_damaged_bytes_have_their_own_codes() {
    let record = |bytes: &[u8]| Stored::Record { place: String::new(), bytes: bytes.to_vec() };
    let log = bytes_of(&two_epochs());
    let torn = Stored::Torn { place: "seg".into(), bytes: 9 };
    let damaged = Stored::Damaged { place: "seg".into(), bytes: 9 };
    let with = |at: usize, piece: &Stored, skipped: usize| {
        let mut pieces: Vec<Stored> = log.iter().map(|b| record(b)).collect();
        pieces.splice(at..at + skipped, [piece.clone()]);
        verify(stored(pieces), &VerifyOptions::default()).unwrap()
    };
    assert_eq!(with(8, &torn, 1).verdict, Verdict::CrashTail);
    for n in 0..9 {
        assert_eq!(with(n, &damaged, 1).verdict, Verdict::Tampered);
    }
    assert_eq!(with(2, &damaged, 1).findings_total, 1, "the missing record is explained by the damage");
}

#[test]
fn kinds_of_newer_versions_are_tolerated_and_reported() {
    let mut log = two_epochs();
    let text = String::from_utf8(log[7].bytes.clone()).unwrap();
    let newer = text.replace("\"v\":1", "\"v\":2").replace("\"kind\":\"deny\"", "\"kind\":\"grant\"");
    log.truncate(7);
    let mut log = bytes_of(&log);
    log.push(newer.into_bytes());
    let report = check(&log, 1, None);
    assert_eq!(report.unknown_kinds.get("grant"), Some(&1));
}

proptest! {
    /// Changing any byte of any record but the last is caught. (The last one's own close is not witnessed by anything
    /// inside the log; storage's checksum and outside witnesses are there for that.)
    #[test]
    fn any_changed_byte_is_tampering(n in 0usize..8, at in any::<prop::sample::Index>(), flip in 1u8..) {
        let mut log = bytes_of(&two_epochs());
        let at = at.index(log[n].len());
        log[n][at] ^= flip;
        let report = report(&log);
        // A changed `seq` can also look like a missing or a doubled record; it never looks right.
        prop_assert!(Verdict::Gap <= report.verdict, "{report:?}");
    }

    #[test]
    fn arbitrary_bytes_never_panic(records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..8)) {
        prop_assert!(records.is_empty() || report(&records).verdict == Verdict::Tampered);
    }
}
