//! Walking a plan: which call follows which failure, and how the chain ends.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bh_base::Millis;
use bh_chat::FaultClass;
use bh_policy::{
    Attempt, BreakerConfig, BreakerState, Chain, ConcurrencyConfig, Failure, Health, KeyNotice, KeyState, Next, NoPlan,
    Pass, Queued, Reason, RetryConfig, Routes, RoutesConfig, Strategy, Turn, Verdict, Why,
};

use crate::common::{build, failure, key, name, one_route, plan_at, status};

fn chain_at(routes: &Routes, now: u64) -> Chain {
    Chain::new(plan_at(routes, "m", now, 1).expect("someone is well"), Millis(now))
}

#[track_caller]
fn call(chain: &mut Chain, now: u64) -> Attempt {
    match chain.turn(Millis(now), 1) {
        Turn::Call(attempt) => attempt,
        turn @ (Turn::Wait(_) | Turn::Queue(..) | Turn::Over(_)) => panic!("expected a call, got {turn:?}"),
    }
}

#[track_caller]
fn over(chain: &mut Chain, now: u64) -> Verdict {
    match chain.turn(Millis(now), 1) {
        Turn::Over(verdict) => verdict,
        turn @ (Turn::Wait(_) | Turn::Queue(..) | Turn::Call(_)) => panic!("expected the end, got {turn:?}"),
    }
}

#[track_caller]
fn queued(chain: &mut Chain, now: u64) -> (Queued, Millis) {
    match chain.turn(Millis(now), 1) {
        Turn::Queue(queued, wait_max) => (queued, wait_max),
        turn @ (Turn::Wait(_) | Turn::Over(_) | Turn::Call(_)) => panic!("expected the queue, got {turn:?}"),
    }
}

fn ready(queued: &mut Queued) -> Option<Pass> {
    match Pin::new(queued).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(pass) => Some(pass),
        Poll::Pending => None,
    }
}

/// Feeds failures to a chain, waiting as told; compares the calls as `target:key` and waits as numbers, and the end.
#[track_caller]
fn check(config: &RoutesConfig, failures: &[Failure], expected: &str, verdict: Verdict) {
    let routes = build(config);
    let (mut chain, mut now, mut seen) = (chain_at(&routes, 0), 0, Vec::new());
    let mut failures = failures.iter();
    let end = loop {
        match chain.turn(Millis(now), 1) {
            Turn::Call(attempt) => {
                seen.push(format!("{}:{}", attempt.target().provider.id, attempt.key_id()));
                let Some(failure) = failures.next() else { panic!("one call too many: {seen:?}") };
                let (next, noticed) = chain.failed(attempt, failure, Millis(now), 1);
                assert_eq!(chain.tries().last().map(|tried| tried.next), Some(next));
                assert_eq!(noticed.breaker, None, "five failures in a row do not come up here");
            }
            Turn::Wait(span) => {
                seen.push(span.0.to_string());
                now += span.0;
            }
            Turn::Over(verdict) => break verdict,
            turn @ Turn::Queue(..) => panic!("nothing queues here: {turn:?}"),
        }
    };
    assert_eq!((seen.join(" "), end), (expected.to_owned(), verdict));
    assert_eq!(failures.len(), 0, "failures left after {seen:?}");
}

/// Two targets, two keys at the first, no jitter and two retries at both.
fn config() -> RoutesConfig {
    let mut config = one_route(Strategy::Fallback, 2);
    config.providers[0].keys = vec![key("a"), key("b")];
    for target in &mut config.routes[0].targets {
        target.retry = Some(RetryConfig { initial_backoff_ms: 0, ..RetryConfig::default() });
    }
    config.routes[0].attempts_max = 8;
    config
}

const THROTTLED: Failure = Failure { class: FaultClass::RateLimited, status: Some(429), retry_after_ms: None };

#[test]
fn the_same_target_is_retried_then_the_next_then_it_is_over() {
    let down = status(FaultClass::ServerError, 500);
    let mut config = config();
    config.providers[0].keys.pop();
    check(&config, &[down; 6], "p0:a p0:a p0:a p1:k p1:k p1:k", Verdict::Failed);
    config.routes[0].attempts_max = 4;
    check(&config, &[down; 4], "p0:a p0:a p0:a p1:k", Verdict::Failed);
    config.routes[0].targets.iter_mut().for_each(|target| target.retry = None);
    check(&config, &[down; 2], "p0:a p1:k", Verdict::Failed);
}

#[test]
fn the_request_s_own_fault_ends_the_chain_at_once() {
    for class in [FaultClass::BadRequest, FaultClass::ContentBlocked] {
        let mut config = config();
        config.providers[0].keys.pop();
        check(&config, &[failure(class)], "p0:a", Verdict::AsProvider);
    }
}

#[test]
fn another_key_comes_before_another_target() {
    let mut config = config();
    config.routes[0].targets.iter_mut().for_each(|target| target.retry = None);
    config.providers[0].keys[1].weight = 1_000_000;
    let refused = status(FaultClass::Credential, 401);
    check(&config, &[refused; 3], "p0:b p0:a p1:k", Verdict::CredentialRejected);
    check(&config, &[refused, refused, status(FaultClass::ServerError, 500)], "p0:b p0:a p1:k", Verdict::Failed);
    let asked = Failure { retry_after_ms: Some(7_000), ..THROTTLED };
    let retry_after = Millis(7_000);
    check(&config, &[asked; 3], "p0:b p0:a p1:k", Verdict::Throttled { status: 429, retry_after });
}

#[test]
fn a_throttled_target_is_retried_after_the_time_it_names() {
    let mut config = config();
    config.providers[0].keys.pop();
    let asked = Failure { retry_after_ms: Some(700), ..THROTTLED };
    let unknown = status(FaultClass::ModelNotFound, 404);
    check(&config, &[asked, asked, asked, unknown], "p0:a 700 p0:a 700 p0:a p1:k", Verdict::Failed);
}

#[test]
fn a_throttled_target_that_names_no_time_is_retried_despite_our_guess() {
    let mut config = config();
    config.providers[0].keys.pop();
    config.routes[0].targets.pop();
    let verdict = Verdict::Throttled { status: 429, retry_after: Millis(1_000) };
    check(&config, &[THROTTLED; 3], "p0:a p0:a p0:a", verdict);
}

#[test]
fn the_end_follows_the_last_failure() {
    let mut config = config();
    config.providers[0].keys.pop();
    config.routes[0].targets.iter_mut().for_each(|target| target.retry = None);
    let end = |first: Failure, second: Failure, verdict| check(&config, &[first, second], "p0:a p1:k", verdict);
    let down = status(FaultClass::ServerError, 500);
    let slow = failure(FaultClass::Timeout);
    let unknown = status(FaultClass::ModelNotFound, 404);
    let long = status(FaultClass::ContextTooLong, 400);
    let busy = |status, ms| Failure { class: FaultClass::Overloaded, status: Some(status), retry_after_ms: Some(ms) };
    let retry_after = Millis(3_000);
    end(busy(529, 3_000), busy(529, 9_000), Verdict::Throttled { status: 529, retry_after });
    end(busy(529, 3_000), busy(503, 9_000), Verdict::Failed);
    end(busy(503, 3_000), THROTTLED, Verdict::Throttled { status: 429, retry_after });
    end(THROTTLED, down, Verdict::Failed);
    end(slow, slow, Verdict::TooSlow);
    end(down, slow, Verdict::Failed);
    end(long, long, Verdict::AsProvider);
    end(down, long, Verdict::AsProvider);
    end(unknown, unknown, Verdict::AsProvider);
    end(down, unknown, Verdict::Failed);
}

#[test]
fn an_answer_settles_everything_that_was_held() {
    let routes = build(&config());
    let mut chain = chain_at(&routes, 0);
    let mut attempt = call(&mut chain, 0);
    assert_eq!((attempt.number(), attempt.listed_at(), chain.attempts()), (1, 0, 1));
    assert_eq!(routes.health().targets(Millis(0)).iter().map(|target| target.in_flight).sum::<u32>(), 1);
    assert_eq!(attempt.answered(Millis(5)).breaker, None);
    assert_eq!(attempt.completed(Some(3), Millis(9)).key, None);
    assert!(routes.health().targets(Millis(9)).iter().all(|target| target.in_flight == 0));
}

#[test]
fn a_breaker_opens_is_skipped_probed_and_closes() {
    let mut config = one_route(Strategy::Fallback, 2);
    config.routes[0].targets[0].breaker = BreakerConfig { failure_threshold: 2, ..BreakerConfig::default() };
    let routes = build(&config);
    let down = status(FaultClass::ServerError, 503);
    for expected in [None, Some(BreakerState::Open)] {
        let mut chain = chain_at(&routes, 0);
        let attempt = call(&mut chain, 0);
        assert_eq!(chain.failed(attempt, &down, Millis(0), 1).1.breaker, expected);
    }
    let plan = plan_at(&routes, "m", 1_000, 1).unwrap();
    assert_eq!((plan.steps.len(), plan.skipped[0].why), (1, Why::BreakerOpen));
    assert_eq!(plan.skipped[0].ready_in, Some(Millis(29_000)));
    let mut chain = chain_at(&routes, 30_000);
    assert_eq!(chain.plan().steps[0].breaker, BreakerState::HalfOpen);
    // Planned while the probe was free, but another request takes it first.
    let mut late = chain_at(&routes, 30_000);
    let mut probe = call(&mut chain, 30_000);
    assert_eq!(name(call(&mut late, 30_000).target()), "p1/m1");
    assert_eq!(late.passed_over()[0].why, Why::BreakerOpen);
    assert_eq!(probe.answered(Millis(30_100)).breaker, Some(BreakerState::Closed));
    // The probe's answer still runs, and others come in.
    assert_eq!(name(call(&mut chain_at(&routes, 30_200), 30_200).target()), "p0/m0");
}

#[test]
fn when_every_breaker_is_open_the_refusal_says_when_to_come_back() {
    let mut config = one_route(Strategy::Fallback, 2);
    for (target, timeout_ms) in config.routes[0].targets.iter_mut().zip([9_000, 4_000]) {
        target.breaker = BreakerConfig { failure_threshold: 1, success_threshold: 1, timeout_ms };
    }
    let routes = build(&config);
    let mut chain = chain_at(&routes, 0);
    while let Turn::Call(attempt) = chain.turn(Millis(0), 1) {
        assert_eq!(
            chain.failed(attempt, &failure(FaultClass::Connect), Millis(0), 1).1.breaker,
            Some(BreakerState::Open)
        );
    }
    match plan_at(&routes, "m", 1_000, 1) {
        Err(NoPlan::NothingAvailable { retry_after, skipped, .. }) => {
            assert_eq!((retry_after, skipped.len()), (Millis(3_000), 2));
        }
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[test]
fn answers_that_always_break_off_open_the_breaker_and_clients_that_leave_do_not() {
    let mut config = one_route(Strategy::Fallback, 1);
    config.routes[0].targets[0].breaker = BreakerConfig { failure_threshold: 3, ..BreakerConfig::default() };
    let routes = build(&config);
    let breaker = |routes: &Routes| routes.health().targets(Millis(0))[0].breaker;
    for _ in 0..10 {
        let mut attempt = call(&mut chain_at(&routes, 0), 0);
        assert_eq!(attempt.answered(Millis(0)).breaker, None);
        drop(attempt);
        drop(call(&mut chain_at(&routes, 0), 0));
    }
    assert_eq!(breaker(&routes), BreakerState::Closed);
    for _ in 0..3 {
        let mut attempt = call(&mut chain_at(&routes, 0), 0);
        assert_eq!(attempt.answered(Millis(0)).breaker, None);
        let noticed = attempt.failed(&failure(FaultClass::Cut), Some(5), Millis(0));
        assert_eq!(noticed.key, None);
    }
    assert_eq!(breaker(&routes), BreakerState::Open);
}

#[test]
fn a_cooled_key_makes_room_for_other_targets_but_a_guess_does_not_refuse_anyone() {
    let routes = build(&one_route(Strategy::Loadbalance, 2));
    let mut chain = chain_at(&routes, 0);
    let throttled = call(&mut chain, 0);
    let cooled = name(throttled.target());
    let until = Millis(1_000);
    assert_eq!(chain.failed(throttled, &THROTTLED, Millis(0), 1).1.key, Some(KeyNotice::Cooling { until }));
    for draw in 0..20 {
        let plan = plan_at(&routes, "m", 0, draw).unwrap();
        assert_eq!((plan.steps.len(), plan.skipped[0].why), (1, Why::KeysCooling));
        assert_eq!(name(&plan.skipped[0].target), cooled);
    }
    let other = call(&mut chain, 0);
    assert_eq!(chain.failed(other, &THROTTLED, Millis(0), 1).1.key, Some(KeyNotice::Cooling { until }));
    let mut resort = chain_at(&routes, 500);
    assert!(resort.plan().steps.iter().all(|step| step.reason == Reason::LastResort));
    drop(call(&mut resort, 500));
}

#[test]
fn a_cooling_the_provider_asked_for_refuses_with_the_time_that_is_left() {
    let routes = build(&one_route(Strategy::Fallback, 1));
    let mut chain = chain_at(&routes, 0);
    let attempt = call(&mut chain, 0);
    let asked = Failure { retry_after_ms: Some(20_000), ..THROTTLED };
    assert_eq!(chain.failed(attempt, &asked, Millis(0), 1).1.key, Some(KeyNotice::Cooling { until: Millis(20_000) }));
    match plan_at(&routes, "m", 5_000, 1) {
        Err(NoPlan::NothingAvailable { retry_after, .. }) => assert_eq!(retry_after, Millis(15_000)),
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[test]
fn a_reload_keeps_what_was_learnt() {
    let (config, health) = (one_route(Strategy::Fallback, 1), Arc::new(Health::default()));
    let routes = Routes::build(&config, &health, Millis(0)).unwrap();
    let mut chain = chain_at(&routes, 0);
    let attempt = call(&mut chain, 0);
    let notice = Some(KeyNotice::Quarantined { until: Millis(60_000) });
    assert_eq!(chain.failed(attempt, &status(FaultClass::Credential, 401), Millis(0), 1).1.key, notice);
    let again = Routes::build(&config, &health, Millis(1)).unwrap();
    assert!(matches!(plan_at(&again, "m", 1, 1), Err(NoPlan::NothingAvailable { .. })));
    assert_eq!(health.keys(Millis(1))[0].state, KeyState::Quarantined);
    let mut renewed = config;
    renewed.providers[0].keys[0].fingerprint = 2;
    let renewed = Routes::build(&renewed, &health, Millis(2)).unwrap();
    assert!(plan_at(&renewed, "m", 2, 1).is_ok());
}

#[test]
fn a_full_target_queues_and_a_full_queue_moves_on() {
    let mut config = one_route(Strategy::Fallback, 2);
    config.routes[0].targets[0].concurrency = Some(ConcurrencyConfig { max: 1, queue: 1 });
    let routes = build(&config);
    let holder = call(&mut chain_at(&routes, 0), 0);
    let mut waiting = chain_at(&routes, 0);
    let (mut place, wait_max) = queued(&mut waiting, 0);
    assert_eq!(wait_max, Millis(bh_policy::limits::QUEUE_WAIT_MS_MAX));
    let mut third = chain_at(&routes, 0);
    assert_eq!(name(call(&mut third, 0).target()), "p1/m1");
    assert_eq!(third.passed_over()[0].why, Why::QueueFull);
    assert!(ready(&mut place).is_none());
    drop(holder);
    waiting.entered(ready(&mut place).expect("the place became free"));
    assert_eq!(name(call(&mut waiting, 10).target()), "p0/m0");
}

#[test]
fn nobody_queues_for_a_target_that_is_down() {
    let mut config = one_route(Strategy::Fallback, 2);
    let target = &mut config.routes[0].targets[0];
    target.concurrency = Some(ConcurrencyConfig { max: 2, queue: 9 });
    target.breaker = BreakerConfig { failure_threshold: 1, ..BreakerConfig::default() };
    let routes = build(&config);
    let mut chains = [(); 4].map(|()| chain_at(&routes, 0));
    let (_holder, bad) = (call(&mut chains[0], 0), call(&mut chains[1], 0));
    let (mut place, _) = queued(&mut chains[2], 0);
    let noticed = chains[1].failed(bad, &failure(FaultClass::Connect), Millis(0), 1).1;
    assert_eq!(noticed.breaker, Some(BreakerState::Open));
    // One waits already and has its place; the target went down meanwhile.
    let place = ready(&mut place).expect("the failed call's place is free");
    // Another was planned while all was well; it does not even queue.
    assert_eq!(name(call(&mut chains[3], 0).target()), "p1/m1");
    chains[2].entered(place);
    assert_eq!(name(call(&mut chains[2], 0).target()), "p1/m1");
    assert!(chains[2..].iter().all(|chain| chain.passed_over()[0].why == Why::BreakerOpen));
    assert_eq!(routes.health().targets(Millis(0)).iter().map(|target| target.in_flight).max(), Some(1));
}

#[test]
fn a_client_that_leaves_during_a_probe_makes_room_for_the_next() {
    let mut config = one_route(Strategy::Fallback, 1);
    config.routes[0].targets[0].breaker = BreakerConfig { failure_threshold: 1, ..BreakerConfig::default() };
    let routes = build(&config);
    let mut chain = chain_at(&routes, 0);
    let attempt = call(&mut chain, 0);
    assert!(chain.failed(attempt, &failure(FaultClass::Connect), Millis(0), 1).1.breaker.is_some());
    let probe = call(&mut chain_at(&routes, 30_000), 30_000);
    assert!(plan_at(&routes, "m", 30_000, 1).is_err());
    drop(probe);
    drop(call(&mut chain_at(&routes, 30_000), 30_000));
    // The same for the probe of a refused key.
    let mut chain = chain_at(&routes, 30_000);
    let attempt = call(&mut chain, 30_000);
    assert!(chain.failed(attempt, &failure(FaultClass::Credential), Millis(30_000), 1).1.key.is_some());
    let probe = call(&mut chain_at(&routes, 90_000), 90_000);
    assert!(plan_at(&routes, "m", 90_000, 1).is_err());
    drop(probe);
    assert_eq!(
        call(&mut chain_at(&routes, 90_000), 90_000).completed(None, Millis(90_000)).key,
        Some(KeyNotice::Restored)
    );
}

#[test]
fn keys_that_may_be_used_again_at_once_do_not_take_turns_for_ever() {
    let mut config = config();
    config.routes[0].targets.iter_mut().for_each(|target| target.retry = None);
    config.providers[0].keys[1].weight = 1_000_000;
    let at_once = Failure { retry_after_ms: Some(0), ..THROTTLED };
    let verdict = Verdict::Throttled { status: 429, retry_after: Millis(1) };
    check(&config, &[at_once; 3], "p0:b p0:a p1:k", verdict);
}

#[test]
fn a_success_ends_the_doubling_of_a_guess() {
    let routes = build(&one_route(Strategy::Fallback, 1));
    let throttle = |now| {
        let mut chain = chain_at(&routes, now);
        let attempt = call(&mut chain, now);
        chain.failed(attempt, &THROTTLED, Millis(now), 1).1.key
    };
    assert_eq!(throttle(0), Some(KeyNotice::Cooling { until: Millis(1_000) }));
    assert_eq!(throttle(1_000), Some(KeyNotice::Cooling { until: Millis(3_000) }));
    assert_eq!(call(&mut chain_at(&routes, 3_000), 3_000).completed(None, Millis(3_000)).key, None);
    assert_eq!(throttle(4_000), Some(KeyNotice::Cooling { until: Millis(5_000) }));
}

#[test]
fn tokens_of_a_call_that_failed_can_be_used_by_the_next() {
    let mut config = one_route(Strategy::Fallback, 1);
    config.providers[0].keys[0].tpm = Some(10);
    let routes = build(&config);
    let mut chain = chain_at(&routes, 0);
    let attempt = call(&mut chain, 0);
    assert_eq!(chain.failed(attempt, &failure(FaultClass::Connect), Millis(0), 1).0, Next::GiveUp);
    assert_eq!(call(&mut chain_at(&routes, 0), 0).completed(Some(10), Millis(0)).key, None);
    assert!(plan_at(&routes, "m", 0, 1).is_err(), "now they are used");
}

#[test]
fn keys_of_a_provider_that_is_gone_are_forgotten() {
    let (mut config, health) = (one_route(Strategy::Fallback, 2), Arc::new(Health::default()));
    let before = Routes::build(&config, &health, Millis(0)).unwrap();
    assert_eq!(health.keys(Millis(0)).len(), 2);
    drop(before);
    config.providers.pop();
    config.routes[0].targets.pop();
    let _after = Routes::build(&config, &health, Millis(0)).unwrap();
    assert_eq!(health.keys(Millis(0)).len(), 1);
}

#[test]
fn waiting_too_long_moves_on_and_leaves_the_queue() {
    let mut config = one_route(Strategy::Fallback, 2);
    config.routes[0].targets[0].concurrency = Some(ConcurrencyConfig { max: 1, queue: 1 });
    let routes = build(&config);
    let _holder = call(&mut chain_at(&routes, 0), 0);
    let mut waiting = chain_at(&routes, 0);
    drop(queued(&mut waiting, 0));
    waiting.queue_too_slow();
    assert_eq!(name(call(&mut waiting, 100).target()), "p1/m1");
    assert_eq!(waiting.passed_over()[0].why, Why::QueueTooSlow);
    drop(queued(&mut chain_at(&routes, 200), 200));
}

#[test]
fn a_target_passed_over_by_the_caller_does_not_count_as_an_attempt() {
    let mut config = one_route(Strategy::Fallback, 3);
    config.providers[0].keys[0].rpm = Some(1);
    config.routes[0].attempts_max = 1;
    let routes = build(&config);
    let mut chain = chain_at(&routes, 0);
    for why in [Why::Budget, Why::Unsupported] {
        let attempt = call(&mut chain, 0);
        chain.pass_over(attempt, why);
    }
    let attempt = call(&mut chain, 0);
    assert_eq!((name(attempt.target()).as_str(), attempt.number()), ("p2/m2", 1));
    assert_eq!(chain.failed(attempt, &failure(FaultClass::Connect), Millis(0), 1).1.key, None);
    assert_eq!(over(&mut chain, 0), Verdict::Failed);
    assert_eq!(name(call(&mut chain_at(&routes, 0), 0).target()), "p0/m0", "the key's one request was given back");
}

#[test]
fn a_chain_that_called_nobody_says_so() {
    let mut config = one_route(Strategy::Fallback, 1);
    config.providers[0].keys[0].rpm = Some(1);
    let routes = build(&config);
    let (mut first, mut second) = (chain_at(&routes, 0), chain_at(&routes, 0));
    drop(call(&mut first, 0));
    assert_eq!(over(&mut second, 0), Verdict::NothingTried { retry_after: Millis(60_000) });
    assert_eq!(second.passed_over()[0].why, Why::KeysBusy);
}

#[test]
fn no_attempt_starts_once_the_time_is_up() {
    let mut config = config();
    config.routes[0].total_ms = 1_000;
    let routes = build(&config);
    let mut chain = chain_at(&routes, 5_000);
    let attempt = call(&mut chain, 5_000);
    assert_eq!(chain.remaining(Millis(5_400)), Millis(600));
    assert_eq!(chain.failed(attempt, &failure(FaultClass::Timeout), Millis(6_000), 1).0, Next::GiveUp);
    assert_eq!(over(&mut chain, 6_000), Verdict::TooSlow);
}
