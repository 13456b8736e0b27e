//! Prometheus metrics in base units, with bounded labels.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use bh_base::broken_counts;
use bh_pipeline::ports::{Meter, RefusedFacts, RequestFacts};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::Traces;
use crate::handles::Handles;
use crate::scrape::Sample;

/// Upper bounds of request and first-token times, in seconds: 1 ms to 10 min.
const LONG_BUCKETS: [f64; 16] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 180.0, 600.0];
/// Upper bounds of the gateway's own time, in seconds: 5 µs to 1 s.
const SHORT_BUCKETS: [f64; 14] = [
    0.000_005, 0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.25, 1.0,
];

macro_rules! labels {
    ($($name:ident { $($field:ident),* })*) => {$(
        #[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
        struct $name { $($field: String),* }
    )*};
}
labels! {
    RequestLabels { provider, model, route, status }
    TokenLabels { provider, model, direction }
    CostLabels { provider, model, org, team }
    TargetLabels { provider, model }
    RouteLabels { route }
    AttemptLabels { provider, outcome }
    ReasonLabels { reason }
    BudgetLabels { scope, window }
    IdLabels { id }
    AlertLabels { kind, window, share }
}

type Dollars = Counter<f64, AtomicU64>;
type Usd = Gauge<f64, AtomicU64>;

/// Metrics and traces of one node. It is the pipeline's `Meter`.
#[derive(Debug)]
pub struct Telemetry {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    tokens: Family<TokenLabels, Counter>,
    cost: Family<CostLabels, Dollars>,
    duration: Family<TargetLabels, Histogram, fn() -> Histogram>,
    first_token: Family<TargetLabels, Histogram, fn() -> Histogram>,
    overhead: Family<RouteLabels, Histogram, fn() -> Histogram>,
    attempts: Family<AttemptLabels, Counter>,
    blocks: Family<ReasonLabels, Counter>,
    shed: Family<ReasonLabels, Counter>,
    alerts: Family<AlertLabels, Counter>,
    by_request: Handles<RequestHandles>,
    by_attempt: Handles<Counter>,
    by_refusal: Handles<Counter>,
    gauges: Gauges,
    scraping: Mutex<()>,
    traces: Option<Traces>,
}

/// Everything one kind of request touches, looked up at once.
#[derive(Debug)]
struct RequestHandles {
    requests: Counter,
    input: Counter,
    cached: Counter,
    output: Counter,
    cost: Dollars,
    duration: Histogram,
    first_token: Histogram,
    overhead: Histogram,
}

#[derive(Debug, Default)]
struct Gauges {
    breakers: Family<TargetLabels, Gauge>,
    limit: Family<BudgetLabels, Usd>,
    spent: Family<BudgetLabels, Usd>,
    held: Family<BudgetLabels, Usd>,
    rights: Family<BudgetLabels, Usd>,
    stranded: Family<BudgetLabels, Usd>,
    spooled: Gauge<u64, AtomicU64>,
    gap: Gauge<u64, AtomicU64>,
    leaked: Gauge<u64, AtomicU64>,
    in_flight: Gauge<u64, AtomicU64>,
    broken: Family<IdLabels, Gauge<u64, AtomicU64>>,
}

fn long() -> Histogram {
    Histogram::new(LONG_BUCKETS)
}

fn short() -> Histogram {
    Histogram::new(SHORT_BUCKETS)
}

impl Telemetry {
    /// Metrics, and traces where a collector is named.
    #[must_use]
    pub fn new(traces: Option<Traces>) -> Self {
        let mut telemetry = Telemetry {
            registry: Registry::with_prefix("bulkhead"),
            requests: Family::default(),
            tokens: Family::default(),
            cost: Family::default(),
            duration: Family::new_with_constructor(long),
            first_token: Family::new_with_constructor(long),
            overhead: Family::new_with_constructor(short),
            attempts: Family::default(),
            blocks: Family::default(),
            shed: Family::default(),
            alerts: Family::default(),
            by_request: Handles::new(),
            by_attempt: Handles::new(),
            by_refusal: Handles::new(),
            gauges: Gauges::default(),
            scraping: Mutex::new(()),
            traces,
        };
        telemetry.register();
        telemetry
    }

    fn register(&mut self) {
        let r = &mut self.registry;
        r.register(
            "requests",
            "Requests by the status the client saw; provider and model are empty where none was reached",
            self.requests.clone(),
        );
        r.register("tokens", "Tokens used, as providers report them", self.tokens.clone());
        r.register_with_unit("cost", "What requests cost", Unit::Other("usd".to_owned()), self.cost.clone());
        let seconds = || Unit::Seconds;
        r.register_with_unit("request_duration", "From request to end of answer", seconds(), self.duration.clone());
        r.register_with_unit(
            "overhead",
            "Time in the gateway before a provider is called",
            seconds(),
            self.overhead.clone(),
        );
        r.register_with_unit(
            "time_to_first_token",
            "From request to first content of a stream",
            seconds(),
            self.first_token.clone(),
        );
        r.register("attempts", "Attempts, by how they ended", self.attempts.clone());
        r.register("security_blocks", "Requests refused for who asked", self.blocks.clone());
        r.register("shed", "Requests refused because the node or a target had no room", self.shed.clone());
        r.register("budget_alerts", "Shares of budgets that were reached", self.alerts.clone());
        let g = &self.gauges;
        r.register("breaker_state", "0 closed, 1 half-open, 2 open", g.breakers.clone());
        let usd = || Unit::Other("usd".to_owned());
        r.register_with_unit("budget_limit", "The limit of a budget", usd(), g.limit.clone());
        r.register_with_unit("budget_spent", "Spent of a budget", usd(), g.spent.clone());
        r.register_with_unit("budget_held", "Held by calls in flight", usd(), g.held.clone());
        r.register_with_unit("budget_rights", "Rights at hand for a hard budget", usd(), g.rights.clone());
        r.register_with_unit(
            "budget_stranded",
            "Committed and out of reach until replay or the window's end",
            usd(),
            g.stranded.clone(),
        );
        r.register("audit_spooled_total", "Audit records on disk since the start", g.spooled.clone());
        r.register("audit_gap_total", "Audit records lost since the start", g.gap.clone());
        r.register("holds_leaked_total", "Holds dropped without being settled", g.leaked.clone());
        r.register("in_flight", "Requests in flight", g.in_flight.clone());
        r.register("invariant_broken_total", "Invariants found broken: a bug of the gateway", g.broken.clone());
    }

    /// The text a scraper reads, with the state of this moment.
    #[must_use]
    pub fn render(&self, sample: &Sample) -> String {
        // Two scrapes at once must not clear each other's gauges.
        let _one_at_a_time = self.scraping.lock().unwrap_or_else(PoisonError::into_inner);
        self.gauges.set(sample);
        let mut text = String::with_capacity(16 * 1024);
        if encode(&mut text, &self.registry).is_err() {
            tracing::error!("metrics could not be written as text");
        }
        text
    }

    /// Sends the last traces.
    pub fn stop(&self) {
        if let Some(traces) = &self.traces {
            traces.stop();
        }
    }

    fn request_handles(&self, facts: &RequestFacts<'_>) -> Arc<RequestHandles> {
        let status = facts.status.to_string();
        let values = [facts.provider, facts.model, facts.route, status.as_str(), facts.org, facts.team];
        self.by_request.get(&values, |v| {
            let [provider, model, route, status, org, team] = [0, 1, 2, 3, 4, 5].map(|at| v[at].to_owned());
            let target = TargetLabels { provider: provider.clone(), model: model.clone() };
            let tokens = |direction: &str| {
                let labels =
                    TokenLabels { provider: provider.clone(), model: model.clone(), direction: direction.to_owned() };
                self.tokens.get_or_create(&labels).clone()
            };
            RequestHandles {
                input: tokens("input"),
                cached: tokens("cache_read"),
                output: tokens("output"),
                duration: self.duration.get_or_create(&target).clone(),
                first_token: self.first_token.get_or_create(&target).clone(),
                overhead: self.overhead.get_or_create(&RouteLabels { route: route.clone() }).clone(),
                cost: self
                    .cost
                    .get_or_create(&CostLabels { provider: provider.clone(), model: model.clone(), org, team })
                    .clone(),
                requests: self.requests.get_or_create(&RequestLabels { provider, model, route, status }).clone(),
            }
        })
    }
}

impl Meter for Telemetry {
    fn request(&self, facts: &RequestFacts<'_>) {
        let handles = self.request_handles(facts);
        handles.requests.inc();
        handles.input.inc_by(facts.usage.prompt_tokens() - facts.usage.cache_read.min(facts.usage.prompt_tokens()));
        handles.cached.inc_by(facts.usage.cache_read);
        handles.output.inc_by(facts.usage.answer_tokens());
        handles.cost.inc_by(facts.cost.as_usd_f64());
        handles.duration.observe(seconds(facts.total_us));
        handles.overhead.observe(seconds(facts.overhead_us));
        if let Some(first) = facts.first_token_us {
            handles.first_token.observe(seconds(first));
        }
        for attempt in facts.attempts {
            let counter = self.by_attempt.get(&[attempt.provider, attempt.outcome], |v| {
                let labels = AttemptLabels { provider: v[0].to_owned(), outcome: v[1].to_owned() };
                self.attempts.get_or_create(&labels).clone()
            });
            counter.inc();
        }
        if let Some(traces) = &self.traces {
            traces.request(facts);
        }
        if 500 <= facts.status {
            tracing::warn!(request_id = %facts.request, trace_id = %Hex(&facts.trace.trace_id), route = facts.route,
                provider = facts.provider, model = facts.model, status = facts.status, outcome = facts.outcome,
                attempts = facts.attempts.len(), total_us = facts.total_us, "request failed");
        } else {
            tracing::debug!(request_id = %facts.request, trace_id = %Hex(&facts.trace.trace_id), route = facts.route,
                provider = facts.provider, model = facts.model, status = facts.status, outcome = facts.outcome,
                attempts = facts.attempts.len(), total_us = facts.total_us, cost_usd = %facts.cost, "request answered");
        }
    }

    fn refused(&self, facts: &RefusedFacts<'_>) {
        let status = facts.status.to_string();
        let requests = self.by_refusal.get(&[facts.route, &status], |v| {
            let (provider, model) = (String::new(), String::new());
            let labels = RequestLabels { provider, model, route: v[0].to_owned(), status: v[1].to_owned() };
            self.requests.get_or_create(&labels).clone()
        });
        requests.inc();
        let reason = || ReasonLabels { reason: facts.code.to_owned() };
        if matches!(facts.status, 401 | 403) {
            self.blocks.get_or_create(&reason()).inc();
        } else if matches!(facts.status, 429 | 503) {
            self.shed.get_or_create(&reason()).inc();
        }
        tracing::debug!(request_id = %facts.request, trace_id = %Hex(&facts.trace.trace_id), route = facts.route,
            status = facts.status, code = facts.code, "request refused");
    }

    fn alert(&self, alert: &bh_ledger::Alert) {
        let labels = AlertLabels {
            kind: alert.key.scope.kind().as_str().to_owned(),
            window: alert.key.window.as_str().to_owned(),
            share: format!("{}.{:02}", alert.share_bp / 10_000, alert.share_bp % 10_000 / 100),
        };
        self.alerts.get_or_create(&labels).inc();
    }
}

impl Gauges {
    fn set(&self, sample: &Sample) {
        for family in [&self.limit, &self.spent, &self.held, &self.rights, &self.stranded] {
            family.clear();
        }
        self.breakers.clear();
        for budget in &sample.budgets {
            let labels = BudgetLabels { scope: budget.scope.clone(), window: budget.window.to_owned() };
            let usd = |nano: u64| bh_base::NanoUsd(nano).as_usd_f64();
            self.limit.get_or_create(&labels).set(usd(budget.limit));
            self.spent.get_or_create(&labels).inc_by(usd(budget.spent));
            self.held.get_or_create(&labels).inc_by(usd(budget.held));
            self.rights.get_or_create(&labels).inc_by(usd(budget.rights));
            self.stranded.get_or_create(&labels).inc_by(usd(budget.stranded));
        }
        for breaker in &sample.breakers {
            let labels = TargetLabels { provider: breaker.provider.clone(), model: breaker.model.clone() };
            self.breakers.get_or_create(&labels).set(breaker.state);
        }
        self.spooled.set(sample.audit_spooled);
        self.gap.set(sample.audit_gap);
        self.leaked.set(sample.holds_leaked);
        self.in_flight.set(sample.in_flight);
        for (invariant, count) in broken_counts() {
            self.broken.get_or_create(&IdLabels { id: invariant.id().to_owned() }).set(count);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a histogram's bucket does not need the last microsecond")]
fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

/// Bytes as hex digits.
struct Hex<'a>(&'a [u8]);

impl std::fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
