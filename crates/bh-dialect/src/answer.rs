//! Whole answers: passed on or translated, with their facts read beside.

use bh_base::Usage;
use bh_chat::{Fault, Finish};
use bytes::Bytes;

use crate::{AnswerOptions, Dialect, anthropic, openai};

/// What the gateway must know of an answer, whichever way it went.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AnswerFacts {
    /// The provider's id of it; empty when it has none.
    pub id: String,
    /// The provider's name of the model; empty when it says none.
    pub model: String,
    /// What it used, as the provider says.
    pub usage: Option<Usage>,
    /// Why the first choice ended.
    pub finish: Option<Finish>,
    /// How many choices it has.
    pub choices: u32,
    /// Bytes of text, reasoning and tool arguments, for an estimate when usage is missing.
    pub text_bytes: u64,
    /// The service tier that served it, where the provider says.
    pub service_tier: Option<String>,
}

/// Turns a provider's plain (not streamed) answer of status 200 into the client's: the very same bytes when the
/// dialects agree, a translation otherwise.
///
/// # Errors
/// The body is not an answer of `from`, or it is an error in spite of its status.
pub fn answer(
    from: Dialect,
    to: Dialect,
    body: &Bytes,
    options: &AnswerOptions,
) -> Result<(Bytes, AnswerFacts), Fault> {
    let facts = match from {
        Dialect::OpenAiChat => openai::answer_facts(body)?,
        Dialect::AnthropicMessages => anthropic::answer_facts(body)?,
    };
    if from == to {
        return Ok((body.clone(), facts));
    }
    let decoded = match from {
        Dialect::OpenAiChat => openai::decode_answer(body)?,
        Dialect::AnthropicMessages => anthropic::decode_answer(body)?,
    };
    let bytes = match to {
        Dialect::OpenAiChat => openai::encode_answer(&decoded, options),
        Dialect::AnthropicMessages => anthropic::encode_answer(&decoded, options),
    };
    Ok((Bytes::from(bytes), facts))
}
