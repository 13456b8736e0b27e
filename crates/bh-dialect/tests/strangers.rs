//! What strangers send: nothing makes the crate panic, and what the scan accepts the rest agrees with.

use bh_dialect::{
    AnswerOptions, AnswerStream, Dialect, Edits, EncodeOptions, answer, classify, decode_request, encode_request, scan,
    splice,
};
use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

const DIALECTS: [Dialect; 2] = [Dialect::OpenAiChat, Dialect::AnthropicMessages];

const REQUEST: &str = r#"{"model":"m","max_tokens":9,"stream":true,"stream_options":{"include_usage":false},"system":[{"type":
"text","text":"s"}],"messages":[{"role":"user","content":[{"type":"text","text":"h\u00e9"},{"type":"image_url","image_url":
{"url":"data:image/png;base64,AA=="}}]},{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function",
"function":{"name":"f","arguments":"{\"a\":1}"}}]},{"role":"tool","tool_call_id":"c","content":"ok"}],"tools":[{"type":
"function","function":{"name":"f","parameters":{"type":"object"}}}],"tool_choice":"auto","thinking":{"type":"enabled",
"budget_tokens":1024},"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{}}},"n":1}"#;

const CHAT_STREAM: &str = concat!(
    "data: {\"id\":\"i\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"a\"}}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c\",\"function\":{\"name\":\"f\",",
    "\"arguments\":\"{}\"}}]},\"finish_reason\":\"tool_calls\"}]}\n\n",
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n",
);

const MESSAGES_STREAM: &str = concat!(
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"i\",\"model\":\"m\",\"usage\":",
    "{\"input_tokens\":1,\"output_tokens\":1}}}\n\nevent: content_block_start\ndata: {\"type\":\"content_block_start\",",
    "\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\nevent: content_block_delta\ndata: {\"type\":",
    "\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"a\"}}\n\nevent: content_block_stop\n",
    "data: {\"type\":\"content_block_stop\",\"index\":0}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":",
    "{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":2}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
);

/// One change to a text: at a place (a share of its length), cut so many bytes out and put these in.
type Change = (f64, usize, String);

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let piece = prop_oneof![
        "[\\[\\]{}:,\"\\\\0-9a-z \n-]{0,6}",
        Just("null".to_owned()),
        Just("[]".to_owned()),
        Just("{}".to_owned()),
        Just("\"x\"".to_owned()),
        Just("data: ".to_owned()),
        any::<String>(),
    ];
    proptest::collection::vec((0.0..1.0_f64, 0..12_usize, piece), 0..4)
}

fn changed(text: &str, changes: &[Change]) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for (place, cut, piece) in changes {
        let at = (place * bytes.len() as f64) as usize;
        let end = bytes.len().min(at + cut);
        bytes.splice(at..end, piece.bytes());
    }
    bytes
}

/// Pushes a stream in two pieces; what came out.
fn through(from: Dialect, to: Dialect, input: &[u8], cut: usize) -> Vec<u8> {
    let mut stream =
        AnswerStream::new(from, to, AnswerOptions { client_wants_usage: true, ..AnswerOptions::default() });
    let mut out = BytesMut::new();
    let (first, second) = input.split_at(cut.min(input.len()));
    let ended = stream.push(first, &mut out).and_then(|()| stream.push(second, &mut out));
    if ended.is_ok() {
        drop(stream.finish(&mut out));
    }
    out.to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn requests_are_read_or_refused(changes in changes()) {
        let body = Bytes::from(changed(REQUEST, &changes));
        for dialect in DIALECTS {
            let decoded = decode_request(dialect, &body);
            let Ok(scan) = scan(dialect, &body) else { continue };
            let edits = Edits { model: Some("other"), max_output: Some(5), ask_usage: true, ..Edits::default() };
            let spliced = splice(dialect, &body, &scan, &edits);
            let again = bh_dialect::scan(dialect, &spliced).expect("a spliced body is as good as the first");
            prop_assert_eq!(again.model, "other");
            prop_assert!(again.max_output.is_some_and(|limit| limit <= 5));
            let Ok(request) = decoded else { continue };
            prop_assert_eq!(&request.model, &scan.model);
            prop_assert_eq!(request.stream.unwrap_or(false), scan.stream);
            prop_assert_eq!(request.max_output, scan.max_output);
            for target in DIALECTS {
                let options = EncodeOptions { model: "t".into(), ..EncodeOptions::default() };
                if let Ok(encoded) = encode_request(target, dialect, &request, &options) {
                    let written = bh_dialect::scan(target, &encoded.body);
                    prop_assert!(written.is_ok(), "{:?}", String::from_utf8_lossy(&encoded.body));
                }
            }
        }
    }

    #[test]
    fn streams_are_read_or_refused_and_splits_never_matter(changes in changes(), cut: prop::sample::Index) {
        for (from, text) in [(Dialect::OpenAiChat, CHAT_STREAM), (Dialect::AnthropicMessages, MESSAGES_STREAM)] {
            let input = changed(text, &changes);
            let cut = cut.index(input.len() + 1);
            for to in DIALECTS {
                prop_assert_eq!(through(from, to, &input, cut), through(from, to, &input, 0));
            }
        }
    }

    #[test]
    fn answers_and_errors_are_read_or_refused(changes in changes(), status in 200..600_u16) {
        let answers = [
            r#"{"id":"i","choices":[{"index":0,"message":{"content":"a"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1}}"#,
            r#"{"type":"message","id":"i","content":[{"type":"text","text":"a"}],"stop_reason":"end_turn","usage":{"input_tokens":1}}"#,
            r#"{"error":{"message":"m","type":"t","code":"c"}}"#,
        ];
        for text in answers {
            let body = Bytes::from(changed(text, &changes));
            for from in DIALECTS {
                drop(classify(from, status, &|_| Some("1".into()), &body));
                for to in DIALECTS {
                    if let Ok((bytes, facts)) = answer(from, to, &body, &AnswerOptions::default()) {
                        let again = answer(to, to, &bytes, &AnswerOptions::default());
                        prop_assert_eq!(again.map(|(_, facts)| facts.id), Ok(facts.id));
                    }
                }
            }
        }
    }
}
