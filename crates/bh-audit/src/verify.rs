//! The offline verifier: reads a log from its first byte to its last and says what can be proven of it.
//!
//! It needs no key and no network. What it cannot do alone is notice that the end of the newest epoch was cut off at
//! a record's boundary: that looks like a crash, so it is reported as one, with the interval nobody can account for.
//! Hand in what outsiders saw ([`Witness`]) and such a cut is found too.

use bh_base::Millis;
use serde::Deserialize;

use crate::hash::{Hash, LogId};
use crate::parts::{Close, Lost, Open, Pruned};
use crate::record::{FORMAT_VERSION, Kind, Record};
use crate::report::{Fault, Report};
use crate::text::Text;
use crate::tree::{Tree, leaf};

/// Branches of a forked log that are followed side by side.
const BRANCHES_MAX: usize = 8;

/// Something found in storage, in the order of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored {
    /// The bytes of a record.
    Record {
        /// Where it lies, for people.
        place: String,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// A half-written record at the very end, as a crash leaves it.
    Torn {
        /// Where it lies.
        place: String,
        /// How long it is.
        bytes: u64,
    },
    /// Bytes that were a record once.
    Damaged {
        /// Where they lie.
        place: String,
        /// How many.
        bytes: u64,
    },
}

/// Hands out what is stored, in the order of sequence numbers.
pub trait SpoolReader {
    /// Why storage cannot be read.
    type Error;

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// Storage cannot be read, which says nothing about the log.
    fn next_stored(&mut self) -> Result<Option<Stored>, Self::Error>;
}

/// What somebody outside saw of a log: a receipt, or the head noted elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Witness {
    /// The log.
    pub log_id: LogId,
    /// A record's place.
    pub seq: u64,
    /// Its leaf.
    pub leaf: Hash,
}

/// What the verifier is told beside the log.
#[derive(Clone, Debug, Default)]
pub struct VerifyOptions {
    /// The time, to say how long the last silence is.
    pub now: Option<Millis>,
    /// A running node holds this log: its newest epoch is still open, which is no crash.
    pub live: bool,
    /// What outsiders saw.
    pub witnesses: Vec<Witness>,
}

/// Reads the whole log.
///
/// # Errors
/// Only what the reader itself reports: a log that is wrong is a verdict, not an error.
pub fn verify<R: SpoolReader>(mut reader: R, options: &VerifyOptions) -> Result<Report, R::Error> {
    let mut verifier = Verifier::new(options);
    while let Some(stored) = reader.next_stored()? {
        match stored {
            Stored::Record { place, bytes } => verifier.record(place, &bytes),
            // A running node may be in the middle of a write.
            Stored::Torn { .. } if options.live => {}
            Stored::Torn { place, .. } => verifier.find(Fault::HalfWritten, None, place),
            Stored::Damaged { place, .. } => {
                verifier.find(Fault::Damaged, None, place);
                verifier.after_damage = true;
            }
        }
    }
    Ok(verifier.finish())
}

/// The part of a record that every version promises.
#[derive(Deserialize)]
struct Envelope {
    v: u32,
    log_id: LogId,
    epoch: u64,
    seq: u64,
    ts_ms: u64,
    kind: Kind,
    prev: Hash,
    open: Option<Open>,
    close: Option<Close>,
    lost: Option<Lost>,
    pruned: Option<Pruned>,
}

/// The record before the one being looked at.
struct Last {
    epoch: u64,
    seq: u64,
    ts: Millis,
    closed: bool,
    /// The leaves at this place: one, unless the log forked.
    leaves: Vec<Hash>,
    place: String,
}

struct Verifier<'a> {
    options: &'a VerifyOptions,
    report: Report,
    last: Option<Last>,
    /// The tree of the current epoch, while every leaf of it was seen.
    tree: Option<Tree>,
    /// Damaged bytes came just before: the next record's link and place cannot be checked against them.
    after_damage: bool,
    /// Where the log starts, when it does not start at its beginning.
    starts_at: Option<(u64, Hash, String)>,
    start_is_pruned: bool,
}

impl<'a> Verifier<'a> {
    fn new(options: &'a VerifyOptions) -> Self {
        Verifier {
            options,
            report: Report::empty(),
            last: None,
            tree: None,
            after_damage: false,
            starts_at: None,
            start_is_pruned: false,
        }
    }

    fn find(&mut self, fault: Fault, seq: Option<u64>, place: String) {
        self.report.find(fault, seq, place);
    }

    fn record(&mut self, place: String, bytes: &[u8]) {
        let Ok(record) = serde_json::from_slice::<Envelope>(bytes) else {
            self.find(Fault::NotARecord, None, place);
            self.after_damage = true;
            return;
        };
        let seq = record.seq;
        if record.v <= FORMAT_VERSION && Record::parse(bytes).is_err() {
            self.find(Fault::NotARecord, Some(seq), place.clone());
        }
        let leaf = leaf(bytes);
        if self.report.log_id.get_or_insert(record.log_id) != &record.log_id {
            self.find(Fault::OtherLog, Some(seq), place);
            return;
        }
        if !self.takes_its_place(&record, leaf, &place) {
            return;
        }
        self.report.records += 1;
        self.witnessed(seq, leaf, &place);
        self.epoch_of(&record, leaf, &place);
        self.content(&record, &place);
        let closed = matches!(record.kind, Kind::EpochClose);
        let ts = Millis(record.ts_ms);
        self.last = Some(Last { epoch: record.epoch, seq, ts, closed, leaves: vec![leaf], place });
        self.after_damage = false;
    }

    /// Whether this record is the next one; says what is wrong with its place and its link.
    fn takes_its_place(&mut self, record: &Envelope, leaf: Hash, place: &str) -> bool {
        let seq = record.seq;
        let Some(last) = &mut self.last else {
            if seq != 0 || record.prev != Hash::ZERO {
                self.starts_at = Some((seq, record.prev, place.to_owned()));
            }
            return true;
        };
        if seq == last.seq {
            if last.leaves.contains(&leaf) {
                self.report.repeats += 1;
            } else {
                if last.leaves.len() < BRANCHES_MAX {
                    last.leaves.push(leaf);
                }
                self.tree = None;
                self.find(Fault::TwoAtOnePlace, Some(seq), place.to_owned());
            }
            return false;
        }
        if seq < last.seq {
            self.find(Fault::OutOfOrder, Some(seq), place.to_owned());
            return false;
        }
        let missing = seq - last.seq - 1;
        let (from, until) = (last.ts, Millis(record.ts_ms));
        let linked = last.leaves.contains(&record.prev);
        if 0 < missing {
            let cut_before = record.open.as_ref().and_then(|open| open.previous).is_some();
            self.tree = None;
            self.report.unaccounted(from, Some(until));
            // Damage that was already reported explains what is missing; a cut old epoch is reported as such.
            if !self.after_damage && !cut_before {
                self.find(Fault::Missing(missing), Some(seq), place.to_owned());
            }
        } else if !linked {
            self.find(Fault::BrokenLink, Some(seq), place.to_owned());
        }
        true
    }

    fn witnessed(&mut self, seq: u64, leaf: Hash, place: &str) {
        let options = self.options;
        let log_id = self.report.log_id;
        let other = |w: &&Witness| Some(w.log_id) == log_id && w.seq == seq && w.leaf != leaf;
        for _ in options.witnesses.iter().filter(other) {
            self.find(Fault::OtherThanWitnessed, Some(seq), place.to_owned());
        }
    }

    /// Checks that the record's epoch follows from what came before, and grows the epoch's tree.
    fn epoch_of(&mut self, record: &Envelope, leaf: Hash, place: &str) {
        let opens = record.open.as_ref().filter(|_| record.kind == Kind::EpochOpen);
        if let Some(open) = opens {
            self.end_epoch(record, open, place);
            self.report.epochs += 1;
            self.tree = Some(Tree::new());
        } else if let Some(last) = &self.last {
            let gapless = last.seq + 1 == record.seq && !self.after_damage;
            let fault = if last.epoch == record.epoch {
                last.closed.then_some(Fault::AfterClose)
            } else {
                // Where records are missing, an EpochOpen may be among them.
                (gapless || record.epoch < last.epoch).then_some(Fault::WrongEpoch)
            };
            let fell = last.epoch == record.epoch && Millis(record.ts_ms) < last.ts;
            if last.epoch != record.epoch {
                self.tree = None;
                self.report.epochs += 1;
            }
            for fault in fault.into_iter().chain(fell.then_some(Fault::TimeFell)) {
                self.find(fault, Some(record.seq), place.to_owned());
            }
        } else {
            self.report.epochs += 1;
        }
        if let (Some(close), Some(tree)) = (record.close.filter(|_| record.kind == Kind::EpochClose), &self.tree)
            && (close.size != tree.size() || close.root != tree.root())
        {
            self.find(Fault::WrongRoot, Some(record.seq), place.to_owned());
        }
        if let Some(tree) = &mut self.tree {
            tree.push(leaf);
        }
    }

    /// A new epoch opens: is the one before as the new one found it, and did it close?
    fn end_epoch(&mut self, record: &Envelope, open: &Open, place: &str) {
        let Some(last) = &self.last else {
            return;
        };
        let (seq, from, until) = (Some(record.seq), last.ts, Millis(record.ts_ms));
        let (last_place, last_seq) = (last.place.clone(), last.seq);
        let is_as_found = open.previous.is_some_and(|previous| {
            previous.epoch == last.epoch
                && previous.seq == last.seq
                && previous.closed == last.closed
                && last.leaves.contains(&previous.leaf)
        });
        let newer = last.epoch < record.epoch;
        let crashed = open.previous.is_some_and(|previous| !previous.closed);
        if !newer {
            self.find(Fault::WrongEpoch, seq, place.to_owned());
        }
        if !is_as_found && !self.after_damage {
            self.find(Fault::Shortened, seq, place.to_owned());
        }
        if crashed {
            self.find(Fault::Unclosed, Some(last_seq), last_place);
            self.report.unaccounted(from, Some(until));
        }
    }

    fn content(&mut self, record: &Envelope, place: &str) {
        match &record.kind {
            Kind::Gap => {
                let lost = record.lost.unwrap_or_default();
                self.find(Fault::DeclaredLost(lost), Some(record.seq), place.to_owned());
                self.report.unaccounted(Millis(lost.first_ms), Some(Millis(lost.last_ms)));
            }
            Kind::AdminAction => {
                if let (Some(pruned), Some((first, prev, _))) = (record.pruned, &self.starts_at) {
                    let reaches = *first <= pruned.through_seq + 1;
                    let agrees = *first != pruned.through_seq + 1 || *prev == pruned.through_leaf;
                    self.start_is_pruned |= reaches && agrees;
                }
            }
            Kind::Unknown(kind) => {
                *self.report.unknown_kinds.entry(Text::as_str(kind).to_owned()).or_default() += 1;
            }
            Kind::EpochOpen
            | Kind::Admit
            | Kind::Settle
            | Kind::Deny
            | Kind::ConfigSeen
            | Kind::KeySetSeen
            | Kind::EpochClose => {}
        }
        let first = self.report.range.map_or(record.seq, |(first, _)| first);
        self.report.range = Some((first, record.seq));
    }

    fn finish(mut self) -> Report {
        if let Some((first, _, place)) = self.starts_at.take()
            && !self.start_is_pruned
        {
            self.find(Fault::NoBeginning, Some(first), place);
        }
        if let Some(last) = self.last.take() {
            self.report.head = last.leaves.first().copied();
            if !last.closed && !self.options.live {
                self.report.unaccounted(last.ts, self.options.now);
                self.find(Fault::Unclosed, Some(last.seq), last.place);
            }
        }
        let (log_id, end) = (self.report.log_id, self.report.range.map(|(_, last)| last));
        let beyond = |w: &&Witness| log_id.is_none_or(|id| id == w.log_id) && end.is_none_or(|end| end < w.seq);
        for witness in self.options.witnesses.iter().filter(beyond) {
            self.find(Fault::ShorterThanWitnessed, Some(witness.seq), "end of the log".to_owned());
        }
        self.report
    }
}
