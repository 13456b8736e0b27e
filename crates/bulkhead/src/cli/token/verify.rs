//! `bulkhead token verify`.

use std::path::{Path, PathBuf};

use bh_base::Millis;
use bh_pipeline::clock;
use bh_token::{KeySet, Plane, Revocations, TokenError, Verified, verify};
use serde_json::{Value, json};

use super::given;
use super::values::Shown;
use crate::cli::{Exit, Failure, Out};

/// Says whether a token would be accepted: exit 0 if so, 1 if not.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  bulkhead key public --key issuer.key > issuers.json\n  bulkhead token verify \"$TOKEN\" --issuers issuers.json"
)]
pub(super) struct Args {
    /// The token; - reads it from standard input.
    #[arg(allow_hyphen_values = true)]
    token: String,
    /// The issuers' public keys: a JWKS, or one JWK.
    #[arg(long, value_name = "FILE")]
    issuers: PathBuf,
    /// The cluster it must be for.
    #[arg(long, default_value = "bulkhead")]
    audience: String,
    /// It must be for the admin plane of that cluster.
    #[arg(long)]
    admin: bool,
    /// A revocation list to look at as well.
    #[arg(long, value_name = "FILE")]
    revocations: Option<PathBuf>,
}

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
enum FileError {
    /// It cannot be read.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// It is not what it should be.
    #[error("{}: {faults}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// Every fault.
        faults: bh_token::Faults,
    },
}

impl Args {
    pub(super) fn run(self, out: &mut Out) -> Result<Exit, Failure> {
        let token = given(&self.token)?;
        let keys = parsed(&self.issuers, |text| KeySet::parse(&as_set(text), 1))?;
        let revocations = match &self.revocations {
            Some(path) => parsed(path, Revocations::parse)?,
            None => Revocations::new(),
        };
        let plane = if self.admin { Plane::Admin } else { Plane::Data };
        let now = clock::now();
        let checked = verify(&token, &keys, &self.audience, plane, now)
            .and_then(|verified| verified.check_live(&revocations, now).map(|()| verified));
        match checked {
            Ok(verified) => {
                out.result(&good(&verified), &as_json(&verified))?;
                Ok(Exit::Ok)
            }
            Err(TokenError::Crypto(foreign)) => Err(Failure::new(Exit::Unavailable, foreign)),
            Err(error) => {
                let refused = json!({ "accepted": false, "code": error.code(), "message": error.to_string() });
                out.result(&format!("refused ({}): {error}", error.code()), &refused)?;
                Ok(Exit::CheckFailed)
            }
        }
    }
}

fn parsed<T>(path: &Path, parse: impl Fn(&str) -> Result<T, bh_token::Faults>) -> Result<T, Failure> {
    let path = path.to_owned();
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(source) => return Err(Failure::new(Exit::Unavailable, FileError::Unreadable { path, source })),
    };
    parse(&text).map_err(|faults| Failure::new(Exit::Config, FileError::Wrong { path, faults }))
}

/// One JWK, as `bulkhead key public` prints it, is a set of one.
fn as_set(text: &str) -> String {
    match serde_json::from_str::<Value>(text) {
        Ok(jwk) if jwk.get("kty").is_some() => json!({ "keys": [jwk] }).to_string(),
        Ok(_) | Err(_) => text.to_owned(),
    }
}

fn good(verified: &Verified) -> String {
    format!(
        "accepted: sub {}, token {}, expires {}",
        verified.subject().sub,
        verified.id(),
        Shown(expires_at(verified))
    )
}

/// No link outlives its parent, so the first to expire is the last.
fn expires_at(verified: &Verified) -> Millis {
    verified.links().iter().map(|link| link.expires_at).min().unwrap_or_default()
}

fn as_json(verified: &Verified) -> Value {
    let subject = verified.subject();
    json!({
        "accepted": true,
        "id": verified.id().to_string(),
        "iss": subject.iss,
        "sub": subject.sub,
        "org": subject.org,
        "team": subject.team,
        "project": subject.project,
        "roles": subject.roles,
        "links": verified.links().len(),
        "expires_at": expires_at(verified).as_secs(),
    })
}
