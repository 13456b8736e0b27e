//! Short ways to write configurations, requests and failures.

use std::sync::Arc;

use bh_base::Millis;
use bh_chat::FaultClass;
use bh_policy::{
    Ask, Failure, Health, KeyConfig, NoPlan, Plan, ProviderConfig, RouteConfig, Routes, RoutesConfig, Serves, Strategy,
    Target, TargetConfig, Unfit, plan,
};

pub(crate) fn key(id: &str) -> KeyConfig {
    KeyConfig { id: id.into(), weight: 1, rpm: None, tpm: None, fingerprint: 1 }
}

/// A provider with one key that serves what matches the patterns.
pub(crate) fn provider(id: &str, patterns: &[&str]) -> ProviderConfig {
    ProviderConfig {
        id: id.into(),
        kind: "openai".into(),
        serves: Serves::Patterns(patterns.iter().map(|pattern| (*pattern).into()).collect()),
        keys: vec![key("k")],
    }
}

/// Providers `p0` … that serve nothing by name, and one route `m` over all of them with models `m0` ….
pub(crate) fn one_route(strategy: Strategy, count: usize) -> RoutesConfig {
    let targets = (0..count).map(|at| TargetConfig::new(&format!("p{at}"), Some(&format!("m{at}")))).collect();
    RoutesConfig {
        version: "v1".into(),
        providers: (0..count).map(|at| provider(&format!("p{at}"), &[])).collect(),
        routes: vec![RouteConfig::new("m", strategy, targets)],
        aliases: Vec::new(),
    }
}

pub(crate) fn build(config: &RoutesConfig) -> Routes {
    Routes::build(config, &Arc::new(Health::default()), Millis(0)).expect("a good configuration")
}

/// A request that anyone may make and every target can serve.
pub(crate) fn ask(model: &str) -> Ask<'_> {
    Ask {
        model,
        strategy: None,
        tokens: 10,
        timeout_ms: None,
        allowed: &|_| true,
        listed: &|_, _| false,
        fits: &|_: &Target| Ok::<(), Unfit>(()),
    }
}

pub(crate) fn plan_at(routes: &Routes, model: &str, now: u64, draw: u64) -> Result<Plan, NoPlan> {
    plan(routes, &ask(model), Millis(now), draw)
}

/// A plan as `provider/model` texts.
pub(crate) fn order(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(|step| name(&step.target)).collect()
}

pub(crate) fn name(target: &Target) -> String {
    format!("{}/{}", target.provider.id, target.model)
}

pub(crate) fn failure(class: FaultClass) -> Failure {
    Failure { class, status: None, retry_after_ms: None }
}

pub(crate) fn status(class: FaultClass, status: u16) -> Failure {
    Failure { status: Some(status), ..failure(class) }
}
