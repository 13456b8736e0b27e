//! The frozen state one request reads: whatever changes later, the request finishes on the view it began with.

use std::collections::HashMap;
use std::sync::Arc;

use bh_base::Millis;
use bh_catalog::Catalog;
use bh_dialect::{Dialect, LimitField, OnUnsupported};
use bh_policy::Routes;
use bh_token::{KeySet, Revocations};

/// Everything a request decides by. Swapped whole; never changed in place.
#[derive(Debug)]
pub struct View {
    /// Names the configuration in records and explanations: the hash of its text.
    pub config_version: Arc<str>,
    /// Issuer keys; their revision is part of the verified-token cache's key.
    pub keys: Arc<KeySet>,
    /// Revoked tokens, looked at on every request.
    pub revocations: Arc<Revocations>,
    /// The audience data-plane tokens must name; admin tokens name `<audience>/admin`.
    pub audience: Arc<str>,
    /// Models, prices and capabilities.
    pub catalog: Arc<Catalog>,
    /// Routes, targets and aliases.
    pub routes: Arc<Routes>,
    /// What happens to parameters a target has no place for, by the route's place in the configuration; a request
    /// without a route warns.
    pub on_unsupported: Vec<OnUnsupported>,
    /// What the pipeline must know of each provider, by id.
    pub providers: HashMap<Arc<str>, ProviderFacts>,
    /// Settings of the data plane.
    pub settings: Settings,
}

/// What the pipeline must know of a provider.
#[derive(Debug, Clone)]
pub struct ProviderFacts {
    /// Its kind, as the catalog names providers.
    pub kind: Arc<str>,
    /// The dialect it speaks.
    pub dialect: Dialect,
    /// Where it takes the limit of answer tokens.
    pub limit_field: LimitField,
    /// Deadlines of its answers' bodies; connect and header deadlines are the edge's.
    pub deadlines: Deadlines,
}

/// Deadlines while an answer is read. Zero means none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// From the call to the first content of a stream.
    pub first_token: Millis,
    /// Between two pieces of a body.
    pub idle: Millis,
    /// From the call to the end of the body. Streams are exempt unless it is set.
    pub total: Millis,
}

/// Settings of the data plane, checked where the configuration is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Largest request body, in bytes.
    pub body_bytes_max: usize,
    /// Longest wait for rights in flight before a request is refused.
    pub budget_wait: Millis,
    /// The status that says a budget is exhausted: 402, or 429 for clients that only back off on that.
    pub budget_exhausted_status: u16,
    /// Silence after which a stream gets a keep-alive.
    pub keepalive: Millis,
    /// Longest time a client may leave a full queue unread before its stream is given up.
    pub write_stall: Millis,
    /// Whether records carry commitments to the bodies.
    pub commit_bodies: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            body_bytes_max: bh_base::limits::BODY_BYTES_MAX_DEFAULT,
            budget_wait: Millis(50),
            budget_exhausted_status: 402,
            keepalive: Millis(15_000),
            write_stall: Millis(30_000),
            commit_bodies: true,
        }
    }
}
