//! Chunks into events, and events into chunks.

use bh_chat::{Event, Finish, Part, Usage};
use bytes::BytesMut;
use serde_json::{Value, json};

use crate::AnswerOptions;
use crate::openai::{StreamDecoder, StreamEncoder};

/// The events of a stream of these deltas of one choice; the last also ends it with `finish`.
fn decode(deltas: &[Value], finish: &str) -> Vec<Event> {
    let mut decoder = StreamDecoder::default();
    let mut events = Vec::new();
    for (at, delta) in deltas.iter().enumerate() {
        let finish = (at + 1 == deltas.len()).then_some(finish);
        let chunk =
            json!({"id": "i", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
        decoder.event(b"", chunk.to_string().as_bytes(), &mut events).unwrap();
    }
    decoder.event(b"", b"[DONE]", &mut events).unwrap();
    events
}

/// Events in short: what opens, grows and closes.
fn brief(events: &[Event]) -> Vec<String> {
    let line = |event: &Event| match event {
        Event::Start { id, model, .. } => format!("start {id} {model}"),
        Event::Open { part, begun, .. } => match begun {
            Part::ToolCall { id, name, .. } => format!("open {part} call {id} {name}"),
            Part::Thinking { .. } => format!("open {part} thinking"),
            Part::RedactedThinking { data } => format!("open {part} redacted {data}"),
            Part::Refusal { .. } => format!("open {part} refusal"),
            Part::Text { .. } => format!("open {part} text"),
            Part::Image { .. }
            | Part::Document { .. }
            | Part::Audio { .. }
            | Part::ToolResult { .. }
            | Part::Opaque { .. } => panic!("unexpected {begun:?}"),
        },
        Event::More { part, text, .. } => format!("more {part} {text}"),
        Event::Signature { part, signature, .. } => format!("signature {part} {signature}"),
        Event::Close { part, .. } => format!("close {part}"),
        Event::Finish { finish, .. } => format!("finish {finish:?}"),
        Event::Usage(usage) => format!("usage {}", usage.total_tokens()),
        Event::End => "end".into(),
        Event::Cite { .. } | Event::Ping | Event::Failed(_) => panic!("unexpected {event:?}"),
    };
    events.iter().map(line).collect()
}

fn call(index: u64, id: &str, name: &str, arguments: &str) -> Value {
    json!({"tool_calls": [{"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": arguments}}]})
}

fn more(index: u64, arguments: &str) -> Value {
    json!({"tool_calls": [{"index": index, "function": {"arguments": arguments}}]})
}

#[track_caller]
fn check(deltas: &[Value], finish: &str, expected: &[&str]) {
    let events = brief(&decode(deltas, finish));
    assert_eq!(events[0], "start i m");
    assert_eq!(events[1..], *expected);
}

#[test]
fn thinking_text_and_calls_open_and_close_in_turn() {
    let deltas = [
        json!({"role": "assistant", "content": ""}),
        json!({"reasoning_content": "hm", "reasoning": "hm"}),
        json!({"content": "a"}),
        json!({"content": "b"}),
        call(0, "c", "f", ""),
        more(0, "{}"),
    ];
    let expected = [
        "open 0 thinking",
        "more 0 hm",
        "close 0",
        "open 1 text",
        "more 1 a",
        "more 1 b",
        "close 1",
        "open 2 call c f",
        "more 2 {}",
        "close 2",
        "finish ToolCalls",
        "end",
    ];
    check(&deltas, "tool_calls", &expected);
}

#[test]
fn a_call_closes_when_its_arguments_are_whole_and_stays_open_when_they_are_not() {
    let whole = [call(0, "a", "f", r#"{"x":{"#), more(0, r#""y":"}"}}"#), call(1, "b", "g", "{}")];
    let expected = [
        "open 0 call a f",
        r#"more 0 {"x":{"#,
        r#"more 0 "y":"}"}}"#,
        "close 0",
        "open 1 call b g",
        "more 1 {}",
        "close 1",
        "finish ToolCalls",
        "end",
    ];
    check(&whole, "tool_calls", &expected);
    let mixed = [call(0, "a", "f", r#"{"x":{}"#), call(1, "b", "g", "{"), more(0, "}"), more(1, "}")];
    let expected = [
        "open 0 call a f",
        r#"more 0 {"x":{}"#,
        "open 1 call b g",
        "more 1 {",
        "more 0 }",
        "more 1 }",
        "close 0",
        "close 1",
        "finish ToolCalls",
        "end",
    ];
    check(&mixed, "tool_calls", &expected);
}

#[test]
fn calls_are_told_apart_however_they_are_numbered() {
    let same_index = [call(0, "a", "f", "{}"), call(0, "b", "g", "{}")];
    let expected = [
        "open 0 call a f",
        "more 0 {}",
        "close 0",
        "open 1 call b g",
        "more 1 {}",
        "close 1",
        "finish ToolCalls",
        "end",
    ];
    // Some providers say `stop` all the same.
    check(&same_index, "stop", &expected);
    let without_id = json!({"tool_calls": [{"function": {"name": "f", "arguments": {"x": 1}}}]});
    check(
        &[without_id],
        "stop",
        &["open 0 call call_i_0 f", r#"more 0 {"x":1}"#, "close 0", "finish ToolCalls", "end"],
    );
    let nothing = json!({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": null}}]});
    check(&[nothing], "tool_calls", &["open 0 call a f", "close 0", "finish ToolCalls", "end"]);
}

#[test]
fn only_signatures_of_the_family_that_can_check_them_are_kept() {
    let detail = |fields: Value| {
        let mut detail = json!({"type": "reasoning.text", "format": "anthropic-claude-v1", "index": 0});
        detail.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        json!({"reasoning": detail["text"], "reasoning_details": [detail]})
    };
    let ours = [
        detail(json!({"text": "hm"})),
        detail(json!({"signature": "s"})),
        detail(json!({"text": "so", "index": 1})),
        detail(json!({"type": "reasoning.encrypted", "data": "x", "index": 2})),
    ];
    let expected = [
        "open 0 thinking",
        "more 0 hm",
        "signature 0 s",
        "close 0",
        "open 1 thinking",
        "more 1 so",
        "close 1",
        "open 2 redacted x",
        "close 2",
        "finish Stop",
        "end",
    ];
    check(&ours, "stop", &expected);
    let foreign = [
        detail(json!({"text": "hm", "format": "google-gemini-v1", "signature": "s"})),
        detail(json!({"type": "reasoning.encrypted", "data": "x", "format": "openai-responses-v1"})),
    ];
    check(&foreign, "stop", &["open 0 thinking", "more 0 hm", "close 0", "finish Stop", "end"]);
}

/// The chunks that events become, and whether `[DONE]` ends them.
fn encode(events: &[Event], client_wants_usage: bool) -> (Vec<Value>, bool) {
    let options = AnswerOptions { client_wants_usage, model: "asked".into(), id: "own".into(), created: 5 };
    let mut encoder = StreamEncoder::new(&options);
    let mut out = BytesMut::new();
    events.iter().for_each(|event| encoder.event(event, &mut out));
    let text = str::from_utf8(&out).unwrap();
    let data: Vec<&str> = text.split("\n\n").filter_map(|block| block.strip_prefix("data: ")).collect();
    let chunks = data.iter().filter_map(|data| serde_json::from_str(data).ok()).collect();
    (chunks, data.last() == Some(&"[DONE]"))
}

#[test]
fn events_become_chunks_with_role_first_and_one_finish_last() {
    let open = |part, begun| Event::Open { choice: 0, part, begun };
    let tool = |id: &str| Part::ToolCall { id: id.into(), name: "f".into(), arguments: String::new(), extras: vec![] };
    let grows = |part, text: &str| Event::More { choice: 0, part, text: text.into() };
    let events = [
        Event::Start { id: String::new(), model: String::new(), created: None },
        open(0, Part::Thinking { text: String::new(), signature: None, extras: vec![] }),
        grows(0, "hm"),
        Event::Signature { choice: 0, part: 0, signature: "s".into() },
        Event::Close { choice: 0, part: 0 },
        open(1, Part::text("")),
        grows(1, "hi"),
        Event::Close { choice: 0, part: 1 },
        open(2, tool("a")),
        grows(2, "{\"x\":1}"),
        Event::Close { choice: 0, part: 2 },
        open(3, tool("b")),
        Event::Close { choice: 0, part: 3 },
        Event::Ping,
        Event::Usage(Usage { input_uncached: 1, output: 2, ..Usage::default() }),
        Event::Finish { choice: 0, finish: Finish::ToolCalls },
        Event::End,
    ];
    let (chunks, done) = encode(&events, true);
    assert!(done);
    let detail = |fields: Value| {
        let mut detail = json!({"type": "reasoning.text", "format": "anthropic-claude-v1", "index": 0});
        detail.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        json!([detail])
    };
    let opens = |index: u64, id: &str| json!({"tool_calls": [{"index": index, "id": id, "type": "function", "function": {"name": "f", "arguments": ""}}]});
    let deltas = [
        json!({"role": "assistant", "content": ""}),
        json!({"reasoning_content": "hm", "reasoning_details": detail(json!({"text": "hm"}))}),
        json!({"reasoning_details": detail(json!({"signature": "s"}))}),
        json!({"content": "hi"}),
        opens(0, "a"),
        more(0, "{\"x\":1}"),
        opens(1, "b"),
        more(1, "{}"),
        json!({}),
    ];
    for (at, (chunk, delta)) in chunks.iter().zip(&deltas).enumerate() {
        let finish = (at + 1 == deltas.len()).then_some("tool_calls");
        let choice = json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish});
        let expected = json!({"id": "own", "object": "chat.completion.chunk", "created": 5, "model": "asked",
            "choices": [choice], "usage": null});
        assert_eq!(chunk, &expected, "chunk {at}");
    }
    assert_eq!(chunks.len(), deltas.len() + 1);
    let last = &chunks[deltas.len()];
    assert_eq!((&last["choices"], &last["usage"]["total_tokens"]), (&json!([]), &json!(3)));
    let (unasked, done) = encode(&events, false);
    assert!(done && unasked.len() == deltas.len() && unasked.iter().all(|chunk| chunk.get("usage").is_none()));
}

#[test]
fn an_end_says_what_kind_it_was() {
    let word = |finish: Finish, part: Part| {
        let events = [Event::Open { choice: 0, part: 0, begun: part }, Event::Finish { choice: 0, finish }];
        encode(&events, false).0.pop().unwrap()["choices"][0]["finish_reason"].as_str().unwrap().to_owned()
    };
    let text = || Part::text("x");
    assert_eq!(word(Finish::Stop, text()), "stop");
    assert_eq!(word(Finish::StopSequence(Some("x".into())), text()), "stop");
    assert_eq!(word(Finish::Length, text()), "length");
    assert_eq!(word(Finish::Refusal, text()), "content_filter");
    assert_eq!(word(Finish::Refusal, Part::Refusal { text: "no".into() }), "stop");
    assert_eq!(word(Finish::ContentFilter, text()), "content_filter");
    assert_eq!(word(Finish::Other("novel".into()), text()), "novel");
}
