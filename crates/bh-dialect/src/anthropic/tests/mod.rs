//! What the dialect promises, shown on recorded traffic and on made-up extremes.

mod answers_across;
mod requests;
mod requests_across;
mod streams;

use std::path::PathBuf;

use bh_chat::{Event, Finish, Part, Usage};
use bytes::BytesMut;
use serde_json::Value;

use super::{StreamDecoder, StreamEncoder};
use crate::{AnswerOptions, SseParser};

/// One recorded exchange.
pub(super) struct Recording {
    pub(super) name: String,
    pub(super) request: Value,
    pub(super) response: Value,
}

/// The recordings of one API of a provider; none, and a word about it, where they are not at hand.
pub(super) fn recordings(api: &str) -> Vec<Recording> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/recordings").join(api);
    let Ok(entries) = std::fs::read_dir(&folder) else {
        println!("no recordings in {}", folder.display());
        return Vec::new();
    };
    let mut found: Vec<Recording> = entries
        .map(|entry| {
            let path = entry.expect("the folder can be listed").path();
            let text = std::fs::read_to_string(&path).expect("a recording can be read");
            let mut exchange: Value = serde_json::from_str(&text).expect("a recording is JSON");
            Recording {
                name: path.file_stem().expect("a file has a name").to_string_lossy().into_owned(),
                request: exchange["request"].take(),
                response: exchange["response"].take(),
            }
        })
        .collect();
    found.sort_by(|one, other| one.name.cmp(&other.name));
    found
}

/// The data of each event of a stream. One provider adds `[DONE]` behind the last event, which is not this dialect's.
pub(super) fn sse_data(stream: &[u8]) -> Vec<String> {
    let mut data = Vec::new();
    let mut parser = SseParser::default();
    let mut take = |event: crate::SseEvent<'_>| -> Result<(), bh_chat::Fault> {
        let text = event.data.map(|data| String::from_utf8(data.to_vec()).expect("events are text"));
        data.extend(text.filter(|text| text != "[DONE]"));
        Ok(())
    };
    parser.feed(stream, &mut take).expect("recorded events are small");
    parser.finish(&mut take).expect("recorded events are small");
    data
}

/// A stream of this dialect as the conversation's events.
pub(super) fn decode_stream(stream: &[u8]) -> Vec<Event> {
    let (mut decoder, mut events) = (StreamDecoder::default(), Vec::new());
    for data in sse_data(stream) {
        decoder.event(b"", data.as_bytes(), &mut events).expect("the stream has no error");
    }
    decoder.finish(&mut events).expect("the stream is whole");
    events
}

/// Events as a stream of this dialect.
pub(super) fn encode_stream(events: &[Event]) -> Vec<u8> {
    let mut encoder = StreamEncoder::new(&AnswerOptions::default());
    let mut out = BytesMut::new();
    events.iter().for_each(|event| encoder.event(event, &mut out));
    out.to_vec()
}

/// What a stream says when all of it is put together.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Whole {
    pub(super) parts: Vec<Part>,
    pub(super) finish: Option<Finish>,
    pub(super) usage: Option<Usage>,
    pub(super) ended: bool,
}

/// Puts events together as a client does.
pub(super) fn collect(events: &[Event]) -> Whole {
    let mut whole = Whole::default();
    for event in events {
        match event {
            Event::Open { part, begun, .. } => {
                assert_eq!(*part as usize, whole.parts.len(), "parts open in order");
                whole.parts.push(begun.clone());
            }
            Event::More { part, text: more, .. } => match &mut whole.parts[*part as usize] {
                Part::Text { text, .. }
                | Part::Thinking { text, .. }
                | Part::Refusal { text }
                | Part::ToolCall { arguments: text, .. } => text.push_str(more),
                Part::Image { .. }
                | Part::Document { .. }
                | Part::Audio { .. }
                | Part::ToolResult { .. }
                | Part::RedactedThinking { .. }
                | Part::Opaque { .. } => panic!("this part does not grow: {event:?}"),
            },
            Event::Signature { part, signature: more, .. } => {
                if let Part::Thinking { signature, .. } = &mut whole.parts[*part as usize] {
                    signature.get_or_insert_default().push_str(more);
                }
            }
            Event::Cite { part, citation, .. } => {
                if let Part::Text { citations, .. } = &mut whole.parts[*part as usize] {
                    citations.push(citation.clone());
                }
            }
            Event::Finish { finish, .. } => whole.finish = Some(finish.clone()),
            Event::Usage(usage) => whole.usage = Some(*usage),
            Event::End => whole.ended = true,
            Event::Start { .. } | Event::Close { .. } | Event::Ping => {}
            Event::Failed(fault) => panic!("{fault:?}"),
        }
    }
    whole
}

/// Texts of one kind, in order, joined.
pub(super) fn joined(parts: &[Part], pick: impl Fn(&Part) -> Option<String>) -> String {
    parts.iter().filter_map(pick).collect()
}

/// The usage of a message in buckets, worked out on the tree rather than by the code under test.
pub(super) fn expected_usage(usage: &Value) -> Usage {
    let count = |path: &str| usage.pointer(path).and_then(Value::as_u64).unwrap_or(0);
    let (writes, one_hour) =
        (count("/cache_creation_input_tokens"), count("/cache_creation/ephemeral_1h_input_tokens"));
    let thinking = count("/output_tokens_details/thinking_tokens");
    Usage {
        input_uncached: count("/input_tokens"),
        cache_read: count("/cache_read_input_tokens"),
        cache_write_5m: writes - one_hour,
        cache_write_1h: one_hour,
        output: count("/output_tokens") - thinking,
        reasoning: thinking,
        web_searches: count("/server_tool_use/web_search_requests"),
        ..Usage::default()
    }
}
