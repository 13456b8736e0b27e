//! What operators see: metrics that move, health per provider, logs that parse, traces that arrive.

use anyhow::{Context, Result};
use bh_base::NanoUsd;
use bh_testkit::{Reply, ScriptedProvider};
use e2e::{Bill, Gateway, SOON, Wire, prices, soft};
use serde_json::{Value, json};

use crate::one::{One, TOKENS, model};

/// The client's own trace, and its span that called.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

async fn ask_traced(one: &One, wire: Wire) -> Result<bh_testkit::client::Answer> {
    let ask = one.gateway.client.post(format!("{}{}", one.gateway.url(), wire.path())).bearer(&one.token);
    ask.header("traceparent", &format!("00-{TRACE}-{SPAN}-01")).json(&wire.ask(model(wire), false)).send().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_move_as_requests_do() -> Result<()> {
    let one = One::start(|config, _| {
        let rule = |scope: &str, mode: &str| json!({"scope": scope, "limit_usd": 2, "window": "day", "mode": mode});
        Ok(config.add("budgets", rule("org:acme", "hard")).add("budgets", rule("user:*", "soft")))
    })
    .await?;
    let (bill, row) = (Bill::default(), prices("openai", model(Wire::OpenAi))?);
    for turn in 0..6 {
        assert_eq!(Wire::OpenAi.text(one.ask(Wire::OpenAi, turn % 2 == 0).await?).await?, "hello there");
        bill.charge(&row, TOKENS);
    }
    one.provider(Wire::Anthropic).push(Wire::Anthropic.error(500, "api_error", "boom"));
    assert_eq!(one.ask(Wire::Anthropic, false).await?.status, 502);
    let stranger = one.gateway.client.post(format!("{}/v1/messages", one.gateway.url())).bearer("bh_nobody");
    assert_eq!(stranger.json(&Wire::Anthropic.ask("x", false)).send().await?.status, 401);
    let metrics = one.gateway.counted("bulkhead_requests_total", &[], 8.0).await?;
    let answered =
        [("provider", "openai"), ("model", model(Wire::OpenAi)), ("route", "/v1/chat/completions"), ("status", "200")];
    assert_eq!(metrics.get("bulkhead_requests_total", &answered), Some(6.0));
    assert_eq!(metrics.get("bulkhead_requests_total", &[("provider", "anthropic"), ("status", "502")]), Some(1.0));
    assert_eq!(
        metrics.get("bulkhead_requests_total", &[("provider", ""), ("model", ""), ("status", "401")]),
        Some(1.0)
    );
    assert_eq!(metrics.get("bulkhead_tokens_total", &[("provider", "openai"), ("direction", "input")]), Some(54.0));
    assert_eq!(metrics.get("bulkhead_tokens_total", &[("provider", "openai"), ("direction", "output")]), Some(18.0));
    let cost = metrics.sum("bulkhead_cost_usd_total", &[("org", "acme"), ("team", "ml")]);
    assert!((cost - bill.total().as_usd_f64()).abs() < 1e-9, "{cost} for {}", bill.total());
    assert_eq!(metrics.get("bulkhead_attempts_total", &[("provider", "openai"), ("outcome", "ok")]), Some(6.0));
    assert_eq!(
        metrics.get("bulkhead_attempts_total", &[("provider", "anthropic"), ("outcome", "server_error")]),
        Some(1.0)
    );
    assert_eq!(metrics.get("bulkhead_request_duration_seconds_count", &[("provider", "openai")]), Some(6.0));
    assert_eq!(metrics.get("bulkhead_time_to_first_token_seconds_count", &[("provider", "openai")]), Some(3.0));
    assert_eq!(metrics.get("bulkhead_overhead_seconds_count", &[]), Some(7.0));
    assert_eq!(metrics.get("bulkhead_security_blocks_total", &[("reason", "invalid_api_key")]), Some(1.0));
    let budget = |name: &str, scope: &str| {
        metrics.get(&format!("bulkhead_budget_{name}_usd"), &[("scope", scope), ("window", "day")])
    };
    for scope in ["org:acme", "user"] {
        assert_eq!(
            (budget("limit", scope), budget("held", scope), budget("stranded", scope)),
            (Some(2.0), Some(0.0), Some(0.0)),
            "{scope}"
        );
        assert_eq!(budget("spent", scope), Some(bill.total().as_usd_f64()), "{scope}");
    }
    assert!(budget("spent", "org:acme") <= budget("rights", "org:acme"));
    for name in ["audit_spooled_total", "audit_gap_total", "holds_leaked_total", "breaker_state", "in_flight"] {
        assert!(metrics.get(&format!("bulkhead_{name}"), &[]).is_some(), "{name}: {}", metrics.text());
    }
    assert_eq!(metrics.sum("bulkhead_holds_leaked_total", &[]) + metrics.sum("bulkhead_audit_gap_total", &[]), 0.0);
    assert!(0.0 < metrics.sum("bulkhead_audit_spooled_total", &[]));
    assert!(!metrics.text().contains("alice"), "people are no labels");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shedding_and_alerts_are_counted() -> Result<()> {
    let mut one = One::start(|config, _| {
        let mut rule = soft("org:acme", NanoUsd(6000));
        rule["alerts"] = json!([0.5]);
        Ok(config.add("budgets", rule))
    })
    .await?;
    one.token = one.issuer.token(|claims| claims.grants.rpm = Some(2))?;
    while one.ask(Wire::OpenAi, false).await?.status == 200 {}
    let metrics = one.gateway.metrics().await?;
    assert_eq!(metrics.get("bulkhead_shed_total", &[("reason", "rate_limit_exceeded")]), Some(1.0));
    one.gateway.counted("bulkhead_budget_alerts_total", &[("kind", "org"), ("share", "0.50")], 1.0).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_is_told_per_provider() -> Result<()> {
    let one = One::start(|config, _| Ok(config)).await?;
    one.ask(Wire::OpenAi, false).await?;
    one.provider(Wire::Anthropic).push(Reply::unauthorized());
    one.ask(Wire::Anthropic, false).await?;
    let get = |url: String| one.gateway.client.get(url).send();
    let health: Value = get(format!("{}/health", one.gateway.admin_url())).await?.json().await?;
    let providers = health["providers"].as_array().context("providers")?;
    let of = |id: &str| providers.iter().find(|provider| provider["provider"] == id).cloned().unwrap_or_default();
    assert_eq!(
        (of("openai")["available"].as_bool(), of("anthropic")["available"].as_bool()),
        (Some(true), Some(false)),
        "{health}"
    );
    assert_eq!(health["status"], "degraded");
    // The data plane tells a load balancer no names, and that it may send requests all the same.
    let bare = get(format!("{}/health", one.gateway.url())).await?;
    assert_eq!((bare.status, bare.text().await?), (200, "degraded".to_owned()));
    for plane in [one.gateway.url(), one.gateway.admin_url()] {
        assert_eq!(get(format!("{plane}/livez")).await?.text().await?, "ok");
        let ready = get(format!("{plane}/readyz")).await?;
        assert_eq!((ready.status, ready.json().await?["status"].as_str()), (200, Some("degraded")));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_are_json_and_a_failure_carries_the_clients_trace() -> Result<()> {
    let mut one = One::start(|config, _| Ok(config)).await?;
    one.provider(Wire::OpenAi).push(Wire::OpenAi.error(500, "server_error", "boom"));
    let answer = ask_traced(&one, Wire::OpenAi).await?;
    let id = answer.header("x-request-id").to_owned();
    assert_eq!(answer.status, 502);
    assert!(one.gateway.stop()?.success());
    let lines: Vec<Value> = one.gateway.process.stderr().lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let failed = lines.iter().find(|line| line["message"] == "request failed").context("a failure is logged")?;
    assert_eq!((failed["trace_id"].as_str(), failed["request_id"].as_str()), (Some(TRACE), Some(id.as_str())));
    assert_eq!(
        (failed["level"].as_str(), failed["status"].as_u64(), failed["outcome"].as_str()),
        (Some("WARN"), Some(502), Some("upstream_failed"))
    );
    for line in &lines {
        let message = line["message"].as_str().context("every line has a message")?;
        assert!(message.starts_with(|first: char| first.is_lowercase()), "{message}");
    }
    assert_eq!(one.gateway.process.stdout(), "", "results only on stdout, and serving has none");
    Ok(())
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

fn unhex(text: &str) -> Result<Vec<u8>> {
    (0..text.len()).step_by(2).map(|at| Ok(u8::from_str_radix(&text[at..at + 2], 16)?)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traces_arrive_at_a_collector_as_part_of_the_clients_trace() -> Result<()> {
    let collector = ScriptedProvider::start().await?;
    collector.always(Reply::new(200).header("content-type", "application/x-protobuf"));
    let mut one = One::start(|config, _| {
        Ok(config
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url())
            .env("OTEL_BSP_SCHEDULE_DELAY", "100")
            .env("OTEL_SERVICE_NAME", "gateway-under-test"))
    })
    .await?;
    let wire = Wire::Anthropic;
    assert_eq!(wire.text(ask_traced(&one, wire).await?).await?, "hello there");
    let upstream = one.provider(wire).seen()[0].header("traceparent").to_owned();
    let parts: Vec<_> = upstream.split('-').collect();
    assert_eq!((parts.len(), parts[1], parts[3]), (4, TRACE, "01"), "{upstream}");
    assert_ne!(parts[2], SPAN, "the provider's parent is the attempt, not the client");
    collector.until(|served| 0 < served.requests, SOON).await?;
    stop(&mut one.gateway)?;
    let seen = collector.seen();
    assert!(
        seen.iter().all(|seen| seen.path == "/v1/traces" && seen.header("content-type") == "application/x-protobuf")
    );
    let sent: Vec<u8> = seen.iter().flat_map(|seen| seen.body.to_vec()).collect();
    for text in [
        "gateway-under-test",
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "anthropic",
        "gen_ai.request.model",
        model(wire),
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.output_tokens",
        "gen_ai.response.finish_reasons",
        "http.route",
        "/v1/messages",
        "bulkhead.request_id",
    ] {
        assert!(contains(&sent, text.as_bytes()), "`{text}` is not among what was sent");
    }
    for (what, id) in [("the client's trace", TRACE), ("the client's span", SPAN), ("the attempt's span", parts[2])] {
        assert!(contains(&sent, &unhex(id)?), "{what} {id} is not among what was sent");
    }
    for secret in [one.token.as_str(), &e2e::secret("anthropic"), "Say something short"] {
        assert!(!contains(&sent, secret.as_bytes()), "a trace shows `{secret}`");
    }
    Ok(())
}

fn stop(gateway: &mut Gateway) -> Result<()> {
    anyhow::ensure!(gateway.stop()?.success(), "{}", gateway.output());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_gone_stops_nobody() -> Result<()> {
    let nobody = format!("http://{}", bh_testkit::loopback::free_address()?);
    let mut one = One::start(|config, _| {
        Ok(config.env("OTEL_EXPORTER_OTLP_ENDPOINT", &nobody).env("OTEL_BSP_SCHEDULE_DELAY", "50"))
    })
    .await?;
    for _ in 0..20 {
        assert_eq!(one.ask(Wire::OpenAi, false).await?.status, 200);
    }
    assert_eq!(
        one.gateway
            .budgets(&one.issuer.admin()?)
            .await?
            .iter()
            .filter(|account| account.held != Some(NanoUsd::ZERO))
            .count(),
        0
    );
    stop(&mut one.gateway)
}
