//! What went wrong at a provider, in one vocabulary.

/// The kinds of failure that lead to different actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultClass {
    /// The request is wrong for this provider and would be again (400, 404, 413, 415, 422).
    BadRequest,
    /// The provider does not know the model.
    ModelNotFound,
    /// The prompt is longer than the model reads.
    ContextTooLong,
    /// A filter of the provider declined the request.
    ContentBlocked,
    /// Our credential was refused (401, 403): quarantine the key.
    Credential,
    /// Our account at the provider has no money or quota left: cool the key for long.
    QuotaExhausted,
    /// Too many requests or tokens (429): cool the key.
    RateLimited,
    /// The provider is overloaded (503, 529).
    Overloaded,
    /// The provider failed (other 5xx).
    ServerError,
    /// No connection could be made; nothing was sent.
    Connect,
    /// A deadline passed: response headers, first token, idle or total.
    Timeout,
    /// The answer broke off before its terminal event.
    Cut,
    /// The answer is not what the dialect allows (an HTML page, broken JSON, an event too large).
    Malformed,
}

/// A failure, ready to be classified, shown and recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What it leads to.
    pub class: FaultClass,
    /// The provider's HTTP status, where one arrived.
    pub status: Option<u16>,
    /// The provider's own word for it (`error.type`).
    pub kind: Option<String>,
    /// The provider's own code (`error.code`).
    pub code: Option<String>,
    /// The request field it names, where it does.
    pub param: Option<String>,
    /// The provider's message, verbatim.
    pub message: String,
    /// How long the provider asks us to wait, in milliseconds.
    pub retry_after_ms: Option<u64>,
}

impl Fault {
    /// A failure of which only class and message are known.
    #[must_use]
    pub fn new(class: FaultClass, message: impl Into<String>) -> Self {
        Fault {
            class,
            status: None,
            kind: None,
            code: None,
            param: None,
            message: message.into(),
            retry_after_ms: None,
        }
    }
}

impl FaultClass {
    /// The spelling used in records and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            FaultClass::BadRequest => "bad_request",
            FaultClass::ModelNotFound => "model_not_found",
            FaultClass::ContextTooLong => "context_too_long",
            FaultClass::ContentBlocked => "content_blocked",
            FaultClass::Credential => "credential",
            FaultClass::QuotaExhausted => "quota_exhausted",
            FaultClass::RateLimited => "rate_limited",
            FaultClass::Overloaded => "overloaded",
            FaultClass::ServerError => "server_error",
            FaultClass::Connect => "connect",
            FaultClass::Timeout => "timeout",
            FaultClass::Cut => "cut",
            FaultClass::Malformed => "malformed",
        }
    }
}
