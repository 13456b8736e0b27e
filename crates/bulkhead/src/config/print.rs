//! Faults as people and programs read them: each with its place, the line it stands on and a caret.

use std::fmt;
use std::fmt::Write as _;
use std::ops::Range;

use miette::{Diagnostic, GraphicalReportHandler, LabeledSpan, NamedSource, SourceCode};
use serde_json::{Value, json};

use super::fault::Fault;
use super::source::Source;
use super::tree::Place;

/// Everything wrong with one configuration, in the order of the file.
#[derive(Debug)]
pub(crate) struct Faults {
    file: String,
    /// The text with everything blotted out that may be a secret.
    text: String,
    list: Vec<Fault>,
}

/// Where a fault is, counted for people.
struct Spot {
    line: usize,
    column: usize,
    /// Characters, at least one.
    length: usize,
    source_line: String,
}

impl Faults {
    pub(super) fn new(source: &Source, hidden: &[Range<usize>], mut list: Vec<Fault>) -> Self {
        let start = |fault: &Fault| match &fault.place {
            Place::File(range) => range.start,
            Place::Unknown | Place::Variable { .. } => usize::MAX,
        };
        list.sort_by_key(start);
        Faults { file: source.path.display().to_string(), text: blot(&source.text, hidden), list }
    }

    /// The faults.
    pub(crate) fn list(&self) -> &[Fault] {
        &self.list
    }

    /// For programs: a list of objects with `path`, `message`, `help`, `file`, `line`, `column`, `length`, `variable`.
    /// What is not known is null; lines and columns count from 1, in characters.
    pub(crate) fn to_json(&self) -> Value {
        let one = |fault: &Fault| {
            let spot = self.spot(fault);
            let variable = match &fault.place {
                Place::Variable { name, .. } => Some(name),
                Place::File(_) | Place::Unknown => None,
            };
            json!({
                "path": fault.path,
                "message": fault.problem.to_string(),
                "help": fault.problem.help(),
                "file": variable.is_none().then_some(&self.file),
                "line": spot.as_ref().map(|spot| spot.line),
                "column": spot.as_ref().map(|spot| spot.column),
                "length": spot.as_ref().map(|spot| spot.length),
                "variable": variable,
            })
        };
        self.list.iter().map(one).collect()
    }

    /// For a terminal of so many columns, with colours.
    pub(crate) fn to_fancy(&self, columns: usize) -> String {
        let handler = GraphicalReportHandler::new().with_width(columns).with_context_lines(1);
        let mut out = String::new();
        for fault in &self.list {
            let shown = Shown::of(self, fault);
            if handler.render_report(&mut out, &shown).is_err() {
                return self.to_string();
            }
        }
        out
    }

    fn spot(&self, fault: &Fault) -> Option<Spot> {
        let Place::File(range) = &fault.place else { return None };
        let start = floor(&self.text, range.start);
        let line_start = self.text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = self.text[start..].find('\n').map_or(self.text.len(), |at| start + at);
        let end = floor(&self.text, range.end).clamp(start, line_end);
        let written = self.text[start..end].trim_end();
        Some(Spot {
            line: self.text[..start].matches('\n').count() + 1,
            column: self.text[line_start..start].chars().count() + 1,
            length: written.chars().count().max(1),
            source_line: self.text[line_start..line_end].trim_end().to_owned(),
        })
    }
}

/// One block a fault, as compilers print them.
impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, fault) in self.list.iter().enumerate() {
            if 0 < at {
                f.write_char('\n')?;
            }
            let spot = match &fault.place {
                // Its value may be a secret that was meant for another variable.
                Place::Variable { name, .. } => {
                    Some(Spot { line: 0, column: 1, length: name.chars().count(), source_line: name.clone() })
                }
                Place::File(_) | Place::Unknown => self.spot(fault),
            };
            let (place, line) = match (&fault.place, &spot) {
                (Place::Variable { .. }, _) => ("environment".to_owned(), "env".to_owned()),
                (_, Some(spot)) => (format!("{}:{}:{}", self.file, spot.line, spot.column), spot.line.to_string()),
                (_, None) => (self.file.clone(), String::new()),
            };
            writeln!(f, "{place}: {}", headline(fault))?;
            let gutter = " ".repeat(line.len());
            if let Some(spot) = spot {
                let indent: String =
                    spot.source_line.chars().take(spot.column - 1).map(|c| if c == '\t' { c } else { ' ' }).collect();
                writeln!(f, "{line} | {}", spot.source_line)?;
                writeln!(f, "{gutter} | {indent}{}", "^".repeat(spot.length))?;
            }
            if let Some(help) = fault.problem.help() {
                writeln!(f, "{gutter} = help: {help}")?;
            }
        }
        Ok(())
    }
}

fn headline(fault: &Fault) -> String {
    if fault.path.is_empty() { fault.problem.to_string() } else { format!("{}: {}", fault.path, fault.problem) }
}

/// The text with stars over what is hidden; lines and columns stay.
fn blot(text: &str, hidden: &[Range<usize>]) -> String {
    let covered = |at: usize| hidden.iter().any(|range| range.contains(&at));
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        if covered(at) && !c.is_whitespace() {
            // One star a byte, so that every later place stays where it is.
            out.extend(std::iter::repeat_n('*', c.len_utf8()));
        } else {
            out.push(c);
        }
    }
    out
}

/// The nearest place at or before `at` where the text can be cut.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// A fault in the form miette draws.
#[derive(Debug)]
struct Shown {
    headline: String,
    help: Option<String>,
    source: NamedSource<String>,
    label: Option<LabeledSpan>,
}

impl Shown {
    fn of(faults: &Faults, fault: &Fault) -> Self {
        let (name, text, range) = match &fault.place {
            Place::File(range) => (faults.file.clone(), faults.text.clone(), Some(range.clone())),
            Place::Variable { name, .. } => ("environment".to_owned(), name.clone(), Some(0..name.len())),
            Place::Unknown => (faults.file.clone(), String::new(), None),
        };
        let label = range.map(|range| {
            let start = floor(&text, range.start);
            let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
            let length = text[start..floor(&text, range.end).clamp(start, line_end)].trim_end().len();
            LabeledSpan::new(None, start, length.max(1))
        });
        Shown { headline: headline(fault), help: fault.problem.help(), source: NamedSource::new(name, text), label }
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.headline)
    }
}

impl std::error::Error for Shown {}

impl Diagnostic for Shown {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.label.is_some().then_some(&self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.label.clone().map(|label| Box::new(std::iter::once(label)) as Box<dyn Iterator<Item = LabeledSpan>>)
    }
}
