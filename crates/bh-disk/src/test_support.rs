//! What the tests of this crate share: records, spools, and what stands in a log.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bh_audit::{
    Admit, Caller, Charged, Deny, Durability, Latency, Record, RecordBody, Report, Settle, Text, Verdict,
    VerifyOptions, verify,
};
use bh_base::{Millis, NanoUsd, RequestId, Usage};

use crate::faulty::FaultyMedia;
use crate::scratch::Scratch;
use crate::{DataFolder, LogReader, Media, Opener, Recovery, Spool, SpoolConfig};

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

pub(crate) fn audit(folder: &Path) -> PathBuf {
    DataFolder::audit_in(folder)
}

pub(crate) fn report(folder: &Path) -> Report {
    verify(LogReader::open(&[audit(folder)]).unwrap(), &VerifyOptions::default()).unwrap()
}

#[track_caller]
pub(crate) fn check(folder: &Path, verdict: Verdict) -> Report {
    let report = report(folder);
    assert_eq!(report.verdict, verdict, "{report:#?}");
    report
}

pub(crate) fn records(folder: &Path) -> Vec<Record> {
    let lines = LogReader::open(&[audit(folder)]).unwrap().lines();
    lines.map(|line| Record::parse(&line.unwrap()).unwrap()).collect()
}

pub(crate) fn segments(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(audit(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(audit(to)).unwrap();
    fs::copy(from.join("pseudonym.key"), to.join("pseudonym.key")).unwrap();
    for segment in segments(from) {
        fs::copy(&segment, audit(to).join(segment.file_name().unwrap())).unwrap();
    }
}

/// A log of one epoch with three Denies, and whether it closed.
pub(crate) fn small_log(closes: bool) -> Scratch {
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

/// Cuts the newest segment anywhere behind what was acknowledged, as a crash may.
pub(crate) fn crash(folder: &Path, acknowledged: u64, torn: proptest::sample::Index) {
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
