//! Answers of this dialect, whole and streamed, read and written.

use bh_chat::{Event, FaultClass, Finish, Part, Usage};
use bytes::BytesMut;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{collect, decode_stream, encode_stream, expected_usage, joined, recordings, sse_data};
use crate::anthropic::{StreamDecoder, StreamTap, answer_facts, decode_answer, encode_answer};
use crate::stream::Tapped;
use crate::{AnswerFacts, AnswerOptions, AnswerStream, Dialect};

const NATIVE: Dialect = Dialect::AnthropicMessages;

fn plain() -> Vec<(String, Value)> {
    let all = recordings("anthropic/messages").into_iter();
    all.filter(|r| r.response["body"]["content"].is_array()).map(|mut r| (r.name, r.response["body"].take())).collect()
}

fn streams() -> Vec<(String, String)> {
    let all = recordings("anthropic/messages").into_iter();
    all.filter_map(|r| Some((r.name, r.response["sse"].as_str()?.to_owned()))).collect()
}

/// The message a stream adds up to, put together on trees as the vendor's SDK does.
pub(super) fn accumulate(stream: &[u8]) -> Value {
    let mut message = Value::Null;
    let mut inputs: Vec<String> = Vec::new();
    for data in sse_data(stream) {
        let event: Value = serde_json::from_str(&data).expect("events are JSON");
        let at = event["index"].as_u64().unwrap_or(0) as usize;
        match event["type"].as_str().expect("events have a type") {
            "message_start" => message = event["message"].clone(),
            "content_block_start" => {
                let content = message["content"].as_array_mut().expect("a message has content");
                assert_eq!(content.len(), at, "blocks are numbered in order");
                content.push(event["content_block"].clone());
                inputs.push(String::new());
            }
            "content_block_delta" => {
                let (block, delta) = (&mut message["content"][at], &event["delta"]);
                let mut grow = |field: &str| {
                    let text = block[field].as_str().unwrap_or_default().to_owned();
                    block[field] = (text + delta[field].as_str().expect("a delta has text")).into();
                };
                match delta["type"].as_str().expect("a delta has a type") {
                    "text_delta" => grow("text"),
                    "thinking_delta" => grow("thinking"),
                    "signature_delta" => grow("signature"),
                    "input_json_delta" => inputs[at] += delta["partial_json"].as_str().expect("a piece of JSON"),
                    "citations_delta" => {
                        if !block["citations"].is_array() {
                            block["citations"] = json!([]);
                        }
                        block["citations"].as_array_mut().expect("a list").push(delta["citation"].clone());
                    }
                    other => panic!("unknown delta {other}"),
                }
            }
            "content_block_stop" if !inputs[at].is_empty() => {
                message["content"][at]["input"] = whole_input(&inputs[at]);
            }
            "message_delta" => {
                message["stop_reason"] = event["delta"]["stop_reason"].clone();
                message["stop_sequence"] = event["delta"]["stop_sequence"].clone();
                for (name, count) in event["usage"].as_object().expect("usage").iter().filter(|(_, v)| !v.is_null()) {
                    message["usage"][name] = count.clone();
                }
            }
            _ => {}
        }
    }
    message
}

/// The input of a call; one that the limit cut short is kept as text.
pub(super) fn whole_input(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| json!({"INVALID_JSON": text}))
}

fn texts(content: &Value, field: &str) -> String {
    content.as_array().expect("content").iter().filter_map(|block| block[field].as_str()).collect()
}

fn inputs(content: &Value) -> Vec<(String, Value)> {
    let calls = content.as_array().expect("content").iter().filter(|block| block["type"] == "tool_use");
    calls.map(|block| (block["name"].as_str().expect("a name").to_owned(), block["input"].clone())).collect()
}

/// The parts say what the message says.
#[track_caller]
fn check_parts(parts: &[Part], message: &Value, name: &str) {
    let content = &message["content"];
    let text = joined(parts, |part| if let Part::Text { text, .. } = part { Some(text.clone()) } else { None });
    assert_eq!(text, texts(content, "text"), "{name}");
    let thinking = joined(parts, |part| if let Part::Thinking { text, .. } = part { Some(text.clone()) } else { None });
    assert_eq!(thinking, texts(content, "thinking"), "{name}");
    let signed = |part: &Part| if let Part::Thinking { signature, .. } = part { signature.clone() } else { None };
    assert_eq!(joined(parts, signed), texts(content, "signature"), "{name}");
    let calls: Vec<(String, Value)> = parts
        .iter()
        .filter_map(|part| {
            let Part::ToolCall { name, arguments, .. } = part else { return None };
            Some((name.clone(), serde_json::from_str(arguments).expect("arguments are JSON")))
        })
        .collect();
    assert_eq!(calls, inputs(content), "{name}");
}

#[test]
fn every_recorded_answer_is_read_exactly() {
    for (name, body) in plain() {
        let bytes = body.to_string();
        let answer = decode_answer(bytes.as_bytes()).unwrap_or_else(|fault| panic!("{name}: {fault:?}"));
        let facts = answer_facts(bytes.as_bytes()).unwrap_or_else(|fault| panic!("{name}: {fault:?}"));
        check_parts(&answer.choices[0].parts, &body, &name);
        assert_eq!(answer.usage, Some(expected_usage(&body["usage"])), "{name}");
        assert_eq!((facts.usage, &facts.id), (answer.usage, &answer.id), "{name}");
        assert_eq!((&facts.finish, &facts.model), (&answer.choices[0].finish, &answer.model), "{name}");
        assert_eq!(facts.service_tier.as_deref(), body["usage"]["service_tier"].as_str(), "{name}");
        let written: Value = serde_json::from_slice(&encode_answer(&answer, &AnswerOptions::default())).expect("JSON");
        for field in ["id", "model", "role", "type", "stop_reason", "stop_sequence"] {
            assert_eq!(written[field], body[field], "{name} {field}");
        }
        assert_eq!(written["content"].as_array().map(Vec::len), body["content"].as_array().map(Vec::len), "{name}");
        assert_eq!(decode_answer(written.to_string().as_bytes()).map(|a| a.usage), Ok(answer.usage), "{name}");
    }
}

#[test]
fn every_recorded_stream_is_read_exactly_and_written_so_that_an_sdk_adds_it_up_the_same() {
    for (name, stream) in streams() {
        let message = accumulate(stream.as_bytes());
        let events = decode_stream(stream.as_bytes());
        let whole = collect(&events);
        check_parts(&whole.parts, &message, &name);
        assert_eq!(whole.usage, Some(expected_usage(&message["usage"])), "{name}");
        assert!(whole.ended, "{name}");
        let again = accumulate(&encode_stream(&events));
        assert_eq!(again["stop_reason"], message["stop_reason"], "{name}");
        assert_eq!(again["stop_sequence"], message["stop_sequence"], "{name}");
        assert_eq!(expected_usage(&again["usage"]), expected_usage(&message["usage"]), "{name}");
        if message["stop_reason"] != "refusal" {
            assert_eq!(
                without_empty_citations(&again["content"]),
                without_empty_citations(&message["content"]),
                "{name}"
            );
        }
    }
}

fn without_empty_citations(content: &Value) -> Value {
    let mut content = content.clone();
    for block in content.as_array_mut().expect("content") {
        let block = block.as_object_mut().expect("a block");
        if block.get("citations") == Some(&json!([])) {
            block.remove("citations");
        }
    }
    content
}

#[test]
fn facts_read_on_the_way_through_agree_with_the_decoder() {
    for (name, stream) in streams() {
        let (mut tap, mut facts) = (StreamTap::default(), AnswerFacts::default());
        let mut seen = Vec::new();
        for data in sse_data(stream.as_bytes()) {
            seen.push(tap.event(b"", data.as_bytes(), &mut facts).unwrap_or_else(|f| panic!("{name}: {f:?}")));
        }
        let whole = collect(&decode_stream(stream.as_bytes()));
        assert_eq!((facts.usage, &facts.finish), (whole.usage, &whole.finish), "{name}");
        assert_eq!(seen.iter().filter(|tapped| **tapped == Tapped::Terminal).count(), 1, "{name}");
        assert_eq!(seen.contains(&Tapped::Content), !name.contains("refusal"), "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_stream_that_keeps_its_dialect_keeps_its_bytes_wherever_it_is_split(cuts in prop::collection::vec(0.0..1.0, 0..20)) {
        for (name, stream) in streams() {
            let mut places: Vec<usize> = cuts.iter().map(|cut| (cut * stream.len() as f64) as usize).collect();
            places.extend([0, stream.len()]);
            places.sort_unstable();
            let mut through = AnswerStream::new(NATIVE, NATIVE, AnswerOptions::default());
            let mut out = BytesMut::new();
            for pair in places.windows(2) {
                through.push(&stream.as_bytes()[pair[0]..pair[1]], &mut out).expect("a good stream");
            }
            through.finish(&mut out).expect("a whole stream");
            prop_assert!(out == stream.as_bytes(), "{}", name);
            let message = accumulate(stream.as_bytes());
            prop_assert_eq!(through.facts().usage, Some(expected_usage(&message["usage"])), "{}", name);
            prop_assert!(through.terminal() && through.started());
        }
    }
}

fn read(datas: &[&str]) -> (Vec<Event>, Result<(), FaultClass>) {
    let (mut decoder, mut events) = (StreamDecoder::default(), Vec::new());
    let result = datas.iter().try_for_each(|data| decoder.event(b"", data.as_bytes(), &mut events));
    let result = result.and_then(|()| decoder.finish(&mut events));
    (events, result.map_err(|fault| fault.class))
}

const START: &str =
    r#"{"type":"message_start","message":{"id":"i","model":"m","usage":{"input_tokens":7,"output_tokens":1}}}"#;

#[test]
fn a_stream_without_its_last_event_is_cut() {
    let delta = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":5}}"#;
    assert_eq!(read(&[]).1, Err(FaultClass::Cut));
    assert_eq!(read(&[START, delta]).1, Err(FaultClass::Cut));
    let stop = r#"{"type":"message_stop"}"#;
    assert_eq!(read(&[START, delta, stop]).1, Ok(()));
    assert_eq!(read(&[START, delta, stop, "[DONE]", START]), read(&[START, delta, stop]));
}

#[test]
fn errors_and_rubbish_inside_a_stream_end_it() {
    let overloaded = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    assert_eq!(read(&[START, overloaded]).1, Err(FaultClass::Overloaded));
    assert_eq!(read(&[START, "not json"]).1, Err(FaultClass::Malformed));
    let stray = r#"{"type":"content_block_delta","index":3,"delta":{"type":"text_delta","text":"x"}}"#;
    assert_eq!(read(&[START, stray]).1, Err(FaultClass::Malformed));
    let (mut tap, mut facts) = (StreamTap::default(), AnswerFacts::default());
    assert_eq!(tap.event(b"", overloaded.as_bytes(), &mut facts).map_err(|f| f.class), Err(FaultClass::Overloaded));
    assert_eq!(tap.finish().map_err(|f| f.class), Err(FaultClass::Cut));
}

#[test]
fn events_of_a_later_version_are_ignored_and_unknown_deltas_grow_their_block() {
    let (events, result) = read(&[
        START,
        r#"{"type":"a_new_event","x":1}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"compaction","content":""}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"compaction_delta","content":"short"}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"compaction_delta","content":"er"}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"message_stop"}"#,
    ]);
    assert_eq!(result, Ok(()));
    let value = bh_chat::Json(r#"{"type":"compaction","content":"shorter"}"#.into());
    assert_eq!(collect(&events).parts, [Part::Opaque { kind: "compaction".into(), value }]);
}

#[test]
fn a_call_without_argument_text_has_the_arguments_it_began_with() {
    let run = |input: &str, deltas: &[&str]| {
        let start = format!(
            r#"{{"type":"content_block_start","index":0,"content_block":{{"type":"tool_use","id":"t","name":"f","input":{input}}}}}"#
        );
        let mut datas = vec![START, &start];
        datas.extend(deltas);
        datas.extend([r#"{"type":"content_block_stop","index":0}"#, r#"{"type":"message_stop"}"#]);
        joined(&collect(&read(&datas).0).parts, |part| {
            if let Part::ToolCall { arguments, .. } = part { Some(arguments.clone()) } else { None }
        })
    };
    let delta =
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"a\":1}"}}"#;
    let empty = r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":""}}"#;
    assert_eq!(run("{}", &[]), "{}");
    assert_eq!(run("{}", &[empty]), "{}");
    assert_eq!(run(r#"{"b":2}"#, &[]), r#"{"b":2}"#);
    assert_eq!(run("{}", &[empty, delta]), r#"{"a":1}"#);
}

#[test]
fn an_error_with_status_200_is_an_error() {
    let body = br#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    assert_eq!(answer_facts(body).map_err(|fault| fault.class), Err(FaultClass::Overloaded));
    assert_eq!(decode_answer(body).map_err(|fault| fault.class), Err(FaultClass::Overloaded));
    assert_eq!(answer_facts(b"<html>").map_err(|fault| fault.class), Err(FaultClass::Malformed));
    assert_eq!(decode_answer(b"{}").map_err(|fault| fault.class), Err(FaultClass::Malformed));
}

#[test]
fn later_totals_replace_earlier_ones_and_writes_keep_their_split() {
    let usage = |json: &str| format!(r#"{{"type":"message_delta","delta":{{}},"usage":{json}}}"#);
    let start = r#"{"type":"message_start","message":{"usage":{"input_tokens":1,"cache_creation_input_tokens":10,
        "cache_creation":{"ephemeral_5m_input_tokens":4,"ephemeral_1h_input_tokens":6},"output_tokens":1}}}"#;
    let later = usage(
        r#"{"input_tokens":3,"cache_creation_input_tokens":12,"cache_read_input_tokens":null,"output_tokens":9,
            "output_tokens_details":{"thinking_tokens":5},"server_tool_use":{"web_search_requests":2},
            "iterations":[{"type":"message","input_tokens":3},{"type":"compaction","input_tokens":100,"output_tokens":20}]}"#,
    );
    let whole = collect(&read(&[start, &later, &later, r#"{"type":"message_stop"}"#]).0);
    let expected = Usage {
        input_uncached: 103,
        cache_write_5m: 6,
        cache_write_1h: 6,
        output: 24,
        reasoning: 5,
        web_searches: 2,
        ..Usage::default()
    };
    assert_eq!(whole.usage, Some(expected));
}

#[test]
fn interleaved_parts_are_written_one_after_the_other() {
    let call = |name: &str| Part::ToolCall {
        id: name.into(),
        name: name.into(),
        arguments: String::new(),
        extras: Vec::new(),
    };
    let open = |part, begun| Event::Open { choice: 0, part, begun };
    let more = |part, text: &str| Event::More { choice: 0, part, text: text.into() };
    let stream = encode_stream(&[
        open(0, Part::text("Hi")),
        open(1, call("f")),
        more(1, "{\"a\""),
        more(0, " there"),
        open(2, call("g")),
        more(2, "{}"),
        more(1, ":1}"),
        Event::Close { choice: 0, part: 2 },
        Event::Close { choice: 0, part: 0 },
        Event::Close { choice: 0, part: 1 },
        Event::Finish { choice: 0, finish: Finish::Stop },
        Event::Usage(Usage { input_uncached: 5, output: 6, ..Usage::default() }),
        Event::End,
        Event::Ping,
        Event::End,
        open(3, Part::text("never")),
    ]);
    let message = accumulate(&stream);
    assert_eq!(message["content"][0]["text"], "Hi there");
    assert_eq!(inputs(&message["content"]), [("f".into(), json!({"a": 1})), ("g".into(), json!({}))]);
    assert_eq!(message["stop_reason"], "tool_use", "a forced call ends with `stop` elsewhere");
    assert_eq!((&message["usage"]["input_tokens"], &message["usage"]["output_tokens"]), (&json!(5), &json!(6)));
    let mut open_block = None;
    for data in sse_data(&stream) {
        let event: Value = serde_json::from_str(&data).expect("JSON");
        match event["type"].as_str().expect("a type") {
            "content_block_start" => assert_eq!(open_block.replace(event["index"].clone()), None),
            "content_block_delta" => assert_eq!(open_block.as_ref(), Some(&event["index"])),
            "content_block_stop" => assert_eq!(open_block.take(), Some(event["index"].clone())),
            _ => assert_eq!(open_block, None),
        }
    }
}

#[test]
fn parts_that_open_with_all_they_have_lose_none_of_it() {
    let value = bh_chat::Json(r#"{"type":"url_citation","url_citation":{}}"#.into());
    let (url, title) = (Some("https://x".to_owned()), Some("X".to_owned()));
    let citation = bh_chat::Citation { kind: "url_citation".into(), url, title, quoted: None, value };
    let message = accumulate(&encode_stream(&[
        Event::Open {
            choice: 0,
            part: 0,
            begun: Part::Text { text: "a".into(), citations: vec![citation], extras: Vec::new() },
        },
        Event::Close { choice: 0, part: 0 },
        Event::Open {
            choice: 0,
            part: 1,
            begun: Part::Thinking { text: "t".into(), signature: Some("s".into()), extras: Vec::new() },
        },
        Event::Close { choice: 0, part: 1 },
        Event::End,
    ]));
    let nearest = json!({"type": "web_search_result_location", "url": "https://x", "title": "X",
                         "cited_text": "", "encrypted_index": ""});
    assert_eq!(message["content"][0], json!({"type": "text", "text": "a", "citations": [nearest]}));
    assert_eq!(message["content"][1], json!({"type": "thinking", "thinking": "t", "signature": "s"}));
}

#[test]
fn a_refusal_is_explained_in_its_own_part() {
    let body =
        json!({"content": [], "stop_reason": "refusal", "stop_details": {"type": "refusal", "explanation": "no"}});
    let answer = decode_answer(body.to_string().as_bytes()).expect("a message");
    assert_eq!(answer.choices[0].parts, [Part::Refusal { text: "no".into() }]);
    assert_eq!(answer.choices[0].finish, Some(Finish::Refusal));
}

#[test]
fn parts_that_never_close_are_closed_at_the_end() {
    let stream = encode_stream(&[
        Event::Open { choice: 0, part: 0, begun: Part::text("a") },
        Event::Open { choice: 0, part: 1, begun: Part::RedactedThinking { data: "d".into() } },
        Event::Open { choice: 0, part: 2, begun: Part::Refusal { text: "no".into() } },
        Event::End,
    ]);
    let message = accumulate(&stream);
    assert_eq!(message["content"].as_array().map(Vec::len), Some(3));
    assert_eq!(message["content"][2], json!({"type": "text", "text": "no"}));
    assert_eq!(String::from_utf8_lossy(&stream).matches("content_block_stop\n").count(), 3);
}

#[test]
fn arguments_that_are_no_json_are_wrapped_as_the_vendor_advises() {
    let call = |arguments: &str| {
        let part = Part::ToolCall { id: "i".into(), name: "f".into(), arguments: arguments.into(), extras: Vec::new() };
        let choice = bh_chat::Choice { parts: vec![part], finish: Some(Finish::Length), extras: Vec::new() };
        let answer = bh_chat::Answer { choices: vec![choice], ..bh_chat::Answer::default() };
        let written: Value = serde_json::from_slice(&encode_answer(&answer, &AnswerOptions::default())).expect("JSON");
        written["content"][0]["input"].clone()
    };
    assert_eq!(call("{\"a\":"), json!({"INVALID_JSON": "{\"a\":"}));
    assert_eq!(call(" "), json!({}));
    assert_eq!(call("null"), json!({}));
    assert_eq!(call("{\"a\": 1}"), json!({"a": 1}));
}

#[test]
fn a_call_that_takes_null_takes_nothing_and_null_inside_arguments_stays() {
    let written = |pieces: &[&str]| {
        let call = Part::ToolCall { id: "i".into(), name: "f".into(), arguments: String::new(), extras: Vec::new() };
        let mut events = vec![Event::Open { choice: 0, part: 0, begun: call }];
        events.extend(pieces.iter().map(|text| Event::More { choice: 0, part: 0, text: (*text).into() }));
        events.extend([Event::Close { choice: 0, part: 0 }, Event::Finish { choice: 0, finish: Finish::ToolCalls }]);
        events.push(Event::End);
        String::from_utf8(encode_stream(&events)).unwrap().matches("input_json_delta").count()
    };
    assert_eq!(written(&["", "null"]), 0);
    assert_eq!(written(&["{\"a\":", "null", "}"]), 3);
}
