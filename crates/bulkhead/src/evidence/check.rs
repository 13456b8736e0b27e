//! The verifier over a log on disk, and its report for people and programs.

use std::fmt::Write as _;
use std::time::Duration;

use bh_audit::{Fault, Finding, Hash, Interval, LogId, Report, SpoolReader, Stored, VerifyOptions, Witness};
use bh_disk::{LogReader, ReadError};
use bh_pipeline::clock;
use serde_json::{Value, json};

use super::line::time;
use super::{Log, Progress};

/// Records between two looks at how far the reading has come.
const LOOK_EVERY: u64 = 4096;

/// What was found about a log.
#[derive(Debug)]
pub(crate) struct Verified {
    log: Log,
    /// The verifier's report.
    pub(crate) report: Report,
}

/// A text that is no witness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected LOG:SEQ:LEAF as `audit verify` printed it: 32 hex digits, a number, 64 hex digits")]
pub(crate) struct InvalidWitness;

/// Reads a whole log and says what can be proven of it. `progress` sees how far it has come.
///
/// # Errors
/// Storage cannot be read, which says nothing about the log.
pub(crate) fn verify(log: Log, witnesses: Vec<Witness>, progress: &mut Progress) -> Result<Verified, ReadError> {
    let options = VerifyOptions { now: Some(clock::now()), live: log.holder.is_some(), witnesses };
    let reader = log.reader()?;
    let total = reader.bytes_left();
    let report = bh_audit::verify(Watched { reader, total, read: 0, progress }, &options)?;
    Ok(Verified { log, report })
}

/// Reads a witness as [`Verified`] prints it.
///
/// # Errors
/// It is none.
pub(crate) fn witness(text: &str) -> Result<Witness, InvalidWitness> {
    let mut parts = text.split(':');
    let mut part = || parts.next().ok_or(InvalidWitness);
    let (log, seq, leaf) = (part()?, part()?, part()?);
    Ok(Witness {
        log_id: LogId::parse(log).ok_or(InvalidWitness)?,
        seq: seq.parse().map_err(|_| InvalidWitness)?,
        leaf: Hash::parse(leaf).filter(|_| parts.next().is_none()).ok_or(InvalidWitness)?,
    })
}

/// The reader, with somebody who waits for it.
struct Watched<'a> {
    reader: LogReader,
    total: u64,
    read: u64,
    progress: &'a mut Progress,
}

impl SpoolReader for Watched<'_> {
    type Error = ReadError;

    fn next_stored(&mut self) -> Result<Option<Stored>, ReadError> {
        self.read += 1;
        if self.read.is_multiple_of(LOOK_EVERY) {
            self.progress.at(self.total.saturating_sub(self.reader.bytes_left()), self.total);
        }
        self.reader.next_stored()
    }
}

impl Verified {
    /// What to note elsewhere, so that a later cut or rewrite of this log is found.
    fn to_witness(&self) -> Option<String> {
        let report = &self.report;
        let ((_, seq), log, head) = (report.range?, report.log_id?, report.head?);
        Some(format!("{log}:{seq}:{head}"))
    }

    /// For people.
    pub(crate) fn to_text(&self) -> String {
        let report = &self.report;
        let mut text = String::new();
        let mut row = |name: &str, value: &str| writeln!(text, "{name:<9} {value}").expect("a String takes all");
        row("log", &self.log.folder.display().to_string());
        if let Some(holder) = &self.log.holder {
            row("live", &format!("held by {holder}; its newest epoch is still open"));
        }
        let range = report.range.map_or("none".to_owned(), |(first, last)| format!("{first} to {last}"));
        row("records", &format!("{} at places {range}", report.records));
        row("epochs", &report.epochs.to_string());
        if 0 < report.repeats {
            row(
                "repeats",
                &format!("{} records are stored twice with the same bytes, which is harmless", report.repeats),
            );
        }
        for (kind, count) in &report.unknown_kinds {
            row("unknown", &format!("{count} of kind {kind}: of a newer version, content not checked"));
        }
        if let Some(interval) = report.longest_unaccounted {
            row("silence", &silence(interval));
        }
        for finding in &report.findings {
            row("finding", &told(finding));
        }
        let listed = u64::try_from(report.findings.len()).unwrap_or(u64::MAX);
        if listed < report.findings_total {
            row("finding", &format!("and {} more", report.findings_total - listed));
        }
        if let Some(witness) = self.to_witness() {
            row("witness", &format!("{witness}\n{:9} note it elsewhere; --witness finds a later cut", ""));
        }
        row("verdict", report.verdict.as_str());
        text.truncate(text.trim_end().len());
        text
    }

    /// For programs; members only ever grow.
    pub(crate) fn to_json(&self) -> Value {
        let report = &self.report;
        json!({
            "verdict": report.verdict.as_str(),
            "exit_code": report.verdict.exit_code(),
            "folder": self.log.folder.display().to_string(),
            "live": self.log.holder.is_some(),
            "held_by": self.log.holder,
            "log_id": report.log_id,
            "records": report.records,
            "repeats": report.repeats,
            "epochs": report.epochs,
            "first_seq": report.range.map(|(first, _)| first),
            "last_seq": report.range.map(|(_, last)| last),
            "head": report.head,
            "witness": self.to_witness(),
            "findings": report.findings.iter().map(|finding| json!({
                "fault": code(&finding.fault),
                "verdict": finding.fault.verdict().as_str(),
                "message": finding.fault.to_string(),
                "seq": finding.seq,
                "place": finding.place,
            })).collect::<Vec<_>>(),
            "findings_total": report.findings_total,
            "longest_unaccounted": report.longest_unaccounted.map(|interval| json!({
                "from_ms": interval.from.0,
                "until_ms": interval.until.map(|until| until.0),
            })),
            "unknown_kinds": report.unknown_kinds,
        })
    }
}

fn told(finding: &Finding) -> String {
    let at = finding.seq.map_or(String::new(), |seq| format!("record {seq}, "));
    format!("{}: {} ({at}{})", finding.fault.verdict().as_str(), finding.fault, finding.place)
}

fn silence(interval: Interval) -> String {
    let from = time(interval.from.0);
    match interval.until {
        Some(until) => {
            let span = Duration::from_millis(interval.span().0);
            format!("{span:?} not accounted for, from {from} to {}", time(until.0))
        }
        None => format!("not accounted for from {from} on"),
    }
}

/// A stable word for programs.
fn code(fault: &Fault) -> &'static str {
    match fault {
        Fault::Unclosed => "unclosed",
        Fault::HalfWritten => "half_written",
        Fault::DeclaredLost(_) => "declared_lost",
        Fault::Missing(_) => "missing",
        Fault::NoBeginning => "no_beginning",
        Fault::Damaged => "damaged",
        Fault::NotARecord => "not_a_record",
        Fault::BrokenLink => "broken_link",
        Fault::OutOfOrder => "out_of_order",
        Fault::OtherLog => "other_log",
        Fault::WrongEpoch => "wrong_epoch",
        Fault::AfterClose => "after_close",
        Fault::TimeFell => "time_fell",
        Fault::WrongRoot => "wrong_root",
        Fault::Shortened => "shortened",
        Fault::ShorterThanWitnessed => "shorter_than_witnessed",
        Fault::OtherThanWitnessed => "other_than_witnessed",
        Fault::TwoAtOnePlace => "two_at_one_place",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_witness_is_read_as_it_is_printed_and_nothing_else_is() {
        let (log, leaf) = ("0f".repeat(16), "ab".repeat(32));
        let read = witness(&format!("{log}:7:{leaf}")).unwrap();
        assert_eq!((read.log_id.to_string(), read.seq, read.leaf.to_string()), (log.clone(), 7, leaf.clone()));
        for text in [String::new(), format!("{log}:7"), format!("{log}:x:{leaf}"), format!("{log}:7:{leaf}:"), leaf] {
            assert_eq!(witness(&text), Err(InvalidWitness), "{text}");
        }
    }
}
