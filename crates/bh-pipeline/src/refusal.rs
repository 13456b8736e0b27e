//! Every way a request can end without the answer it asked for. `bh-http` gives each its status and words.

use std::sync::Arc;

use bh_base::{Millis, Unbounded};
use bh_chat::Fault;
use bh_dialect::{DecodeError, Dialect, Unsupported};
use bh_policy::Verdict;
use bh_token::TokenError;
use bytes::Bytes;

/// Why there is no answer. Each variant leads to a different status, code or next step.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refusal {
    /// No credential was sent.
    #[error("no token: send `Authorization: Bearer bh_…`, `x-api-key` or `x-goog-api-key`")]
    NoToken,
    /// The credential is not accepted.
    #[error("the token is not accepted")]
    BadToken(#[source] Box<TokenError>),
    /// A claim of the token whose feature is not built yet.
    #[error("the claim `{claim}` of this token is not built yet; mint a token without it")]
    ClaimNotBuilt {
        /// The claim.
        claim: &'static str,
    },
    /// The request cannot be read.
    #[error("the request cannot be read")]
    Unreadable(#[source] Box<DecodeError>),
    /// A header of ours has a value we do not take, or is not built yet.
    #[error("header `{name}`: {problem}")]
    Header {
        /// The header.
        name: &'static str,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// The body is larger than the node takes.
    #[error("the body is larger than {bytes_max} bytes")]
    TooLarge {
        /// The bound.
        bytes_max: usize,
    },
    /// The body did not arrive in time, or broke off.
    #[error("the body did not arrive whole")]
    BodyCut,
    /// The body is not declared as JSON.
    #[error("send `content-type: application/json`")]
    NotJson,
    /// No target can express something the request asks for.
    #[error("the request asks for something the target cannot express")]
    Unsupported(#[source] Box<Unsupported>),
    /// Nobody serves the model.
    #[error("the model `{model}` does not exist here; GET /v1/models lists what this token may call")]
    UnknownModel {
        /// The model as asked for.
        model: String,
    },
    /// Several providers serve the model and no route says which.
    #[error("the model `{model}` is served by several providers ({providers}); ask for `provider/{model}`")]
    AmbiguousModel {
        /// The model as asked for.
        model: String,
        /// Their ids, comma-separated.
        providers: String,
    },
    /// The token may not call the model.
    #[error("this token may not call the model `{model}`")]
    ModelNotAllowed {
        /// The model as asked for.
        model: String,
    },
    /// The token lacks a role.
    #[error("this needs the role `{role}`")]
    RoleMissing {
        /// The role.
        role: &'static str,
    },
    /// Nothing of that id belongs to this token.
    #[error("no such {what}")]
    NotFound {
        /// What was asked for.
        what: &'static str,
    },
    /// Too many requests, tokens or calls at once.
    #[error("a rate or concurrency limit is reached")]
    Limited(#[source] Box<bh_ledger::LimitRefusal>),
    /// No money left, or no rights at hand.
    #[error("the budget does not allow this request")]
    Budget(#[source] Box<bh_ledger::Refusal>),
    /// The cost has no upper bound and the budget is hard.
    #[error("the cost of this request has no upper bound ({}), which a hard budget with strict holds needs", why.as_str())]
    UnboundedCost {
        /// Why not.
        why: Unbounded,
    },
    /// The model has no price and the configuration says to refuse that.
    #[error("the model `{model}` has no price; set pricing.overrides or pricing.unknown")]
    Unpriced {
        /// The target's model.
        model: String,
    },
    /// Every target is out of service.
    #[error("no target of this model is available now")]
    NoTarget {
        /// When one may be again.
        retry_after: Millis,
    },
    /// Every target is at its limit of concurrent calls and its queue is full.
    #[error("every target of this model is busy")]
    Busy,
    /// The node has as many requests in flight as it takes.
    #[error("the node is at its limit of requests in flight")]
    Shedding,
    /// The node is going away.
    #[error("the node is draining")]
    Draining,
    /// Evidence cannot be kept.
    #[error("the audit record cannot be kept")]
    AuditUnavailable,
    /// A provider's own refusal of this request, or its failure inside a stream.
    #[error("the provider refused the request")]
    Provider {
        /// What it said.
        fault: Box<Fault>,
        /// Its status and body as they came, scrubbed, where the client speaks its dialect.
        raw: Option<Box<RawError>>,
    },
    /// Every target failed; the verdict over all attempts says how to tell it.
    #[error("every target failed")]
    Exhausted {
        /// The last failure.
        fault: Box<Fault>,
        /// Its status and body as they came, scrubbed, where it was throttled and the client speaks its dialect.
        raw: Option<Box<RawError>>,
        /// What all failures together amount to.
        verdict: Verdict,
        /// How many attempts were made.
        attempts: u32,
    },
    /// The request's task panicked.
    #[error("an error of the gateway itself")]
    Panicked,
}

/// A provider's error as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawError {
    /// The provider that said it.
    pub provider: Arc<str>,
    /// The dialect of the body.
    pub dialect: Dialect,
    /// Its status.
    pub status: u16,
    /// Its body, without our secrets and hosts.
    pub body: Bytes,
    /// Its content type.
    pub content_type: Option<String>,
}

impl From<TokenError> for Refusal {
    fn from(error: TokenError) -> Self {
        Refusal::BadToken(Box::new(error))
    }
}

impl From<DecodeError> for Refusal {
    fn from(error: DecodeError) -> Self {
        Refusal::Unreadable(Box::new(error))
    }
}

impl From<Unsupported> for Refusal {
    fn from(unsupported: Unsupported) -> Self {
        Refusal::Unsupported(Box::new(unsupported))
    }
}

impl From<bh_ledger::LimitRefusal> for Refusal {
    fn from(limit: bh_ledger::LimitRefusal) -> Self {
        Refusal::Limited(Box::new(limit))
    }
}

impl From<bh_ledger::Refusal> for Refusal {
    fn from(broke: bh_ledger::Refusal) -> Self {
        Refusal::Budget(Box::new(broke))
    }
}
