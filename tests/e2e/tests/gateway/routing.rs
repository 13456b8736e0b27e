//! What routing promises beside failover: retries, waits, breakers, keys, weights, deadlines and room.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bh_testkit::answers::Tokens;
use bh_testkit::client::Answer;
use bh_testkit::{Gate, Reply, ScriptedProvider, Step};
use e2e::{Config, Folder, Gateway, Issuer, SOON, Wire, eventually};
use serde_json::{Value, json};
use tokio_util::task::TaskTracker;

const TOKENS: Tokens = Tokens { input: 9, output: 3 };
/// Far below every deadline that is not under test, far above what a loaded machine needs.
const PROMPT: Duration = Duration::from_secs(8);

struct Setting {
    gateway: Gateway,
    token: String,
    providers: Vec<ScriptedProvider>,
    _folder: Folder,
}

/// Providers `p0`, `p1`, … that are well, one route `m`, and what a test changes about them.
async fn setting(providers: usize, route: Value, change: impl FnOnce(Config) -> Config) -> Result<Setting> {
    let (issuer, folder) = (Issuer::new(7), Folder::new()?);
    let mut config = Config::new(&issuer).set("pricing.unknown", json!("allow"));
    let mut started = Vec::new();
    for index in 0..providers {
        let provider = ScriptedProvider::start().await?;
        provider.on(move |seen| Some(Wire::OpenAi.reply_to(seen, &format!("from {index}"), TOKENS)));
        config = config.provider(&format!("p{index}"), Wire::OpenAi, &provider, "none");
        started.push(provider);
    }
    let mut entry = json!({"model": "m"});
    if let (Some(entry), Value::Object(route)) = (entry.as_object_mut(), route) {
        entry.extend(route);
    }
    let gateway = Gateway::start(&change(config.add("routes", entry)), &folder)?;
    Ok(Setting { gateway, token: issuer.explain()?, providers: started, _folder: folder })
}

impl Setting {
    async fn ask(&self, headers: &[(&str, &str)]) -> Result<Answer> {
        let mut ask =
            self.gateway.client.post(format!("{}{}", self.gateway.url(), Wire::OpenAi.path())).bearer(&self.token);
        for (name, value) in headers {
            ask = ask.header(name, value);
        }
        ask.json(&Wire::OpenAi.ask("m", false)).send().await
    }

    fn calls(&self, provider: usize) -> usize {
        self.providers[provider].served().requests
    }

    async fn health(&self) -> Result<Value> {
        self.gateway.client.get(format!("{}/health", self.gateway.admin_url())).send().await?.json().await
    }
}

fn target(provider: usize, more: Value) -> Value {
    let mut target = json!({"provider": format!("p{provider}"), "model": "x"});
    if let (Some(target), Value::Object(more)) = (target.as_object_mut(), more) {
        target.extend(more);
    }
    target
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_breaker_opens_after_its_failures_and_half_opens_after_its_time() -> Result<()> {
    let breaker = json!({"circuit_breaker": {"failure_threshold": 3, "success_threshold": 1, "timeout_s": 1}});
    let setting = setting(2, json!({"targets": [target(0, breaker), target(1, json!({}))]}), |config| config).await?;
    setting.providers[0].always(Wire::OpenAi.error(500, "server_error", "boom"));
    for turn in 0..3 {
        assert_eq!(setting.ask(&[]).await?.header("x-bulkhead-attempts"), "2", "turn {turn}");
    }
    let state = async || -> Result<Option<f64>> {
        Ok(setting.gateway.metrics().await?.get("bulkhead_breaker_state", &[("provider", "p0")]))
    };
    let open = setting.ask(&[]).await?;
    assert_eq!(
        (open.header("x-bulkhead-attempts"), open.header("x-bulkhead-provider")),
        ("1", "p1"),
        "an open breaker is not asked"
    );
    assert_eq!((setting.calls(0), state().await?), (3, Some(2.0)));
    let health = setting.health().await?;
    assert_eq!(
        (&health["providers"][0]["available"], &health["providers"][0]["targets"][0]["breaker"]),
        (&json!(false), &json!("open")),
        "{health}"
    );
    // A probe that fails opens it again.
    eventually("the breaker lets a probe through", SOON, async || {
        setting.ask(&[]).await?;
        Ok((setting.calls(0) == 4).then_some(()))
    })
    .await?;
    assert_eq!(setting.ask(&[]).await?.header("x-bulkhead-provider"), "p1");
    assert_eq!(setting.calls(0), 4, "one probe, then open again");
    setting.providers[0].on(|seen| Some(Wire::OpenAi.reply_to(seen, "well again", TOKENS)));
    eventually("a probe that succeeds closes it", SOON, async || {
        Ok((setting.ask(&[]).await?.header("x-bulkhead-provider") == "p0").then_some(()))
    })
    .await?;
    setting.gateway.counted("bulkhead_breaker_state", &[("provider", "p0")], 0.0).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_key_is_quarantined_and_the_other_is_used() -> Result<()> {
    let setting = setting(1, json!({"targets": [target(0, json!({}))]}), |config| {
        let keys =
            json!([{"id": "bad", "secret": {"env": "BAD"}, "weight": 50}, {"id": "good", "secret": {"env": "GOOD"}}]);
        config.rekey("p0", &keys).env("BAD", "sk-refused-0123456789").env("GOOD", "sk-accepted-0123456789")
    })
    .await?;
    setting.providers[0].on(|seen| {
        if seen.header("authorization") == "Bearer sk-accepted-0123456789" {
            return Some(Wire::OpenAi.reply_to(seen, "welcome", TOKENS));
        }
        Some(Reply::unauthorized())
    });
    for _ in 0..20 {
        assert_eq!(setting.ask(&[]).await?.status, 200);
    }
    let refused =
        setting.providers[0].seen().iter().filter(|seen| seen.header("authorization").contains("refused")).count();
    assert_eq!(refused, 1, "a refused key is not tried again");
    let health = setting.health().await?;
    let states: Vec<_> = health["providers"][0]["keys"]
        .as_array()
        .context("keys")?
        .iter()
        .map(|key| (&key["key"], &key["state"]))
        .collect();
    assert!(states.contains(&(&json!("bad"), &json!("quarantined"))), "{health}");
    let ready = setting.gateway.client.get(format!("{}/readyz", setting.gateway.admin_url())).send().await?;
    assert_eq!(ready.status, 200, "degraded is still ready");
    assert_eq!(ready.json().await?["status"], "degraded");
    // With no other key left the client is told whose fault it is.
    setting.providers[0].always(Reply::unauthorized());
    let answer = setting.ask(&[]).await?;
    let told = Wire::OpenAi.told(answer).await?;
    assert_eq!(
        (told.status, told.kind.as_str(), told.code.as_deref()),
        (502, "upstream_error", Some("upstream_auth_error"))
    );
    assert!(!told.message.contains("sk-"), "{}", told.message);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn load_is_shared_by_weight() -> Result<()> {
    let targets =
        json!([target(0, json!({"weight": 3})), target(1, json!({"weight": 1})), target(2, json!({"weight": 0}))]);
    let setting = setting(3, json!({"strategy": {"mode": "loadbalance"}, "targets": targets}), |config| config).await?;
    const CALLS: usize = 240;
    for _ in 0..CALLS {
        assert_eq!(setting.ask(&[]).await?.status, 200);
    }
    let first = setting.calls(0);
    // Three quarters of 240 is 180, with a standard deviation of 6.7: five of them either way.
    assert!((147..=213).contains(&first), "{first} of {CALLS} went to the first");
    assert_eq!((first + setting.calls(1), setting.calls(2)), (CALLS, 0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_providers_own_wait_is_kept_before_it_is_asked_again() -> Result<()> {
    let retry = json!({"retry": {"attempts": 1, "initial_backoff_ms": 0}});
    let setting = setting(1, json!({"targets": [target(0, retry)]}), |config| config).await?;
    let calls: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let noted = Arc::clone(&calls);
    setting.providers[0].on(move |seen| {
        let mut calls = noted.lock().unwrap_or_else(PoisonError::into_inner);
        calls.push(Instant::now());
        let busy = Wire::OpenAi.error(503, "server_error", "busy").header("retry-after", "1");
        Some(if calls.len() == 1 { busy } else { Wire::OpenAi.reply_to(seen, "now", TOKENS) })
    });
    let answer = setting.ask(&[]).await?;
    assert_eq!((answer.status, answer.header("x-bulkhead-attempts")), (200, "2"));
    let calls = calls.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert!(Duration::from_secs(1) <= calls[1] - calls[0], "asked again after {:?}", calls[1] - calls[0]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_throttled_chain_ends_with_the_shortest_wait_and_attempts_are_bounded() -> Result<()> {
    let targets = json!([target(0, json!({})), target(1, json!({}))]);
    let setting = setting(2, json!({"targets": targets}), |config| config).await?;
    setting.providers[0].always(Reply::rate_limited(Some(70)));
    setting.providers[1].always(Reply::rate_limited(Some(50)));
    let answer = setting.ask(&[]).await?;
    assert_eq!((answer.status, answer.header("retry-after"), answer.header("x-should-retry")), (429, "50", ""));
    let ms: u64 = answer.header("retry-after-ms").parse()?;
    assert!((49_000..=50_000).contains(&ms), "{ms}");
    // Now both keys cool, and nobody is called at all.
    let answer = setting.ask(&[]).await?;
    assert!([429, 503].contains(&answer.status), "{}", answer.status);
    assert!((1..=50).contains(&answer.header("retry-after").parse::<u64>()?));
    assert_eq!((setting.calls(0), setting.calls(1)), (1, 1));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempts_and_time_are_bounded() -> Result<()> {
    let eager =
        json!({"retry": {"attempts": 10, "initial_backoff_ms": 0}, "circuit_breaker": {"failure_threshold": 100}});
    let route = json!({"attempts_max": 3, "total_ms": 700, "targets": [target(0, eager)]});
    let setting = setting(1, route, |config| config).await?;
    setting.providers[0].always(Wire::OpenAi.error(500, "server_error", "boom"));
    let told = Wire::OpenAi.told(setting.ask(&[]).await?).await?;
    assert_eq!((told.status, told.code.as_deref(), setting.calls(0)), (502, Some("upstream_failed"), 3));
    setting.providers[0].always(Reply::silence());
    for headers in [&[][..], &[("x-bulkhead-timeout-ms", "300")]] {
        let began = Instant::now();
        let answer = setting.ask(headers).await?;
        assert!(began.elapsed() < PROMPT, "answered after {:?}", began.elapsed());
        let told = Wire::OpenAi.told(answer).await?;
        assert_eq!((told.status, told.kind.as_str()), (504, "timeout_error"), "{told:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_target_lets_some_wait_and_refuses_the_rest() -> Result<()> {
    let room = json!({"concurrency": {"max": 2, "queue": 2}});
    let setting = Arc::new(setting(1, json!({"targets": [target(0, room)]}), |config| config).await?);
    let gate = Gate::new();
    let held = gate.clone();
    setting.providers[0]
        .on(move |seen| Some(Wire::OpenAi.reply_to(seen, "at last", TOKENS).before(Step::Gate(held.clone()))));
    let tracker = TaskTracker::new();
    let asking: Vec<_> = (0..4)
        .map(|_| {
            let setting = Arc::clone(&setting);
            tracker.spawn(async move { setting.ask(&[]).await.map(|answer| answer.status) })
        })
        .collect();
    eventually("two are called and two wait", SOON, async || {
        let health = setting.health().await?;
        let seen = &health["providers"][0]["targets"][0];
        Ok((seen["in_flight"] == 2 && seen["waiting"] == 2 && setting.calls(0) == 2).then_some(()))
    })
    .await?;
    let answer = setting.ask(&[]).await?;
    assert!(!answer.header("retry-after").is_empty() && !answer.header("retry-after-ms").is_empty());
    let told = Wire::OpenAi.told(answer).await?;
    assert_eq!((told.status, told.kind.as_str(), told.code.as_deref()), (503, "overloaded_error", Some("no_target")));
    assert_eq!(setting.calls(0), 2, "no more than two at once");
    gate.open();
    for asked in asking {
        assert_eq!(asked.await??, 200);
    }
    assert_eq!(setting.calls(0), 4);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_client_that_hangs_up_leaves_its_place_to_the_next() -> Result<()> {
    let room = json!({"concurrency": {"max": 1, "queue": 1}});
    let setting = Arc::new(setting(1, json!({"targets": [target(0, room)]}), |config| config).await?);
    let gate = Gate::new();
    let held = gate.clone();
    setting.providers[0]
        .on(move |seen| Some(Wire::OpenAi.reply_to(seen, "at last", TOKENS).before(Step::Gate(held.clone()))));
    let tracker = TaskTracker::new();
    let spawn = || {
        let setting = Arc::clone(&setting);
        tracker.spawn(async move { setting.ask(&[]).await.map(|answer| answer.status) })
    };
    let waiting = async |calling: u64, waiting: u64| {
        eventually("the target is as full as that", SOON, async || {
            let seen = setting.health().await?["providers"][0]["targets"][0].clone();
            Ok((seen["in_flight"] == calling && seen["waiting"] == waiting).then_some(()))
        })
        .await
    };
    let first = spawn();
    waiting(1, 0).await?;
    let second = spawn();
    waiting(1, 1).await?;
    second.abort();
    waiting(1, 0).await?;
    let third = spawn();
    waiting(1, 1).await?;
    gate.open();
    assert_eq!((first.await??, third.await??, setting.calls(0)), (200, 200, 2));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_decision_is_explained_to_those_who_may_ask() -> Result<()> {
    let setting = setting(2, json!({"targets": [target(0, json!({})), target(1, json!({}))]}), |config| config).await?;
    setting.providers[0].always(Wire::OpenAi.error(500, "server_error", "boom"));
    let explained = setting.ask(&[("x-bulkhead-explain", "1")]).await?;
    let decision: Value = serde_json::from_str(explained.header("x-bulkhead-explain"))?;
    assert!(decision.to_string().contains("p0") && decision.to_string().contains("p1"), "{decision}");
    let plain = Setting { token: Issuer::new(7).plain()?, ..setting };
    let silent = plain.ask(&[("x-bulkhead-explain", "1")]).await?;
    assert_eq!(silent.header("x-bulkhead-explain"), "", "without the role nothing is explained");
    Ok(())
}
