//! What providers are known to do on streams.

use bh_chat::{Fault, FaultClass, Finish};
use bytes::BytesMut;

use crate::{AnswerOptions, AnswerStream, Dialect};

const CHAT: Dialect = Dialect::OpenAiChat;

fn stream() -> AnswerStream {
    AnswerStream::new(CHAT, CHAT, AnswerOptions::default())
}

fn chunk(delta: &str, finish: &str) -> String {
    format!(
        "data: {{\"id\":\"i\",\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}]}}\n\n"
    )
}

/// Runs a whole stream; what the client got, and how it ended.
fn run(input: &str) -> (AnswerStream, String, Result<(), Fault>) {
    let mut stream = stream();
    let mut out = BytesMut::new();
    let ended = stream.push(input.as_bytes(), &mut out).and_then(|()| stream.finish(&mut out));
    let out = String::from_utf8(out.to_vec()).unwrap();
    (stream, out, ended)
}

#[track_caller]
fn check_fault(input: &str, class: FaultClass, message: &str) {
    let (_, _, ended) = run(input);
    let fault = ended.expect_err(input);
    assert_eq!(fault.class, class, "{fault:?}");
    assert!(fault.message.contains(message), "{fault:?}");
}

#[test]
fn it_starts_with_the_first_real_event_and_has_content_with_the_first_text() {
    let mut stream = stream();
    let mut out = BytesMut::new();
    let mut seen = |input: &str| {
        stream.push(input.as_bytes(), &mut out).unwrap();
        (stream.started(), stream.has_content(), stream.terminal())
    };
    assert_eq!(seen(": PROCESSING\n\n"), (false, false, false));
    assert_eq!(seen(&chunk(r#"{"role":"assistant","content":""}"#, "null")), (true, false, false));
    assert_eq!(seen(&chunk(r#"{"content":"x"}"#, "null")), (true, true, false));
    assert_eq!(seen(&chunk("{}", r#""stop""#)), (true, true, false));
    assert_eq!(seen("data: [DO"), (true, true, false));
    assert_eq!(seen("NE]\n\n"), (true, true, true));
    assert_eq!(stream.facts().finish, Some(Finish::Stop));
    assert_eq!((stream.facts().id.as_str(), stream.facts().choices, stream.facts().text_bytes), ("i", 1, 1));
}

#[test]
fn only_whole_events_come_out() {
    let mut stream = stream();
    let mut out = BytesMut::new();
    let event = chunk(r#"{"content":"héllo"}"#, "null");
    for byte in event.as_bytes().chunks(1).take(event.len() - 1) {
        stream.push(byte, &mut out).unwrap();
        assert!(out.is_empty());
    }
    stream.push(b"\n", &mut out).unwrap();
    assert_eq!(out, event.as_bytes());
}

#[test]
fn a_missing_end_is_an_error_unless_every_choice_has_ended() {
    let begun = chunk(r#"{"content":"x"}"#, "null");
    let ended = chunk("{}", r#""stop""#);
    check_fault("", FaultClass::Cut, "closed");
    check_fault(&begun, FaultClass::Cut, "closed");
    check_fault(&format!("{begun}data: {{\"cho"), FaultClass::Malformed, "not valid JSON");
    assert_eq!(run(&format!("{begun}{ended}")).2, Ok(()));
    assert_eq!(run(&format!("{begun}{ended}data: [DONE]")).2, Ok(()));
    let second = begun.replace("\"index\":0", "\"index\":1");
    check_fault(&format!("{begun}{second}{ended}"), FaultClass::Cut, "closed");
}

#[test]
fn errors_inside_a_stream_are_found_in_every_shape() {
    let begun = chunk(r#"{"content":"x"}"#, "null");
    let error = |data: &str| format!("{begun}data: {data}\n\n");
    check_fault(&error(r#"{"error":{"message":"boom","type":"server_error"}}"#), FaultClass::ServerError, "boom");
    check_fault(&error(r#"{"error":{"message":"slow down","code":429}}"#), FaultClass::RateLimited, "slow down");
    check_fault(&error(r#"{"error":"boom"}"#), FaultClass::ServerError, "boom");
    check_fault(
        &error(r#"{"id":"i","choices":[{"index":0,"delta":{},"error":{"code":502,"message":"boom"}}]}"#),
        FaultClass::ServerError,
        "boom",
    );
    check_fault("event: error\ndata: {\"message\":\"boom\",\"code\":503}\n\n", FaultClass::Overloaded, "boom");
    check_fault(&error(r#"{"error":{"message":"m","code":"insufficient_quota"}}"#), FaultClass::QuotaExhausted, "m");
    assert!(run(&error(r#"{"error":null,"choices":[]}"#)).2.is_err_and(|fault| fault.class == FaultClass::Cut));
}

#[test]
fn a_body_that_is_no_stream_is_classified_at_its_end() {
    check_fault(
        r#"{"error":{"message":"no such model","code":"model_not_found"}}"#,
        FaultClass::ModelNotFound,
        "no such",
    );
    check_fault("<html>busy</html>", FaultClass::Malformed, "no stream");
    check_fault(r#"{"id":"i","choices":[]}"#, FaultClass::Malformed, "no stream");
    let endless = "[".repeat(bh_base::limits::ERROR_BODY_BYTES_MAX + 1);
    let fault = stream().push(endless.as_bytes(), &mut BytesMut::new()).expect_err("the limit is passed");
    assert_eq!(fault.class, FaultClass::Malformed);
}

#[test]
fn an_endless_event_is_refused() {
    let mut stream = stream();
    let mut out = BytesMut::new();
    let piece = vec![b'x'; 1024 * 1024];
    stream.push(b"data: ", &mut out).unwrap();
    let fault = (0..100).find_map(|_| stream.push(&piece, &mut out).err()).unwrap();
    assert_eq!(fault.class, FaultClass::Malformed);
    assert!(out.is_empty());
}

#[test]
fn usage_is_hidden_only_where_it_stands_alone() {
    let usage = r#""usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}"#;
    let alone = format!("data: {{\"choices\":[],{usage}}}\n\n");
    let beside =
        format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{}},\"finish_reason\":\"stop\"}}],{usage}}}\n\n");
    let filter = "data: {\"choices\":[],\"prompt_filter_results\":[],\"usage\":null}\n\n";
    let input = format!("{filter}{beside}{alone}data: [DONE]\n\n");
    let (stream, out, ended) = run(&input);
    assert_eq!(ended, Ok(()));
    assert_eq!(out, format!("{filter}{beside}data: [DONE]\n\n"));
    assert_eq!(stream.facts().usage.map(|usage| usage.total_tokens()), Some(7));
}

#[test]
fn the_last_usage_counts() {
    let usage = |total: u64| {
        format!(
            "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"x\"}}}}],\"usage\":{{\"prompt_tokens\":1,\"completion_tokens\":{total}}}}}\n\n"
        )
    };
    let (stream, _, _) = run(&format!("{}{}{}", usage(1), usage(2), usage(5)));
    assert_eq!(stream.facts().usage.map(|usage| usage.output), Some(5));
    let groq = "data: {\"choices\":[{\"index\":0,\"delta\":{}}],\"x_groq\":{\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}}\n\n";
    assert_eq!(run(groq).0.facts().usage.map(|usage| usage.output), Some(2));
    let mut across = AnswerStream::new(Dialect::OpenAiChat, Dialect::AnthropicMessages, AnswerOptions::default());
    let mut out = BytesMut::new();
    across.push(format!("{groq}data: [DONE]\n\n").as_bytes(), &mut out).unwrap();
    assert!(str::from_utf8(&out).unwrap().contains(r#""output_tokens":2"#), "the client is told as well");
}

#[test]
fn a_refusal_is_told_from_an_answer() {
    let (stream, _, _) = run(&format!("{}{}", chunk(r#"{"refusal":"no"}"#, "null"), chunk("{}", r#""stop""#)));
    assert_eq!(stream.facts().finish, Some(Finish::Refusal));
}
