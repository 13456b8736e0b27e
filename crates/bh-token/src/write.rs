//! From claims to the JSON of a link. The order of the members is part of the golden token.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use bh_base::Millis;

use crate::check::{seconds, seconds_up};
use crate::claims::{ChildClaims, Claims, Quality, RoutingMode, TokenBudget};

#[derive(Serialize)]
pub(crate) struct Root<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    jti: &'a str,
    iat: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    nbf: Option<u64>,
    exp: u64,
    bh: RootBh<'a>,
}

#[derive(Serialize)]
struct RootBh<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    org: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    team: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    models: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    budgets: Vec<Budget>,
    #[serde(skip_serializing_if = "Option::is_none")]
    budget_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rpm: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tpm: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    concurrency: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    routing: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quality: Option<f64>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tags: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    roles: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    holder: Option<String>,
}

#[derive(Serialize)]
pub(crate) struct Child<'a> {
    jti: &'a str,
    iat: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    nbf: Option<u64>,
    exp: u64,
    bh: ChildBh<'a>,
}

#[derive(Serialize)]
struct ChildBh<'a> {
    prev: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    models: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    budgets: Vec<Budget>,
    #[serde(skip_serializing_if = "Option::is_none")]
    budget_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rpm: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tpm: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    concurrency: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    roles: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    holder: Option<String>,
}

#[derive(Serialize)]
struct Budget {
    usd: String,
    window: &'static str,
    mode: &'static str,
    hold: &'static str,
}

/// The JSON of a root.
pub(crate) fn root(claims: &Claims) -> Root<'_> {
    let grants = &claims.grants;
    Root {
        iss: &claims.iss,
        aud: &claims.aud,
        sub: &claims.sub,
        jti: &claims.jti,
        iat: seconds(claims.issued_at),
        nbf: claims.not_before.map(seconds_up),
        exp: seconds(claims.expires_at),
        bh: RootBh {
            org: claims.org.as_deref(),
            team: claims.team.as_deref(),
            project: claims.project.as_deref(),
            models: grants.models.as_deref(),
            budgets: budgets(&grants.budgets),
            budget_id: grants.budget_id.as_deref(),
            rpm: grants.rpm,
            tpm: grants.tpm,
            concurrency: grants.concurrency,
            routing: claims.routing.map(RoutingMode::as_str),
            quality: claims.quality.map(Quality::as_f64),
            tags: &claims.tags,
            roles: grants.roles.as_deref(),
            holder: grants.holder.map(|key| key.to_base64url()),
        },
    }
}

/// The JSON of a child whose preceding text hashes to `prev`.
pub(crate) fn child<'a>(claims: &'a ChildClaims, issued_at: Millis, prev: &[u8; 32]) -> Child<'a> {
    let grants = &claims.grants;
    Child {
        jti: &claims.jti,
        iat: seconds(issued_at),
        nbf: claims.not_before.map(seconds_up),
        exp: seconds(claims.expires_at),
        bh: ChildBh {
            prev: URL_SAFE_NO_PAD.encode(prev),
            models: grants.models.as_deref(),
            budgets: budgets(&grants.budgets),
            budget_id: grants.budget_id.as_deref(),
            rpm: grants.rpm,
            tpm: grants.tpm,
            concurrency: grants.concurrency,
            roles: grants.roles.as_deref(),
            holder: grants.holder.map(|key| key.to_base64url()),
        },
    }
}

fn budgets(budgets: &[TokenBudget]) -> Vec<Budget> {
    let one = |budget: &TokenBudget| Budget {
        usd: budget.usd.to_string(),
        window: budget.window.as_str(),
        mode: budget.mode.as_str(),
        hold: budget.hold.as_str(),
    };
    budgets.iter().map(one).collect()
}
