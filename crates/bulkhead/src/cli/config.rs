//! `bulkhead config`: look at a configuration without putting it in force.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

use super::{Exit, Failure, Format, Out, not_built};
use crate::config::{Environment, Source, overview, schema};

/// Check a configuration, print its schema, show what is in force.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bulkhead config validate bulkhead.yaml")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Report every fault at once, each with file, line and caret.
    Validate(Validate),
    /// Print the JSON Schema of the file, for editors.
    Schema(Schema),
    /// Print the configuration as it works: defaults filled in, secrets as where they are.
    Show(Show),
    /// Sign a configuration and put it in force in a cluster (not built yet).
    Apply(not_built::Args),
    /// Show what `apply` would change (not built yet).
    Diff(not_built::Args),
    /// List the configurations a cluster had (not built yet).
    History(not_built::Args),
    /// Put an earlier configuration in force (not built yet).
    Rollback(not_built::Args),
    /// Read another gateway's configuration (not built yet).
    Import(not_built::Args),
}

/// Checks a configuration: exit 0 when it can be put in force, 78 with every fault when not.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  bulkhead config validate bulkhead.yaml\n  bulkhead config validate bulkhead.yaml --no-secrets --output json"
)]
struct Validate {
    /// The file; $BULKHEAD_CONFIG, ./bulkhead.yaml and /etc/bulkhead/bulkhead.yaml are tried without.
    file: Option<PathBuf>,
    /// Do not look whether secrets are there, for machines that have none.
    #[arg(long)]
    no_secrets: bool,
}

/// Prints the JSON Schema of the file. Put `# yaml-language-server: $schema=schema.json` on its first line.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bulkhead config schema > schema.json")]
struct Schema {}

/// Prints the configuration as it works, in a form that is a configuration itself.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bulkhead config show --config bulkhead.yaml")]
struct Show {
    /// The file; $BULKHEAD_CONFIG, ./bulkhead.yaml and /etc/bulkhead/bulkhead.yaml are tried without.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Args {
    pub(super) fn run(self, out: &mut Out) -> Result<Exit, Failure> {
        match self.command {
            ConfigCommand::Validate(args) => args.run(out),
            ConfigCommand::Schema(Schema {}) => {
                out.line(&format!("{:#}", schema()))?;
                Ok(Exit::Ok)
            }
            ConfigCommand::Show(args) => args.run(out),
            ConfigCommand::Apply(args) => args.refuse("config apply"),
            ConfigCommand::Diff(args) => args.refuse("config diff"),
            ConfigCommand::History(args) => args.refuse("config history"),
            ConfigCommand::Rollback(args) => args.refuse("config rollback"),
            ConfigCommand::Import(args) => args.refuse("config import"),
        }
    }
}

impl Validate {
    fn run(self, out: &mut Out) -> Result<Exit, Failure> {
        let environment = Environment::of_process();
        let source = Source::find(self.file.as_deref(), &environment)?;
        let found = overview(&source, &environment, !self.no_secrets)?;
        let count = |key: &str| found.effective[key].as_array().map_or(0, Vec::len);
        let text = format!(
            "{} can be put in force: providers {}, routes {}, budgets {}, limits {}; version {}",
            source.path.display(),
            count("providers"),
            count("routes"),
            count("budgets"),
            count("limits"),
            found.version,
        );
        out.result(&text, &json!([]))?;
        Ok(Exit::Ok)
    }
}

impl Show {
    fn run(self, out: &mut Out) -> Result<Exit, Failure> {
        let environment = Environment::of_process();
        let source = Source::find(self.config.as_deref(), &environment)?;
        let found = overview(&source, &environment, false)?;
        match out.format() {
            Format::Json => out.line(&found.effective.to_string())?,
            Format::Text => {
                let yaml = serde_saphyr::to_string(&found.effective)
                    .map_err(|error| Failure::new(Exit::Unavailable, error))?;
                out.line(&format!("# {} (version {})\n{}", source.path.display(), found.version, yaml.trim_end()))?;
            }
        }
        Ok(Exit::Ok)
    }
}
