//! What `GET /v1/requests/{id}` says of a finished request. Kept in memory, newest first; its owner is the exact token.

use std::sync::Arc;

use bh_base::{Millis, NanoUsd, RequestId, TokenId, Usage};

use crate::gateway::Gateway;
use crate::known::Known;

/// Metadata of one finished request; never its text.
#[derive(Debug, Clone)]
pub struct RequestMeta {
    /// The request.
    pub id: RequestId,
    /// Whose.
    pub token: TokenId,
    /// What was called.
    pub op: &'static str,
    /// The model the client asked for.
    pub asked: String,
    /// The provider that answered or was tried last.
    pub provider: Arc<str>,
    /// Its model.
    pub model: Arc<str>,
    /// When it began.
    pub began: Millis,
    /// How long it took, in milliseconds.
    pub total_ms: u64,
    /// The part spent in the gateway before a provider was called, in microseconds.
    pub overhead_us: u64,
    /// To the first content of a stream, in milliseconds.
    pub first_token_ms: Option<u64>,
    /// Whether it was streamed.
    pub stream: bool,
    /// The client's HTTP status.
    pub status: u16,
    /// `ok`, `client_gone`, or the error code the client saw.
    pub outcome: &'static str,
    /// How many attempts were made.
    pub attempts: u32,
    /// What it used.
    pub usage: Usage,
    /// Whether the usage or the cost is an estimate.
    pub estimated: bool,
    /// What it cost.
    pub cost: NanoUsd,
    /// The price table.
    pub price_version: Arc<str>,
    /// The configuration that decided.
    pub config_version: Arc<str>,
    /// How the targets were chosen.
    pub decision: bh_audit::Decision,
    /// What was left out or changed for the provider.
    pub warnings: Vec<String>,
    /// The client's session, for attribution.
    pub session: Option<String>,
    /// The client's tags, for attribution.
    pub tags: Vec<String>,
}

impl Gateway {
    /// The metadata of a request of this very token; nothing for any other.
    #[must_use]
    pub fn request_meta(&self, known: &Known, id: RequestId) -> Option<Arc<RequestMeta>> {
        self.kept.get(id).filter(|meta| meta.token == known.bearer.verified.id())
    }
}
