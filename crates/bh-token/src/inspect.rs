//! Looking into a token without believing it.

use bh_base::{Millis, TokenId};

use crate::chain::{self, Trust};
use crate::check::is_admin;
use crate::claims::{Claims, Grants};
use crate::error::Invalid;
use crate::{jwt, write};

/// What a token says about itself. **No signature was checked**: it may be forged, and nothing may be decided by it.
#[derive(Debug, Clone, PartialEq)]
pub struct Inspection {
    /// The `kid` of the root.
    pub kid: String,
    /// The root's claims.
    pub root: Claims,
    /// Every link, root first.
    pub links: Vec<InspectedLink>,
    /// Whether it ends in a link with a holder, and so must be narrowed before it is of use.
    pub certificate: bool,
    /// Whether it is for the admin plane.
    pub admin: bool,
}

/// One link as it stands in the token.
#[derive(Debug, Clone, PartialEq)]
pub struct InspectedLink {
    /// The id that revocations and counters use.
    pub id: TokenId,
    /// `jti`.
    pub jti: String,
    /// `iat`.
    pub issued_at: Millis,
    /// `nbf`.
    pub not_before: Option<Millis>,
    /// `exp`.
    pub expires_at: Millis,
    /// What it allows and caps.
    pub grants: Grants,
    /// The claims as JSON, in the order this program writes them.
    pub claims_json: String,
}

/// Reads a token without checking any signature or time, for people who hold it.
///
/// # Errors
/// What is no chain of links that could be verified: form, types, rules between links. The message names the fault.
pub fn inspect(text: &str) -> Result<Inspection, Invalid> {
    let chain = chain::read(text, &Trust::Unchecked)?;
    let certificate = chain.last_grants().holder.is_some();
    let ids = chain.ids();
    let mut links = Vec::with_capacity(ids.len());
    let root = &chain.root;
    links.push(InspectedLink {
        id: ids[0],
        jti: root.jti.clone(),
        issued_at: root.issued_at,
        not_before: root.not_before,
        expires_at: root.expires_at,
        grants: root.grants.clone(),
        claims_json: jwt::to_json(&write::root(root)),
    });
    for (child, id) in chain.children.iter().zip(&ids[1..]) {
        links.push(InspectedLink {
            id: *id,
            jti: child.claims.jti.clone(),
            issued_at: child.issued_at,
            not_before: child.claims.not_before,
            expires_at: child.claims.expires_at,
            grants: child.claims.grants.clone(),
            claims_json: jwt::to_json(&write::child(&child.claims, child.issued_at, &child.prev)),
        });
    }
    let admin = is_admin(&chain.root.aud);
    Ok(Inspection { kid: chain.kid, root: chain.root, links, certificate, admin })
}
