//! The one conversation every measurement uses: a request of 430 bytes, an answer of 1,178, a stream of 50 chunks.

use std::net::SocketAddr;
use std::time::Duration;

/// Bytes of the request's body.
pub(crate) const REQUEST_BYTES: usize = 430;
/// Bytes of the plain answer's body.
pub(crate) const ANSWER_BYTES: usize = 1178;
/// Content chunks of a streamed answer.
pub(crate) const CHUNKS: u32 = 50;
/// Between two chunks.
pub(crate) const CHUNK_EVERY: Duration = Duration::from_millis(20);
/// The model asked for; in the catalog, with a price and an output limit.
pub(crate) const MODEL: &str = "gpt-4o-mini";
/// Stands before each chunk's send time in the stream.
pub(crate) const SENT_AT: &[u8] = b"\"content\":\"t";
/// What a streaming request's body contains, so that the mock need not parse it.
pub(crate) const STREAM_MARK: &[u8] = b"\"stream\":true";
/// What it contains when it asks for usage at the end of the stream.
pub(crate) const USAGE_MARK: &[u8] = b"\"include_usage\":true";

/// The body of a request.
pub(crate) fn request_body(stream: bool) -> String {
    let mark = if stream { ",\"stream\":true" } else { "" };
    let head = format!(
        "{{\"model\":\"{MODEL}\",\"temperature\":0.2,\"max_tokens\":256{mark},\"messages\":[{{\"role\":\"system\",\
         \"content\":\"You are a helpful assistant. Answer briefly.\"}},{{\"role\":\"user\",\"content\":\""
    );
    let tail = "\"}]}";
    let words = filler(REQUEST_BYTES - head.len() - tail.len());
    format!("{head}{words}{tail}")
}

/// A whole request: what an SDK sends, without the words that change from client to client.
pub(crate) fn request(to: SocketAddr, token: &str, stream: bool) -> Vec<u8> {
    let body = request_body(stream);
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {to}\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\naccept: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// The body of the plain answer.
pub(crate) fn answer_body() -> String {
    let head = format!(
        "{{\"id\":\"chatcmpl-bench0000000000000000000000\",\"object\":\"chat.completion\",\"created\":1760000000,\
         \"model\":\"{MODEL}-2024-07-18\",\"choices\":[{{\"index\":0,\"message\":{{\"role\":\"assistant\",\"content\":\""
    );
    let tail = "\",\"refusal\":null,\"annotations\":[]},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":\
         {\"prompt_tokens\":83,\"completion_tokens\":127,\"total_tokens\":210,\"prompt_tokens_details\":\
         {\"cached_tokens\":0,\"audio_tokens\":0},\"completion_tokens_details\":{\"reasoning_tokens\":0,\
         \"audio_tokens\":0,\"accepted_prediction_tokens\":0,\"rejected_prediction_tokens\":0}},\
         \"service_tier\":\"default\",\"system_fingerprint\":\"fp_bench\"}";
    let words = filler(ANSWER_BYTES - head.len() - tail.len());
    format!("{head}{words}{tail}")
}

/// One event of the stream. `sent_at` is in nanoseconds since the epoch.
pub(crate) fn chunk(sent_at: u128) -> String {
    event(&format!(
        "\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"t{sent_at} \"}},\"logprobs\":null,\"finish_reason\":null}}]"
    ))
}

/// The end of the stream: finish reason, usage where it was asked for, and the terminal event.
pub(crate) fn stream_end(usage: bool) -> String {
    let mut end = event("\"choices\":[{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"}]");
    if usage {
        end += &event(&format!(
            "\"choices\":[],\"usage\":{{\"prompt_tokens\":83,\"completion_tokens\":{CHUNKS},\"total_tokens\":{}}}",
            83 + CHUNKS
        ));
    }
    end + "data: [DONE]\n\n"
}

fn event(rest: &str) -> String {
    format!(
        "data: {{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1760000000,\"model\":\
         \"{MODEL}-2024-07-18\",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_bench\",{rest}}}\n\n"
    )
}

fn filler(bytes: usize) -> String {
    "Say which of the two plans costs less, and why. ".chars().cycle().take(bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_have_the_sizes_that_figures_are_compared_by() {
        assert_eq!(request_body(false).len(), REQUEST_BYTES);
        assert_eq!(request_body(true).len(), REQUEST_BYTES);
        assert_eq!(answer_body().len(), ANSWER_BYTES);
    }
}
