//! Signs whatever it is told, so that the gateway meets what no minter would make.

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bh_seal::{SigningKey, sha256};
use e2e::Issuer;
use serde_json::{Value, json};

/// The header of a root as `mint` writes it.
pub(crate) const ROOT: &str = r#"{"typ":"bh+jwt","alg":"EdDSA","kid":"main"}"#;
/// The header of a child as `narrow` writes it.
pub(crate) const CHILD: &str = r#"{"typ":"bhc+jwt","alg":"EdDSA"}"#;

/// One signed link: header and claims as they are given.
pub(crate) fn link(header: &str, claims: &str, key: &SigningKey) -> String {
    let message = format!("{}.{}", encode(header), encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()));
    format!("{message}.{signature}")
}

/// A root with this header and these claims.
pub(crate) fn root(issuer: &Issuer, header: &str, claims: &Value) -> String {
    format!("bh_{}", link(header, &claims.to_string(), issuer.key()))
}

/// The claims of a token, to be changed and signed anew.
///
/// # Errors
/// The token is none.
pub(crate) fn claims_of(token: &str) -> Result<Value> {
    let part = token.split('.').nth(1).context("a token has three parts")?;
    Ok(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part)?)?)
}

/// A child under `parent` with these claims of its own, signed by `holder`.
pub(crate) fn child(parent: &str, holder: &SigningKey, expires_at: u64, bh: Value) -> String {
    let mut bh = bh;
    bh["prev"] = json!(URL_SAFE_NO_PAD.encode(sha256(&[parent.as_bytes()])));
    let claims = json!({"jti": "forged", "iat": expires_at - 3600, "exp": expires_at, "bh": bh});
    format!("{parent}~{}", link(CHILD, &claims.to_string(), holder))
}

/// The same token with one bit of one part turned over.
pub(crate) fn tampered(token: &str, part: usize) -> String {
    let mut parts: Vec<Vec<u8>> =
        token.trim_start_matches("bh_").split('.').map(|part| part.as_bytes().to_vec()).collect();
    let middle = parts[part].len() / 2;
    parts[part][middle] = if parts[part][middle] == b'A' { b'B' } else { b'A' };
    let parts: Vec<_> = parts.into_iter().map(|part| String::from_utf8_lossy(&part).into_owned()).collect();
    format!("bh_{}", parts.join("."))
}

/// Base64url of a text.
pub(crate) fn encode(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}
