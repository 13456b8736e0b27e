//! `bulkhead token mint`.

use std::path::PathBuf;

use bh_base::Millis;
use bh_pipeline::clock;
use bh_token::{Claims, DEFAULT_ISSUER, MintError, admin_audience, inspect, mint};
use serde_json::json;

use super::fresh_jti;
use super::grants::GrantFlags;
use super::values::{span, tag};
use crate::cli::keyfile::{KeyFile, Use};
use crate::cli::not_built::refusal;
use crate::cli::{Exit, Failure, Out};

/// Signs a token with an issuer's key and prints it and nothing else.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  bulkhead token mint --key issuer.key --sub ann --org acme --models 'gpt-4o*,claude-*' \\\n    --budget 5usd/day:hard --rpm 60 --ttl 30d\n  bulkhead token mint --key issuer.key --sub root --admin --ttl 8h"
)]
pub(super) struct Args {
    /// The issuer's private key.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The key's id where the gateway knows it under another than the file says.
    #[arg(long)]
    kid: Option<String>,
    /// The user, or whatever the token is for; budgets of scope `user:` and revocation mean this.
    #[arg(long)]
    sub: String,
    /// Who vouches.
    #[arg(long, default_value = DEFAULT_ISSUER)]
    iss: String,
    /// The cluster it is for.
    #[arg(long, default_value = "bulkhead")]
    audience: String,
    /// For the admin plane of that cluster; at most 12h.
    #[arg(long)]
    admin: bool,
    /// Its organisation.
    #[arg(long)]
    org: Option<String>,
    /// Its team.
    #[arg(long)]
    team: Option<String>,
    /// Its project.
    #[arg(long)]
    project: Option<String>,
    #[command(flatten)]
    grants: GrantFlags,
    /// A tag, for attribution and for budgets and limits of scope `tag:`.
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = tag)]
    tags: Vec<(String, String)>,
    /// What routing prefers: cost, latency or capability (not built yet).
    #[arg(long, value_name = "MODE")]
    routing: Option<String>,
    /// The least quality routing may choose (not built yet).
    #[arg(long, value_name = "0..1")]
    quality: Option<String>,
    /// How long it lives: 90s, 10m, 12h, 30d.
    #[arg(long, value_name = "SPAN", value_parser = span)]
    ttl: Millis,
}

/// A tag that is given twice.
#[derive(Debug, thiserror::Error)]
#[error("--tag {0} is given twice; keep one")]
struct TagTwice(String);

impl Args {
    pub(super) fn run(self, out: &mut Out) -> Result<Exit, Failure> {
        if self.routing.is_some() {
            return Err(refusal("token mint --routing"));
        }
        if self.quality.is_some() {
            return Err(refusal("token mint --quality"));
        }
        let file = KeyFile::read_for(&self.key, Use::Issuer)?;
        let kid = self.kid.clone().unwrap_or_else(|| file.kid.clone());
        let claims = self.claims(clock::now())?;
        let token = mint(&file.key, &kid, &claims)?;
        let id = inspect(&token).ok().and_then(|inspection| inspection.links.last().map(|link| link.id.to_string()));
        let expires = claims.expires_at.as_secs();
        out.result(&token, &json!({ "token": token, "id": id, "jti": claims.jti, "kid": kid, "expires_at": expires }))?;
        Ok(Exit::Ok)
    }

    fn claims(self, now: Millis) -> Result<Claims, Failure> {
        let mut tags = std::collections::BTreeMap::new();
        for (key, value) in self.tags {
            if tags.insert(key.clone(), value).is_some() {
                return Err(Failure::usage(TagTwice(key)));
            }
        }
        Ok(Claims {
            iss: self.iss,
            aud: if self.admin { admin_audience(&self.audience) } else { self.audience },
            sub: self.sub,
            jti: fresh_jti()?,
            issued_at: now,
            not_before: None,
            expires_at: now.plus(self.ttl),
            org: self.org,
            team: self.team,
            project: self.project,
            tags,
            routing: None,
            quality: None,
            grants: self.grants.grants(),
        })
    }
}

impl From<MintError> for Failure {
    fn from(error: MintError) -> Self {
        let exit = match &error {
            MintError::Claims(_) | MintError::TooLong { .. } => Exit::Usage,
            MintError::Sign(_) | MintError::Crypto(_) => Exit::Unavailable,
        };
        Failure::new(exit, error)
    }
}
