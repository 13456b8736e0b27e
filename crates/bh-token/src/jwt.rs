//! One link: a JWT with exactly the header we write, signed with EdDSA. Reading and signatures are jsonwebtoken's.

use std::sync::LazyLock;

use bh_base::limits::{CHAIN_LINKS_MAX, TOKEN_BYTES_MAX};
use bh_seal::{PublicKey, SigningKey};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::Serialize;

use crate::error::{Invalid, JwtFault};
use crate::json::Node;

/// What a printed token starts with, so that secret scanners find a leaked one.
pub(crate) const PREFIX: &str = "bh_";
/// What stands between links.
pub(crate) const SEPARATOR: char = '~';

const ROOT_TYPE: &str = "bh+jwt";
const CHILD_TYPE: &str = "bhc+jwt";

/// The links of a printed token, root first; measured before anything is read.
pub(crate) fn split(text: &str) -> Result<Vec<&str>, Invalid> {
    if TOKEN_BYTES_MAX < text.len() {
        return Err(Invalid::TooLong { bytes: text.len(), bytes_max: TOKEN_BYTES_MAX });
    }
    let links: Vec<&str> = text.strip_prefix(PREFIX).ok_or(Invalid::Prefix)?.split(SEPARATOR).collect();
    if CHAIN_LINKS_MAX < links.len() {
        return Err(Invalid::TooDeep { links: links.len(), links_max: CHAIN_LINKS_MAX });
    }
    Ok(links)
}

/// Reads a root's header and returns its `kid`.
pub(crate) fn root_header(text: &str) -> Result<String, Invalid> {
    header(text, 0, ROOT_TYPE)?.ok_or(Invalid::MissingKid)
}

/// Reads a child's header.
pub(crate) fn child_header(text: &str, link: usize) -> Result<(), Invalid> {
    match header(text, link, CHILD_TYPE)? {
        Some(_) => Err(Invalid::ChildKid { link }),
        None => Ok(()),
    }
}

/// The claims of a link whose signature verifies under the key.
pub(crate) fn open(text: &str, link: usize, key: &PublicKey) -> Result<Node, Invalid> {
    let key = DecodingKey::from_ed_der(&key.to_bytes());
    jsonwebtoken::decode::<Node>(text, &key, &SIGNATURE_ONLY).map(|data| data.claims).map_err(|e| {
        if *e.kind() == ErrorKind::InvalidSignature { Invalid::Signature { link } } else { unreadable(link, e) }
    })
}

/// The claims of a link, whoever signed it.
pub(crate) fn peek(text: &str, link: usize) -> Result<Node, Invalid> {
    jsonwebtoken::dangerous::insecure_decode_claims::<Node>(text).map_err(|e| unreadable(link, e))
}

/// Signs a root.
pub(crate) fn seal_root(claims: &impl Serialize, kid: &str, key: &SigningKey) -> Result<String, JwtFault> {
    let mut header = Header::new(Algorithm::EdDSA);
    header.typ = Some(ROOT_TYPE.to_owned());
    header.kid = Some(kid.to_owned());
    seal(&header, claims, key)
}

/// Signs a child.
pub(crate) fn seal_child(claims: &impl Serialize, key: &SigningKey) -> Result<String, JwtFault> {
    let mut header = Header::new(Algorithm::EdDSA);
    header.typ = Some(CHILD_TYPE.to_owned());
    seal(&header, claims, key)
}

/// Claims as one line of JSON.
pub(crate) fn to_json(claims: &impl Serialize) -> String {
    serde_json::to_string(claims).expect("claims are texts, whole numbers and finite fractions")
}

/// Times and audience are checked by us: with the injected time, and with our own refusals.
static SIGNATURE_ONLY: LazyLock<Validation> = LazyLock::new(|| {
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
});

fn header(text: &str, link: usize, expected: &'static str) -> Result<Option<String>, Invalid> {
    let header = jsonwebtoken::decode_header(text).map_err(|e| Invalid::Header { link, source: JwtFault(e) })?;
    // Every field is named, so that a field the library learns is a decision here and not an accident.
    let Header { typ, alg, cty, jku, jwk, kid, x5u, x5c, x5t, x5t_s256, crit, enc, zip, url, nonce, extras } = header;
    let embedded = [
        ("jku", jku.is_some()),
        ("jwk", jwk.is_some()),
        ("x5u", x5u.is_some()),
        ("x5c", x5c.is_some()),
        ("x5t", x5t.is_some()),
        ("x5t#S256", x5t_s256.is_some()),
    ];
    if let Some((field, _)) = embedded.into_iter().find(|(_, present)| *present) {
        return Err(Invalid::EmbeddedKey { link, field });
    }
    if alg != Algorithm::EdDSA {
        return Err(Invalid::Algorithm { link });
    }
    let others = [cty.is_some(), crit.is_some(), enc.is_some(), zip.is_some(), url.is_some(), nonce.is_some()];
    if others.contains(&true) || !extras.inner().is_empty() {
        return Err(Invalid::HeaderField { link });
    }
    if typ.as_deref() != Some(expected) {
        return Err(Invalid::Type { link, expected });
    }
    Ok(kid)
}

fn seal(header: &Header, claims: &impl Serialize, key: &SigningKey) -> Result<String, JwtFault> {
    jsonwebtoken::encode(header, claims, &EncodingKey::from_ed_der(&key.to_der())).map_err(JwtFault)
}

fn unreadable(link: usize, source: jsonwebtoken::errors::Error) -> Invalid {
    Invalid::Unreadable { link, source: JwtFault(source) }
}
