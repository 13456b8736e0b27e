//! A printed token, read link by link: every rule that ties a link to the one before it.

use bh_base::{Millis, TokenId};
use bh_seal::sha256;

use crate::check::seconds;
use crate::claims::{Claims, Grants};
use crate::error::Invalid;
use crate::ids::{child_id, root_id};
use crate::json::Node;
use crate::jwt;
use crate::keys::KeySet;
use crate::read::{self, ReadChild};

/// A chain whose links follow from one another.
pub(crate) struct Chain {
    pub(crate) kid: String,
    pub(crate) root: Claims,
    pub(crate) children: Vec<ReadChild>,
}

/// Whose word is taken for the signatures.
pub(crate) enum Trust<'a> {
    /// The root's must verify under one of these keys, a child's under its parent's holder.
    Keys(&'a KeySet),
    /// None is checked: for people who look at or narrow a token of their own.
    Unchecked,
}

/// Reads a printed token. The root's signature is checked before anything else is believed.
pub(crate) fn read(text: &str, trust: &Trust<'_>) -> Result<Chain, Invalid> {
    let links = jwt::split(text)?;
    let (root_text, children) = links.split_first().expect("splitting a text gives at least one piece");
    let (kid, root) = read_root(root_text, trust)?;
    let mut chain = Chain { kid, root, children: Vec::with_capacity(children.len()) };
    let mut before = jwt::PREFIX.len() + root_text.len();
    for child_text in children {
        let child = read_child(&chain, child_text, trust)?;
        if child.prev != sha256(&[&text.as_bytes()[..before]]) {
            return Err(Invalid::OtherChain { link: chain.next_link() });
        }
        chain.admit(&child.claims.grants, child.claims.expires_at)?;
        chain.children.push(child);
        before += jwt::SEPARATOR.len_utf8() + child_text.len();
    }
    Ok(chain)
}

impl Chain {
    /// The number of the link that would follow.
    pub(crate) fn next_link(&self) -> usize {
        1 + self.children.len()
    }

    /// What the last link grants.
    pub(crate) fn last_grants(&self) -> &Grants {
        self.children.last().map_or(&self.root.grants, |child| &child.claims.grants)
    }

    /// When the last link expires, which is the earliest of all.
    pub(crate) fn expires_at(&self) -> Millis {
        self.children.last().map_or(self.root.expires_at, |child| child.claims.expires_at)
    }

    /// The roles that the last link has: the nearest list, for a link without one has its parent's.
    pub(crate) fn roles(&self) -> &[String] {
        let nearest = self.children.iter().rev().find_map(|child| child.claims.grants.roles.as_deref());
        nearest.or(self.root.grants.roles.as_deref()).unwrap_or_default()
    }

    /// The id of every link, root first.
    pub(crate) fn ids(&self) -> Vec<TokenId> {
        let mut ids = vec![root_id(&self.root.iss, &self.kid, &self.root.jti)];
        for child in &self.children {
            let parent = ids[ids.len() - 1];
            ids.push(child_id(parent, &child.claims.jti));
        }
        ids
    }

    /// Whether a child with these grants may follow. Models need no rule here: they intersect.
    pub(crate) fn admit(&self, grants: &Grants, expires_at: Millis) -> Result<(), Invalid> {
        let link = self.next_link();
        let roles = grants.roles.as_deref().unwrap_or_default();
        if let Some(role) = roles.iter().find(|role| !self.roles().contains(role)) {
            return Err(Invalid::WiderRoles { link, role: role.clone() });
        }
        if seconds(self.expires_at()) < seconds(expires_at) {
            return Err(Invalid::LaterExpiry { link });
        }
        Ok(())
    }
}

fn read_root(text: &str, trust: &Trust<'_>) -> Result<(String, Claims), Invalid> {
    let kid = jwt::root_header(text)?;
    let claims = |node: &Node| read::root(node).map_err(|faults| Invalid::Claims { link: 0, faults });
    let unchecked = jwt::peek(text, 0)?;
    match trust {
        Trust::Unchecked => Ok((kid, claims(&unchecked)?)),
        Trust::Keys(keys) => {
            let key = read::issuer(&unchecked).and_then(|iss| keys.find(iss, &kid)).ok_or(Invalid::UnknownKey)?;
            let claims = claims(&jwt::open(text, 0, &key.key)?)?;
            key.speaks_for(&claims).map_err(|claim| Invalid::BeyondIssuer { claim })?;
            Ok((kid, claims))
        }
    }
}

fn read_child(chain: &Chain, text: &str, trust: &Trust<'_>) -> Result<ReadChild, Invalid> {
    let link = chain.next_link();
    let holder = chain.last_grants().holder.ok_or(Invalid::NotNarrowable { link: link - 1 })?;
    jwt::child_header(text, link)?;
    let node = match trust {
        Trust::Keys(_) => jwt::open(text, link, &holder)?,
        Trust::Unchecked => jwt::peek(text, link)?,
    };
    read::child(&node).map_err(|faults| Invalid::Claims { link, faults })
}
