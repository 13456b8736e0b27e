//! Reads the audit log a gateway left, as an auditor does.

use std::collections::HashSet;
use std::path::Path;

use anyhow::Result;
use bh_audit::{Kind, Record, Report, VerifyOptions, verify};
use bh_base::NanoUsd;
use bh_disk::{DataFolder, LogReader};

/// A log, verified and read.
#[derive(Debug)]
pub struct Log {
    /// What the verifier says.
    pub report: Report,
    /// Every record, in order.
    pub records: Vec<Record>,
    /// Every line as it is stored.
    pub text: String,
}

/// Verifies and reads the log of a data folder.
///
/// # Errors
/// It cannot be read, or a line is no record.
pub fn read_log(data: &Path) -> Result<Log> {
    let folders = [DataFolder::audit_in(data)];
    let report = verify(LogReader::open(&folders)?, &VerifyOptions::default())?;
    let (mut records, mut text) = (Vec::new(), String::new());
    for line in LogReader::open(&folders)?.lines() {
        let line = line?;
        records.push(Record::parse(&line)?);
        text += &String::from_utf8_lossy(&line);
        text.push('\n');
    }
    Ok(Log { report, records, text })
}

impl Log {
    /// The records of a kind.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = &Record> {
        self.records.iter().filter(move |record| record.kind == kind)
    }

    /// The ids of the requests that have a record of this kind.
    #[must_use]
    pub fn ids(&self, kind: Kind) -> HashSet<String> {
        self.of(kind).filter_map(|record| Some(record.request_id?.to_string())).collect()
    }

    /// What all settled requests cost.
    #[must_use]
    pub fn settled(&self) -> NanoUsd {
        self.of(Kind::Settle).filter_map(|record| record.cost).sum()
    }
}
