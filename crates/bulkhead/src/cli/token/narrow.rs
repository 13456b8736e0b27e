//! `bulkhead token narrow`.

use std::path::PathBuf;

use bh_base::Millis;
use bh_pipeline::clock;
use bh_token::{ChildClaims, NarrowError, inspect, narrow};
use serde_json::json;

use super::grants::GrantFlags;
use super::values::span;
use super::{fresh_jti, given};
use crate::cli::keyfile::{KeyFile, Use};
use crate::cli::{Exit, Failure, Out};

/// Signs a child of a token with the key of its holder, offline. The child acts for the same identity, can only be
/// narrower, and what it spends is charged to its parents too.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  bulkhead token narrow --token \"$CERTIFICATE\" --holder-key agent.key --models gpt-4o-mini \\\n    --budget 2usd/total:hard --ttl 10m"
)]
pub(super) struct Args {
    /// The token to narrow; - reads it from standard input.
    #[arg(long, allow_hyphen_values = true)]
    token: String,
    /// The private key of the holder it names.
    #[arg(long, value_name = "FILE")]
    holder_key: PathBuf,
    #[command(flatten)]
    grants: GrantFlags,
    /// How long the child lives: 90s, 10m, 12h, 30d; as long as its parent without.
    #[arg(long, value_name = "SPAN", value_parser = span)]
    ttl: Option<Millis>,
}

impl Args {
    pub(super) fn run(self, out: &mut Out) -> Result<Exit, Failure> {
        let parent = given(&self.token)?;
        let holder = KeyFile::read_for(&self.holder_key, Use::Holder)?;
        let now = clock::now();
        let inherited = inspect(&parent).map_err(NarrowError::from)?;
        let expires_at = match (self.ttl, inherited.links.last()) {
            (Some(ttl), _) => now.plus(ttl),
            (None, Some(link)) => link.expires_at,
            (None, None) => inherited.root.expires_at,
        };
        let claims = ChildClaims { jti: fresh_jti()?, not_before: None, expires_at, grants: self.grants.grants() };
        let token = narrow(&parent, &holder.key, &claims, now)?;
        let id = inspect(&token).ok().and_then(|inspection| inspection.links.last().map(|link| link.id.to_string()));
        let expires = expires_at.as_secs();
        out.result(&token, &json!({ "token": token, "id": id, "jti": claims.jti, "expires_at": expires }))?;
        Ok(Exit::Ok)
    }
}

impl From<NarrowError> for Failure {
    fn from(error: NarrowError) -> Self {
        match error {
            NarrowError::Child(mint) => mint.into(),
            error @ (NarrowError::Chain(_) | NarrowError::ParentExpired { .. } | NarrowError::WrongHolder { .. }) => {
                Failure::usage(error)
            }
        }
    }
}
