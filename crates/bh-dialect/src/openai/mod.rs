//! The OpenAI chat completions dialect, and the habits of the providers that copy it.

mod answer;
mod error;
mod facts;
mod lists;
mod messages;
mod parts;
mod prompt;
mod request_decode;
mod request_encode;
mod scan;
mod stream_in;
mod stream_out;
mod strict_schema;
#[cfg(test)]
mod tests;
mod thoughts;
mod usage;

pub(crate) use answer::{decode_answer, encode_answer};
pub(crate) use error::{classify, error_body, stream_error};
pub(crate) use facts::{StreamTap, answer_facts};
pub(crate) use lists::{model_body, models_body};
pub(crate) use request_decode::{decode_request, said_elsewhere};
pub(crate) use request_encode::encode_request;
pub(crate) use scan::scan;
pub(crate) use stream_in::StreamDecoder;
pub(crate) use stream_out::StreamEncoder;

use crate::{Capability, Dialect, Unsupported};

/// See [`crate::keep_alive`].
pub(crate) const KEEP_ALIVE: &[u8] = b": ping\n\n";

/// Something of a request without which it would mean something else, and which this dialect cannot say.
fn refusal(field: impl Into<String>, capability: Capability) -> Unsupported {
    crate::report::refusal(Dialect::OpenAiChat, field, capability)
}
