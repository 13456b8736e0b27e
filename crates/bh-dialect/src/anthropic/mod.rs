//! The Anthropic messages dialect.

mod answer;
mod error;
mod lists;
mod request_decode;
mod request_encode;
mod scan;
mod stream_in;
mod stream_out;
#[cfg(test)]
mod tests;
mod thinking;
mod turns;
mod usage;

pub(crate) use answer::{answer_facts, decode_answer, encode_answer};
pub(crate) use error::{classify, error_body, stream_error};
pub(crate) use lists::{count_tokens_body, model_body, models_body};
pub(crate) use request_decode::{decode_request, said_elsewhere};
pub(crate) use request_encode::encode_request;
pub(crate) use scan::scan;
pub(crate) use stream_in::{StreamDecoder, StreamTap};
pub(crate) use stream_out::StreamEncoder;

use crate::{Capability, Dialect, Unsupported};

/// See [`crate::keep_alive`].
pub(crate) const KEEP_ALIVE: &[u8] = b"event: ping\ndata: {\"type\": \"ping\"}\n\n";

/// Something of a request without which it would mean something else, and which this dialect cannot say.
fn refusal(field: impl Into<String>, capability: Capability) -> Unsupported {
    crate::report::refusal(Dialect::AnthropicMessages, field, capability)
}
