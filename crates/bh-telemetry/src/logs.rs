//! Logs: JSON by default, one event per outcome, lower-case messages, values in fields.

use std::io::IsTerminal;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line, for machines.
    #[default]
    Json,
    /// Readable lines, coloured on a terminal.
    Text,
}

/// Why logs could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    /// `RUST_LOG` is not a filter.
    #[error("RUST_LOG: expected a filter such as `info` or `bh_upstream=debug,info`")]
    Filter(#[source] tracing_subscriber::filter::ParseError),
    /// Another logger is already installed in this process.
    #[error("logs are already set up")]
    Twice,
}

/// Sends events of this process to standard error, filtered by `RUST_LOG`, without it from `level` on.
///
/// # Errors
/// `RUST_LOG` cannot be read, or logs are set up already.
pub fn init_logs(format: LogFormat, level: tracing::Level) -> Result<(), LogsError> {
    let filter = match std::env::var("RUST_LOG") {
        Ok(text) if !text.is_empty() => EnvFilter::try_new(text).map_err(LogsError::Filter)?,
        Ok(_) | Err(_) => EnvFilter::default().add_directive(LevelFilter::from_level(level).into()),
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let installed = match format {
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(false).finish().try_init(),
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).with_target(false).finish().try_init(),
    };
    installed.map_err(|_| LogsError::Twice)
}
