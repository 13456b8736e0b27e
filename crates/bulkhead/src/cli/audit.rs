//! `bulkhead audit`: read and verify the evidence.

use std::path::{Path, PathBuf};

use bh_audit::{Filter, Verdict, Witness};
use clap::Subcommand;

use super::{Exit, Failure, Format, Out, not_built};
use crate::config::{Environment, Source, overview};
use crate::evidence::{Log, Progress, follow, last, line, verify, witness};
use crate::serve::Signals;

/// Read and verify the evidence.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  bulkhead audit tail --follow\n  bulkhead audit verify --dir /var/lib/bulkhead")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    Tail(Tail),
    Verify(Verify),
    /// Write the log in another format (not built yet).
    Export(not_built::Args),
    /// Check a client's receipt (not built yet).
    Receipt(not_built::Args),
    /// Erase a person's text (not built yet).
    Erase(not_built::Args),
}

/// Print the last records, and follow those that come.
///
/// One a line; with `--output json` the bytes as they are stored. The node may be running.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  bulkhead audit tail --last 50\n  bulkhead audit tail --follow --filter kind=settle --filter team=ml\n  bulkhead audit tail --dir /var/lib/bulkhead --output json"
)]
struct Tail {
    /// Go on with the records that come, until Ctrl-C.
    #[arg(long, short)]
    follow: bool,
    /// Only records whose field is this, for example kind=deny or decision.route=smart; given again, all must match.
    #[arg(long, value_name = "FIELD=VALUE")]
    filter: Vec<String>,
    /// How many of the matching records to begin with.
    #[arg(long, value_name = "N", default_value_t = 10)]
    last: usize,
    #[command(flatten)]
    place: Place,
}

/// Prove that no record was changed, removed, reordered or made up.
///
/// Reads the whole log; the node may be running. Exit 0 whole, 1 a crash cut the end, 2 records are missing, 3 altered,
/// 4 two records claim one place; 69 when there is no log.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  bulkhead audit verify --dir /var/lib/bulkhead\n  bulkhead audit verify --dir copy --witness LOG:SEQ:LEAF --output json"
)]
struct Verify {
    #[command(flatten)]
    place: Place,
    /// What an earlier `verify` printed as its witness: a log cut or rewritten since then is found.
    #[arg(long, value_name = "LOG:SEQ:LEAF", value_parser = witness)]
    witness: Vec<Witness>,
    /// Verify the cluster's stream (not built yet).
    #[arg(long, conflicts_with_all = ["dir", "config"])]
    stream: bool,
}

/// Where the log is.
#[derive(Debug, clap::Args)]
struct Place {
    /// The data folder, or the audit folder inside it.
    #[arg(long, value_name = "FOLDER", conflicts_with = "config")]
    dir: Option<PathBuf>,
    /// The configuration that names the data folder; found as `serve` finds it without.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Args {
    pub(super) fn run(self, out: &mut Out) -> Result<Exit, Failure> {
        match self.command {
            AuditCommand::Tail(args) => args.run(out),
            AuditCommand::Verify(args) => args.run(out),
            AuditCommand::Export(args) => args.refuse("audit export"),
            AuditCommand::Receipt(args) => args.refuse("audit receipt"),
            AuditCommand::Erase(args) => args.refuse("audit erase"),
        }
    }
}

impl Place {
    fn log(&self) -> Result<Log, Failure> {
        let unavailable = |error| Failure::new(Exit::Unavailable, error);
        if let Some(dir) = &self.dir {
            return Log::find(dir).map_err(unavailable);
        }
        let data_dir =
            data_dir(self.config.as_deref()).map_err(|failure| failure.help("or name the folder with --dir"))?;
        Log::find(&data_dir).map_err(unavailable)
    }
}

fn data_dir(config: Option<&Path>) -> Result<PathBuf, Failure> {
    let environment = Environment::of_process();
    let source = Source::find(config, &environment)?;
    Ok(overview(&source, &environment, false)?.data_dir)
}

impl Tail {
    fn run(self, out: &mut Out) -> Result<Exit, Failure> {
        let filter = self.filter.iter().try_fold(Filter::default(), |filter, text| filter.and(text));
        let filter = filter.map_err(Failure::usage)?;
        let log = self.place.log()?;
        let unreadable = |error| Failure::new(Exit::Unavailable, error);
        let (records, tail) = last(&log, self.last, &filter).map_err(unreadable)?;
        for record in records {
            print(out, &record)?;
        }
        if !self.follow {
            return Ok(Exit::Ok);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::new(Exit::Unavailable, error))?;
        let mut failed = None;
        let mut show = |record: &[u8]| match print(out, record) {
            Ok(()) => true,
            Err(failure) => {
                failed = Some(failure);
                false
            }
        };
        let followed = runtime.block_on(async {
            let mut signals = Signals::listen().map_err(|error| Failure::new(Exit::Unavailable, error))?;
            tokio::select! {
                followed = follow(tail, &filter, &mut show) => followed.map_err(unreadable),
                () = signals.stop() => Ok(()),
            }
        });
        followed?;
        failed.map_or(Ok(Exit::Ok), Err)
    }
}

fn print(out: &mut Out, record: &[u8]) -> Result<(), Failure> {
    match out.format() {
        Format::Json => out.line(&String::from_utf8_lossy(record)),
        Format::Text => out.line(&line(record)),
    }
}

impl Verify {
    fn run(self, out: &mut Out) -> Result<Exit, Failure> {
        if self.stream {
            return Err(not_built::refusal("audit verify --stream"));
        }
        let log = self.place.log()?;
        let verified = verify(log, self.witness, &mut Progress::new("verifying"));
        let verified = verified.map_err(|error| Failure::new(Exit::Unavailable, error))?;
        out.result(&verified.to_text(), &verified.to_json())?;
        Ok(match verified.report.verdict {
            Verdict::Ok => Exit::Ok,
            Verdict::CrashTail => Exit::CheckFailed,
            Verdict::Gap => Exit::GAP,
            Verdict::Tampered => Exit::Tampered,
            Verdict::Fork => Exit::Fork,
        })
    }
}
