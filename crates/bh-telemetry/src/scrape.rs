//! What is only looked at when somebody scrapes: state that lives elsewhere and is read then.

/// The state of the node at one moment.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    /// Every budget that has a counter.
    pub budgets: Vec<BudgetSample>,
    /// Every breaker that has seen a call.
    pub breakers: Vec<BreakerSample>,
    /// Audit records on disk since the process started.
    pub audit_spooled: u64,
    /// Audit records lost since the process started (relaxed mode).
    pub audit_gap: u64,
    /// Holds that were dropped without being settled.
    pub holds_leaked: u64,
    /// Requests in flight.
    pub in_flight: u64,
}

/// One budget, in nano-dollars.
#[derive(Debug, Clone)]
pub struct BudgetSample {
    /// The resolved scope; users and tokens stand as their kind only, so that labels stay bounded.
    pub scope: String,
    /// `hour`, `day`, `month` or `total`.
    pub window: &'static str,
    /// The limit.
    pub limit: u64,
    /// Spent.
    pub spent: u64,
    /// Held.
    pub held: u64,
    /// Rights at hand.
    pub rights: u64,
    /// Committed and out of reach.
    pub stranded: u64,
}

/// One breaker.
#[derive(Debug, Clone)]
pub struct BreakerSample {
    /// The provider's id.
    pub provider: String,
    /// The target's model.
    pub model: String,
    /// 0 closed, 1 half-open, 2 open.
    pub state: i64,
}
