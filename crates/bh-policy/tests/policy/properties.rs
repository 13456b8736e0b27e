//! What holds for any sequence of failures, delays and interleavings.

use bh_base::Millis;
use bh_base::limits::ATTEMPTS_MAX;
use bh_chat::FaultClass;
use bh_policy::{
    Attempt, BreakerState, Chain, ConcurrencyConfig, Failure, RetryConfig, RoutesConfig, Strategy as Order, Turn,
    Verdict,
};
use proptest::prelude::*;

use crate::common::{build, key, one_route, plan_at};

fn any_class() -> impl Strategy<Value = FaultClass> {
    prop::sample::select(vec![
        FaultClass::BadRequest,
        FaultClass::ModelNotFound,
        FaultClass::ContextTooLong,
        FaultClass::ContentBlocked,
        FaultClass::Credential,
        FaultClass::QuotaExhausted,
        FaultClass::RateLimited,
        FaultClass::Overloaded,
        FaultClass::ServerError,
        FaultClass::Connect,
        FaultClass::Timeout,
        FaultClass::Cut,
        FaultClass::Malformed,
    ])
}

fn any_failure() -> impl Strategy<Value = Failure> {
    let status = prop::option::of(prop::sample::select(vec![200, 400, 401, 404, 408, 429, 500, 501, 503, 504, 529]));
    let retry_after_ms = prop::option::of(prop_oneof![0_u64..3_000, Just(u64::MAX)]);
    (any_class(), status, retry_after_ms).prop_map(|(class, status, retry_after_ms)| Failure {
        class,
        status,
        retry_after_ms,
    })
}

prop_compose! {
    fn any_config()(
        count in 1_usize..5,
        keys in 1_usize..4,
        retries in 0_u32..6,
        attempts_max in 1_u32..=ATTEMPTS_MAX,
        total_ms in 1_u64..20_000,
        loadbalance in any::<bool>(),
        rpm in prop::option::of(1_u64..20),
    ) -> RoutesConfig {
        let order = if loadbalance { Order::Loadbalance } else { Order::Fallback };
        let mut config = one_route(order, count);
        for provider in &mut config.providers {
            provider.keys = (0..keys).map(|at| bh_policy::KeyConfig { rpm, ..key(&at.to_string()) }).collect();
        }
        let route = &mut config.routes[0];
        (route.attempts_max, route.total_ms) = (attempts_max, total_ms);
        for target in &mut route.targets {
            target.retry = Some(RetryConfig { attempts: retries, ..RetryConfig::default() });
        }
        config
    }
}

proptest! {
    /// Ever more failures, each after a delay: the chain ends by itself within its bounds.
    #[test]
    fn a_chain_never_exceeds_its_attempts_or_its_time(
        config in any_config(),
        failures in prop::collection::vec((any_failure(), 0_u64..4_000), 40),
        draw in any::<u64>(),
    ) {
        let (attempts_max, total_ms) = (config.routes[0].attempts_max, config.routes[0].total_ms);
        let routes = build(&config);
        let start = 1_000_000;
        let (mut chain, mut now) = (Chain::new(plan_at(&routes, "m", start, draw).unwrap(), Millis(start)), start);
        let (mut calls, mut turns, mut failures) = (0, 0, failures.into_iter());
        let verdict = loop {
            turns += 1;
            prop_assert!(turns <= 3 * ATTEMPTS_MAX + 3, "it must end by itself");
            match chain.turn(Millis(now), draw.wrapping_add(u64::from(turns))) {
                Turn::Call(attempt) => {
                    calls += 1;
                    prop_assert!(now < start + total_ms, "no call starts after the time is up");
                    prop_assert_eq!(attempt.number(), calls);
                    let (failure, delay) = failures.next().expect("more failures than attempts");
                    now += delay;
                    let (next, noticed) = chain.failed(attempt, &failure, Millis(now), draw);
                    prop_assert!(failure.class != FaultClass::RateLimited || noticed.breaker != Some(BreakerState::Open));
                    let final_class = matches!(failure.class, FaultClass::BadRequest | FaultClass::ContentBlocked);
                    prop_assert!(!final_class || next == bh_policy::Next::GiveUp);
                }
                Turn::Wait(span) => {
                    prop_assert!(span > Millis(0));
                    prop_assert!(now + span.0 < start + total_ms, "no wait outlasts the time");
                    now += span.0;
                }
                Turn::Queue(..) => prop_assert!(false, "no target has a limit here"),
                Turn::Over(verdict) => break verdict,
            }
        };
        prop_assert!(calls <= attempts_max);
        prop_assert_eq!(chain.attempts(), calls);
        prop_assert_eq!(matches!(verdict, Verdict::NothingTried { .. }), calls == 0);
        prop_assert!(matches!(chain.turn(Millis(now), draw), Turn::Over(again) if again == verdict));
        prop_assert!(routes.health().targets(Millis(now)).iter().all(|target| target.in_flight == 0));
    }

    /// Many requests at once on one target with a breaker and places: at most one probe, never more than the places,
    /// and everything is given back in the end.
    #[test]
    fn places_and_probes_hold_under_any_interleaving(
        steps in prop::collection::vec((0_u8..5, any::<prop::sample::Index>(), any_failure(), 0_u64..12_000), 1..150),
    ) {
        let mut config = one_route(Order::Fallback, 1);
        config.routes[0].targets[0].concurrency = Some(ConcurrencyConfig { max: 3, queue: 0 });
        config.routes[0].targets[0].breaker.failure_threshold = 2;
        let routes = build(&config);
        let mut flying: Vec<(Chain, Attempt)> = Vec::new();
        let mut now = 0;
        let target = |now| routes.health().targets(Millis(now)).remove(0);
        for (what, which, failure, pause) in steps {
            now += pause;
            let ended = (what != 0 && !flying.is_empty()).then(|| flying.swap_remove(which.index(flying.len())));
            match (what, ended) {
                (0, _) | (_, None) => {
                    let Ok(plan) = plan_at(&routes, "m", now, 1) else { continue };
                    let half_open = target(now).breaker == BreakerState::HalfOpen;
                    let mut chain = Chain::new(plan, Millis(now));
                    if let Turn::Call(attempt) = chain.turn(Millis(now), 1) {
                        flying.push((chain, attempt));
                        prop_assert!(!half_open || plan_at(&routes, "m", now, 1).is_err(), "a second probe was let in");
                    }
                }
                (1, Some((_, attempt))) => drop(attempt),
                (2, Some((_, attempt))) => {
                    let noticed = attempt.completed(None, Millis(now));
                    prop_assert!(noticed.breaker != Some(BreakerState::Open));
                }
                (_, Some((mut chain, attempt))) => {
                    let (_, noticed) = chain.failed(attempt, &failure, Millis(now), 1);
                    let harmless = matches!(failure.class, FaultClass::RateLimited | FaultClass::Credential);
                    prop_assert!(!harmless || noticed.breaker.is_none());
                }
            }
            prop_assert!(target(now).in_flight <= 3);
            prop_assert_eq!(usize::try_from(target(now).in_flight).expect("at most three"), flying.len());
        }
        flying.clear();
        prop_assert_eq!(target(now).in_flight, 0);
    }
}
