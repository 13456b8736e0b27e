//! Wire formats to and from the provider-free conversation of `bh-chat`, and the framing of their streams.
//!
//! It knows bytes only: no HTTP client or server, no clock, no prices, no routes. Two ways lead through it:
//!
//! * **The same dialect on both sides.** [`scan`] reads a request once, strictly, without building a tree;
//!   [`splice`] changes the few fields the gateway must set and leaves every other byte alone; answers pass as they
//!   came while [`AnswerFacts`] are read beside them.
//! * **Across dialects.** [`decode_request`] and [`encode_request`] go through [`bh_chat::Request`]; answers through
//!   [`bh_chat::Answer`], streams through [`bh_chat::Event`]. What the target cannot say is reported by name.

mod answer;
mod anthropic;
mod error;
mod fields;
mod instant;
mod openai;
mod options;
mod report;
mod scan;
mod sse;
mod stream;
mod strict;
mod wait;
mod write;

pub use answer::{AnswerFacts, answer};
pub use error::{Capability, DecodeError, ModelCard, Unsupported, WireError};
pub use options::{AnswerOptions, Edits, EncodeOptions, Encoded, LimitField, OnUnsupported, ThinkingForm};
pub use scan::{Needs, Scan, splice};
pub use sse::{SseEvent, SseParser, TooLarge};
pub use stream::AnswerStream;

use bh_chat::{Fault, Request};

/// A wire format this crate reads and writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// `POST /v1/chat/completions` as OpenAI defines it and many providers copy it.
    OpenAiChat,
    /// `POST /v1/messages` as Anthropic defines it.
    AnthropicMessages,
}

impl Dialect {
    /// The spelling used in records, metrics and messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Dialect::OpenAiChat => "openai_chat",
            Dialect::AnthropicMessages => "anthropic_messages",
        }
    }
}

/// Reads what the gateway must know of a request, in one strict pass over its bytes.
///
/// # Errors
/// The body is not strict JSON (UTF-8, no duplicate or look-alike keys, nesting within
/// [`bh_base::limits::JSON_DEPTH_MAX`], nothing after it) or a field the gateway reads has the wrong form.
pub fn scan(dialect: Dialect, body: &[u8]) -> Result<Scan, DecodeError> {
    match dialect {
        Dialect::OpenAiChat => openai::scan(body),
        Dialect::AnthropicMessages => anthropic::scan(body),
    }
}

/// Reads a whole request into the conversation. Nothing is lost: what has no place there travels as extras.
///
/// # Errors
/// As [`scan`], and for any field whose form the dialect does not allow.
pub fn decode_request(dialect: Dialect, body: &[u8]) -> Result<Request, DecodeError> {
    match dialect {
        Dialect::OpenAiChat => openai::decode_request(body),
        Dialect::AnthropicMessages => anthropic::decode_request(body),
    }
}

/// Writes a request in `target`; `from` is the dialect it was decoded from and tells whose the extras are.
///
/// # Errors
/// The request asks for something `target` cannot express and that changes the answer (content, server tools), or,
/// under [`OnUnsupported::Reject`], any parameter it has no place for.
pub fn encode_request(
    target: Dialect,
    from: Dialect,
    request: &Request,
    options: &EncodeOptions,
) -> Result<Encoded, Unsupported> {
    match target {
        Dialect::OpenAiChat => openai::encode_request(from, request, options),
        Dialect::AnthropicMessages => anthropic::encode_request(from, request, options),
    }
}

/// Classifies a provider's refusal from its status, headers (looked up by lower-case name) and body.
#[must_use]
pub fn classify(dialect: Dialect, status: u16, headers: &dyn Fn(&str) -> Option<String>, body: &[u8]) -> Fault {
    match dialect {
        Dialect::OpenAiChat => openai::classify(status, headers, body),
        Dialect::AnthropicMessages => anthropic::classify(status, headers, body),
    }
}

/// The body of an error answer.
#[must_use]
pub fn error_body(dialect: Dialect, error: &WireError) -> Vec<u8> {
    match dialect {
        Dialect::OpenAiChat => openai::error_body(error),
        Dialect::AnthropicMessages => anthropic::error_body(error),
    }
}

/// An error inside a stream, framing included; the stream ends after it.
#[must_use]
pub fn stream_error(dialect: Dialect, error: &WireError) -> Vec<u8> {
    match dialect {
        Dialect::OpenAiChat => openai::stream_error(error),
        Dialect::AnthropicMessages => anthropic::stream_error(error),
    }
}

/// Bytes that may stand between two events of a stream and mean nothing.
#[must_use]
pub const fn keep_alive(dialect: Dialect) -> &'static [u8] {
    match dialect {
        Dialect::OpenAiChat => openai::KEEP_ALIVE,
        Dialect::AnthropicMessages => anthropic::KEEP_ALIVE,
    }
}

/// The body of `GET /v1/models`.
#[must_use]
pub fn models_body(dialect: Dialect, cards: &[ModelCard]) -> Vec<u8> {
    match dialect {
        Dialect::OpenAiChat => openai::models_body(cards),
        Dialect::AnthropicMessages => anthropic::models_body(cards),
    }
}

/// The body of `GET /v1/models/{id}`.
#[must_use]
pub fn model_body(dialect: Dialect, card: &ModelCard) -> Vec<u8> {
    match dialect {
        Dialect::OpenAiChat => openai::model_body(card),
        Dialect::AnthropicMessages => anthropic::model_body(card),
    }
}

/// The body of an answer to `POST /v1/messages/count_tokens`.
#[must_use]
pub fn count_tokens_body(input_tokens: u64) -> Vec<u8> {
    anthropic::count_tokens_body(input_tokens)
}
