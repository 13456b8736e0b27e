//! What a run found: a table for people, JSON for machines.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use bh_testkit::Recording;
use serde_json::{Value, json};

use crate::exceptions::{Exception, Exceptions};
use crate::replay::Played;

/// What a run found.
#[derive(Debug, Default)]
pub struct Report {
    /// By provider and API.
    pub rows: BTreeMap<(String, String), Row>,
    /// Everything that went wrong, promised or not.
    pub failures: Vec<Failure>,
    /// Lines of the list of exceptions that nothing needed.
    pub unused: Vec<String>,
    /// The exceptions met, and by how many exchanges.
    pub exceptions: BTreeMap<Exception, usize>,
    /// The seed of the split points.
    pub seed: u64,
}

/// One provider's API.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// The provider kind it was played as; empty when skipped.
    pub kind: &'static str,
    /// Whether a failure here fails the run.
    pub promised: bool,
    /// Recordings played.
    pub recordings: usize,
    /// Of these, the ones without any failure.
    pub whole: usize,
    /// Exchanges that came out exact.
    pub exact: usize,
    /// Exchanges refused with a typed reason, as the list allows.
    pub refused: usize,
    /// Exchanges that failed.
    pub failed: usize,
    /// Recordings no provider kind can play yet.
    pub skipped: usize,
}

/// Something that went wrong.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The recording, or the line of the list of exceptions.
    pub name: String,
    /// What was being shown.
    pub pass: &'static str,
    /// What was wrong.
    pub fault: String,
    /// Whether it fails the run.
    pub promised: bool,
}

impl Report {
    /// Sums up what was played.
    #[must_use]
    pub(crate) fn of(played: &[Played], skipped: &[Recording], exceptions: &Exceptions, seed: u64) -> Self {
        let mut report = Report { seed, ..Report::default() };
        for recording in skipped {
            report.row(&recording.provider, &recording.api).skipped += 1;
        }
        let mut spoiled: BTreeMap<(String, String), (BTreeSet<String>, BTreeSet<String>)> = BTreeMap::new();
        for one in played {
            let faults = report.faults_of(one, exceptions);
            let Some(case) = &one.exchange.case else { continue };
            let recording = &case.recording;
            let key = (recording.provider.clone(), recording.api.clone());
            let row = report.row(&recording.provider, &recording.api);
            (row.kind, row.promised) = (case.kind, case.promised);
            if faults {
                row.failed += 1;
            } else if one.exceptions.iter().any(|exception| exception.what != "left_out") {
                row.refused += 1;
            } else {
                row.exact += 1;
            }
            let (all, bad) = spoiled.entry(key).or_default();
            all.insert(one.exchange.name.clone());
            if faults {
                bad.insert(one.exchange.name.clone());
            }
        }
        for ((provider, api), (all, bad)) in spoiled {
            let row = report.row(&provider, &api);
            row.recordings = all.len();
            row.whole = all.len() - bad.len();
        }
        report.unused = exceptions.unused(&report.exceptions.keys().cloned().collect());
        report
    }

    fn row(&mut self, provider: &str, api: &str) -> &mut Row {
        self.rows.entry((provider.to_owned(), api.to_owned())).or_default()
    }

    fn faults_of(&mut self, one: &Played, exceptions: &Exceptions) -> bool {
        let promised = one.exchange.case.as_ref().is_none_or(|case| case.promised);
        let unlisted = one.exceptions.iter().filter(|exception| !exceptions.has(exception));
        let unlisted = unlisted.map(|exception| format!("`{}` is not listed in exceptions.txt", exception.line()));
        let faults: Vec<String> = one.faults.iter().cloned().chain(unlisted).collect();
        for exception in &one.exceptions {
            *self.exceptions.entry(exception.clone()).or_default() += 1;
        }
        let (name, pass) = (&one.exchange.name, one.exchange.pass.as_str());
        self.failures.extend(faults.iter().map(|fault| Failure {
            name: name.clone(),
            pass,
            fault: fault.clone(),
            promised,
        }));
        !faults.is_empty()
    }

    /// Notes a file that is no recording.
    pub(crate) fn unreadable(&mut self, file: String, fault: String) {
        self.failures.push(Failure { name: file, pass: "reading", fault, promised: true });
    }

    /// Whether everything promised came out right and every exception is needed.
    #[must_use]
    pub fn ok(&self) -> bool {
        self.unused.is_empty() && !self.failures.iter().any(|failure| failure.promised)
    }

    /// For machines.
    #[must_use]
    pub fn json(&self) -> Value {
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|((provider, api), row)| {
                json!({
                    "provider": provider, "api": api, "kind": row.kind, "promised": row.promised,
                    "recordings": row.recordings, "whole": row.whole, "exact": row.exact, "refused": row.refused,
                    "failed": row.failed, "skipped": row.skipped,
                })
            })
            .collect();
        let failures = self.failures.iter().map(|failure| {
            json!({"name": failure.name, "pass": failure.pass, "fault": failure.fault, "promised": failure.promised})
        });
        let exceptions =
            self.exceptions.iter().map(|(exception, times)| json!({"line": exception.line(), "times": times}));
        json!({
            "ok": self.ok(), "seed": self.seed, "rows": rows, "failures": failures.collect::<Vec<_>>(),
            "exceptions": exceptions.collect::<Vec<_>>(), "unused_exceptions": self.unused,
        })
    }

    /// For people.
    #[must_use]
    pub fn table(&self) -> String {
        let head = ["provider", "api", "played as", "recordings", "whole", "exact", "refused", "failed", "skipped"];
        let mut lines = vec![head.map(str::to_owned)];
        for ((provider, api), row) in &self.rows {
            let kind = if row.kind.is_empty() { "-" } else { row.kind };
            let share = (100 * row.whole).checked_div(row.recordings);
            let share = share.map_or_else(|| "-".to_owned(), |share| format!("{share} %"));
            let counts = [row.exact, row.refused, row.failed, row.skipped].map(|count| count.to_string());
            let [exact, refused, failed, skipped] = counts;
            let recordings = row.recordings.to_string();
            lines.push([
                provider.clone(),
                api.clone(),
                kind.to_owned(),
                recordings,
                share,
                exact,
                refused,
                failed,
                skipped,
            ]);
        }
        let widths: [usize; 9] =
            std::array::from_fn(|column| lines.iter().map(|line| line[column].len()).max().unwrap_or(0));
        let mut text = String::new();
        for line in &lines {
            let cells = line.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
            let line = cells.collect::<Vec<_>>().join("  ");
            text.push_str(line.trim_end());
            text.push('\n');
        }
        self.explain(&mut text).expect("writing to a text cannot fail");
        text
    }

    fn explain(&self, text: &mut String) -> std::fmt::Result {
        writeln!(text, "\nexceptions met (exchanges):")?;
        for (exception, times) in &self.exceptions {
            writeln!(text, "  {:<48} {times}", exception.line())?;
        }
        for (promised, title) in [(true, "failures"), (false, "failures of providers without a kind of their own yet")]
        {
            let failures: Vec<&Failure> = self.failures.iter().filter(|failure| failure.promised == promised).collect();
            if !failures.is_empty() {
                writeln!(text, "\n{title}: {}", failures.len())?;
            }
            for failure in failures {
                writeln!(text, "  {} [{}]: {}", failure.name, failure.pass, failure.fault)?;
            }
        }
        for line in &self.unused {
            writeln!(text, "\nexceptions.txt: nothing needs `{line}`")?;
        }
        writeln!(
            text,
            "\n{} (seed {}; again with BH_SEED={})",
            if self.ok() { "ok" } else { "FAILED" },
            self.seed,
            self.seed
        )
    }
}
