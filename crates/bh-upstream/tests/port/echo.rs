//! The echo provider, through the same port as any other.

use std::time::Duration;

use crate::support::{call, provider, read};
use bh_chat::{Fault, FaultClass};
use bh_pipeline::ports::{Call, Op, Response, Upstream};
use bh_testkit::sse::{Item, read_all};
use bh_upstream::{Config, Kind, ProviderConfig, Timeouts, Upstreams};
use serde_json::{Value, json};
use tokio::time::Instant;

fn echo() -> Upstreams {
    let config = ProviderConfig { kind: Kind::Echo, base_url: None, keys: Vec::new(), ..provider(Kind::Echo, "") };
    let timeouts = Timeouts { headers: Duration::from_secs(3600), ..Timeouts::default() };
    Upstreams::build(Config { providers: vec![ProviderConfig { timeouts, ..config }] }).unwrap()
}

fn body(model: &str, text: &str, extra: &Value) -> Value {
    let mut body = json!({"model": model, "messages": [{"role": "user", "content": text}]});
    body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    body
}

async fn ask(body: &Value) -> Result<Response, Fault> {
    echo().call(Call { stream: body["stream"] == true, ..call(body.to_string()) }).await
}

async fn plain(body: &Value) -> (u16, Value) {
    let mut answer = ask(body).await.unwrap();
    let (bytes, fault) = read(&mut answer).await;
    assert_eq!(fault, None);
    (answer.status, serde_json::from_slice(&bytes).unwrap())
}

async fn streamed(mut body: Value) -> (Vec<Item>, Option<Fault>) {
    body["stream"] = json!(true);
    let mut answer = ask(&body).await.unwrap();
    assert_eq!(answer.headers["content-type"], "text/event-stream; charset=utf-8");
    let (bytes, fault) = read(&mut answer).await;
    let (items, rest) = read_all(&bytes);
    assert!(rest.is_empty(), "every frame is whole");
    (items, fault)
}

fn joined(items: &[Item], pointer: &str) -> String {
    items.iter().filter_map(|item| item.json()?.pointer(pointer)?.as_str().map(str::to_owned)).collect()
}

fn weather_tools() -> Value {
    let tool = |name: &str| json!({"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}});
    json!({"tools": [tool("weather"), tool("time")]})
}

#[tokio::test]
async fn the_same_request_gets_the_same_bytes() {
    let request = body("echo", "Hello there", &json!({}));
    let (status, answer) = plain(&request).await;
    assert_eq!(status, 200);
    assert_eq!(answer["choices"][0]["message"]["content"], "Hello there");
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    // 3 for the prompt, 4 for the message, 11 bytes in fours begun; two words said.
    assert_eq!(answer["usage"]["prompt_tokens"], 10);
    assert_eq!(answer["usage"]["completion_tokens"], 2);
    assert_eq!(plain(&request).await.1, answer);
    assert_ne!(plain(&body("echo", "Hello you", &json!({}))).await.1["id"], answer["id"]);
}

#[tokio::test]
async fn a_stream_says_what_the_plain_answer_says() {
    let extra = json!({"stream_options": {"include_usage": true}});
    let (items, fault) = streamed(body("echo", "/think 3 one two three", &extra)).await;
    assert_eq!(fault, None);
    assert_eq!(joined(&items, "/choices/0/delta/content"), "one two three");
    assert_eq!(joined(&items, "/choices/0/delta/reasoning_content"), "the user wants");
    assert_eq!(joined(&items, "/choices/0/delta/role"), "assistant");
    assert_eq!(joined(&items, "/choices/0/finish_reason"), "stop");
    let usage = items[items.len() - 2].json().unwrap();
    assert_eq!((usage["choices"].clone(), usage["usage"]["completion_tokens"].clone()), (json!([]), json!(6)));
    assert_eq!(usage["usage"]["completion_tokens_details"]["reasoning_tokens"], 3);
    assert_eq!(items.last().unwrap().data(), Some("[DONE]"));
    // Role, six tokens, finish, usage, end.
    assert_eq!(items.len(), 10);
}

#[tokio::test]
async fn usage_comes_on_a_stream_only_when_asked_for() {
    let (items, _) = streamed(body("echo", "hi", &json!({}))).await;
    assert!(items.iter().all(|item| item.json().is_none_or(|chunk| chunk.get("usage").is_none())));
}

#[tokio::test]
async fn tools_are_called_in_parallel_and_in_pieces() {
    let request = body("echo-tools", "Rome", &weather_tools());
    let (_, answer) = plain(&request).await;
    let calls = answer["choices"][0]["message"]["tool_calls"].as_array().unwrap().clone();
    assert_eq!((calls.len(), calls[0]["function"]["arguments"].as_str()), (2, Some("{\"city\":\"Rome\"}")));
    assert_eq!(answer["choices"][0]["message"]["content"], Value::Null);
    let (items, _) = streamed(request).await;
    let deltas: Vec<Value> =
        items.iter().filter_map(|item| item.json()?.pointer("/choices/0/delta/tool_calls/0").cloned()).collect();
    assert_eq!(deltas.iter().filter(|delta| delta.get("id").is_some()).count(), 2);
    let second: String = deltas
        .iter()
        .filter(|delta| delta["index"] == 1)
        .filter_map(|delta| delta["function"]["arguments"].as_str())
        .collect();
    assert_eq!(second, "{\"city\":\"Rome\"}");
    assert_eq!(joined(&items, "/choices/0/finish_reason"), "tool_calls");
}

#[tokio::test]
async fn a_schema_is_answered_with_a_value_that_fits() {
    let schema = json!({"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}});
    let format = json!({"response_format": {"type": "json_schema", "json_schema": {"name": "p", "schema": schema}}});
    let (_, answer) = plain(&body("echo", "Ann", &format)).await;
    let text = answer["choices"][0]["message"]["content"].as_str().unwrap().to_owned();
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), json!({"name": "Ann", "age": 1}));
}

#[tokio::test]
async fn choices_and_limits_are_kept() {
    let (_, answer) = plain(&body("echo", "a b c", &json!({"n": 3, "max_tokens": 2}))).await;
    assert_eq!(answer["choices"].as_array().unwrap().len(), 3);
    assert_eq!(answer["choices"][2]["message"]["content"], "a b");
    assert_eq!(
        (&answer["choices"][0]["finish_reason"], &answer["usage"]["completion_tokens"]),
        (&json!("length"), &json!(6))
    );
    let (items, _) = streamed(body("echo", "a b c", &json!({"n": 2}))).await;
    let second = |item: &Item| Some(item.json()?.pointer("/choices/0")?.clone()).filter(|choice| choice["index"] == 1);
    let text: String =
        items.iter().filter_map(second).filter_map(|c| c["delta"]["content"].as_str().map(str::to_owned)).collect();
    assert_eq!(text, "a b c");
}

#[tokio::test]
async fn a_refusal_is_not_content() {
    let (_, answer) = plain(&body("echo", "/refuse", &json!({}))).await;
    let message = &answer["choices"][0]["message"];
    assert_eq!((&message["content"], message["refusal"].is_string()), (&Value::Null, true));
}

#[tokio::test]
async fn failures_come_as_asked() {
    let mut answer = ask(&body("echo-fail-429-2", "hi", &json!({}))).await.unwrap();
    assert_eq!((answer.status, answer.headers["retry-after"].to_str().unwrap()), (429, "2"));
    let (bytes, _) = read(&mut answer).await;
    assert!(serde_json::from_slice::<Value>(&bytes).unwrap()["error"]["message"].is_string());
    assert_eq!(plain(&body("echo", "/fail 503 hi", &json!({}))).await.0, 503);
    assert_eq!(plain(&body("echo-wrong", "hi", &json!({}))).await.0, 404);
    assert_eq!(ask(&body("echo-html", "hi", &json!({}))).await.unwrap().headers["content-type"], "text/html");
    let count = Call { op: Op::CountTokens, ..call("{}") };
    assert_eq!(echo().call(count).await.err().unwrap().class, FaultClass::BadRequest);
}

#[tokio::test]
async fn a_stream_breaks_where_it_was_told_to() {
    let (items, fault) = streamed(body("echo-cut-2", "a b c d", &json!({}))).await;
    assert_eq!((joined(&items, "/choices/0/delta/content").as_str(), fault.unwrap().class), ("a b", FaultClass::Cut));
    let (items, fault) = streamed(body("echo", "/error 1 a b c d", &json!({}))).await;
    assert_eq!(fault, None);
    assert!(items.last().unwrap().json().unwrap()["error"]["message"].is_string());
    let (items, fault) = streamed(body("echo", "/unfinished 99 a b", &json!({}))).await;
    assert_eq!((joined(&items, "/choices/0/finish_reason").as_str(), fault), ("stop", None));
    assert_ne!(items.last().unwrap().data(), Some("[DONE]"));
    let mut plain = ask(&body("echo-cut", "a b c d", &json!({}))).await.unwrap();
    let (bytes, fault) = read(&mut plain).await;
    assert!(!bytes.is_empty() && fault.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_takes_its_pauses_and_not_one_more() {
    let begun = Instant::now();
    let (items, _) = streamed(body("echo-slow-100", "a b c", &json!({}))).await;
    // Between role, three tokens, finish and end.
    assert_eq!((items.len(), begun.elapsed().as_millis()), (6, 500));
    let begun = Instant::now();
    let (_, answer) = plain(&body("echo-slow-100", "a b c", &json!({}))).await;
    assert_eq!((answer["usage"]["completion_tokens"].as_u64(), begun.elapsed().as_millis()), (Some(3), 300));
}

#[tokio::test(start_paused = true)]
async fn no_answer_lasts_longer_than_its_bounds() {
    let bound = Duration::from_secs(600);
    for wish in ["/slow 10s /long 16384", "/stall 2 a b c", "/slow 10s /long 100 /stall 99"] {
        let begun = Instant::now();
        streamed(body("echo", wish, &json!({}))).await;
        assert!(begun.elapsed() < bound * 2 + Duration::from_secs(20), "{wish}: {:?}", begun.elapsed());
    }
    let begun = Instant::now();
    let fault = ask(&body("echo-hang", "a", &json!({}))).await.err().unwrap();
    assert!(begun.elapsed() <= bound);
    assert_eq!(fault.class, FaultClass::Cut);
}

#[tokio::test(start_paused = true)]
async fn the_header_deadline_holds_here_too() {
    let config = ProviderConfig { kind: Kind::Echo, base_url: None, keys: Vec::new(), ..provider(Kind::Echo, "") };
    let upstreams = Upstreams::build(Config { providers: vec![config] }).unwrap();
    let fault = upstreams.call(call(body("echo-hang", "a", &json!({})).to_string())).await.err().unwrap();
    assert_eq!(fault.class, FaultClass::Timeout);
}
