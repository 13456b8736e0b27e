//! What the caller decides about a translation.

use crate::Unsupported;

/// What happens to a parameter the target has no place for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnUnsupported {
    /// It is left out; [`Encoded::warnings`] names it for the client to see.
    #[default]
    Warn,
    /// It is left out; [`Encoded::warnings`] names it for the record only.
    Drop,
    /// The request is refused.
    Reject,
}

/// The field in which an OpenAI-shaped provider takes the limit of answer tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LimitField {
    /// `max_completion_tokens`: OpenAI itself, whose reasoning models refuse the old name.
    #[default]
    MaxCompletionTokens,
    /// `max_tokens`: most compatible providers.
    MaxTokens,
}

impl LimitField {
    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            LimitField::MaxCompletionTokens => "max_completion_tokens",
            LimitField::MaxTokens => "max_tokens",
        }
    }
}

/// How an Anthropic-shaped model is told to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThinkingForm {
    /// `thinking.budget_tokens`: the older models.
    Budget,
    /// `thinking.type: adaptive` with `output_config.effort`: the newer models, which refuse a budget.
    Adaptive,
}

/// The changes the gateway makes to a request that stays in its dialect.
#[derive(Clone, Copy, Debug, Default)]
pub struct Edits<'a> {
    /// The provider's name of the model, where it differs from what the client wrote.
    pub model: Option<&'a str>,
    /// The limit of answer tokens: set when the client gave none, lowered when it gave more.
    pub max_output: Option<u64>,
    /// Where an absent limit is written (OpenAI only).
    pub limit_field: LimitField,
    /// Ask for usage on a stream (OpenAI only; others always say it).
    pub ask_usage: bool,
}

/// How a request is written in another dialect.
#[derive(Clone, Debug, Default)]
pub struct EncodeOptions {
    /// The provider's name of the model.
    pub model: String,
    /// The limit of answer tokens when the client gave none; Anthropic always needs one.
    pub max_output_default: Option<u64>,
    /// The highest limit of answer tokens; a larger one of the client is lowered to it.
    pub max_output_cap: Option<u64>,
    /// What happens to parameters the target has no place for.
    pub on_unsupported: OnUnsupported,
    /// Where an OpenAI-shaped target takes the limit.
    pub limit_field: LimitField,
    /// Ask for usage on a stream (OpenAI only).
    pub ask_usage: bool,
    /// The model does not reason: a wish that it should is left out and reported (OpenAI only).
    pub no_reasoning: bool,
    /// How the model is told to think (Anthropic only); `None` takes it from the model's name.
    pub thinking: Option<ThinkingForm>,
}

/// A request in another dialect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoded {
    /// Its bytes.
    pub body: Vec<u8>,
    /// What was left out, by name.
    pub warnings: Vec<Unsupported>,
}

/// What the client asked for and the answer must respect.
#[derive(Clone, Debug, Default)]
pub struct AnswerOptions {
    /// Whether the client asked for usage on its stream (OpenAI only).
    pub client_wants_usage: bool,
    /// The model, for an answer that does not name its own.
    pub model: String,
    /// The id, for an answer that has none of its own.
    pub id: String,
    /// Seconds since the Unix epoch, for an answer that does not date itself.
    pub created: u64,
}
