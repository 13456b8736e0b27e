//! What the pipeline needs from the edges: a provider to call, a place for evidence, a place for durable ceilings,
//! ears for what happened. Each has a real edge and a scripted one in tests; `bulkhead` introduces them.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bh_audit::RecordBody;
use bh_base::{Millis, NanoUsd, RequestId, Usage};
use bh_chat::Fault;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

/// A future the pipeline can hold without knowing who made it.
pub type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What is asked of a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// An answer to a conversation, in the provider's own dialect.
    Chat,
    /// The prompt tokens of an Anthropic messages request; costs nothing.
    CountTokens,
}

/// One attempt, ready to be sent. The edge adds the address and the credential, which the pipeline never sees.
#[derive(Debug, Clone)]
pub struct Call {
    /// The provider's id in the configuration.
    pub provider: Arc<str>,
    /// Which of the provider's keys, by its place in the configuration.
    pub key: usize,
    /// What is asked.
    pub op: Op,
    /// Headers of the client that this provider's dialect forwards, and `traceparent`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body in the provider's dialect.
    pub body: Bytes,
    /// The model as the provider knows it.
    pub model: Arc<str>,
    /// Whether a stream was asked for.
    pub stream: bool,
}

/// A provider's answer once its headers arrived.
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Headers as they came.
    pub headers: HeaderMap,
    /// The body, read as it arrives. Dropping it cancels the call.
    pub body: Box<dyn AnswerBody>,
}

/// A body that arrives in pieces.
pub trait AnswerBody: Send {
    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// `FaultClass::Cut` when the connection broke before the end.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Fault>>>;
}

/// Calls providers. Enforces the connect and response-header deadlines; the pipeline enforces those of the body.
pub trait Upstream: Send + Sync + 'static {
    /// Sends one attempt and waits for the response headers.
    ///
    /// # Errors
    /// `FaultClass::Connect` when nothing was sent, `FaultClass::Timeout` when the headers stayed away,
    /// `FaultClass::Cut` when the connection broke after something was sent.
    fn call(&self, call: Call) -> Boxed<Result<Response, Fault>>;

    /// Takes our secrets and hosts of this provider out of a text it sent, before anyone sees it.
    fn scrub(&self, provider: &str, text: &mut Vec<u8>);
}

/// Why evidence cannot be kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecorderFault {
    /// The disk failed, is full, or is slower than allowed.
    #[error("the audit spool cannot take records")]
    Unavailable,
    /// The node is closing.
    #[error("the audit spool is closed")]
    Closed,
}

/// What a queued record still needs.
pub enum Durable {
    /// The mode is relaxed: the record reaches the disk within 10 ms and nobody waits.
    Queued,
    /// The mode is strict: resolves once the record is on disk.
    Waiting(Boxed<Result<(), RecorderFault>>),
}

/// Keeps evidence.
pub trait Recorder: Send + Sync + 'static {
    /// Queues one record, in order.
    ///
    /// # Errors
    /// In strict mode when the record cannot be kept; in relaxed mode a lost record becomes part of a Gap instead.
    fn append(&self, now: Millis, body: RecordBody) -> Result<Durable, RecorderFault>;

    /// Whether a new request may start: false while strict evidence could not be kept.
    fn ready(&self) -> bool;
}

/// Keeps ceilings: what a restart must count as spent.
pub trait CeilingStore: Send + Sync + 'static {
    /// Writes a ceiling and calls `done` once it survives a crash (true), or when it could not be written (false).
    /// Returns at once; `done` may run on any thread and must not block.
    fn persist(&self, ceiling: bh_ledger::Ceiling, done: Box<dyn FnOnce(bool) + Send>);
}

/// Where a request stands in a distributed trace (W3C Trace Context).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    /// The trace: the client's, or the request id's 16 bytes.
    pub trace_id: [u8; 16],
    /// The client's span, where it sent one.
    pub parent: Option<[u8; 8]>,
    /// This request's span.
    pub span_id: [u8; 8],
    /// Whether the client asked for sampling; `None` when it sent no trace.
    pub sampled: Option<bool>,
}

/// One finished attempt, for metrics and traces.
#[derive(Debug, Clone)]
pub struct AttemptFacts<'a> {
    /// The provider's id.
    pub provider: &'a str,
    /// The target's model.
    pub model: &'a str,
    /// `ok`, or the class of the failure, or `client_gone`.
    pub outcome: &'static str,
    /// The provider's HTTP status, where one arrived.
    pub status: Option<u16>,
    /// When it began.
    pub began: Millis,
    /// How long it took, in microseconds.
    pub took_us: u64,
    /// The span of the attempt, which the provider saw as its parent.
    pub span_id: [u8; 8],
}

/// One finished request that reached a provider, for metrics, logs and traces.
#[derive(Debug, Clone)]
pub struct RequestFacts<'a> {
    /// The request.
    pub request: RequestId,
    /// Its trace.
    pub trace: Trace,
    /// The route's path.
    pub route: &'static str,
    /// The provider that answered, or that was tried last.
    pub provider: &'a str,
    /// The kind of that provider.
    pub kind: &'a str,
    /// The target's model.
    pub model: &'a str,
    /// The model the client asked for.
    pub asked: &'a str,
    /// The model the provider said it was; empty when it said nothing.
    pub answered: &'a str,
    /// Whether a stream was asked for.
    pub stream: bool,
    /// The client's HTTP status.
    pub status: u16,
    /// `ok`, `client_gone`, or the error code the client saw.
    pub outcome: &'a str,
    /// Why the model stopped, where it said.
    pub finish: Option<&'a str>,
    /// The attempts, in order.
    pub attempts: &'a [AttemptFacts<'a>],
    /// The caller's organisation, or empty.
    pub org: &'a str,
    /// The caller's team, or empty.
    pub team: &'a str,
    /// What it used.
    pub usage: Usage,
    /// What it cost.
    pub cost: NanoUsd,
    /// When it began.
    pub began: Millis,
    /// From the first byte of the request to the last of the answer, in microseconds.
    pub total_us: u64,
    /// The part of that spent in the gateway before a provider was first called, in microseconds.
    pub overhead_us: u64,
    /// From the request to the first content of a stream, in microseconds; `None` when there was none.
    pub first_token_us: Option<u64>,
}

/// A request that was refused before any provider was asked.
#[derive(Debug, Clone)]
pub struct RefusedFacts<'a> {
    /// The request.
    pub request: RequestId,
    /// Its trace.
    pub trace: Trace,
    /// The route's path.
    pub route: &'static str,
    /// The client's HTTP status.
    pub status: u16,
    /// The error code the client saw.
    pub code: &'a str,
    /// When it began.
    pub began: Millis,
    /// How long it took, in microseconds.
    pub total_us: u64,
}

/// Hears what happened. Never blocks.
pub trait Meter: Send + Sync + 'static {
    /// A request ended that reached a provider.
    fn request(&self, facts: &RequestFacts<'_>);
    /// A request was refused before any provider was asked.
    fn refused(&self, facts: &RefusedFacts<'_>);
    /// A share of a budget is spent.
    fn alert(&self, alert: &bh_ledger::Alert);
}
