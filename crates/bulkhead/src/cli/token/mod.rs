//! `bulkhead token`: mint, narrow, look into, verify and revoke. No gateway is asked.

mod grants;
mod inspect;
mod mint;
mod narrow;
mod revoke;
mod values;
mod verify;

use std::io::Read;

use bh_base::limits::TOKEN_BYTES_MAX;
use clap::Subcommand;

use super::{Exit, Failure, Out};
use crate::node::random;

/// Mint, narrow, look into, verify and revoke tokens.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bulkhead token mint --key issuer.key --sub ann --budget 5usd/day:hard --ttl 30d")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Sign a token and print it and nothing else.
    Mint(Box<mint::Args>),
    /// Sign a child of a token that names a holder; it can only be narrower.
    Narrow(Box<narrow::Args>),
    /// Say what a token says. Nothing is verified.
    Inspect(inspect::Args),
    /// Say whether a token would be accepted.
    Verify(verify::Args),
    /// Take a token, or everything a subject was issued before some time, back.
    Revoke(revoke::Args),
}

impl Args {
    pub(super) fn run(self, out: &mut Out) -> Result<Exit, Failure> {
        match self.command {
            TokenCommand::Mint(args) => args.run(out),
            TokenCommand::Narrow(args) => args.run(out),
            TokenCommand::Inspect(args) => args.run(out),
            TokenCommand::Verify(args) => args.run(out),
            TokenCommand::Revoke(args) => args.run(out),
        }
    }
}

/// A fresh `jti`: 128 random bits.
fn fresh_jti() -> Result<String, Failure> {
    let bytes: [u8; 16] = random().map_err(|error| Failure::new(Exit::Unavailable, error))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The token itself, or standard input for `-`, so that it need not stand in the list of processes.
fn given(token: &str) -> Result<String, Failure> {
    if token != "-" {
        return Ok(token.trim().to_owned());
    }
    let mut text = String::new();
    let bytes_max = u64::try_from(TOKEN_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(64);
    std::io::stdin().take(bytes_max).read_to_string(&mut text).map_err(Failure::usage)?;
    Ok(text.trim().to_owned())
}
