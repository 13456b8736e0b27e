//! What tokens say, as plain values. `mint` and `verify` check them; nothing else should trust them.

use std::collections::BTreeMap;

use bh_base::{BudgetMode, HoldMode, Millis, NanoUsd, Window};
use bh_seal::PublicKey;

/// The `iss` of tokens whose minter names none.
pub const DEFAULT_ISSUER: &str = "bulkhead";

/// The claims of a root token. Times are since the Unix epoch and printed as whole seconds: `iat` and `exp` rounded
/// down, `nbf` rounded up, so that rounding never lengthens a life.
#[derive(Debug, Clone, PartialEq)]
pub struct Claims {
    /// `iss`: who vouches.
    pub iss: String,
    /// `aud`: the cluster's name, or `<cluster>/admin` for the admin plane.
    pub aud: String,
    /// `sub`: the user; budgets of scope `user:` and revocation by subject mean this.
    pub sub: String,
    /// `jti`: unique under this `(iss, kid)`; entropy of the caller.
    pub jti: String,
    /// `iat`.
    pub issued_at: Millis,
    /// `nbf`: not valid before.
    pub not_before: Option<Millis>,
    /// `exp`: not valid from then on.
    pub expires_at: Millis,
    /// `bh.org`.
    pub org: Option<String>,
    /// `bh.team`.
    pub team: Option<String>,
    /// `bh.project`.
    pub project: Option<String>,
    /// `bh.tags`: for attribution, and for budgets and limits of scope `tag:`.
    pub tags: BTreeMap<String, String>,
    /// `bh.routing`.
    pub routing: Option<RoutingMode>,
    /// `bh.quality`.
    pub quality: Option<Quality>,
    /// What this link allows and caps.
    pub grants: Grants,
}

/// The claims of a child. Identity is inherited; the time of issue is the `now` of [`narrow`](crate::narrow).
#[derive(Debug, Clone, PartialEq)]
pub struct ChildClaims {
    /// `jti`: unique under this parent; entropy of the caller.
    pub jti: String,
    /// `nbf`: not valid before.
    pub not_before: Option<Millis>,
    /// `exp`: not valid from then on; at most the parent's.
    pub expires_at: Millis,
    /// What this link allows and caps, on top of every link before it.
    pub grants: Grants,
}

/// What one link allows and caps. All links of a chain bind together: models intersect, roles shrink, and budgets
/// and limits are each charged on their own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    /// Model patterns (see [`bh_base::glob_matches`]); absent: all, empty: none.
    pub models: Option<Vec<String>>,
    /// Budgets of this link and everything narrowed from it, at most one per window.
    pub budgets: Vec<TokenBudget>,
    /// Shares the budget counters with other tokens of this issuer and organisation (a child: of this parent) that
    /// name the same id, so that a reissue does not start at zero.
    pub budget_id: Option<String>,
    /// Requests per minute.
    pub rpm: Option<u64>,
    /// Tokens per minute.
    pub tpm: Option<u64>,
    /// Requests at the same time.
    pub concurrency: Option<u64>,
    /// Roles; absent in a root: none; absent in a child: the parent's; otherwise a subset of the parent's.
    pub roles: Option<Vec<String>>,
    /// Makes this link a certificate: the only key that may sign the next link.
    pub holder: Option<PublicKey>,
}

/// One budget of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenBudget {
    /// The most that may be spent per window.
    pub usd: NanoUsd,
    /// The window.
    pub window: Window,
    /// Wall or line; `hard` where the claim leaves it out.
    pub mode: BudgetMode,
    /// How much is held before an attempt; `strict` where the claim leaves it out: with `hard`, the provable pair.
    pub hold: HoldMode,
}

/// What routing prefers for this token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoutingMode {
    /// The cheapest target that will do.
    Cost,
    /// The fastest target.
    Latency,
    /// The most capable target.
    Capability,
}

/// The least quality routing may choose, from 0 to 1 in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quality(u16);

impl RoutingMode {
    /// The spelling in claims and flags.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            RoutingMode::Cost => "cost",
            RoutingMode::Latency => "latency",
            RoutingMode::Capability => "capability",
        }
    }

    /// Reads that spelling; nothing for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [RoutingMode::Cost, RoutingMode::Latency, RoutingMode::Capability].into_iter().find(|m| m.as_str() == text)
    }
}

impl Quality {
    /// From a number of 0 to 1 with at most three decimals; nothing for any other.
    #[must_use]
    pub fn from_f64(value: f64) -> Option<Self> {
        if !(0.0..=1.0).contains(&value) {
            return None;
        }
        let quality = Quality((value * 1000.0).round() as u16);
        (quality.as_f64() == value).then_some(quality)
    }

    /// As a number from 0 to 1.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        f64::from(self.0) / 1000.0
    }
}
