//! What a person or a program reads: tables, JSON, notes.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use crate::rig::Rig;
use crate::summary::{Spread, Summary};

/// Prints on stdout.
pub(crate) fn print(text: &str) {
    // A reader that closed the pipe has read enough.
    if writeln!(std::io::stdout().lock(), "{text}").is_err() {
        std::process::exit(0);
    }
}

/// Says something beside the result, on stderr.
#[expect(clippy::print_stderr, reason = "notes go beside the result, which is on stdout")]
pub(crate) fn note(text: &str) {
    eprintln!("{text}");
}

/// Says why nothing could be measured, on stderr.
pub(crate) fn complain(text: &str) {
    note(&format!("bench: {text}"));
}

/// `31.2 (30.8–33.0)`.
pub(crate) fn spread(spread: Spread, places: usize) -> String {
    let Spread { median, min, max } = spread;
    format!("{median:.places$} ({min:.places$}–{max:.places$})")
}

/// Rows under headings, each column as wide as its widest cell.
pub(crate) fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([headings[column].chars().count()]).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let mut text = String::new();
    let mut line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut padded = String::new();
        for (cell, width) in cells.zip(&widths) {
            write!(padded, "{cell:<width$}  ").expect("a String takes every write");
        }
        text.push_str(padded.trim_end());
        text.push('\n');
    };
    line(&mut headings.iter().copied());
    for row in rows {
        line(&mut row.iter().map(String::as_str));
    }
    text
}

/// A JSON object from names and values that are JSON already.
pub(crate) fn object(fields: &[(&str, String)]) -> String {
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", fields.join(","))
}

/// A number as JSON, or null where there is none.
pub(crate) fn number(value: f64) -> String {
    if value.is_finite() { format!("{value:.3}") } else { "null".to_owned() }
}

/// A spread as JSON.
pub(crate) fn spread_json(spread: Spread) -> String {
    let Spread { median, min, max } = spread;
    object(&[("median", number(median)), ("min", number(min)), ("max", number(max))])
}

/// A list as JSON of values that are JSON already.
pub(crate) fn list(values: &[String]) -> String {
    format!("[{}]", values.join(","))
}

/// The exit code of a run, after saying on stderr what failed.
pub(crate) fn outcome(rig: &Rig, summaries: &[&Summary]) -> ExitCode {
    let failed: u64 = summaries.iter().map(|summary| summary.failed).sum();
    if failed == 0 && summaries.iter().all(|summary| 0 < summary.units) {
        return ExitCode::SUCCESS;
    }
    for summary in summaries {
        if let Some(failure) = &summary.failure {
            complain(&format!("{}: {} request(s) failed, the first: {failure}", summary.side.name(), summary.failed));
        } else if summary.units == 0 {
            complain(&format!("{}: nothing was answered", summary.side.name()));
        }
    }
    note(&rig.gateway_said());
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let text = table(&["a", "long"], &[vec!["wide".to_owned(), "b".to_owned()]]);
        assert_eq!(text, "a     long\nwide  b\n");
    }

    #[test]
    fn json_is_json() {
        let text = object(&[("a", number(1.5)), ("b", number(f64::NAN)), ("c", list(&["1".to_owned()]))]);
        assert_eq!(text, r#"{"a":1.500,"b":null,"c":[1]}"#);
    }
}
