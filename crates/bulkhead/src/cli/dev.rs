//! `bulkhead dev`.

use std::net::SocketAddr;
use std::path::PathBuf;

use bh_telemetry::{LogFormat, init_logs};
use tokio_util::sync::CancellationToken;

use super::{Exit, Failure, Out};
use crate::dev::{DevError, DevOptions, run};
use crate::serve::Signals;

/// A gateway from nothing: no configuration, no key, no account.
///
/// It makes an issuer key and a token, enables every provider whose usual variable is set and
/// the built-in `echo` provider, and prints a `curl` that works as pasted.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  bulkhead dev\n  OPENAI_API_KEY=sk-… bulkhead dev --listen 127.0.0.1:9000\n  bulkhead dev --once\n\nWarnings are logged to standard error; RUST_LOG=info shows more."
)]
pub(crate) struct Args {
    /// Address of the data plane; the admin plane takes the next port, on loopback.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Where state lives; by default a folder of the user's, with --once one that is removed again.
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// Send the printed request, show the answer and its audit record, verify it and exit.
    #[arg(long)]
    once: bool,
}

impl Args {
    pub(super) fn run(self, out: &mut Out) -> Result<Exit, Failure> {
        init_logs(LogFormat::Text, tracing::Level::WARN).map_err(Failure::usage)?;
        let options = DevOptions { listen: self.listen, data_dir: self.data_dir, once: self.once };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::new(Exit::Unavailable, error))?;
        let mut unwritten = None;
        let mut print = |line: &str| {
            if let Err(failure) = out.line(line) {
                unwritten = Some(failure);
            }
        };
        let ended = runtime.block_on(until_stopped(options, &mut print));
        // What must end in order was waited for; a second Ctrl-C waits for nothing.
        runtime.shutdown_background();
        let exit = ended?;
        unwritten.map_or(Ok(exit), Err)
    }
}

async fn until_stopped(options: DevOptions, print: &mut (dyn FnMut(&str) + Send)) -> Result<Exit, Failure> {
    let mut signals = Signals::listen().map_err(|error| Failure::new(Exit::Unavailable, error))?;
    let stop = CancellationToken::new();
    let twice = async {
        signals.stop().await;
        stop.cancel();
        signals.stop().await;
    };
    let ended = tokio::select! {
        ended = run(options, stop.clone(), print) => ended,
        () = twice => return Ok(Exit::TryAgain),
    };
    match ended {
        Ok(()) => Ok(Exit::Ok),
        // The evidence did not hold, or the request was refused: the look itself worked.
        Err(DevError::Once(error)) => Err(Failure::new(Exit::CheckFailed, error)),
        Err(error @ (DevError::Setup(_) | DevError::Start(_) | DevError::Addresses(_))) => {
            Err(Failure::new(Exit::Unavailable, error))
        }
    }
}
