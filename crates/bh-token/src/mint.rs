//! Making tokens: a root with an issuer's key, a child with a holder's.

use bh_base::Millis;
use bh_base::limits::{CHAIN_LINKS_MAX, TOKEN_BYTES_MAX};
use bh_seal::{SigningKey, sha256};

use crate::chain::{self, Trust};
use crate::check::{self, SHORT_NAME_BYTES_MAX};
use crate::claims::{ChildClaims, Claims};
use crate::crypto::install_crypto;
use crate::error::{Invalid, MintError, NarrowError};
use crate::fault::{Fault, Faults};
use crate::jwt;
use crate::write;

/// Mints a root token. The key set must name the key under this `kid` for the token to be accepted.
///
/// # Errors
/// Every rule the claims break, at once; a token longer than 4 KiB; a foreign crypto provider.
pub fn mint(key: &SigningKey, kid: &str, claims: &Claims) -> Result<String, MintError> {
    let mut faults = Vec::new();
    check::name("kid", kid, SHORT_NAME_BYTES_MAX, &mut faults);
    check::root(claims, &mut faults);
    refuse(faults)?;
    install_crypto()?;
    let root = jwt::seal_root(&write::root(claims), kid, key).map_err(MintError::Sign)?;
    measured(format!("{}{root}", jwt::PREFIX))
}

/// Narrows a certificate offline: signs a child that follows it. Neither issuer nor gateway is asked, and the
/// signatures of the parent are not checked (only a gateway's key set could), but every rule of the chain is.
///
/// # Errors
/// A parent that is no chain, has expired or may not be narrowed with this key; a child wider than its parent (models
/// intersect and cannot be wider); every rule the child's own claims break, at once; a chain too long or too deep.
pub fn narrow(parent: &str, holder: &SigningKey, claims: &ChildClaims, now: Millis) -> Result<String, NarrowError> {
    install_crypto().map_err(MintError::from)?;
    let chain = chain::read(parent, &Trust::Unchecked)?;
    let link = chain.next_link();
    let named = chain.last_grants().holder.ok_or(Invalid::NotNarrowable { link: link - 1 })?;
    if CHAIN_LINKS_MAX <= link {
        return Err(Invalid::TooDeep { links: link + 1, links_max: CHAIN_LINKS_MAX }.into());
    }
    if named != holder.public() {
        return Err(NarrowError::WrongHolder { holder: Box::new(named) });
    }
    if chain.expires_at() <= now {
        return Err(NarrowError::ParentExpired { ago_s: now.since(chain.expires_at()).as_secs() });
    }
    chain.admit(&claims.grants, claims.expires_at)?;
    let mut faults = Vec::new();
    check::child(claims, now, &mut faults);
    refuse(faults)?;
    let prev = sha256(&[parent.as_bytes()]);
    let child = jwt::seal_child(&write::child(claims, now, &prev), holder).map_err(MintError::Sign)?;
    Ok(measured(format!("{parent}{}{child}", jwt::SEPARATOR))?)
}

fn refuse(faults: Vec<Fault>) -> Result<(), MintError> {
    if faults.is_empty() { Ok(()) } else { Err(MintError::Claims(Faults(faults))) }
}

fn measured(text: String) -> Result<String, MintError> {
    if TOKEN_BYTES_MAX < text.len() {
        return Err(MintError::TooLong { bytes: text.len(), bytes_max: TOKEN_BYTES_MAX });
    }
    Ok(text)
}
