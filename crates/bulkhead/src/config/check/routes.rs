//! Routes and aliases.

use std::sync::Arc;

use bh_base::Millis;
use bh_policy::limits::{ATTEMPTS_DEFAULT, TOTAL_MS_DEFAULT};
use bh_policy::{
    Alias, BreakerConfig, ConcurrencyConfig, FaultKind, Health, ProviderConfig, RetryConfig, RouteConfig, Routes,
    RoutesConfig, Strategy, TargetConfig,
};

use super::Check;
use crate::config::fault::Problem;
use crate::config::raw::{Breaker, Name, Raw, Retry, Route, Target};
use crate::config::words::Word;

impl Check<'_> {
    pub(super) fn routes(&mut self, raw: &Raw, providers: Vec<ProviderConfig>, version: &str) -> RoutesConfig {
        let aliases =
            raw.aliases.iter().map(|(name, Name(target))| Alias { name: name.clone(), target: target.clone() });
        let config = RoutesConfig {
            version: version.to_owned(),
            providers,
            routes: raw.routes.iter().map(route).collect(),
            aliases: aliases.collect(),
        };
        let ids_are_known = !(0..config.providers.len())
            .map(|at| format!("providers[{at}].id"))
            .chain(["providers".to_owned()])
            .any(|path| self.is_broken(&path));
        // Health of its own: a configuration that is only looked at must leave no trace.
        let faults = Routes::build(&config, &Arc::new(Health::default()), Millis(0)).err().unwrap_or_default();
        for fault in faults {
            if ids_are_known || !matches!(fault.kind, FaultKind::UnknownProvider { .. }) {
                self.fault(fault.path, Problem::Routes(fault.kind));
            }
        }
        config
    }
}

fn route(route: &Route) -> RouteConfig {
    let implied = if route.targets.len() <= 1 { Strategy::Single } else { Strategy::Fallback };
    RouteConfig {
        model: route.model.clone(),
        strategy: route.strategy.mode.map_or(implied, |Word(mode)| mode),
        attempts_max: route.attempts_max.unwrap_or(ATTEMPTS_DEFAULT),
        total_ms: route.total_ms.unwrap_or(TOTAL_MS_DEFAULT),
        targets: route.targets.iter().map(target).collect(),
    }
}

fn target(target: &Target) -> TargetConfig {
    TargetConfig {
        provider: target.provider.clone(),
        model: target.model.clone(),
        weight: target.weight.unwrap_or(1),
        retry: target.retry.as_ref().map(retry),
        breaker: breaker(&target.circuit_breaker),
        concurrency: target
            .concurrency
            .as_ref()
            .map(|concurrency| ConcurrencyConfig { max: concurrency.max, queue: concurrency.queue.unwrap_or(0) }),
    }
}

fn retry(retry: &Retry) -> RetryConfig {
    let built_in = RetryConfig::default();
    RetryConfig {
        attempts: retry.attempts.unwrap_or(built_in.attempts),
        on_status_codes: retry.on_status_codes.clone().unwrap_or(built_in.on_status_codes),
        initial_backoff_ms: retry.initial_backoff_ms.unwrap_or(built_in.initial_backoff_ms),
    }
}

fn breaker(breaker: &Breaker) -> BreakerConfig {
    let built_in = BreakerConfig::default();
    BreakerConfig {
        failure_threshold: breaker.failure_threshold.unwrap_or(built_in.failure_threshold),
        success_threshold: breaker.success_threshold.unwrap_or(built_in.success_threshold),
        timeout_ms: breaker.timeout_s.map_or(built_in.timeout_ms, |seconds| seconds.saturating_mul(1000)),
    }
}
