//! What a verifier says: findings, the worst of them, and the exit code that follows.

use std::collections::BTreeMap;
use std::fmt;

use bh_base::Millis;

use crate::hash::{Hash, LogId};
use crate::parts::Lost;

/// Findings a report lists; more are counted.
const FINDINGS_MAX: usize = 100;

/// The worst that was found, mildest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Complete and unaltered.
    Ok,
    /// An epoch ended without EpochClose; what was written last may be missing.
    CrashTail,
    /// Records are missing, or were declared lost.
    Gap,
    /// Records were altered, reordered or cut off.
    Tampered,
    /// Two records claim one place.
    Fork,
}

impl Verdict {
    /// The exit code of `audit verify`.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Verdict::Ok => 0,
            Verdict::CrashTail => 1,
            Verdict::Gap => 2,
            Verdict::Tampered => 3,
            Verdict::Fork => 4,
        }
    }

    /// The word for it in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::CrashTail => "crash_tail",
            Verdict::Gap => "gap",
            Verdict::Tampered => "tampered",
            Verdict::Fork => "fork",
        }
    }
}

/// What is wrong at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The epoch has no EpochClose.
    Unclosed,
    /// A half-written record at the end.
    HalfWritten,
    /// The node said that it lost records.
    DeclaredLost(Lost),
    /// So many records are missing here.
    Missing(u64),
    /// The log does not start at its beginning and no record says that retention removed it.
    NoBeginning,
    /// Bytes that were a record once.
    Damaged,
    /// Stored intact, but no record of the version it names.
    NotARecord,
    /// It does not name the record before it: this one or that one was altered.
    BrokenLink,
    /// It stands after a record with a higher place.
    OutOfOrder,
    /// It belongs to another log.
    OtherLog,
    /// Its epoch does not follow from the records before it.
    WrongEpoch,
    /// A record after the end of its epoch.
    AfterClose,
    /// Its time is before that of the record before it.
    TimeFell,
    /// The size or root in EpochClose is not that of the records.
    WrongRoot,
    /// What EpochOpen says of the epoch before is not what is there.
    Shortened,
    /// The log ends before a place that an outsider saw.
    ShorterThanWitnessed,
    /// An outsider saw another record at this place.
    OtherThanWitnessed,
    /// Another record has the same place.
    TwoAtOnePlace,
}

impl Fault {
    /// How bad it is.
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        match self {
            Fault::Unclosed | Fault::HalfWritten => Verdict::CrashTail,
            Fault::DeclaredLost(_) | Fault::Missing(_) | Fault::NoBeginning => Verdict::Gap,
            Fault::Damaged
            | Fault::NotARecord
            | Fault::BrokenLink
            | Fault::OutOfOrder
            | Fault::OtherLog
            | Fault::WrongEpoch
            | Fault::AfterClose
            | Fault::TimeFell
            | Fault::WrongRoot
            | Fault::Shortened
            | Fault::ShorterThanWitnessed => Verdict::Tampered,
            Fault::OtherThanWitnessed | Fault::TwoAtOnePlace => Verdict::Fork,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Unclosed => "the epoch ended without an EpochClose",
            Fault::HalfWritten => "a half-written record at the end",
            Fault::DeclaredLost(lost) => return write!(f, "the node declared {} records lost", lost.total()),
            Fault::Missing(1) => "one record is missing before this one",
            Fault::Missing(count) => return write!(f, "{count} records are missing before this one"),
            Fault::NoBeginning => "the records before this one are gone and no record says that retention removed them",
            Fault::Damaged => "bytes that were a record are damaged",
            Fault::NotARecord => "the bytes are intact but are no record",
            Fault::BrokenLink => "this record does not name the one before it: one of the two was altered",
            Fault::OutOfOrder => "this record stands after one with a higher place",
            Fault::OtherLog => "this record belongs to another log",
            Fault::WrongEpoch => "the epoch does not follow from the records before",
            Fault::AfterClose => "a record after the end of its epoch",
            Fault::TimeFell => "the time is before that of the record before",
            Fault::WrongRoot => "size or root in EpochClose are not those of the records",
            Fault::Shortened => "the epoch before does not end as this EpochOpen found it",
            Fault::ShorterThanWitnessed => "the log ends before a record that was witnessed",
            Fault::OtherThanWitnessed => "another record was witnessed at this place",
            Fault::TwoAtOnePlace => "another record claims the same place",
        })
    }
}

/// Something wrong and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub fault: Fault,
    /// The record's place in the log, where one is known.
    pub seq: Option<u64>,
    /// Where it lies in storage.
    pub place: String,
}

/// A span of time that the log does not account for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// The last time that is accounted for, in milliseconds since the Unix epoch.
    pub from: Millis,
    /// The first time that is accounted for again; `None` when nothing follows and the time is not known.
    pub until: Option<Millis>,
}

impl Interval {
    /// How long it is; endless without an end.
    #[must_use]
    pub fn span(&self) -> Millis {
        self.until.map_or(Millis(u64::MAX), |until| until.since(self.from))
    }
}

/// What can be said of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The worst that was found.
    pub verdict: Verdict,
    /// The log, when it has a record.
    pub log_id: Option<LogId>,
    /// Records read, repeats not counted.
    pub records: u64,
    /// Epochs seen.
    pub epochs: u64,
    /// The places of the first and the last record.
    pub range: Option<(u64, u64)>,
    /// The leaf of the last record: note it elsewhere and a later cut is found.
    pub head: Option<Hash>,
    /// What is wrong, at most a hundred.
    pub findings: Vec<Finding>,
    /// How much is wrong in all.
    pub findings_total: u64,
    /// The longest span of time that the log does not account for.
    pub longest_unaccounted: Option<Interval>,
    /// Kinds of newer versions and how often they stand in the log; their content was not checked.
    pub unknown_kinds: BTreeMap<String, u64>,
    /// Records stored more than once with the same bytes, as after a failed sync: harmless.
    pub repeats: u64,
}

impl Report {
    /// Nothing read, nothing found.
    pub(crate) fn empty() -> Self {
        Report {
            verdict: Verdict::Ok,
            log_id: None,
            records: 0,
            epochs: 0,
            range: None,
            head: None,
            findings: Vec::new(),
            findings_total: 0,
            longest_unaccounted: None,
            unknown_kinds: BTreeMap::new(),
            repeats: 0,
        }
    }

    pub(crate) fn find(&mut self, fault: Fault, seq: Option<u64>, place: String) {
        self.verdict = self.verdict.max(fault.verdict());
        self.findings_total += 1;
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(Finding { fault, seq, place });
        }
    }

    pub(crate) fn unaccounted(&mut self, from: Millis, until: Option<Millis>) {
        let interval = Interval { from, until };
        if self.longest_unaccounted.is_none_or(|longest| longest.span() < interval.span()) {
            self.longest_unaccounted = Some(interval);
        }
    }
}
