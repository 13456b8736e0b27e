//! The headers and words clients rely on, the limits they meet, and the secrets nobody may see.

use anyhow::{Context, Result};
use bh_testkit::client::Answer;
use bh_testkit::loopback::exchange;
use bh_testkit::{Gate, Reply, Step};
use e2e::{SOON, Wire, eventually, read_log, secret};
use serde_json::{Value, json};

use crate::one::{One, TOKENS, model};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_carry_the_headers_of_the_contract() -> Result<()> {
    let mut one = One::start(|config, _| Ok(config)).await?;
    one.token = one.issuer.token(|claims| {
        claims.grants.budgets = vec![e2e::budget(bh_base::NanoUsd::from_usd(1))];
        (claims.grants.rpm, claims.grants.tpm) = (Some(1000), Some(1_000_000));
    })?;
    for wire in Wire::BOTH {
        for stream in [false, true] {
            let answer = one.ask(wire, stream).await?;
            let place = format!("{wire:?}, stream: {stream}: {:?}", answer.headers);
            assert!(answer.header("x-request-id").starts_with("req_"), "{place}");
            assert_eq!(answer.header("x-request-id"), answer.header("request-id"), "{place}");
            assert_eq!(answer.header("x-bulkhead-provider"), wire.kind(), "{place}");
            assert_eq!(
                (answer.header("x-bulkhead-model"), answer.header("x-bulkhead-attempts")),
                (model(wire), "1"),
                "{place}"
            );
            assert_eq!(answer.header("x-bulkhead-node").len(), 32, "{place}");
            assert!(answer.header("x-bulkhead-budget-remaining-usd").starts_with("0.99"), "{place}");
            // Not yet known when a stream begins.
            assert_eq!(answer.header("x-bulkhead-cost-usd").is_empty(), stream, "{place}");
            assert_eq!(answer.header("x-bulkhead-overhead-us").is_empty(), stream, "{place}");
            assert!(stream || answer.header("server-timing").starts_with("gateway;dur="), "{place}");
            limits(wire, &answer);
            let (id, kind) = (answer.header("x-request-id").to_owned(), answer.header("content-type").to_owned());
            assert_eq!(kind.starts_with("text/event-stream"), stream, "{place}");
            assert_eq!(wire.text(answer).await?, "hello there");
            metadata(&one, &id, wire, stream).await?;
        }
    }
    Ok(())
}

fn limits(wire: Wire, answer: &Answer) {
    for what in ["limit", "remaining", "reset"] {
        for kind in ["requests", "tokens"] {
            let (own, other) = match wire {
                Wire::OpenAi => (format!("x-ratelimit-{what}-{kind}"), format!("anthropic-ratelimit-{kind}-{what}")),
                Wire::Anthropic => (format!("anthropic-ratelimit-{kind}-{what}"), format!("x-ratelimit-{what}-{kind}")),
            };
            assert!(!answer.header(&own).is_empty() && answer.header(&other).is_empty(), "{own}: {:?}", answer.headers);
        }
    }
}

/// What `GET /v1/requests/{id}` says to the token that asked, and to another.
async fn metadata(one: &One, id: &str, wire: Wire, stream: bool) -> Result<()> {
    let get =
        |token: String| one.gateway.client.get(format!("{}/v1/requests/{id}", one.gateway.url())).bearer(&token).send();
    let meta = eventually("the request is recorded", SOON, async || {
        let answer = get(one.token.clone()).await?;
        if answer.status == 200 { answer.json().await.map(Some) } else { Ok(None) }
    })
    .await?;
    assert_eq!(
        (meta["provider"].as_str(), meta["stream"].as_bool(), meta["outcome"].as_str()),
        (Some(wire.kind()), Some(stream), Some("ok"))
    );
    assert_eq!(
        (meta["usage"]["input_uncached"].as_u64(), meta["usage"]["output"].as_u64()),
        (Some(9), Some(3)),
        "{meta}"
    );
    assert!(meta["cost_usd"].as_str().is_some_and(|usd| usd != "0"), "{meta}");
    assert_eq!(get(one.issuer.plain()?).await?.status, 404, "another token sees nothing");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_refuse_with_the_time_to_wait() -> Result<()> {
    let mut one = One::start(|config, _| Ok(config.add("limits", json!({"scope": "team:ml", "rpm": 100_000})))).await?;
    one.token = one.issuer.token(|claims| claims.grants.rpm = Some(1))?;
    for wire in Wire::BOTH {
        one.ask(wire, false).await?;
        let answer = one.ask(wire, false).await?;
        let (seconds, ms): (u64, u64) =
            (answer.header("retry-after").parse()?, answer.header("retry-after-ms").parse()?);
        assert_eq!(seconds, ms.div_ceil(1000));
        assert!((1..=60).contains(&seconds) && answer.header("x-should-retry").is_empty());
        let told = wire.told(answer).await?;
        assert_eq!((told.status, told.kind.as_str()), (429, "rate_limit_error"));
        assert!(told.message.contains("rpm 1 reached"), "the token's own numbers are shown: {}", told.message);
    }
    one.token = one.issuer.token(|claims| claims.grants.concurrency = Some(1))?;
    let gate = Gate::new();
    one.provider(Wire::OpenAi).push(Wire::OpenAi.plain("late", TOKENS).before(Step::Gate(gate.clone())));
    let calls = one.calls();
    let first = one.ask(Wire::OpenAi, false);
    tokio::pin!(first);
    let second = async {
        one.provider(Wire::OpenAi).until(|served| calls < served.requests, SOON).await?;
        one.ask(Wire::Anthropic, false).await
    };
    let answer = tokio::select! {
        first = &mut first => anyhow::bail!("answered too soon: {:?}", first.map(|answer| answer.status)),
        second = second => second?,
    };
    assert_eq!((answer.status, answer.header("retry-after").is_empty()), (429, false));
    gate.open();
    assert_eq!(first.await?.status, 200);
    assert_eq!(one.ask(Wire::Anthropic, false).await?.status, 200, "the place is free again");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_above_the_token_is_named_by_its_kind_only() -> Result<()> {
    let mut one = One::start(|config, _| Ok(config.add("limits", json!({"scope": "team:ml", "rpm": 1})))).await?;
    one.ask(Wire::OpenAi, false).await?;
    let told = Wire::OpenAi.told(one.ask(Wire::OpenAi, false).await?).await?;
    assert!(told.message.contains("team") && !told.message.contains("ml"), "{}", told.message);
    one.token = one.issuer.explain()?;
    let told = Wire::OpenAi.told(one.ask(Wire::OpenAi, false).await?).await?;
    assert!(told.message.contains("team:ml") && told.message.contains("rpm 1"), "{}", told.message);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_providers_own_refusal_passes_intact_to_its_dialect_and_in_ours_to_the_other() -> Result<()> {
    let one = One::start(|config, _| Ok(config)).await?;
    let error =
        json!({"message": "temperature must be at most 2", "type": "invalid_request_error", "param": "temperature"});
    let body = json!({"error": error, "extra": 1}).to_string();
    one.provider(Wire::OpenAi).always(Reply::json(400, body.clone()));
    let answer = one.ask(Wire::OpenAi, true).await?;
    assert_eq!((answer.status, answer.header("x-should-retry")), (400, "false"));
    assert_eq!(answer.text().await?, body);
    let ask = Wire::Anthropic.ask(model(Wire::OpenAi), false);
    let told = Wire::Anthropic
        .told(Wire::Anthropic.send(&one.gateway.client, &one.gateway.url(), &one.token, &ask).await?)
        .await?;
    assert_eq!(
        (told.status, told.kind.as_str(), told.message.as_str()),
        (400, "invalid_request_error", "temperature must be at most 2")
    );
    assert_eq!(one.calls(), 2, "a wrong request is not tried again");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_and_no_word_of_a_prompt_is_ever_shown() -> Result<()> {
    let mut one = One::start(|config, _| Ok(config.env("RUST_LOG", "debug"))).await?;
    let mut shown = String::new();
    for wire in Wire::BOTH {
        let provider = one.provider(wire);
        let gossip = format!("seen {} at {}/v1", secret(wire.kind()), provider.url());
        // The refused key comes last, because nobody is called after it; no more failures than the breaker bears.
        let gate = Gate::new();
        let replies = [
            late_gossip(wire, &gossip, &gate),
            wire.error(400, "invalid_request_error", &gossip),
            wire.error(429, "rate_limit_error", &gossip),
            wire.error(500, "server_error", &gossip),
            Reply::new(502).header("content-type", "text/html").bytes(gossip.clone()),
            Reply::sse(wire.error_event("server_error", &gossip)),
            wire.error(401, "authentication_error", &gossip),
        ];
        let calls = provider.served().requests + replies.len();
        for reply in replies {
            provider.push(reply);
            let answer = one.ask(wire, true).await?;
            gate.open();
            shown += &format!("{:?}\n", answer.headers);
            shown += &String::from_utf8_lossy(&answer.whatever_comes().await?.bytes);
        }
        assert_eq!(provider.served().requests, calls, "every reply was given");
        assert_eq!(
            provider.seen().iter().filter(|seen| format!("{:?}", seen.headers).contains(&one.token)).count(),
            0,
            "the token went upstream"
        );
    }
    for bad in [one.token.clone() + "x", format!("{}~{}", one.token, one.token)] {
        let answer = Wire::OpenAi
            .send(&one.gateway.client, &one.gateway.url(), &bad, &Wire::OpenAi.ask("gpt-4o-mini", false))
            .await?;
        shown += &answer.text().await?;
    }
    shown += one.gateway.metrics().await?.text();
    let health = one.gateway.client.get(format!("{}/health", one.gateway.admin_url())).send().await?;
    shown += &health.text().await?;
    assert!(one.gateway.stop()?.success());
    shown += &read_log(&one.folder.data())?.text;
    for wire in Wire::BOTH {
        let port = format!(":{}", one.provider(wire).address().port());
        assert!(!shown.contains(&port), "a provider's address is shown: {}", around(&shown, &port));
    }
    // Operators may see addresses, but no secret either.
    shown += &one.gateway.output();
    assert!(shown.contains("an attempt failed") && shown.contains("once upon a time"), "everything was captured");
    let signature = one.token.rsplit('.').next().context("a token has parts")?.to_owned();
    for secret in
        [secret("openai"), secret("anthropic"), one.token.clone(), signature, "Say something short".to_owned()]
    {
        assert!(!shown.contains(&secret), "`{secret}` is shown: {}", around(&shown, &secret));
    }
    Ok(())
}

/// A stream that has begun well and ends in an error that tells too much.
fn late_gossip(wire: Wire, gossip: &str, gate: &Gate) -> Reply {
    let whole = wire.stream(&["once upon a time"], TOKENS);
    let content = whole.find("once").unwrap_or_default();
    let end = content + whole[content..].find("\n\n").map_or(0, |end| end + 2);
    Reply::sse(whole[..end].to_owned()).then(Step::Gate(gate.clone())).bytes(wire.error_event("server_error", gossip))
}

fn around(text: &str, needle: &str) -> String {
    let Some(at) = text.find(needle) else { return String::new() };
    String::from_utf8_lossy(&text.as_bytes()[at.saturating_sub(300)..(at + 300).min(text.len())]).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_admin_plane_answers_no_browser_tab() -> Result<()> {
    let one = One::start(|config, _| Ok(config)).await?;
    let admin = one.issuer.admin()?;
    let ask = async |path: &str, host: &str, more: &str| -> Result<(u16, String)> {
        let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{more}\r\n");
        let answer =
            String::from_utf8_lossy(&exchange(one.gateway.admin, request.as_bytes(), SOON).await?).into_owned();
        let status = answer.split(' ').nth(1).context("a status")?.parse()?;
        let body = answer.split("\r\n\r\n").nth(1).unwrap_or_default();
        let code =
            serde_json::from_str::<Value>(body).ok().and_then(|body| Some(body["error"]["code"].as_str()?.to_owned()));
        Ok((status, code.unwrap_or_default()))
    };
    let own = one.gateway.admin.to_string();
    let bearer = format!("authorization: Bearer {admin}\r\n");
    let foreign = "origin: https://evil.example\r\n";
    for (path, host, more, status, code) in [
        ("/metrics", own.as_str(), "", 200, ""),
        ("/health", "localhost", "", 200, ""),
        ("/livez", "pod.cluster.local", "", 200, ""),
        ("/metrics", "evil.example", "", 403, "foreign_host"),
        ("/health", "127.0.0.1.nip.io", "", 403, "foreign_host"),
        ("/metrics", own.as_str(), foreign, 403, "foreign_origin"),
        ("/health", own.as_str(), "origin: null\r\n", 403, "foreign_origin"),
        ("/livez", own.as_str(), foreign, 403, "foreign_origin"),
        ("/admin/v1/budgets", own.as_str(), "", 401, "invalid_api_key"),
        ("/admin/v1/budgets", own.as_str(), bearer.as_str(), 200, ""),
        ("/admin/v1/budgets", "bulkhead.internal", bearer.as_str(), 200, ""),
        ("/admin/v1/budgets", "evil.example", "", 403, "foreign_host"),
        ("/admin/v1/budgets", own.as_str(), &format!("{bearer}{foreign}"), 403, "foreign_origin"),
        ("/admin/v1/nodes", own.as_str(), bearer.as_str(), 404, "not_built"),
        ("/admin/v1/nodes", own.as_str(), "", 401, "invalid_api_key"),
        ("/ui/", own.as_str(), bearer.as_str(), 404, "not_built"),
        ("/nowhere", own.as_str(), "", 404, "not_found"),
    ] {
        assert_eq!(ask(path, host, more).await?, (status, code.to_owned()), "{path} as {host} with {more:?}");
    }
    Ok(())
}
