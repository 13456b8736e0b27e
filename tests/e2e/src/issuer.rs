//! Mints the tokens of a test.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use bh_base::{BudgetMode, HoldMode, Millis, NanoUsd, Window};
use bh_seal::SigningKey;
use bh_token::{ChildClaims, Claims, DEFAULT_ISSUER, Grants, IssuerKey, KeySet, TokenBudget};

/// One issuer's key, under the id `main`.
pub struct Issuer {
    key: SigningKey,
}

impl Issuer {
    /// The key id its tokens name.
    pub const KID: &str = "main";

    /// An issuer; equal seeds make equal keys.
    #[must_use]
    pub fn new(seed: u8) -> Self {
        Issuer { key: SigningKey::from_seed([seed; 32]) }
    }

    /// Its key.
    #[must_use]
    pub const fn key(&self) -> &SigningKey {
        &self.key
    }

    /// Its public key as `tokens.issuers` takes it.
    #[must_use]
    pub fn entry(&self) -> serde_json::Value {
        serde_json::json!({"kid": Self::KID, "x": self.key.public().to_base64url()})
    }

    /// A JWKS with this key alone.
    ///
    /// # Errors
    /// Never for a well-formed key.
    pub fn jwks(&self) -> Result<String> {
        let keys = vec![IssuerKey::new(Self::KID, self.key.public())];
        Ok(KeySet::new(keys, 0).context("one key is a set")?.to_json())
    }

    /// Claims of `alice` of `acme`, good for an hour, with no limits.
    #[must_use]
    pub fn claims(&self) -> Claims {
        let now = now();
        Claims {
            iss: DEFAULT_ISSUER.to_owned(),
            aud: "bulkhead".to_owned(),
            sub: "alice".to_owned(),
            jti: jti(),
            issued_at: now,
            not_before: None,
            expires_at: now.plus(Millis::from_secs(3600)),
            org: Some("acme".to_owned()),
            team: Some("ml".to_owned()),
            project: None,
            tags: BTreeMap::new(),
            routing: None,
            quality: None,
            grants: Grants::default(),
        }
    }

    /// A token with these claims, changed as wished.
    ///
    /// # Errors
    /// The claims cannot be minted.
    pub fn token(&self, change: impl FnOnce(&mut Claims)) -> Result<String> {
        let mut claims = self.claims();
        change(&mut claims);
        Ok(bh_token::mint(&self.key, Self::KID, &claims)?)
    }

    /// A token without limits of its own.
    ///
    /// # Errors
    /// As [`Issuer::token`].
    pub fn plain(&self) -> Result<String> {
        self.token(|_| ())
    }

    /// A token that may see every amount and ask for explanations.
    ///
    /// # Errors
    /// As [`Issuer::token`].
    pub fn explain(&self) -> Result<String> {
        self.token(|claims| claims.grants.roles = Some(vec!["explain".to_owned()]))
    }

    /// A token for the admin plane.
    ///
    /// # Errors
    /// As [`Issuer::token`].
    pub fn admin(&self) -> Result<String> {
        self.token(|claims| claims.aud = bh_token::admin_audience("bulkhead"))
    }

    /// Narrows a certificate with its holder's key.
    ///
    /// # Errors
    /// The child would break a rule.
    pub fn narrow(&self, parent: &str, holder: &SigningKey, grants: Grants) -> Result<String> {
        let now = now();
        let child = ChildClaims { jti: jti(), not_before: None, expires_at: now.plus(Millis::from_secs(600)), grants };
        Ok(bh_token::narrow(parent, holder, &child, now)?)
    }
}

/// A hard budget with strict holds, over all time.
#[must_use]
pub const fn budget(usd: NanoUsd) -> TokenBudget {
    TokenBudget { usd, window: Window::Total, mode: BudgetMode::Hard, hold: HoldMode::Strict }
}

fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Unique among the tests of this machine.
fn jti() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}
