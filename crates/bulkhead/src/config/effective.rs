//! The configuration as it works: defaults filled in, secrets as where they are.

use bh_catalog::UnknownPrice;
use bh_dialect::OnUnsupported;
use bh_ledger::{BudgetRule, LimitRule};
use bh_policy::{RouteConfig, Serves, TargetConfig};
use serde_json::{Map, Value, json};

use super::Loaded;
use super::raw::{Issuer, Provider, Raw};
use super::secret::{Placed, RawSecret};
use super::words::Vocabulary;

/// Every key that works with the value it has; a configuration in itself. Taken from the checked configuration, so
/// that it shows what is done and not what was written; only what is not kept there comes from the raw one.
pub(super) fn effective(raw: &Raw, loaded: &Loaded) -> Value {
    let node = &loaded.node;
    let live = &node.live;
    let settings = &live.settings;
    let providers = raw.providers.iter().zip(0..).map(|(provider, at)| provider_of(provider, at, loaded));
    let aliases = live.routes.aliases.iter().map(|alias| (alias.name.clone(), alias.target.as_str().into()));
    without_nulls(json!({
        "server": {
            "listen": node.listen.to_string(),
            "admin_listen": node.admin_listen.to_string(),
            "body_bytes_max": settings.body_bytes_max,
            "drain_s": node.drain.as_secs(),
            "tls": raw.server.tls.as_ref().map(|tls| json!({ "cert": tls.cert, "key": tls.key })),
            "keepalive_s": settings.keepalive.as_secs(),
            "write_stall_s": settings.write_stall.as_secs(),
            "budget_wait_ms": settings.budget_wait.0,
            "budget_exhausted_status": settings.budget_exhausted_status,
        },
        "data_dir": node.data_dir,
        "tokens": { "issuers": raw.tokens.issuers.iter().map(issuer).collect::<Value>(), "audience": live.audience },
        "providers": providers.collect::<Value>(),
        "routes": live.routes.routes.iter().zip(&live.on_unsupported).map(route).collect::<Value>(),
        "aliases": aliases.collect::<Map<_, _>>(),
        "budgets": live.ledger.budgets.iter().map(budget).collect::<Value>(),
        "limits": live.ledger.limits.iter().map(limit).collect::<Value>(),
        "pricing": pricing(loaded),
        "audit": {
            "durability": node.audit.durability.as_str(),
            "bodies": if settings.commit_bodies { "commit" } else { "none" },
            "retain_h": node.audit.retain.map(|retain| retain.as_secs() / 3600),
        },
        "telemetry": { "otlp": node.otlp, "log": loaded.log.spelling() },
    }))
}

fn issuer(issuer: &Issuer) -> Value {
    json!({
        "kid": issuer.kid,
        "x": issuer.x,
        "file": issuer.file,
        "iss": issuer.iss,
        "orgs": issuer.orgs,
        "roles": issuer.roles,
    })
}

fn provider_of(raw: &Provider, at: usize, loaded: &Loaded) -> Value {
    let live = &loaded.node.live;
    let (routing, upstream, (_, deadlines)) =
        (&live.routes.providers[at], &live.upstream.providers[at], live.deadlines[at].clone());
    let keys = raw.keys.iter().zip(&routing.keys).map(|(raw, key)| {
        json!({
            "id": key.id,
            "secret": secret(&raw.secret),
            "rpm": key.rpm,
            "tpm": key.tpm,
            "weight": key.weight,
        })
    });
    json!({
        "id": raw.id,
        "kind": upstream.kind.as_str(),
        "base_url": upstream.base_url.as_deref().or(upstream.kind.default_base_url()),
        "keys": keys.collect::<Value>(),
        "models": match &routing.serves {
            Serves::Patterns(patterns) => Some(patterns),
            Serves::Catalog => None,
        },
        "headers": raw.headers,
        "timeouts": {
            "connect_ms": millis(upstream.timeouts.connect),
            "headers_ms": millis(upstream.timeouts.headers),
            "first_token_ms": deadlines.first_token.0,
            "idle_ms": deadlines.idle.0,
            "total_ms": deadlines.total.0,
        },
    })
}

fn millis(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn secret(secret: &RawSecret) -> Value {
    match secret.place() {
        Ok(Placed::Env(name)) => json!({ "env": name }),
        Ok(Placed::File(path)) => json!({ "file": path }),
        Err(_) => Value::Null,
    }
}

fn route((route, on_unsupported): (&RouteConfig, &OnUnsupported)) -> Value {
    json!({
        "model": route.model,
        "attempts_max": route.attempts_max,
        "total_ms": route.total_ms,
        "on_unsupported_param": on_unsupported.spelling(),
        "strategy": { "mode": route.strategy.as_str() },
        "targets": route.targets.iter().map(target).collect::<Value>(),
    })
}

fn target(target: &TargetConfig) -> Value {
    json!({
        "provider": target.provider,
        "model": target.model,
        "weight": target.weight,
        "retry": target.retry.as_ref().map(|retry| json!({
            "attempts": retry.attempts,
            "on_status_codes": retry.on_status_codes,
            "initial_backoff_ms": retry.initial_backoff_ms,
        })),
        "circuit_breaker": {
            "failure_threshold": target.breaker.failure_threshold,
            "success_threshold": target.breaker.success_threshold,
            "timeout_s": target.breaker.timeout_ms / 1000,
        },
        "concurrency": target.concurrency.as_ref().map(|concurrency| json!({
            "max": concurrency.max,
            "queue": concurrency.queue,
        })),
    })
}

fn budget(rule: &BudgetRule) -> Value {
    json!({
        "scope": rule.scope.to_string(),
        "limit_usd": rule.limit.to_string(),
        "window": rule.window.as_str(),
        "mode": rule.mode.as_str(),
        "hold": rule.hold.as_str(),
        "alerts": rule.alerts_bp.iter().map(|bp| f64::from(*bp) / 10_000.0).collect::<Value>(),
        "overage": rule.overage.as_str(),
    })
}

fn limit(rule: &LimitRule) -> Value {
    json!({
        "scope": rule.scope.to_string(),
        "rpm": rule.limits.rpm,
        "tpm": rule.limits.tpm,
        "tpm_input": rule.limits.tpm_input,
        "tpm_output": rule.limits.tpm_output,
        "concurrency": rule.limits.concurrency,
    })
}

fn pricing(loaded: &Loaded) -> Value {
    let usd = |amount: bh_base::NanoUsd| amount.to_string();
    let overrides = loaded.node.live.overrides.iter().map(|one| {
        let price = json!({
            "input": usd(one.input),
            "output": usd(one.output),
            "cache_read": one.cache_read.map(usd),
            "cache_write_5m": one.cache_write_5m.map(usd),
            "cache_write_1h": one.cache_write_1h.map(usd),
            "web_search": one.web_search.map(usd),
            "context_tokens": one.context_tokens,
            "output_tokens_max": one.output_tokens_max,
        });
        (one.model.clone(), price)
    });
    let (unknown, flat) = match loaded.node.live.unknown_price {
        UnknownPrice::Reject => ("reject", None),
        UnknownPrice::Allow => ("allow", None),
        UnknownPrice::Flat { input, output } => ("flat", Some(json!({ "input": usd(input), "output": usd(output) }))),
    };
    json!({ "unknown": unknown, "flat": flat, "overrides": overrides.collect::<Map<_, _>>() })
}

/// A key without a value is left out.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(kept.map(|(key, value)| (key, without_nulls(value))).collect())
        }
        Value::Array(list) => list.into_iter().map(without_nulls).collect(),
        scalar @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => scalar,
    }
}
