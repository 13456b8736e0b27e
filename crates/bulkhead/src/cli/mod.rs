//! The command line: what was asked for, who does it, and how it ends.
//!
//! Each command is a module with a `clap` struct that runs itself. Results go to standard output through [`Out`],
//! everything else to standard error; `--output json` is stable. Nothing here decides anything about requests.

mod audit;
mod config;
mod dev;
mod doctor;
mod failure;
mod healthcheck;
mod key;
mod keyfile;
mod not_built;
mod out;
mod route;
mod serve;
mod token;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub(crate) use failure::{Exit, Failure};
pub(crate) use out::{Format, Out};

/// An LLM gateway: one URL for every provider, with budgets, failover and evidence.
#[derive(Debug, Parser)]
#[command(
    name = "bulkhead",
    version,
    arg_required_else_help = true,
    after_help = "Example:\n  bulkhead dev\n\nExit codes: 0 ok, 1 a check failed, 2 usage, 69 unavailable, 75 try again, 78 bad config."
)]
struct Cli {
    /// Text for people, or JSON for programs.
    #[arg(long, global = true, value_enum, default_value_t)]
    output: Format,
    #[command(subcommand)]
    command: Command,
}

/// Every command of the contract: built, or refused by name.
#[derive(Debug, Subcommand)]
enum Command {
    Dev(dev::Args),
    Serve(serve::Args),
    /// Make keys and show their public half.
    Key(key::Args),
    /// Mint, narrow, look into, verify and revoke tokens.
    Token(token::Args),
    /// Check a configuration, print its schema, show what is in force.
    Config(config::Args),
    Audit(audit::Args),
    /// Show and adjust budgets of a running node (not built yet).
    Budget(not_built::Args),
    Route(route::Args),
    /// Provision a cluster (not built yet).
    Cluster(not_built::Args),
    /// Chargeback reports (not built yet).
    Report(not_built::Args),
    /// List the nodes of a cluster (not built yet).
    Nodes(not_built::Args),
    Doctor(doctor::Args),
    Healthcheck(healthcheck::Args),
}

impl Command {
    fn run(self, out: &mut Out) -> Result<Exit, Failure> {
        match self {
            Command::Dev(args) => args.run(out),
            Command::Serve(args) => args.run(),
            Command::Key(args) => args.run(out),
            Command::Token(args) => args.run(out),
            Command::Config(args) => args.run(out),
            Command::Audit(args) => args.run(out),
            Command::Budget(args) => args.refuse("budget"),
            Command::Route(args) => args.run(out),
            Command::Cluster(args) => args.refuse("cluster"),
            Command::Report(args) => args.refuse("report"),
            Command::Nodes(args) => args.refuse("nodes"),
            Command::Doctor(args) => args.run(out),
            Command::Healthcheck(args) => args.run(out),
        }
    }
}

/// Reads the command line of this process, does what it says and tells how that ended.
pub(crate) fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(usage) => {
            // Help and version are results, everything else is usage: clap knows which.
            let printed = usage.print();
            return match (printed, usage.use_stderr()) {
                (Ok(()), false) => ExitCode::SUCCESS,
                (Ok(()) | Err(_), _) => Exit::Usage.into(),
            };
        }
    };
    let mut out = Out::new(cli.output);
    match cli.command.run(&mut out) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            out.tell(&failure);
            failure.exit().into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_contradicts_itself_nowhere() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_help_has_an_example() {
        fn check(command: &clap::Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            if about.contains("not built yet") {
                return;
            }
            let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(after.contains("Example"), "{path} has no example");
            command.get_subcommands().for_each(|below| check(below, &path));
        }
        check(&Cli::command(), "");
    }
}
