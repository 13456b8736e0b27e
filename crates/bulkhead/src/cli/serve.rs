//! `bulkhead serve`.

use std::path::PathBuf;

use bh_telemetry::init_logs;

use super::{Exit, Failure};
use crate::config::{Environment, LogFormat, Source, load};
use crate::serve::{Ended, run};

/// A node from a configuration.
///
/// It logs `bulkhead is ready` with its addresses, reads the configuration again when the file changes or at SIGHUP, and
/// at SIGTERM or Ctrl-C lets open requests end before it goes.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  bulkhead serve --config bulkhead.yaml\n\nExit codes: 0 drained, 69 cannot start, 75 open requests were cut, 78 bad config."
)]
pub(crate) struct Args {
    /// The configuration; $BULKHEAD_CONFIG, ./bulkhead.yaml and /etc/bulkhead/bulkhead.yaml are tried without.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Args {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let environment = Environment::of_process();
        let source = Source::find(self.config.as_deref(), &environment)?;
        let loaded = load(&source, &environment)?;
        let format = match loaded.log {
            LogFormat::Json => bh_telemetry::LogFormat::Json,
            LogFormat::Text => bh_telemetry::LogFormat::Text,
        };
        init_logs(format, tracing::Level::INFO).map_err(Failure::usage)?;
        match run(source, environment, loaded) {
            Ok(Ended::Drained) => Ok(Exit::Ok),
            // What was cut can be asked for again, of the next node.
            Ok(Ended::Cut | Ended::Forced) => Ok(Exit::TryAgain),
            Err(error) => {
                let exit = if error.is_config() { Exit::Config } else { Exit::Unavailable };
                Err(Failure::new(exit, error).help("`bulkhead doctor` looks at everything a node stands on"))
            }
        }
    }
}
