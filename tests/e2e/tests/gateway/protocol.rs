//! HTTP as clients, proxies and load balancers meet it: versions, bodies, silence, and an orderly end.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bh_base::NanoUsd;
use bh_testkit::loopback::exchange;
use bh_testkit::sse::Item;
use bh_testkit::tls::Certificate;
use bh_testkit::{Client, Gate, Reply, Step};
use e2e::{Config, Folder, Gateway, SOON, Wire, eventually, hard, read_log};
use http::{Method, Version};
use serde_json::json;
use tokio::net::TcpStream;

use crate::one::{One, TOKENS, model};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_1_and_2_are_spoken_on_one_port() -> Result<()> {
    let one = One::start(|config, _| Ok(config)).await?;
    for (client, version) in [(Client::new(), Version::HTTP_11), (Client::h2c(), Version::HTTP_2)] {
        for wire in Wire::BOTH {
            for stream in [false, true] {
                let answer = wire.send(&client, &one.gateway.url(), &one.token, &wire.ask(model(wire), stream)).await?;
                assert_eq!(answer.version, version);
                assert_eq!(wire.text(answer).await?, "hello there");
            }
        }
        let head = client.ask(Method::HEAD, one.gateway.url()).send().await?;
        assert_eq!((head.status, head.bytes().await?.len()), (200, 0), "some SDKs and editors ask for HEAD /");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_certificate_tls_carries_both_versions_and_plain_http_is_not_answered() -> Result<()> {
    let certificate = Certificate::for_localhost()?;
    let one = One::start(|config, folder| {
        let (cert, key) = (folder.file("cert.pem"), folder.file("key.pem"));
        Folder::write(&cert, &certificate.pem())?;
        Folder::write(&key, &certificate.key_pem())?;
        Ok(config.set("server.tls", json!({"cert": cert.display().to_string(), "key": key.display().to_string()})))
    })
    .await?;
    let client = Client::trusting(&certificate)?;
    for stream in [false, true] {
        let answer = Wire::OpenAi
            .send(&client, &one.gateway.url(), &one.token, &Wire::OpenAi.ask(model(Wire::OpenAi), stream))
            .await?;
        assert_eq!(answer.version, Version::HTTP_2);
        assert_eq!(Wire::OpenAi.text(answer).await?, "hello there");
    }
    assert!(Client::new().get(one.gateway.url()).send().await.is_err(), "an untrusting client goes away");
    let plain = exchange(one.gateway.data, b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n", SOON).await?;
    assert!(!plain.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&plain));
    assert_eq!(client.get(format!("{}/livez", one.gateway.url())).send().await?.status, 200);
    Ok(())
}

fn head(one: &One, length: &str) -> String {
    let (token, kind) = (&one.token, "content-type: application/json");
    let line = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost";
    format!("{line}\r\nauthorization: Bearer {token}\r\n{kind}\r\n{length}\r\n\r\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_too_large_is_refused_before_it_is_read() -> Result<()> {
    let one = One::start(|config, _| Ok(config.set("server.body_bytes_max", json!(4096)))).await?;
    let check = async |what: &str, request: String, status: &str| -> Result<()> {
        let began = Instant::now();
        // The rest of the body never comes; an answer shows that nobody waited for it.
        let answer = exchange(one.gateway.data, request.as_bytes(), Duration::from_secs(3)).await?;
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{what}: {answer} after {:?}", began.elapsed());
        Ok(())
    };
    check("announced", head(&one, "content-length: 1000000000"), "413").await?;
    let chunk = format!("{}1400\r\n{}\r\n", head(&one, "transfer-encoding: chunked"), "x".repeat(0x1400));
    check("in chunks without an end", chunk, "413").await?;
    let stranger = head(&one, "content-length: 1000000000").replace(&one.token, "bh_nobody");
    check("a stranger's", stranger, "401").await?;
    let told = Wire::OpenAi.told(
        one.gateway
            .client
            .post(format!("{}/v1/chat/completions", one.gateway.url()))
            .bearer(&one.token)
            .body("x".repeat(5000))
            .send()
            .await?,
    );
    let told = told.await?;
    assert_eq!(
        (told.status, told.kind.as_str(), told.code.as_deref()),
        (413, "invalid_request_error", Some("request_too_large"))
    );
    assert_eq!(one.calls(), 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_hangs_or_breaks_off_reaches_nobody_and_stops_nobody() -> Result<()> {
    let one = One::start(|config, _| Ok(config)).await?;
    let half = format!("{}{{\"model\":", head(&one, "content-length: 500"));
    let mut hanging = Vec::new();
    for _ in 0..20 {
        let mut socket = TcpStream::connect(one.gateway.data).await?;
        tokio::io::AsyncWriteExt::write_all(&mut socket, half.as_bytes()).await?;
        hanging.push(socket);
    }
    assert_eq!(one.ask(Wire::OpenAi, false).await?.status, 200, "others are served");
    drop(hanging);
    assert_eq!(one.ask(Wire::Anthropic, true).await?.status, 200);
    assert_eq!(one.calls(), 2);
    one.gateway.counted("bulkhead_in_flight", &[], 0.0).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_json_is_refused_with_the_field_at_fault() -> Result<()> {
    let one = One::start(|config, _| Ok(config)).await?;
    let post = |body: &str, kind: &str| {
        let url = format!("{}/v1/chat/completions", one.gateway.url());
        one.gateway.client.post(url).bearer(&one.token).header("content-type", kind).body(body.to_owned()).send()
    };
    for (body, kind, status, code) in [
        ("{", "application/json", 400, "invalid_json"),
        ("", "application/json", 400, "invalid_json"),
        ("[]", "application/json", 400, "invalid_value"),
        ("\u{1}", "application/json", 400, "invalid_json"),
        (r#"{"model":"gpt-4o-mini","model":"o1","messages":[]}"#, "application/json", 400, "duplicate_field"),
        (r#"{"messages":[]}"#, "application/json", 400, "missing_required_parameter"),
        ("a=b", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
    ] {
        let told = Wire::OpenAi.told(post(body, kind).await?).await?;
        assert_eq!((told.status, told.code.as_deref()), (status, Some(code)), "{body}: {told:?}");
    }
    let deep =
        format!(r#"{{"model":"gpt-4o-mini","messages":[],"metadata":{}{}}}"#, "[".repeat(5000), "]".repeat(5000));
    let told = Wire::OpenAi.told(post(&deep, "application/json").await?).await?;
    assert_eq!((told.status, told.code.as_deref()), (400, Some("nesting_too_deep")));
    assert_eq!(one.calls(), 0);
    assert!(!one.gateway.output().contains("panicked"));
    Ok(())
}

fn is_keep_alive(item: &Item) -> bool {
    match item {
        Item::Comment(_) => true,
        Item::Event { event, .. } => event == "ping",
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_stream_is_kept_alive_between_whole_events() -> Result<()> {
    let one = One::start(|config, _| Ok(config.set("server.keepalive_s", json!(1)))).await?;
    for wire in Wire::BOTH {
        let stream = wire.stream(&["hello ", "there"], TOKENS);
        let begun = stream.find("\n\n").context("an event ends")? + 2;
        let content = stream.find("hello").context("content comes")?;
        // Silent before the first content, and in the middle of the event that carries it.
        for silent_at in [begun, content + 3, content + stream[content..].find("\n\n").context("it ends")? + 2] {
            let gate = Gate::new();
            one.provider(wire).push(Reply::sse(stream.clone()).after_bytes(silent_at, Step::Gate(gate.clone())));
            let mut answer = one.ask(wire, true).await?;
            let mut items = Vec::new();
            while !items.iter().any(is_keep_alive) {
                items.push(answer.item().await?.context("the stream ended in silence")?);
            }
            gate.open();
            items.extend(answer.items().await?);
            assert_eq!(wire.text_in(&items), "hello there", "{wire:?}, silent at {silent_at}");
            assert!(wire.is_complete(&items) && wire.error_in(&items).is_none(), "{items:?}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sigterm_open_streams_finish_and_nobody_new_is_let_in() -> Result<()> {
    let mut one = One::start(|config, _| Ok(config.set("server.drain_s", json!(15)))).await?;
    let gate = Gate::new();
    let wire = Wire::OpenAi;
    let stream = wire.stream(&["hello ", "there"], TOKENS);
    let place = stream.find("there").context("the second piece")?;
    let begun = stream[..place].rfind("\n\n").context("an event ends")? + 2;
    one.provider(wire).push(Reply::sse(stream).after_bytes(begun, Step::Gate(gate.clone())));
    let mut answer = one.ask(wire, true).await?;
    let first = answer.item().await?.context("it has begun")?;
    let on_h2 = Client::h2c();
    assert_eq!(wire.send(&on_h2, &one.gateway.url(), &one.token, &wire.ask(model(wire), false)).await?.status, 200);
    one.gateway.process.terminate()?;
    let ready = format!("{}/readyz", one.gateway.admin_url());
    let body = eventually("the node says that it drains", SOON, async || {
        let answer = one.gateway.client.get(ready.clone()).send().await?;
        if answer.status == 503 { answer.text().await.map(Some) } else { Ok(None) }
    })
    .await?;
    assert!(body.contains("draining"), "{body}");
    eventually("new connections are refused", SOON, async || {
        Ok(TcpStream::connect(one.gateway.data).await.is_err().then_some(()))
    })
    .await?;
    // A connection that was open may hear one last refusal, but nothing else.
    if let Ok(answer) = wire.send(&on_h2, &one.gateway.url(), &one.token, &wire.ask(model(wire), false)).await {
        assert_eq!((answer.status, answer.header("retry-after")), (503, "1"));
    }
    gate.open();
    let mut items = vec![first];
    items.extend(answer.items().await?);
    assert_eq!(wire.text_in(&items), "hello there");
    assert!(wire.is_complete(&items), "{items:?}");
    let status = tokio::task::block_in_place(|| one.gateway.process.wait(SOON))?;
    assert_eq!(status.code(), Some(0), "{}", one.gateway.output());
    let log = read_log(&one.folder.data())?;
    assert_eq!(log.report.verdict.as_str(), "ok", "the log is closed in order");
    assert!(!one.gateway.output().contains("panicked"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_drain_deadline_cuts_what_never_ends_and_what_was_held_is_charged() -> Result<()> {
    let mut one = One::start(|config, _| {
        Ok(config.set("server.drain_s", json!(1)).add("budgets", hard("org:acme", NanoUsd::from_usd(1))))
    })
    .await?;
    let stream = Wire::OpenAi.stream(&["hello "], TOKENS);
    let begun = stream.find("hello").context("content")? + 20;
    one.provider(Wire::OpenAi).push(Reply::sse(stream).after_bytes(begun, Step::Stall));
    let answer = one.ask(Wire::OpenAi, true).await?;
    one.gateway.process.terminate()?;
    let status = tokio::task::block_in_place(|| one.gateway.process.wait(SOON))?;
    assert_eq!(status.code(), Some(75), "{}", one.gateway.output());
    drop(answer);
    let log = read_log(&one.folder.data())?;
    assert!(log.report.verdict.exit_code() <= 1, "{:?}", log.report);
    let settled = log.settled();
    assert!(0 < settled.0, "a stream that was cut is charged: {}", log.text);
    // The next life remembers it.
    let config = Config::new(&one.issuer).add("budgets", hard("org:acme", NanoUsd::from_usd(1)));
    let again = Gateway::start(&config, &one.folder)?;
    let accounts = again.budgets(&one.issuer.admin()?).await?;
    assert_eq!(
        accounts.iter().find(|account| account.scope == "org:acme").and_then(|account| account.spent),
        Some(settled)
    );
    Ok(())
}
