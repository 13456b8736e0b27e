//! JSON that a caller reads about itself: its budgets, its requests.

use bh_base::Usage;
use bh_ledger::{AccountView, Rate};
use bh_pipeline::{BudgetReport, RequestMeta};
use bytes::Bytes;
use serde::Serialize;

use crate::reply::rfc3339;

#[derive(Serialize)]
struct Budget {
    object: &'static str,
    budgets: Vec<Counter>,
    rates: Rates,
}

/// One counter. Amounts above the token are there only for those who may see them.
#[derive(Serialize)]
struct Counter {
    scope: String,
    window: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit_usd: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    spent_usd: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    held_usd: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remaining_usd: Option<String>,
    resets_at: Option<String>,
}

#[derive(Serialize)]
struct Rates {
    requests_per_minute: Option<RateView>,
    tokens_per_minute: Option<RateView>,
}

#[derive(Serialize)]
struct RateView {
    limit: u64,
    remaining: u64,
    reset_ms: u64,
}

pub(crate) fn budget(report: &BudgetReport) -> Bytes {
    let own = report.own.iter().map(|view| counter(view, true));
    let above = report.above.iter().map(|view| counter(view, report.may_see_above));
    let rate = |rate: Option<Rate>| {
        rate.map(|rate| RateView { limit: rate.limit, remaining: rate.remaining, reset_ms: rate.reset.0 })
    };
    bytes(&Budget {
        object: "budget",
        budgets: own.chain(above).collect(),
        rates: Rates { requests_per_minute: rate(report.rates.requests), tokens_per_minute: rate(report.rates.tokens) },
    })
}

/// Every counter with its numbers, for operators.
pub(crate) fn accounts(accounts: &[AccountView]) -> Bytes {
    #[derive(Serialize)]
    struct Accounts {
        object: &'static str,
        data: Vec<Counter>,
    }
    bytes(&Accounts { object: "list", data: accounts.iter().map(|view| counter(view, true)).collect() })
}

fn counter(view: &AccountView, amounts: bool) -> Counter {
    let shown = |amount: Option<bh_base::NanoUsd>| amount.filter(|_| amounts).map(|usd| usd.to_string());
    Counter {
        scope: if amounts { view.key.scope.to_string() } else { view.key.scope.kind().to_string() },
        window: view.key.window.as_str(),
        mode: view.mode.map(bh_base::BudgetMode::as_str),
        limit_usd: shown(view.limit),
        spent_usd: shown(Some(view.spent)),
        held_usd: shown(Some(view.held)),
        remaining_usd: shown(view.remaining()),
        resets_at: view.resets_at.map(rfc3339),
    }
}

#[derive(Serialize)]
struct Meta<'a> {
    object: &'static str,
    id: String,
    op: &'a str,
    asked: &'a str,
    provider: &'a str,
    model: &'a str,
    began_at: String,
    total_ms: u64,
    overhead_us: u64,
    first_token_ms: Option<u64>,
    stream: bool,
    status: u16,
    outcome: &'a str,
    attempts: u32,
    usage: UsageView,
    estimated: bool,
    cost_usd: String,
    price_version: &'a str,
    config_version: &'a str,
    decision: &'a bh_audit::Decision,
    warnings: &'a [String],
    session: Option<&'a str>,
    tags: &'a [String],
}

#[derive(Serialize)]
struct UsageView {
    input_uncached: u64,
    cache_read: u64,
    cache_write_5m: u64,
    cache_write_1h: u64,
    output: u64,
    reasoning: u64,
    audio_input: u64,
    audio_output: u64,
    image_input: u64,
    web_searches: u64,
}

pub(crate) fn request(meta: &RequestMeta) -> Bytes {
    bytes(&Meta {
        object: "request",
        id: meta.id.to_string(),
        op: meta.op,
        asked: &meta.asked,
        provider: &meta.provider,
        model: &meta.model,
        began_at: rfc3339(meta.began),
        total_ms: meta.total_ms,
        overhead_us: meta.overhead_us,
        first_token_ms: meta.first_token_ms,
        stream: meta.stream,
        status: meta.status,
        outcome: meta.outcome,
        attempts: meta.attempts,
        usage: usage(&meta.usage),
        estimated: meta.estimated,
        cost_usd: meta.cost.to_string(),
        price_version: &meta.price_version,
        config_version: &meta.config_version,
        decision: &meta.decision,
        warnings: &meta.warnings,
        session: meta.session.as_deref(),
        tags: &meta.tags,
    })
}

fn usage(usage: &Usage) -> UsageView {
    UsageView {
        input_uncached: usage.input_uncached,
        cache_read: usage.cache_read,
        cache_write_5m: usage.cache_write_5m,
        cache_write_1h: usage.cache_write_1h,
        output: usage.output,
        reasoning: usage.reasoning,
        audio_input: usage.audio_input,
        audio_output: usage.audio_output,
        image_input: usage.image_input,
        web_searches: usage.web_searches,
    }
}

fn bytes(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).map(Bytes::from).unwrap_or_default()
}
