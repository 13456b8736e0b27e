//! Short words for tests: rules, callers, ledgers.

use bh_base::{BudgetMode, HoldMode, Millis, NanoUsd, NodeId, Overage, TokenId, Window};
use bh_ledger::{
    AccountView, Attempt, BudgetRule, Caller, Ceilings, Config, Effect, Hold, Identity, Ledger, LimitRule, Limits,
    Link, Pattern, Pool, Refusal, Setup, TokenBudget,
};

/// 2026-11-20T12:00:00Z.
pub(crate) const NOON: Millis = Millis(1_795_176_000_000);
pub(crate) const HOUR: u64 = 3_600_000;
pub(crate) const FOREVER: Millis = Millis(u64::MAX);

/// A rule that blocks, holds strictly and alerts nobody.
pub(crate) fn rule(scope: &str, limit: u64, window: Window, mode: BudgetMode) -> BudgetRule {
    BudgetRule {
        scope: Pattern::parse(scope).expect("a scope of a test"),
        limit: NanoUsd(limit),
        window,
        mode,
        hold: HoldMode::Strict,
        alerts_bp: Vec::new(),
        overage: Overage::Block,
    }
}

pub(crate) fn hard(scope: &str, limit: u64, window: Window) -> BudgetRule {
    rule(scope, limit, window, BudgetMode::Hard)
}

pub(crate) fn soft(scope: &str, limit: u64, window: Window, overage: Overage) -> BudgetRule {
    BudgetRule { overage, ..rule(scope, limit, window, BudgetMode::Soft) }
}

pub(crate) fn adaptive(rule: BudgetRule) -> BudgetRule {
    BudgetRule { hold: HoldMode::Adaptive, ..rule }
}

pub(crate) fn budgets(rules: &[BudgetRule]) -> Config {
    let config = Config { budgets: rules.to_vec(), ..Config::default() };
    assert_eq!(config.faults(), []);
    config
}

pub(crate) fn limits(scope: &str, limits: Limits) -> Config {
    let scope = Pattern::parse(scope).expect("a scope of a test");
    Config { limits: vec![LimitRule { scope, limits }], ..Config::default() }
}

/// A ledger without disk that owns its limits.
pub(crate) fn ledger(config: &Config) -> Ledger {
    with(Pool::OwnLimit, Ceilings::InMemory, 1, config)
}

pub(crate) fn with(pool: Pool, ceilings: Ceilings, node: u8, config: &Config) -> Ledger {
    Ledger::new(Setup { node: NodeId([node; 16]), pool, ceilings, notify: Box::new(()) }, config)
}

/// `user` of team ml in org acme, with the tag env=prod, by a token without budgets.
pub(crate) fn caller(user: &str) -> Caller {
    chain(user, &[link(user.as_bytes().first().copied().unwrap_or(0), &[])])
}

pub(crate) fn chain(user: &str, links: &[Link]) -> Caller {
    let some = |text: &str| Some(text.to_owned());
    let identity = Identity {
        issuer: "main".to_owned(),
        user: some(user),
        project: some("p"),
        team: some("ml"),
        org: some("acme"),
        tags: vec![("env".to_owned(), "prod".to_owned())],
    };
    Caller::new(&identity, links)
}

pub(crate) fn link(id: u8, budgets: &[TokenBudget]) -> Link {
    Link {
        id: TokenId([id; 32]),
        budget_id: None,
        budgets: budgets.to_vec(),
        limits: Limits::default(),
        expires_at: FOREVER,
    }
}

pub(crate) fn token_budget(limit: u64, window: Window) -> TokenBudget {
    TokenBudget { limit: NanoUsd(limit), window, mode: BudgetMode::Hard, hold: HoldMode::Strict }
}

/// An attempt on model `m` whose bound and probable cost are the same.
pub(crate) const fn attempt(cost: u64) -> Attempt<'static> {
    Attempt { model: "m", strict: NanoUsd(cost), adaptive: NanoUsd(cost), waited: false }
}

pub(crate) fn reserve(ledger: &Ledger, now: Millis, caller: &Caller, cost: u64) -> Result<Hold, Refusal> {
    ledger.reserve(now, caller, &attempt(cost))
}

/// Spends at once.
pub(crate) fn spend(ledger: &Ledger, now: Millis, caller: &Caller, cost: u64) {
    let hold = reserve(ledger, now, caller, cost).expect("there is money");
    assert!(!hold.settle(now, NanoUsd(cost)).overcharged);
}

/// The numbers of one counter, by the start of its printed key.
pub(crate) fn account(ledger: &Ledger, key: &str) -> AccountView {
    let found: Vec<_> = ledger.accounts().into_iter().filter(|view| view.key.to_string().starts_with(key)).collect();
    assert_eq!(found.len(), 1, "{key} among {found:?}");
    found.into_iter().next().expect("there is one")
}

pub(crate) fn spent_held(ledger: &Ledger, key: &str) -> (u64, u64) {
    let view = account(ledger, key);
    (view.spent.0, view.held.0)
}

/// Who refused, by scope and window.
pub(crate) fn exhausted(refused: Result<Hold, Refusal>) -> String {
    match refused {
        Err(Refusal::Exhausted(numbers)) => format!("{} {}", numbers.scope, numbers.window),
        other => panic!("expected an exhausted budget, got {other:?}"),
    }
}

/// Answers every ceiling as written, and returns the other effects.
pub(crate) fn write_ceilings(ledger: &Ledger, now: Millis) -> Vec<Effect> {
    let mut rest = Vec::new();
    for effect in ledger.take_effects() {
        match effect {
            Effect::PersistCeiling(ceiling) => ledger.ceiling_durable(now, &ceiling),
            other @ (Effect::Ask(_) | Effect::Return { .. } | Effect::Alert(_) | Effect::Overcharge(_)) => {
                rest.push(other);
            }
        }
    }
    rest
}
