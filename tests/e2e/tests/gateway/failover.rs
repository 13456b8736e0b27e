//! Failover fires for everything that can go wrong before the first byte, plain and streamed, in both dialects, also
//! from one dialect's provider to the other's. After the first byte the client hears the truth, and the stream ends.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use bh_testkit::answers::Tokens;
use bh_testkit::client::Answer;
use bh_testkit::loopback::free_address;
use bh_testkit::{Gate, Reply, ScriptedProvider, Seen, Step};
use e2e::{Config, Folder, Gateway, Issuer, Wire, is_stream, say};
use serde_json::{Value, json};

const TOKENS: Tokens = Tokens { input: 9, output: 3 };

/// What the first target does, in the words of its header, and whether it takes a stream to do it.
const FAULTS: &[(&str, bool)] = &[
    ("refuse", false),
    ("hang-up", false),
    ("silent-before-headers", false),
    ("silent-before-first-token", true),
    ("429", false),
    ("429-wait", false),
    ("500", false),
    ("503", false),
    ("529", false),
    ("401", false),
    ("404", false),
    ("html-200", false),
    ("html-502", false),
    ("cut-before-content", false),
    ("end-before-content", true),
    ("error-in-200", true),
    ("huge-event", true),
];

/// Answers as the header `x-fault` says, which the configuration gives each of its providers.
fn misbehave(wire: Wire, seen: &Seen) -> Option<Reply> {
    // What a stream says before its first content.
    let begun = wire.stream(&["never"], TOKENS);
    let begun = begun[..begun.find("\n\n").map_or(0, |end| end + 2)].to_owned();
    Some(match seen.header("x-fault") {
        "hang-up" => Reply::hang_up(),
        "silent-before-headers" => Reply::silence(),
        "silent-before-first-token" => Reply::sse(begun).then(Step::Stall),
        "429" => Reply::rate_limited(None),
        "429-wait" => Reply::rate_limited(Some(3000)),
        "500" => wire.error(500, "server_error", "boom"),
        "503" => wire.error(503, "server_error", "busy"),
        "529" => wire.error(529, "overloaded_error", "overloaded"),
        "401" => Reply::unauthorized(),
        "404" if wire == Wire::OpenAi => {
            Reply::openai_error(404, "invalid_request_error", Some("model_not_found"), "no such model")
        }
        "404" => wire.error(404, "not_found_error", "model: m1"),
        "html-200" => Reply::html(200),
        "html-502" => Reply::html(502),
        "cut-before-content" if is_stream(seen) => Reply::sse(begun).then(Step::Cut),
        "cut-before-content" => wire.plain("never", TOKENS).cut_after(20),
        "end-before-content" => Reply::sse(begun),
        "error-in-200" => Reply::sse(begun + &wire.error_event("overloaded_error", "overloaded")),
        "huge-event" => Reply::huge_event(bh_base::limits::EVENT_BYTES_MAX + 1),
        _ => return None,
    })
}

struct Setting {
    gateway: Gateway,
    token: String,
    bad: [ScriptedProvider; 2],
    good: [ScriptedProvider; 2],
    _folder: Folder,
}

fn model(fault: &str, wire: Wire, stream: bool) -> String {
    format!("{fault}-{}-{}", wire.kind(), if stream { "stream" } else { "plain" })
}

/// A route for each fault, dialect and way to ask: its first target has the fault, its second is well and speaks the
/// other dialect. Each has a provider entry of its own, so that no breaker and no cooling key reaches the next case.
async fn setting() -> Result<Setting> {
    let (issuer, folder) = (Issuer::new(6), Folder::new()?);
    let bad = [ScriptedProvider::start().await?, ScriptedProvider::start().await?];
    let good = [ScriptedProvider::start().await?, ScriptedProvider::start().await?];
    let mut config = Config::new(&issuer).set("pricing.unknown", json!("allow"));
    for (index, wire) in Wire::BOTH.into_iter().enumerate() {
        bad[index].on(move |seen| misbehave(wire, seen));
        good[index].on(move |seen| Some(wire.reply_to(seen, "from the second", TOKENS)));
        config = config.provider(&format!("good{index}"), wire, &good[index], "none");
        for (fault, stream_only) in FAULTS {
            for stream in [false, true].into_iter().filter(|stream| *stream || !stream_only) {
                let (name, other) = (model(fault, wire, stream), format!("good{}", 1 - index));
                let dead = format!("http://{}", free_address()?);
                let url = if *fault == "refuse" { dead } else { bad[index].url() };
                let id = format!("bad_{}", name.replace('-', "_"));
                let more = json!({"headers": {"x-fault": fault}, "models": ["none"],
                    "timeouts": {"connect_ms": 1000, "headers_ms": 400, "first_token_ms": 400, "idle_ms": 400}});
                let targets = json!([{"provider": id, "model": "m1"}, {"provider": other, "model": "m2"}]);
                config = config
                    .provider_with(&id, wire, &url, more)
                    .add("routes", json!({"model": name, "targets": targets}));
            }
        }
    }
    let gateway = Gateway::start(&config, &folder)?;
    Ok(Setting { gateway, token: issuer.explain()?, bad, good, _folder: folder })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_before_the_first_byte_is_failed_over() -> Result<()> {
    let setting = setting().await?;
    let Setting { gateway, token, bad, good, .. } = &setting;
    for (fault, stream_only) in FAULTS {
        for (index, wire) in Wire::BOTH.into_iter().enumerate() {
            for stream in [false, true].into_iter().filter(|stream| *stream || !stream_only) {
                let name = model(fault, wire, stream);
                let before = bad[index].served().requests;
                let answer = wire.send(&gateway.client, &gateway.url(), token, &wire.ask(&name, stream)).await?;
                assert_eq!(answer.header("x-bulkhead-attempts"), "2", "{name}: {} {:?}", answer.status, answer.headers);
                assert_eq!(answer.header("x-bulkhead-provider"), format!("good{}", 1 - index), "{name}");
                assert_eq!(answer.header("x-bulkhead-model"), "m2", "{name}");
                assert_eq!(wire.text(answer).await.context(name.clone())?, "from the second", "{name}");
                let called = bad[index].served().requests - before;
                assert_eq!(called, usize::from(*fault != "refuse"), "{name}: the first was called {called} times");
            }
        }
    }
    let cases = good.iter().map(|provider| provider.served().requests).sum::<usize>();
    say(&format!("{cases} failovers"));
    let metrics = gateway.metrics().await?;
    assert_eq!(metrics.sum("bulkhead_attempts_total", &[("outcome", "ok")]), cases as f64);
    assert!(!gateway.output().contains("panicked"));
    Ok(())
}

/// Faults after the first content, which come once the gate is open.
fn late(wire: Wire, fault: &str, gate: &Gate) -> Reply {
    let whole = wire.stream(&["first ", "second "], TOKENS);
    let place = whole.find("first ").unwrap_or_default();
    let after = place + whole[place..].find("\n\n").map_or(0, |end| end + 2);
    let begun = Reply::sse(whole[..after].to_owned()).then(Step::Gate(gate.clone()));
    match fault {
        "cut" => begun.then(Step::Cut),
        "end" => begun,
        "error" => begun.bytes(wire.error_event("overloaded_error", "too much to do")),
        _ => begun.then(Step::Stall),
    }
}

/// The gate of the call under way.
type Holding = Arc<Mutex<Gate>>;

fn held(holding: &Holding) -> Gate {
    holding.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_the_first_byte_the_client_hears_the_truth_and_nobody_else_is_called() -> Result<()> {
    let (issuer, folder) = (Issuer::new(6), Folder::new()?);
    let second = ScriptedProvider::start().await?;
    second.on(|seen| Some(Wire::OpenAi.reply_to(seen, "from the second", TOKENS)));
    let mut config =
        Config::new(&issuer).set("pricing.unknown", json!("allow")).provider("second", Wire::OpenAi, &second, "none");
    let (mut first, holding) = (Vec::new(), Holding::default());
    for wire in Wire::BOTH {
        let provider = ScriptedProvider::start().await?;
        for fault in ["cut", "end", "error", "stall"] {
            let id = format!("{}_{fault}", wire.kind());
            let more = json!({"headers": {"x-fault": fault}, "models": ["none"], "timeouts": {"idle_ms": 400}});
            let targets = json!([{"provider": id, "model": "m1", "retry": {}}, {"provider": "second", "model": "m2"}]);
            config = config
                .provider_with(&id, wire, &provider.url(), more)
                .add("routes", json!({"model": id, "targets": targets}));
        }
        let shared = Arc::clone(&holding);
        provider.on(move |seen| Some(late(wire, seen.header("x-fault"), &held(&shared))));
        first.push(provider);
    }
    let gateway = Gateway::start(&config, &folder)?;
    let token = issuer.explain()?;
    for provider in Wire::BOTH {
        for fault in ["cut", "end", "error", "stall"] {
            for wire in Wire::BOTH {
                let name = format!("{}_{fault}", provider.kind());
                *holding.lock().unwrap_or_else(PoisonError::into_inner) = Gate::new();
                let answer = wire.send(&gateway.client, &gateway.url(), &token, &wire.ask(&name, true)).await?;
                assert_eq!(
                    (answer.status, answer.header("x-bulkhead-attempts")),
                    (200, "1"),
                    "{wire:?} client of {name}"
                );
                held(&holding).open();
                broke_off(&gateway, &token, wire, answer, fault).await.context(format!("{wire:?} client of {name}"))?;
            }
        }
    }
    assert_eq!(second.served().requests, 0, "failover after the first byte");
    assert_eq!(
        first.iter().map(|provider| provider.served().requests).sum::<usize>(),
        16,
        "retries after the first byte"
    );
    Ok(())
}

async fn broke_off(gateway: &Gateway, token: &str, wire: Wire, mut answer: Answer, fault: &str) -> Result<()> {
    let id = answer.header("x-request-id").to_owned();
    let items = answer.items().await?;
    assert_eq!(wire.text_in(&items), "first ");
    assert!(!wire.is_complete(&items), "a broken stream must not end as a whole one does: {items:?}");
    let told = wire.error_in(&items).with_context(|| format!("no error event: {items:?}"))?;
    let last = items.last().and_then(bh_testkit::sse::Item::json).context("the last word is an event")?;
    assert!(last.get("error").is_some(), "the error is the last word: {items:?}");
    let expected = match (wire, fault) {
        (_, "error") => "overloaded_error",
        (_, "stall") => "timeout_error",
        (Wire::OpenAi, _) => "upstream_error",
        (Wire::Anthropic, _) => "api_error",
    };
    assert_eq!(told.kind, expected, "{told:?}");
    let meta = e2e::eventually("the request is recorded", e2e::SOON, async || {
        let answer = gateway.client.get(format!("{}/v1/requests/{id}", gateway.url())).bearer(token).send().await?;
        if answer.status == 200 { answer.json().await.map(Some) } else { Ok(None) }
    })
    .await?;
    assert_eq!(
        (meta["status"].as_u64(), meta["attempts"].as_u64(), meta["estimated"].as_bool()),
        (Some(200), Some(1), Some(true))
    );
    assert!(meta["outcome"] != "ok" && meta["outcome"] != Value::Null, "{meta}");
    Ok(())
}
