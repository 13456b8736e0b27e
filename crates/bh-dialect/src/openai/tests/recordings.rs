//! Every recorded exchange of a provider that speaks this dialect. Recordings live beside the project and are not part
//! of it; without them these tests say so and pass.

use std::path::PathBuf;

use bh_base::Overheads;
use bh_chat::{Choice, Event, Part, Usage};
use bytes::{Bytes, BytesMut};
use serde_json::Value;

use crate::openai::{self, StreamDecoder, StreamEncoder};
use crate::{
    AnswerOptions, AnswerStream, Dialect, EncodeOptions, LimitField, answer, decode_request, encode_request, scan,
};

const CHAT: Dialect = Dialect::OpenAiChat;

struct Recording {
    name: String,
    request: Value,
    status: u64,
    body: Value,
    stream: Option<String>,
}

fn recordings() -> Vec<Recording> {
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/recordings"));
    let Ok(providers) = std::fs::read_dir(&root) else {
        println!("no recordings at {}: nothing to check", root.display());
        return Vec::new();
    };
    let mut found = Vec::new();
    for provider in providers.flatten() {
        for api in ["chat_completions", "openai_compat_chat"] {
            let Ok(files) = std::fs::read_dir(provider.path().join(api)) else { continue };
            for file in files.flatten().map(|file| file.path()) {
                let mut value: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
                found.push(Recording {
                    name: file.strip_prefix(&root).unwrap().display().to_string(),
                    request: value["request"]["body"].take(),
                    status: value["response"]["status"].as_u64().unwrap(),
                    stream: value["response"]["sse"].as_str().map(str::to_owned),
                    body: value["response"]["body"].take(),
                });
            }
        }
    }
    found
}

/// A stream's bytes in pieces of growing size.
fn pieces(stream: &str) -> impl Iterator<Item = &[u8]> {
    let mut rest = stream.as_bytes();
    let mut sizes = (1..).cycle();
    std::iter::from_fn(move || {
        let at = rest.len().min(sizes.next()? % 97 + 1);
        let (piece, tail) = rest.split_at(at);
        rest = tail;
        (!piece.is_empty()).then_some(piece)
    })
}

#[test]
fn requests_survive_decode_and_encode_with_no_field_lost() {
    for recording in recordings() {
        let Some(fields) = recording.request.as_object() else { continue };
        let body = recording.request.to_string();
        scan(CHAT, body.as_bytes()).unwrap_or_else(|error| panic!("{}: {error}", recording.name));
        let request =
            decode_request(CHAT, body.as_bytes()).unwrap_or_else(|error| panic!("{}: {error}", recording.name));
        let old = fields.get("max_tokens").is_some_and(|value| !value.is_null());
        let limit_field = if old { LimitField::MaxTokens } else { LimitField::MaxCompletionTokens };
        let options = EncodeOptions { model: request.model.clone(), limit_field, ..EncodeOptions::default() };
        let encoded = encode_request(CHAT, CHAT, &request, &options).unwrap();
        let written: Value = serde_json::from_slice(&encoded.body).unwrap();
        assert_eq!(written, recording.request, "{}", recording.name);
        assert_eq!(encoded.warnings, [], "{}", recording.name);
    }
}

#[test]
fn the_bound_of_a_prompt_is_above_what_was_billed() {
    // Modest allowances; the catalog's own are measured per model.
    let modest = Overheads {
        base: 16,
        per_message: 16,
        tool_prompt: 600,
        per_tool: 100,
        per_feature: 400,
        per_image: Some(3000),
        non_ascii_growth: 1,
    };
    let mut bounded = 0;
    for recording in recordings().iter().filter(|recording| recording.request.is_object() && recording.status == 200) {
        let billed = match &recording.stream {
            Some(stream) => chunks(stream).filter_map(|chunk| chunk["usage"]["prompt_tokens"].as_u64()).last(),
            None => recording.body["usage"]["prompt_tokens"].as_u64(),
        };
        let size = scan(CHAT, recording.request.to_string().as_bytes()).unwrap().size;
        // Other providers put instructions of their own before the prompt.
        let own = recording.name.starts_with("openai/");
        let overheads = if own { modest } else { Overheads { base: 1536, tool_prompt: 1024, ..modest } };
        if let (Some(billed), Ok(upper)) = (billed, size.tokens_upper(&overheads)) {
            bounded += 1;
            assert!(billed <= upper, "{}: {billed} billed, {upper} held, {size:?}", recording.name);
        }
    }
    println!("{bounded} prompts were bounded");
}

#[test]
fn plain_answers_pass_untouched_with_the_recorded_usage() {
    for recording in recordings() {
        if recording.status != 200 || !recording.body.is_object() {
            continue;
        }
        let body = Bytes::from(recording.body.to_string());
        let (passed, facts) = answer(CHAT, CHAT, &body, &AnswerOptions::default()).expect(&recording.name);
        assert_eq!(passed, body, "{}", recording.name);
        assert_eq!(facts.id, recording.body["id"].as_str().unwrap_or_default(), "{}", recording.name);
        let usage = &recording.body["usage"];
        let total = usage["total_tokens"].as_u64();
        assert_eq!(facts.usage.map(|usage| usage.total_tokens()), total, "{}", recording.name);
        assert_eq!(
            facts.usage.map(|usage| usage.prompt_tokens()),
            usage["prompt_tokens"].as_u64(),
            "{}",
            recording.name
        );
    }
}

#[test]
fn a_plain_answer_says_the_same_after_decode_and_encode() {
    for recording in recordings() {
        if recording.status != 200 || !recording.body.is_object() {
            continue;
        }
        let mut first = openai::decode_answer(recording.body.to_string().as_bytes()).expect(&recording.name);
        // Calls of custom tools have no place in the conversation; requests that declare them stay in their dialect.
        first.choices.iter_mut().for_each(|choice| choice.parts.retain(|part| !matches!(part, Part::Opaque { .. })));
        let bytes = openai::encode_answer(&first, &AnswerOptions::default());
        let second = openai::decode_answer(&bytes).expect(&recording.name);
        assert_eq!(second.usage, first.usage, "{}", recording.name);
        assert_eq!((&second.id, &second.model), (&first.id, &first.model), "{}", recording.name);
        let said = |choices: &[Choice]| {
            choices.iter().map(|one| (Said::of(&one.parts), one.finish.clone())).collect::<Vec<_>>()
        };
        assert_eq!(said(&second.choices), said(&first.choices), "{}", recording.name);
    }
}

#[test]
fn streams_pass_byte_for_byte_but_for_unasked_usage() {
    for recording in recordings() {
        let Some(stream) = recording.stream.as_deref().filter(|_| recording.status == 200) else { continue };
        for client_wants_usage in [true, false] {
            let options = AnswerOptions { client_wants_usage, ..AnswerOptions::default() };
            let mut through = AnswerStream::new(CHAT, CHAT, options);
            let mut out = BytesMut::new();
            let ended = pieces(stream)
                .try_for_each(|piece| through.push(piece, &mut out))
                .and_then(|()| through.finish(&mut out));
            if recording.name.contains("midstream_error") {
                assert!(ended.is_err(), "{}", recording.name);
                continue;
            }
            ended.unwrap_or_else(|fault| panic!("{}: {fault:?}", recording.name));
            assert!(through.terminal() && through.started() && through.has_content(), "{}", recording.name);
            let expected = if client_wants_usage { stream.to_owned() } else { without_usage_chunks(stream) };
            assert_eq!(str::from_utf8(&out).unwrap(), expected, "{}", recording.name);
            assert_eq!(
                through.facts().usage.map(|usage| usage.total_tokens()),
                last_total(stream),
                "{}",
                recording.name
            );
        }
    }
}

#[test]
fn a_stream_says_the_same_after_decode_and_encode() {
    for recording in recordings() {
        let Some(stream) = recording.stream.as_deref().filter(|_| recording.status == 200) else { continue };
        if recording.name.contains("midstream_error") {
            continue;
        }
        let events = decode(stream);
        let mut encoder = StreamEncoder::new(&AnswerOptions { client_wants_usage: true, ..AnswerOptions::default() });
        let mut out = BytesMut::new();
        events.iter().for_each(|event| encoder.event(event, &mut out));
        let again = decode(str::from_utf8(&out).unwrap());
        assert_eq!(Told::of(&again), Told::of(&events), "{}", recording.name);
        let raw = raw_text(stream);
        assert_eq!(Told::of(&events).said.text, raw, "{}", recording.name);
    }
}

fn decode(stream: &str) -> Vec<Event> {
    let mut decoder = StreamDecoder::default();
    let mut events = Vec::new();
    crate::SseParser::default()
        .feed(stream.as_bytes(), |event| match event.data {
            Some(data) => decoder.event(event.name, data, &mut events),
            None => Ok(()),
        })
        .unwrap();
    decoder.finish(&mut events).unwrap();
    events
}

fn chunks(stream: &str) -> impl Iterator<Item = Value> {
    stream.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data:")?).ok())
}

fn last_total(stream: &str) -> Option<u64> {
    chunks(stream).filter_map(|chunk| chunk["usage"]["total_tokens"].as_u64()).last()
}

fn without_usage_chunks(stream: &str) -> String {
    let hidden = |block: &str| {
        chunks(block).any(|chunk| chunk["usage"].is_object() && chunk["choices"].as_array().is_some_and(Vec::is_empty))
    };
    stream.split_inclusive("\n\n").filter(|block| !hidden(block)).collect()
}

/// All text of the first choice, read off the chunks by themselves.
fn raw_text(stream: &str) -> String {
    let mut text = String::new();
    for chunk in chunks(stream) {
        let Some(choice) = chunk["choices"].as_array().and_then(|list| list.iter().find(|one| one["index"] == 0))
        else {
            continue;
        };
        let content = &choice["delta"]["content"];
        text.push_str(content.as_str().unwrap_or_default());
        for part in content.as_array().into_iter().flatten() {
            text.push_str(part["text"].as_str().unwrap_or_default());
        }
    }
    text
}

/// What a list of parts says, however it is cut.
#[derive(Debug, Default, PartialEq)]
struct Said {
    text: String,
    refusal: String,
    thinking: String,
    calls: Vec<(String, String, Value)>,
}

/// What a stream says.
#[derive(Debug, Default, PartialEq)]
struct Told {
    said: Said,
    finish: Vec<bh_chat::Finish>,
    usage: Option<Usage>,
    ends: usize,
}

impl Said {
    fn of(parts: &[Part]) -> Self {
        let mut said = Said::default();
        for part in parts {
            match part {
                Part::Text { text, .. } => said.text.push_str(text),
                Part::Refusal { text } => said.refusal.push_str(text),
                Part::Thinking { text, .. } => said.thinking.push_str(text),
                Part::ToolCall { id, name, arguments, .. } => {
                    // Nothing at all is an object without members.
                    let text = if arguments.is_empty() { "{}" } else { arguments };
                    let arguments = serde_json::from_str(text).unwrap_or(Value::String(text.to_owned()));
                    said.calls.push((id.clone(), name.clone(), arguments));
                }
                Part::Image { .. }
                | Part::Document { .. }
                | Part::Audio { .. }
                | Part::ToolResult { .. }
                | Part::RedactedThinking { .. }
                | Part::Opaque { .. } => panic!("unexpected {part:?}"),
            }
        }
        said
    }
}

impl Told {
    /// Follows the events of the first choice by the rules every decoder keeps: parts open once, grow while open, and close.
    fn of(events: &[Event]) -> Self {
        let mut parts: Vec<(Part, bool)> = Vec::new();
        let mut told = Told::default();
        for event in events {
            assert_eq!(told.ends, 0, "something follows the end");
            match event {
                Event::Open { choice: 1.., .. }
                | Event::More { choice: 1.., .. }
                | Event::Close { choice: 1.., .. } => {}
                Event::Open { part, begun, .. } => {
                    assert_eq!(*part as usize, parts.len(), "parts open in order");
                    parts.push((begun.clone(), true));
                }
                Event::More { part, text, .. } => {
                    let (grown, open) = &mut parts[*part as usize];
                    assert!(*open);
                    if let Part::Text { text: so_far, .. }
                    | Part::Thinking { text: so_far, .. }
                    | Part::Refusal { text: so_far }
                    | Part::ToolCall { arguments: so_far, .. } = grown
                    {
                        so_far.push_str(text);
                    }
                }
                Event::Close { part, .. } => parts[*part as usize].1 = false,
                Event::Finish { finish, .. } => told.finish.push(finish.clone()),
                Event::Usage(usage) => told.usage = Some(*usage),
                Event::End => told.ends += 1,
                Event::Start { .. } | Event::Signature { .. } | Event::Cite { .. } | Event::Ping => {}
                Event::Failed(fault) => panic!("{fault:?}"),
            }
        }
        assert!(parts.iter().all(|(_, open)| !open), "every part is closed");
        told.said = Said::of(&parts.into_iter().map(|(part, _)| part).collect::<Vec<_>>());
        told
    }
}
