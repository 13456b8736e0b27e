//! From configuration to [`Routes`]: every fault is found before anything is built.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bh_base::Millis;
use bh_base::limits::ATTEMPTS_MAX;

use crate::config::{Alias, KeyConfig, ProviderConfig, RouteConfig, RoutesConfig, Serves, TargetConfig};
use crate::fault::{FaultKind, RouteFault};
use crate::glob::Glob;
use crate::health::Health;
use crate::keys::Key;
use crate::limits::{ALIAS_STEPS_MAX, KEYS_PER_PROVIDER_MAX, TARGETS_PER_ROUTE_MAX, TOTAL_MS_MAX};
use crate::routes::{Route, Routes, Template};
use crate::strategy::Strategy;
use crate::target::{Provider, Settings, Target};

impl Routes {
    /// Checks a configuration and binds it to what is known of health. Pass the same `health` at every reload: breakers
    /// and keys keep their state, except that a key with a new fingerprint starts anew.
    ///
    /// # Errors
    /// Every fault of the configuration, at once; then nothing was changed.
    pub fn build(config: &RoutesConfig, health: &Arc<Health>, now: Millis) -> Result<Self, Vec<RouteFault>> {
        let faults = check(config);
        if !faults.is_empty() {
            return Err(faults);
        }
        let providers: Vec<Arc<Provider>> =
            config.providers.iter().map(|provider| Arc::new(build_provider(provider, health, now))).collect();
        health.forget_unused_keys();
        let routes: Vec<Route> =
            config.routes.iter().map(|route| build_route(route, &providers, health, now)).collect();
        let (mut plain, mut patterns) = (HashMap::new(), Vec::new());
        for (index, route) in routes.iter().enumerate() {
            if route.pattern.is_literal() {
                plain.insert(route.pattern.as_str().into(), index);
            } else {
                patterns.push(index);
            }
        }
        let aliases = config.aliases.iter().filter_map(|alias| {
            let end = follow(&config.aliases, &alias.name).ok()?;
            Some((alias.name.as_str().into(), end.into()))
        });
        Ok(Routes {
            version: config.version.as_str().into(),
            aliases: aliases.collect(),
            plain,
            patterns,
            routes,
            providers,
            health: Arc::clone(health),
            implicit: Arc::default(),
        })
    }
}

fn build_provider(config: &ProviderConfig, health: &Health, now: Millis) -> Provider {
    let id: Arc<str> = config.id.as_str().into();
    // A provider without credentials still has a place where its refusals are remembered.
    let none = [KeyConfig { id: "none".into(), weight: 1, rpm: None, tpm: None, fingerprint: 0 }];
    let keys = if config.keys.is_empty() { &none[..] } else { &config.keys };
    let build_key = |key: &KeyConfig| {
        let key_id: Arc<str> = key.id.as_str().into();
        let record = health.key(&id, &key_id, key, now);
        Key { id: key_id, weight: key.weight, fingerprint: key.fingerprint, record }
    };
    let keys = keys.iter().map(build_key).collect();
    let serves = match &config.serves {
        Serves::Patterns(patterns) => Some(patterns.iter().map(|pattern| Glob::new(pattern)).collect()),
        Serves::Catalog => None,
    };
    Provider { kind: config.kind.as_str().into(), serves, keys, id }
}

fn build_route(config: &RouteConfig, providers: &[Arc<Provider>], health: &Health, now: Millis) -> Route {
    let template = |target: &TargetConfig| {
        let provider = providers.iter().find(|provider| *provider.id == *target.provider);
        let provider = Arc::clone(provider.expect("a target's provider was checked to exist"));
        let settings = Arc::new(Settings {
            weight: target.weight,
            retry: target.retry.clone(),
            breaker: target.breaker.clone(),
            concurrency: target.concurrency.clone(),
        });
        match &target.model {
            None => Template::AsAsked { provider, settings },
            Some(model) => {
                let state = health.target(&provider, model, now);
                Template::Fixed(Arc::new(Target { provider, model: model.as_str().into(), settings, state }))
            }
        }
    };
    Route {
        pattern: Glob::new(&config.model),
        label: config.model.as_str().into(),
        strategy: config.strategy,
        attempts_max: config.attempts_max,
        total_ms: config.total_ms,
        targets: config.targets.iter().map(template).collect(),
    }
}

/// Collects faults with their places.
struct Faults(Vec<RouteFault>);

impl Faults {
    fn check(&mut self, good: bool, path: &str, kind: impl FnOnce() -> FaultKind) {
        if !good {
            self.0.push(RouteFault { path: path.into(), kind: kind() });
        }
    }
}

fn check(config: &RoutesConfig) -> Vec<RouteFault> {
    let mut faults = Faults(Vec::new());
    check_providers(&config.providers, &mut faults);
    for (index, route) in config.routes.iter().enumerate() {
        let path = format!("routes[{index}]");
        faults.check(!route.model.is_empty(), &format!("{path}.model"), || FaultKind::Empty);
        let name = Glob::new(&route.model);
        let hides = |earlier: &&RouteConfig| {
            earlier.model == route.model || (name.is_literal() && Glob::new(&earlier.model).matches(&route.model))
        };
        if let Some(earlier) = config.routes[..index].iter().find(hides) {
            let by = earlier.model.clone();
            faults.check(false, &format!("{path}.model"), || FaultKind::Unreachable { by });
        }
        check_route(route, &path, &config.providers, &mut faults);
    }
    check_aliases(config, &mut faults);
    faults.0
}

fn check_providers(providers: &[ProviderConfig], faults: &mut Faults) {
    let mut ids = HashSet::new();
    for (index, provider) in providers.iter().enumerate() {
        let path = format!("providers[{index}]");
        let id = &provider.id;
        faults.check(!id.is_empty(), &format!("{path}.id"), || FaultKind::Empty);
        faults.check(!id.contains(['*', '/']), &format!("{path}.id"), || FaultKind::NotPlain);
        faults.check(ids.insert(id), &format!("{path}.id"), || FaultKind::Duplicate { id: id.clone() });
        if let Serves::Patterns(patterns) = &provider.serves {
            for (at, pattern) in patterns.iter().enumerate() {
                faults.check(!pattern.is_empty(), &format!("{path}.models[{at}]"), || FaultKind::Empty);
            }
        }
        let keys_path = format!("{path}.keys");
        faults.check(provider.keys.len() <= KEYS_PER_PROVIDER_MAX, &keys_path, || FaultKind::TooManyKeys);
        let weighs = provider.keys.is_empty() || provider.keys.iter().any(|key| key.weight != 0);
        faults.check(weighs, &keys_path, || FaultKind::NothingWeighs);
        let mut key_ids = HashSet::new();
        for (at, key) in provider.keys.iter().enumerate() {
            let path = format!("{keys_path}[{at}]");
            faults.check(!key.id.is_empty(), &format!("{path}.id"), || FaultKind::Empty);
            let fresh = key_ids.insert(&key.id);
            faults.check(fresh, &format!("{path}.id"), || FaultKind::Duplicate { id: key.id.clone() });
            faults.check(key.rpm != Some(0), &format!("{path}.rpm"), || FaultKind::Zero);
            faults.check(key.tpm != Some(0), &format!("{path}.tpm"), || FaultKind::Zero);
        }
    }
}

fn check_route(route: &RouteConfig, path: &str, providers: &[ProviderConfig], faults: &mut Faults) {
    let count = route.targets.len();
    let targets_path = format!("{path}.targets");
    faults.check(count != 0, &targets_path, || FaultKind::NoTargets);
    faults.check(count <= TARGETS_PER_ROUTE_MAX, &targets_path, || FaultKind::TooManyTargets);
    let one = route.strategy != Strategy::Single || count <= 1;
    faults.check(one, &format!("{path}.strategy"), || FaultKind::SingleWantsOne { count });
    let weighs = count == 0 || route.targets.iter().any(|target| target.weight != 0);
    faults.check(weighs, &targets_path, || FaultKind::NothingWeighs);
    let attempts = (1..=ATTEMPTS_MAX).contains(&route.attempts_max);
    faults.check(attempts, &format!("{path}.attempts_max"), || FaultKind::Attempts);
    let total = (1..=TOTAL_MS_MAX).contains(&route.total_ms);
    faults.check(total, &format!("{path}.total_ms"), || FaultKind::TotalTime);
    for (index, target) in route.targets.iter().enumerate() {
        check_target(target, &format!("{targets_path}[{index}]"), providers, faults);
    }
}

fn check_target(target: &TargetConfig, path: &str, providers: &[ProviderConfig], faults: &mut Faults) {
    let known = providers.iter().any(|provider| provider.id == target.provider);
    faults.check(known, &format!("{path}.provider"), || FaultKind::UnknownProvider {
        id: target.provider.clone(),
        known: providers.iter().map(|provider| provider.id.clone()).collect(),
    });
    faults.check(target.model.as_deref() != Some(""), &format!("{path}.model"), || FaultKind::Empty);
    if let Some(retry) = &target.retry {
        let attempts = retry.attempts < ATTEMPTS_MAX;
        faults.check(attempts, &format!("{path}.retry.attempts"), || FaultKind::RetryAttempts);
        for (at, status) in retry.on_status_codes.iter().copied().enumerate() {
            let worth = matches!(status, 408 | 409 | 425 | 429 | 500..=599);
            let path = format!("{path}.retry.on_status_codes[{at}]");
            faults.check(worth, &path, || FaultKind::NotRetryable { status });
        }
    }
    let breaker = &target.breaker;
    let numbers = [
        ("circuit_breaker.failure_threshold", breaker.failure_threshold != 0),
        ("circuit_breaker.success_threshold", breaker.success_threshold != 0),
        ("circuit_breaker.timeout_s", breaker.timeout_ms != 0),
        ("concurrency.max", target.concurrency.as_ref().is_none_or(|concurrency| concurrency.max != 0)),
    ];
    for (name, good) in numbers {
        faults.check(good, &format!("{path}.{name}"), || FaultKind::Zero);
    }
}

fn check_aliases(config: &RoutesConfig, faults: &mut Faults) {
    let mut names = HashSet::new();
    for alias in &config.aliases {
        let path = format!("aliases.{}", alias.name);
        faults.check(!alias.name.is_empty() && !alias.target.is_empty(), &path, || FaultKind::Empty);
        faults.check(Glob::new(&alias.name).is_literal(), &path, || FaultKind::AliasPattern);
        faults.check(names.insert(&alias.name), &path, || FaultKind::Duplicate { id: alias.name.clone() });
        if let Some(route) = config.routes.iter().find(|route| route.model == alias.name) {
            faults.check(false, &path, || FaultKind::AliasHidesRoute { route: route.model.clone() });
        }
        if let Err(kind) = follow(&config.aliases, &alias.name) {
            faults.0.push(RouteFault { path, kind });
        }
    }
}

/// What an alias finally stands for.
fn follow<'a>(aliases: &'a [Alias], name: &'a str) -> Result<&'a str, FaultKind> {
    let mut seen = vec![name];
    let mut at = name;
    while let Some(alias) = aliases.iter().find(|alias| alias.name == at) {
        at = &alias.target;
        let again = seen.contains(&at);
        seen.push(at);
        if again {
            return Err(FaultKind::AliasCycle { names: seen.into_iter().map(Into::into).collect() });
        }
        if ALIAS_STEPS_MAX < seen.len() - 1 {
            return Err(FaultKind::AliasTooDeep);
        }
    }
    Ok(at)
}
