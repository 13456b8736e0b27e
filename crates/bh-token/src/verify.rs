//! From a printed token to what it proves.

use std::collections::BTreeMap;

use bh_base::{Millis, TokenId, glob_matches};

use crate::chain::{self, Chain, Trust};
use crate::check::{NAME_BYTES_MAX, admin_audience, is_admin};
use crate::claims::{Grants, Quality, RoutingMode, TokenBudget};
use crate::crypto::install_crypto;
use crate::error::{Invalid, TokenError};
use crate::ids::{child_counter, root_counter};
use crate::keys::KeySet;
use crate::revoke::Revocations;

/// How far in the future `nbf` and `iat` may lie, because clocks differ. `exp` has no such allowance.
pub const SKEW: Millis = Millis::from_secs(60);

/// Which of the two listeners a token is presented to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plane {
    /// Calls that people's programs make; audience `<cluster>`.
    Data,
    /// Calls that operators make; audience `<cluster>/admin`.
    Admin,
}

/// A token whose signatures, rules and times were good when it was verified. Only [`verify`] makes one. Keep it under
/// the SHA-256 of the whole text and [`Verified::key_set_revision`], and ask [`Verified::check_live`] on every use.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified {
    links: Vec<Link>,
    subject: Subject,
    key_set_revision: u64,
}

/// One link of a chain: what is charged and checked for it. All links bind together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The link's own id.
    pub id: TokenId,
    /// What its budgets are counted under: its id, or a hash that all tokens with its `budget_id` share.
    pub counter: TokenId,
    /// The `budget_id` behind that hash, for people.
    pub budget_id: Option<String>,
    /// Budgets of this link.
    pub budgets: Vec<TokenBudget>,
    /// Requests per minute.
    pub rpm: Option<u64>,
    /// Tokens per minute.
    pub tpm: Option<u64>,
    /// Requests at the same time.
    pub concurrency: Option<u64>,
    /// Model patterns of this link; absent: all.
    pub models: Option<Vec<String>>,
    /// When it was issued.
    pub issued_at: Millis,
    /// From when on it is valid.
    pub not_before: Option<Millis>,
    /// From when on it is not.
    pub expires_at: Millis,
}

/// Who asks: the root's identity, and the roles that are left at the end of the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Who vouches.
    pub iss: String,
    /// The user.
    pub sub: String,
    /// The organisation.
    pub org: Option<String>,
    /// The team.
    pub team: Option<String>,
    /// The project.
    pub project: Option<String>,
    /// Tags for attribution, budgets and limits.
    pub tags: BTreeMap<String, String>,
    /// What routing prefers.
    pub routing: Option<RoutingMode>,
    /// The least quality routing may choose.
    pub quality: Option<Quality>,
    /// Roles.
    pub roles: Vec<String>,
}

/// Verifies a token presented to a plane of the cluster named `audience` (a name without `/`): signatures, rules of
/// the chain, audience, and times at `now`. Revocation is not asked here but in [`Verified::check_live`].
///
/// # Errors
/// Every refusal of [`TokenError`] except `Revoked`. Nothing about the claims is said before the signature verifies.
pub fn verify(text: &str, keys: &KeySet, audience: &str, plane: Plane, now: Millis) -> Result<Verified, TokenError> {
    install_crypto()?;
    let chain = chain::read(text, &Trust::Keys(keys))?;
    check_audience(&chain.root.aud, audience, plane)?;
    if chain.last_grants().holder.is_some() {
        return Err(Invalid::Certificate.into());
    }
    let verified = Verified::new(chain, keys.revision());
    verified.check_times(now)?;
    Ok(verified)
}

impl Verified {
    /// The id of the last link: what this token is called in records and counters.
    #[must_use]
    pub fn id(&self) -> TokenId {
        self.last().id
    }

    /// Every link, root first; at least one.
    #[must_use]
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// Who asks.
    #[must_use]
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The revision of the key set that verified it; under another revision it proves nothing.
    #[must_use]
    pub fn key_set_revision(&self) -> u64 {
        self.key_set_revision
    }

    /// When the token expires: the earliest expiry in the chain.
    #[must_use]
    pub fn expires_at(&self) -> Millis {
        self.last().expires_at
    }

    /// Whether every link allows the model. Names longer than any model's are refused without a look.
    #[must_use]
    pub fn may_call(&self, model: &str) -> bool {
        let allows = |patterns: &Vec<String>| patterns.iter().any(|pattern| glob_matches(pattern, model));
        model.len() <= NAME_BYTES_MAX && self.links.iter().all(|link| link.models.as_ref().is_none_or(allows))
    }

    /// Whether the token has the role.
    #[must_use]
    pub fn has_role(&self, role: &str) -> bool {
        self.subject.roles.iter().any(|r| r == role)
    }

    /// Asks what can change while a token is remembered: revocation and times of every link. For every request.
    ///
    /// # Errors
    /// `Revoked`, `Expired` or `NotYetValid`, in this order; the link nearest the root speaks first.
    pub fn check_live(&self, revocations: &Revocations, now: Millis) -> Result<(), TokenError> {
        let issued_before = revocations.issued_before(&self.subject.sub);
        for (link, l) in self.links.iter().enumerate() {
            if revocations.contains(l.id) || issued_before.is_some_and(|before| l.issued_at < before) {
                return Err(TokenError::Revoked { link });
            }
        }
        self.check_times(now)
    }

    fn check_times(&self, now: Millis) -> Result<(), TokenError> {
        for (link, l) in self.links.iter().enumerate() {
            if l.expires_at <= now {
                return Err(TokenError::Expired { link, ago_s: now.since(l.expires_at).as_secs() });
            }
        }
        for (link, l) in self.links.iter().enumerate() {
            let starts = l.not_before.unwrap_or_default().max(l.issued_at);
            if now.plus(SKEW) < starts {
                return Err(Invalid::NotYetValid { link, in_s: starts.since(now).as_secs() }.into());
            }
        }
        Ok(())
    }

    fn last(&self) -> &Link {
        self.links.last().expect("a chain has at least its root")
    }

    fn new(chain: Chain, key_set_revision: u64) -> Self {
        let ids = chain.ids();
        let roles = chain.roles().to_vec();
        let root = chain.root;
        let root_id = ids[0];
        let counter = root.grants.budget_id.as_deref().map(|id| root_counter(&root.iss, root.org.as_deref(), id));
        let mut links = Vec::with_capacity(ids.len());
        let times = (root.issued_at, root.not_before, root.expires_at);
        links.push(Link::new(root_id, counter, times, root.grants));
        for (child, (parent, id)) in chain.children.into_iter().zip(ids.iter().zip(&ids[1..])) {
            let claims = child.claims;
            let counter = claims.grants.budget_id.as_deref().map(|budget_id| child_counter(*parent, budget_id));
            let times = (child.issued_at, claims.not_before, claims.expires_at);
            links.push(Link::new(*id, counter, times, claims.grants));
        }
        let subject = Subject {
            iss: root.iss,
            sub: root.sub,
            org: root.org,
            team: root.team,
            project: root.project,
            tags: root.tags,
            routing: root.routing,
            quality: root.quality,
            roles,
        };
        Verified { links, subject, key_set_revision }
    }
}

impl Link {
    fn new(id: TokenId, counter: Option<TokenId>, times: (Millis, Option<Millis>, Millis), grants: Grants) -> Self {
        let (issued_at, not_before, expires_at) = times;
        Link {
            id,
            counter: counter.unwrap_or(id),
            budget_id: grants.budget_id,
            budgets: grants.budgets,
            rpm: grants.rpm,
            tpm: grants.tpm,
            concurrency: grants.concurrency,
            models: grants.models,
            issued_at,
            not_before,
            expires_at,
        }
    }
}

fn check_audience(found: &str, cluster: &str, plane: Plane) -> Result<(), TokenError> {
    let (expected, other) = match plane {
        Plane::Data => (cluster.to_owned(), admin_audience(cluster)),
        Plane::Admin => (admin_audience(cluster), cluster.to_owned()),
    };
    if found == other {
        return Err(TokenError::WrongPlane { expected, found: other });
    }
    // The second half keeps a cluster that was named `x/admin` against the rule from taking the admin tokens of `x`.
    if found == expected && is_admin(found) == (plane == Plane::Admin) {
        Ok(())
    } else {
        Err(Invalid::Audience { expected }.into())
    }
}
