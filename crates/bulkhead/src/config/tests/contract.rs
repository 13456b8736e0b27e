//! Every key of the contract either works or is refused by name as not built yet.

use serde_json::json;

use super::super::fault::Problem;
use super::*;

/// What becomes of a key.
enum Fate {
    /// It is taken, and changes what is in force.
    Works,
    /// It is refused as not built yet.
    NotBuilt,
}
use Fate::{NotBuilt, Works};

/// Each key with a value that is not its default. `#0` is the first of a list.
fn keys() -> Vec<(&'static str, Value, Fate)> {
    let mut keys = server_and_tokens();
    keys.extend(providers());
    keys.extend(routes());
    keys.extend(the_rest());
    keys
}

fn server_and_tokens() -> Vec<(&'static str, Value, Fate)> {
    vec![
        ("server.listen", json!("127.0.0.1:9"), Works),
        ("server.admin_listen", json!("127.0.0.1:9"), Works),
        ("server.body_bytes_max", json!(2048), Works),
        ("server.drain_s", json!(1), Works),
        ("server.trusted_proxies", json!([]), NotBuilt),
        ("server.keepalive_s", json!(1), Works),
        ("server.write_stall_s", json!(1), Works),
        ("server.budget_wait_ms", json!(1), Works),
        ("server.budget_exhausted_status", json!(429), Works),
        ("data_dir", json!("/elsewhere"), Works),
        ("cluster", json!({ "name": "prod" }), NotBuilt),
        ("cluster.nats.servers", json!([]), NotBuilt),
        ("cluster.replicas", json!(3), NotBuilt),
        ("tokens.issuers.#0.iss", json!("me"), Works),
        ("tokens.issuers.#0.orgs", json!(["acme"]), Works),
        ("tokens.issuers.#0.roles", json!(["admin"]), Works),
        ("tokens.audience", json!("prod"), Works),
        ("tokens.revocation_staleness", json!({ "after_s": 60, "policy": "deny" }), NotBuilt),
    ]
}

fn providers() -> Vec<(&'static str, Value, Fate)> {
    let key = |more: Value| {
        let mut key = json!({ "id": "a", "secret": { "env": "A" } });
        key.as_object_mut().expect("a map").extend(more.as_object().expect("a map").clone());
        json!([key])
    };
    vec![
        ("providers.#0.id", json!("other"), Works),
        ("providers.#0.kind", json!("gemini"), NotBuilt),
        ("providers.#0", json!({ "id": "a", "kind": "openai_compatible", "base_url": "http://h/v1" }), Works),
        ("providers.#0.keys", key(json!({})), Works),
        ("providers.#0.keys", key(json!({ "rpm": 5 })), Works),
        ("providers.#0.keys", key(json!({ "tpm": 5 })), Works),
        ("providers.#0.keys", key(json!({ "weight": 5 })), Works),
        ("providers.#0.models", json!(["gpt-*"]), Works),
        ("providers.#0.headers", json!({ "x-team": "ml" }), Works),
        ("providers.#0.timeouts.connect_ms", json!(1), Works),
        ("providers.#0.timeouts.headers_ms", json!(1), Works),
        ("providers.#0.timeouts.first_token_ms", json!(1), Works),
        ("providers.#0.timeouts.idle_ms", json!(1), Works),
        ("providers.#0.timeouts.total_ms", json!(1), Works),
        ("providers.#0.api_version", json!("x"), NotBuilt),
        ("providers.#0.deployments", json!("x"), NotBuilt),
        ("providers.#0.region", json!("x"), NotBuilt),
        ("providers.#0.project", json!("x"), NotBuilt),
        ("providers.#0.proxy", json!("x"), NotBuilt),
        ("providers.#0.ca", json!("x"), NotBuilt),
    ]
}

fn routes() -> Vec<(&'static str, Value, Fate)> {
    let target = |more: Value| {
        let mut target = json!({ "provider": "echo", "model": "echo" });
        target.as_object_mut().expect("a map").extend(more.as_object().expect("a map").clone());
        json!([{ "model": "m", "targets": [target] }])
    };
    let route = |more: Value| {
        let targets = json!([{ "provider": "echo" }, { "provider": "echo" }]);
        let mut route = json!({ "model": "m", "targets": targets });
        route.as_object_mut().expect("a map").extend(more.as_object().expect("a map").clone());
        json!([route])
    };
    let mode = |mode: &str| route(json!({ "strategy": { "mode": mode } }));
    let mut keys = vec![
        ("routes", target(json!({})), Works),
        ("routes", target(json!({ "weight": 5 })), Works),
        ("routes", target(json!({ "retry": {} })), Works),
        ("routes", target(json!({ "retry": { "attempts": 5 } })), Works),
        ("routes", target(json!({ "retry": { "on_status_codes": [500] } })), Works),
        ("routes", target(json!({ "retry": { "initial_backoff_ms": 5 } })), Works),
        ("routes", target(json!({ "circuit_breaker": { "failure_threshold": 9 } })), Works),
        ("routes", target(json!({ "circuit_breaker": { "success_threshold": 9 } })), Works),
        ("routes", target(json!({ "circuit_breaker": { "timeout_s": 9 } })), Works),
        ("routes", target(json!({ "concurrency": { "max": 9 } })), Works),
        ("routes", target(json!({ "concurrency": { "max": 9, "queue": 9 } })), Works),
        ("routes", route(json!({ "attempts_max": 9 })), Works),
        ("routes", route(json!({ "total_ms": 9 })), Works),
        ("routes", route(json!({ "on_unsupported_param": "reject" })), Works),
        ("routes", route(json!({ "on_disconnect": "drain" })), NotBuilt),
        ("routes", mode("fallback"), Works),
        ("routes", mode("loadbalance"), Works),
        ("aliases", json!({ "cheap": "echo" }), Works),
    ];
    for word in
        ["conditional", "least-latency", "cost-optimized", "complexity", "ab-test", "cache-affinity", "least-used"]
    {
        keys.push(("routes", mode(word), NotBuilt));
    }
    keys
}

fn the_rest() -> Vec<(&'static str, Value, Fate)> {
    let budget = |scope: &str, more: Value| {
        let mut budget = json!({ "scope": scope, "limit_usd": 1000, "window": "month" });
        budget.as_object_mut().expect("a map").extend(more.as_object().expect("a map").clone());
        json!([budget])
    };
    let price = |more: Value| {
        let mut price = json!({ "input": 0.10, "output": 0.40 });
        price.as_object_mut().expect("a map").extend(more.as_object().expect("a map").clone());
        json!({ "my-model": price })
    };
    let mut keys = vec![
        ("budgets", budget("org:acme", json!({ "mode": "soft" })), Works),
        ("budgets", budget("org:acme", json!({ "hold": "adaptive" })), Works),
        ("budgets", budget("org:acme", json!({ "alerts": [0.5] })), Works),
        ("budgets", budget("org:acme", json!({ "mode": "soft", "overage": "alert" })), Works),
        ("budgets", budget("org:acme", json!({ "mode": "soft", "overage": "throttle" })), Works),
        ("limits", json!([{ "scope": "team:ml", "rpm": 1 }]), Works),
        ("limits", json!([{ "scope": "team:ml", "tpm": 1 }]), Works),
        ("limits", json!([{ "scope": "team:ml", "tpm_input": 1 }]), Works),
        ("limits", json!([{ "scope": "team:ml", "tpm_output": 1 }]), Works),
        ("limits", json!([{ "scope": "team:ml", "concurrency": 1 }]), Works),
        ("alerts", json!({ "webhooks": [] }), NotBuilt),
        ("pricing.unknown", json!("allow"), Works),
        ("pricing", json!({ "unknown": "flat", "flat": { "input": 1, "output": 2 } }), Works),
        ("pricing.overrides", price(json!({})), Works),
        ("pricing.overrides", price(json!({ "cache_read": 1 })), Works),
        ("plugins", json!([]), NotBuilt),
        ("cache", json!({ "type": "semantic" }), NotBuilt),
        ("mcp_servers", json!([]), NotBuilt),
        ("responses", json!({ "ttl_s": 1 }), NotBuilt),
        ("audit.durability", json!("strict"), Works),
        ("audit.bodies", json!("none"), Works),
        ("audit.bodies", json!("store"), NotBuilt),
        ("audit.retain_h", json!(24), Works),
        ("telemetry.otlp", json!("http://127.0.0.1:4318"), Works),
        ("telemetry.log", json!("text"), Works),
    ];
    for scope in ["global", "org:a", "team:a", "project:a", "user:a", "model:a", "tag:k=v", "tag:k=*", "token:*"] {
        keys.push(("budgets", budget(scope, json!({})), Works));
    }
    keys
}

/// The value at a path of `with`.
fn at<'a>(root: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(root, |at, step| match step.strip_prefix('#') {
        Some(entry) => &at[entry.parse::<usize>().expect("a number")],
        None => &at[step],
    })
}

/// Whether all that was written is shown; defaults may stand beside it, and dollars are shown as text.
fn holds(shown: &Value, written: &Value) -> bool {
    let number = |value: &Value| value.as_f64().or_else(|| value.as_str()?.parse().ok());
    match (shown, written) {
        (Value::Object(shown), Value::Object(written)) => {
            written.iter().all(|(key, value)| shown.get(key).is_some_and(|shown| holds(shown, value)))
        }
        (Value::Array(shown), Value::Array(written)) => {
            shown.len() == written.len() && shown.iter().zip(written).all(|(shown, written)| holds(shown, written))
        }
        (shown, written) => shown == written || (written.is_number() && number(shown) == number(written)),
    }
}

#[test]
fn every_key_of_the_contract_works_or_is_refused_by_name() {
    let before = seen(SMALL).effective;
    for (path, value, fate) in keys() {
        let text = with(path, value.clone());
        let found = overview(&source(&text), &Environment::default(), false);
        match (fate, found) {
            (Works, Ok(found)) => {
                assert_ne!(found.effective, before, "{path}: {value} changed nothing");
                let shown = at(&found.effective, path);
                assert!(holds(shown, &value), "{path}: {value} became {shown}");
                let again = overview(&source(&found.effective.to_string()), &Environment::default(), false);
                assert_eq!(again.map(|again| again.effective).ok(), Some(found.effective), "{path}: {value}");
            }
            (NotBuilt, Err(faults)) => {
                let not_built = |problem: &Problem| matches!(problem, Problem::NotBuilt | Problem::WordNotBuilt { .. });
                assert!(faults.list().iter().all(|fault| not_built(&fault.problem)), "{path}: {faults}");
                assert!(faults.to_string().contains("not built yet in this version"), "{path}: {faults}");
            }
            (Works, Err(faults)) => panic!("{path}: {value} is refused: {faults}"),
            (NotBuilt, Ok(_)) => panic!("{path}: {value} is taken though it is not built"),
        }
    }
}

#[test]
fn every_provider_kind_of_the_contract_is_built_or_refused_by_name() {
    let built = ["openai", "anthropic", "openai_compatible", "echo"];
    let kinds = "openai anthropic gemini vertex bedrock azure mistral cohere groq xai deepseek fireworks together \
                 openrouter perplexity cerebras ollama openai_compatible echo";
    for kind in kinds.split_whitespace() {
        let provider = json!({
            "id": "p", "kind": kind, "base_url": "http://h/v1", "keys": [{ "id": "a", "secret": { "env": "A" } }],
        });
        let found = overview(&source(&with("providers.#0", provider)), &Environment::default(), false);
        match found {
            Ok(_) => assert!(built.contains(&kind), "{kind}"),
            Err(faults) => {
                assert!(!built.contains(&kind), "{faults}");
                assert!(faults.to_string().contains(&format!("`{kind}` is not built yet")), "{faults}");
            }
        }
    }
}
