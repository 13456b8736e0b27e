//! The one way to standard output, and to standard error for people.

use std::io::{self, ErrorKind, IsTerminal, Write};

use clap::ValueEnum;
use serde_json::{Value, json};

use super::{Exit, Failure};

/// Columns of a terminal that does not say how many it has.
const COLUMNS: usize = 100;

/// For whom results are printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// People.
    #[default]
    Text,
    /// Programs: one JSON value, whose members only ever grow.
    Json,
}

/// Prints results and failures.
#[derive(Debug)]
pub(crate) struct Out {
    format: Format,
}

impl Out {
    pub(crate) fn new(format: Format) -> Self {
        Out { format }
    }

    /// For whom.
    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// A result in the form that was asked for.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub(crate) fn result(&mut self, text: &str, json: &Value) -> Result<(), Failure> {
        match self.format {
            Format::Text => self.line(text),
            Format::Json => self.line(&json.to_string()),
        }
    }

    /// A line of standard output, whatever the form. A reader that went away has seen what it wanted.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::new(Exit::Unavailable, error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Something for people to know, on standard error.
    pub(crate) fn note(&mut self, text: &str) {
        to_stderr(&format!("{text}\n"));
    }

    /// A failure: faults and their places, or the error with its causes and the next step. Faults for programs are a
    /// result and go to standard output.
    pub(crate) fn tell(&mut self, failure: &Failure) {
        match (failure, self.format) {
            (Failure::Faults(faults), Format::Json) => {
                if self.line(&faults.to_json().to_string()).is_err() {
                    to_stderr("error: standard output cannot be written\n");
                }
            }
            (Failure::Faults(faults), Format::Text) => {
                let shown = if io::stderr().is_terminal() { faults.to_fancy(COLUMNS) } else { faults.to_string() };
                let count = faults.list().len();
                let noun = if count == 1 { "fault" } else { "faults" };
                to_stderr(&format!("{shown}\nerror: {count} {noun} in the configuration\n"));
            }
            (Failure::Other { exit, error, help }, format) => {
                let mut message = error.to_string();
                let mut cause = error.source();
                while let Some(error) = cause {
                    message.push_str(": ");
                    message.push_str(&error.to_string());
                    cause = error.source();
                }
                to_stderr(&match format {
                    Format::Text => match help {
                        Some(help) => format!("error: {message}\n  help: {help}\n"),
                        None => format!("error: {message}\n"),
                    },
                    Format::Json => {
                        let error = json!({ "message": message, "help": help, "exit_code": *exit as u8 });
                        format!("{}\n", json!({ "error": error }))
                    }
                });
            }
        }
    }
}

/// Nobody can be told when this fails.
fn to_stderr(text: &str) {
    drop(io::stderr().lock().write_all(text.as_bytes()));
}
