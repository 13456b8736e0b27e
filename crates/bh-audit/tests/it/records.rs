//! The bytes of records: golden, bounded, without people in them.

use crate::common::{admit, charged, one_of_each, open, settle};
use bh_audit::{Durability, Hash, Kind, Malformed, Record, RecordBody, Text};
use bh_base::Millis;

/// Record and leaf of every kind. A change here is a change of the format: say in the commit what old readers make of
/// new bytes, new readers of old bytes, and old writers of a log that new ones began.
const GOLDEN: &str = include_str!("golden.jsonl");

#[test]
fn the_bytes_of_every_kind_are_golden() {
    let made: String =
        one_of_each().iter().map(|e| format!("{} {}\n", e.leaf, std::str::from_utf8(&e.bytes).unwrap())).collect();
    assert_eq!(made, GOLDEN);
}

#[test]
fn what_was_written_is_read_back_and_writes_the_same_bytes() {
    for entry in one_of_each() {
        let record = Record::parse(&entry.bytes).unwrap();
        assert_eq!(record.to_bytes(), entry.bytes);
        assert_eq!(record.seq, entry.seq);
        assert!(!matches!(record.kind, Kind::Unknown(_)));
    }
}

#[test]
fn no_record_names_a_person() {
    for entry in one_of_each() {
        let text = String::from_utf8(entry.bytes).unwrap();
        assert!(!text.contains("alice") && !text.contains("root@"), "{text}");
    }
}

#[test]
fn a_charge_to_a_user_names_the_same_pseudonym_as_the_subject() {
    let (mut chain, _) = open(None, 0, Durability::Strict);
    let entry = chain.append(Millis(0), admit(1, vec![charged("user:alice@example.com", 1)]));
    let record = Record::parse(&entry.bytes).unwrap();
    assert_eq!(record.charges[0].scope.as_str(), format!("user:{}", record.subject_ref.unwrap()));
}

#[test]
fn the_largest_record_fits_its_bound() {
    let huge: Text = "\"".repeat(10_000).into();
    let charges: Vec<_> = (0..500).map(|n| charged(&format!("tag:{}{n}", "\"".repeat(240)), u64::MAX)).collect();
    let RecordBody::Admit(mut admit) = admit(1, charges.clone()) else { panic!("an admit") };
    let RecordBody::Settle(mut settle) = settle(1, charges) else { panic!("a settle") };
    admit.warnings = vec![huge.clone(); 500];
    let decision = admit.decision.as_mut().unwrap();
    let candidate = bh_audit::Candidate { provider: huge.clone(), model: huge.clone(), reason: huge.clone() };
    decision.skipped = vec![bh_audit::Skipped { provider: huge.clone(), model: huge.clone(), why: huge.clone() }; 500];
    decision.candidates = vec![candidate; 500];
    let mut note = settle.attempts[0].clone();
    (note.provider, note.model, note.key, note.outcome) =
        (huge.clone(), huge.clone(), Some(huge.clone()), huge.clone());
    settle.attempts = vec![note; 500];
    settle.warnings = vec![huge; 500];
    let (mut chain, _) = open(None, 0, Durability::Strict);
    for body in [RecordBody::Admit(admit), RecordBody::Settle(settle)] {
        let entry = chain.append(Millis(0), body);
        assert!(entry.bytes.len() < bh_base::limits::RECORD_BYTES_MAX, "{} bytes", entry.bytes.len());
        assert!(50_000 < entry.bytes.len(), "the test fills the lists: {} bytes", entry.bytes.len());
    }
}

#[test]
fn time_stands_still_rather_than_fall_within_an_epoch() {
    let (mut chain, _) = open(None, 1_000, Durability::Strict);
    let times: Vec<u64> = [1_005, 1_003, 1_006]
        .into_iter()
        .map(|now| Record::parse(&chain.append(Millis(now), crate::common::deny(1)).bytes).unwrap().ts_ms)
        .collect();
    assert_eq!(times, [1_005, 1_005, 1_006]);
}

#[test]
fn a_kind_needs_what_makes_it_one() {
    let check = |from: &str, to: &str, field: &str| {
        let log = one_of_each();
        let entry = log.iter().find(|e| String::from_utf8_lossy(&e.bytes).contains(from)).unwrap();
        let text = String::from_utf8(entry.bytes.clone()).unwrap().replacen(from, to, 1);
        match Record::parse(text.as_bytes()) {
            Err(Malformed::Missing { field: found, .. }) => assert_eq!(found, field),
            other => panic!("{from} → {to}: {other:?}"),
        }
    };
    check("\"open\":", "\"opened\":", "open");
    check("\"close\":", "\"closed_\":", "close");
    check("\"lost\":", "\"lostt\":", "lost");
    check("\"request_id\":", "\"request\":", "request_id");
    check("\"cost_nano_usd\":3000,\"charges\"", "\"cost\":3000,\"charges\"", "cost_nano_usd");
    check("\"digest\":", "\"digests\":", "digest");
    check("\"action\":", "\"act\":", "action");
}

#[test]
fn unknown_fields_and_kinds_of_newer_versions_are_read() {
    let log = one_of_each();
    let text = String::from_utf8(log[5].bytes.clone()).unwrap();
    let newer = text.replace("\"kind\":\"deny\"", "\"kind\":\"grant\",\"amount\":{\"x\":[1]}");
    assert_eq!(Record::parse(newer.as_bytes()).unwrap().kind, Kind::Unknown("grant".into()));
}

#[test]
fn a_window_prev_or_id_that_is_none_is_refused() {
    let text = String::from_utf8(one_of_each()[3].bytes.clone()).unwrap();
    let zeros = Hash::ZERO.to_string();
    for (from, to) in [
        ("\"window\":\"day\"", "\"window\":\"week\""),
        ("\"request_id\":\"req_", "\"request_id\":\"reqq"),
        ("\"est_nano_usd\":5000", "\"est_nano_usd\":-1"),
        ("\"est_nano_usd\":5000", "\"est_nano_usd\":0.5"),
        ("\"token\":\"ab", "\"token\":\"AB"),
        ("\"prev\":\"", &format!("\"prev\":\"{zeros}")),
    ] {
        let other = text.replacen(from, to, 1);
        assert_ne!(other, text, "{from}");
        assert!(Record::parse(other.as_bytes()).is_err(), "{to}");
    }
}
