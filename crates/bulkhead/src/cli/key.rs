//! `bulkhead key`: make keys and show their public half.

use std::path::PathBuf;

use clap::Subcommand;

use super::keyfile::{KeyFile, Use};
use super::not_built::refusal;
use super::{Exit, Failure, Out};
use crate::node::random;

/// Make Ed25519 keys and show their public half.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bulkhead key generate --out issuer.key --kid main")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Make a private key and print its public JWK.
    Generate(Generate),
    /// Print the public JWK of a private key, to paste under `tokens.issuers`.
    Public(Public),
}

/// Makes a private key (PKCS#8 PEM, mode 0600; never over another file) and prints its public JWK.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  bulkhead key generate --out issuer.key --kid main\n  bulkhead key generate --out agent.key --use holder"
)]
struct Generate {
    /// The file to make.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// The key's id, which tokens name; its RFC 7638 thumbprint without.
    #[arg(long)]
    kid: Option<String>,
    /// What it is for. It is written into the file and checked where the key is used.
    #[arg(long = "use", value_enum, default_value = "issuer")]
    usage: Use,
}

/// Prints the public JWK of a private key.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bulkhead key public --key issuer.key")]
struct Public {
    /// The private key.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

impl Args {
    pub(super) fn run(self, out: &mut Out) -> Result<Exit, Failure> {
        match self.command {
            KeyCommand::Generate(args) => args.run(out),
            KeyCommand::Public(args) => {
                out.line(&KeyFile::read(&args.key)?.public().to_jwk())?;
                Ok(Exit::Ok)
            }
        }
    }
}

impl Generate {
    fn run(self, out: &mut Out) -> Result<Exit, Failure> {
        match self.usage {
            Use::Issuer | Use::Holder => {}
            Use::Enrol | Use::Audit | Use::Config => {
                return Err(refusal(&format!("key generate --use {}", self.usage.as_str())));
            }
        }
        let seed = random().map_err(|error| Failure::new(Exit::Unavailable, error))?;
        let file = KeyFile::new(seed, self.kid, self.usage)?;
        file.write(&self.out)?;
        out.line(&file.public().to_jwk())?;
        let next = match self.usage {
            Use::Holder => format!("name it when minting: --holder {}", file.key.public()),
            Use::Issuer | Use::Enrol | Use::Audit | Use::Config => {
                format!(
                    "paste the line above, or {{kid: {}, x: {}}}, under tokens.issuers",
                    file.kid,
                    file.key.public()
                )
            }
        };
        out.note(&format!("wrote {} (keep it private); {next}", self.out.display()));
        Ok(Exit::Ok)
    }
}
