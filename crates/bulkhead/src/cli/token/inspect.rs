//! `bulkhead token inspect`.

use std::fmt::Write as _;

use bh_token::{Inspection, inspect};
use serde_json::{Value, json};

use super::given;
use super::values::Shown;
use crate::cli::{Exit, Failure, Out};

/// Says what a token says. No signature, time or revocation is checked: it may be forged.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  bulkhead token inspect \"$TOKEN\"\n  echo \"$TOKEN\" | bulkhead token inspect -")]
pub(super) struct Args {
    /// The token; - reads it from standard input.
    #[arg(allow_hyphen_values = true)]
    token: String,
}

impl Args {
    pub(super) fn run(self, out: &mut Out) -> Result<Exit, Failure> {
        let inspection = inspect(&given(&self.token)?).map_err(|invalid| Failure::new(Exit::CheckFailed, invalid))?;
        out.result(&text(&inspection), &as_json(&inspection))?;
        Ok(Exit::Ok)
    }
}

fn text(inspection: &Inspection) -> String {
    let root = &inspection.root;
    let what = match (inspection.certificate, inspection.admin) {
        (true, _) => "a certificate: its holder must narrow it before it is of use",
        (false, true) => "a credential of the admin plane",
        (false, false) => "a credential",
    };
    let mut text = format!(
        "NOT VERIFIED: this is what the token says, not what is true.\n{what}\n\
         kid {}   iss {}   aud {}   sub {}",
        inspection.kid, root.iss, root.aud, root.sub
    );
    for (at, link) in inspection.links.iter().enumerate() {
        let name = if at == 0 { "root".to_owned() } else { format!("child {at}") };
        let not_before = link.not_before.map(|at| format!("   not before {}", Shown(at))).unwrap_or_default();
        let written = write!(
            text,
            "\n\n{name} {}\n  issued {}{not_before}   expires {}\n  {}",
            link.id,
            Shown(link.issued_at),
            Shown(link.expires_at),
            link.claims_json
        );
        written.expect("a text can always be written to");
    }
    text
}

fn as_json(inspection: &Inspection) -> Value {
    let links = inspection.links.iter().map(|link| {
        let claims: Value = serde_json::from_str(&link.claims_json).unwrap_or_default();
        json!({ "id": link.id.to_string(), "jti": link.jti, "expires_at": link.expires_at.as_secs(), "claims": claims })
    });
    json!({
        "verified": false,
        "kid": inspection.kid,
        "certificate": inspection.certificate,
        "admin": inspection.admin,
        "links": links.collect::<Value>(),
    })
}
