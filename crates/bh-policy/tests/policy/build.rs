//! What a configuration may say, and what is reported of one that may not.

use std::sync::Arc;

use crate::common::{build, key, one_route, provider};
use bh_base::Millis;
use bh_policy::{
    Alias, BreakerConfig, ConcurrencyConfig, Health, KeyConfig, RetryConfig, RouteConfig, Routes, RoutesConfig,
    Strategy, TargetConfig,
};

/// Applies a change to a good configuration and compares all faults as text.
#[track_caller]
fn check(change: impl FnOnce(&mut RoutesConfig), expected: &[&str]) {
    let mut config = one_route(Strategy::Fallback, 2);
    change(&mut config);
    let faults = Routes::build(&config, &Arc::new(Health::default()), Millis(0)).map(|_| ()).err().unwrap_or_default();
    let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(faults, expected);
}

fn alias(name: &str, target: &str) -> Alias {
    Alias { name: name.into(), target: target.into() }
}

#[test]
fn a_good_configuration_has_no_faults() {
    check(|_| (), &[]);
    check(|config| config.routes.clear(), &[]);
    check(|config| *config = RoutesConfig::default(), &[]);
    check(|config| config.aliases = vec![alias("a", "b"), alias("b", "m"), alias("p0/x", "a")], &[]);
}

#[test]
fn every_fault_is_reported_at_once() {
    check(
        |config| {
            config.providers[0].keys.push(key("k"));
            config.routes[0].attempts_max = 17;
            config.routes[0].total_ms = 0;
            config.routes[0].targets[1].provider = "opnai".into();
            config.aliases = vec![alias("m", "x")];
        },
        &[
            "providers[0].keys[1].id: id k is used twice",
            "routes[0].attempts_max: must be 1 to 16",
            "routes[0].total_ms: must be 1 to 86400000 milliseconds",
            "routes[0].targets[1].provider: unknown provider opnai; configured: p0, p1",
            "aliases.m: aliases are resolved before routes, so route m would never be reached",
        ],
    );
}

#[test]
fn providers_need_plain_ids_and_usable_keys() {
    check(|config| config.providers.push(provider("p0", &[])), &["providers[2].id: id p0 is used twice"]);
    check(
        |config| config.providers.push(provider("a/b", &[""])),
        &["providers[2].id: must be a plain name without * or /", "providers[2].models[0]: must not be empty"],
    );
    check(
        |config| config.providers[0].keys = vec![KeyConfig { weight: 0, rpm: Some(0), tpm: Some(0), ..key("") }],
        &[
            "providers[0].keys: every weight is 0, so nothing could be chosen",
            "providers[0].keys[0].id: must not be empty",
            "providers[0].keys[0].rpm: must be at least 1",
            "providers[0].keys[0].tpm: must be at least 1",
        ],
    );
    check(
        |config| config.providers[0].keys = (0..65).map(|at| key(&at.to_string())).collect(),
        &["providers[0].keys: at most 64 keys"],
    );
}

#[test]
fn routes_need_targets_that_fit_their_strategy() {
    check(|config| config.routes[0].targets.clear(), &["routes[0].targets: a route needs at least one target"]);
    check(
        |config| config.routes[0].strategy = Strategy::Single,
        &["routes[0].strategy: strategy single takes one target, found 2; use fallback or loadbalance"],
    );
    check(
        |config| config.routes[0].targets.iter_mut().for_each(|target| target.weight = 0),
        &["routes[0].targets: every weight is 0, so nothing could be chosen"],
    );
    check(
        |config| config.routes[0].targets = vec![TargetConfig::new("p0", Some("x")); 65],
        &["routes[0].targets: at most 64 targets"],
    );
}

#[test]
fn targets_need_settings_that_can_work() {
    check(
        |config| {
            let target = &mut config.routes[0].targets[0];
            target.model = Some(String::new());
            let on_status_codes = vec![408, 400, 529, 404];
            target.retry = Some(RetryConfig { attempts: 16, on_status_codes, initial_backoff_ms: 0 });
            target.breaker = BreakerConfig { failure_threshold: 0, success_threshold: 0, timeout_ms: 0 };
            target.concurrency = Some(ConcurrencyConfig { max: 0, queue: 0 });
        },
        &[
            "routes[0].targets[0].model: must not be empty",
            "routes[0].targets[0].retry.attempts: must be below 16",
            "routes[0].targets[0].retry.on_status_codes[1]: status 400 is not worth another attempt; allowed: 408, 409, 425, 429 and 500 to 599",
            "routes[0].targets[0].retry.on_status_codes[3]: status 404 is not worth another attempt; allowed: 408, 409, 425, 429 and 500 to 599",
            "routes[0].targets[0].circuit_breaker.failure_threshold: must be at least 1",
            "routes[0].targets[0].circuit_breaker.success_threshold: must be at least 1",
            "routes[0].targets[0].circuit_breaker.timeout_s: must be at least 1",
            "routes[0].targets[0].concurrency.max: must be at least 1",
        ],
    );
}

#[test]
fn a_route_behind_one_that_matches_first_is_a_fault() {
    let route = |model: &str| RouteConfig::new(model, Strategy::Fallback, vec![TargetConfig::new("p0", None)]);
    check(
        |config| config.routes.extend([route("m"), route("x-*"), route("x-1"), route("x-*"), route("*")]),
        &[
            "routes[1].model: never reached: route m matches first",
            "routes[3].model: never reached: route x-* matches first",
            "routes[4].model: never reached: route x-* matches first",
        ],
    );
}

#[test]
fn aliases_that_go_round_or_on_for_ever_are_faults() {
    check(
        |config| config.aliases = vec![alias("a", "b"), alias("b", "a")],
        &["aliases.a: aliases go round: a -> b -> a", "aliases.b: aliases go round: b -> a -> b"],
    );
    check(|config| config.aliases = vec![alias("a", "a")], &["aliases.a: aliases go round: a -> a"]);
    check(
        |config| config.aliases = (0..9).map(|at| alias(&format!("a{at}"), &format!("a{}", at + 1))).collect(),
        &["aliases.a0: more than 8 aliases follow one another"],
    );
    check(
        |config| config.aliases = vec![alias("a*", "b"), alias("c", "")],
        &["aliases.a*: an alias is a plain name; for a pattern write a route", "aliases.c: must not be empty"],
    );
}

#[test]
fn names_lists_what_the_configuration_spells_out() {
    let mut config = one_route(Strategy::Fallback, 2);
    config.providers.push(provider("q", &["gpt-*", "echo", "m"]));
    config.aliases = vec![alias("smart", "m"), alias("cheap", "echo")];
    assert_eq!(build(&config).names(), ["cheap", "smart", "m", "echo"]);
}
