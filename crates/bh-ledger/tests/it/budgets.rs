//! Budgets of one process without a disk: who is charged, refused, warned and slowed down.

use bh_base::{BudgetMode, Millis, NanoUsd, Overage, Window};
use bh_ledger::{
    Attempt, Config, Effect, Lane, LimitKind, Limits, MeterRule, Pattern, Refusal, SLOW_LANE_WAIT_MAX, Scope, Tokens,
};

use crate::world::*;

const ADAPTIVE: Attempt<'static> = Attempt { model: "m", strict: NanoUsd(100), adaptive: NanoUsd(10), waited: false };

#[test]
fn a_hold_is_settled_at_its_cost_and_the_rest_comes_back() {
    let ledger = ledger(&budgets(&[hard("global", 100, Window::Total)]));
    let hold = reserve(&ledger, NOON, &caller("ann"), 60).expect("there is money");
    assert_eq!(spent_held(&ledger, "global"), (0, 60));
    assert_eq!(exhausted(reserve(&ledger, NOON, &caller("bob"), 41)), "global total");
    let settled = hold.settle(NOON, NanoUsd(25));
    assert_eq!((settled.cost, settled.overcharged), (NanoUsd(25), false));
    assert_eq!(spent_held(&ledger, "global"), (25, 0));
    spend(&ledger, NOON, &caller("bob"), 75);
    assert_eq!(exhausted(reserve(&ledger, NOON, &caller("bob"), 1)), "global total");
    drop(reserve(&ledger, NOON, &caller("bob"), 0).expect("what is free needs no money"));
}

#[test]
fn a_refusal_shows_the_numbers() {
    let ledger = ledger(&budgets(&[hard("user:*", 100, Window::Day)]));
    spend(&ledger, NOON, &caller("ann"), 30);
    let _hold = reserve(&ledger, NOON, &caller("ann"), 20).expect("there is money");
    let Err(Refusal::Exhausted(refused)) = reserve(&ledger, NOON, &caller("ann"), 51) else { panic!("it must refuse") };
    assert_eq!((refused.scope, refused.window), (Scope::parse("user:ann").expect("a scope"), Window::Day));
    assert_eq!((refused.limit, refused.spent, refused.held), (NanoUsd(100), NanoUsd(30), NanoUsd(20)));
    assert_eq!((refused.needed, refused.resets_at), (NanoUsd(51), Some(Millis(NOON.0 + 12 * HOUR))));
}

#[test]
fn every_subject_of_a_wildcard_has_its_own_counter() {
    let ledger = ledger(&budgets(&[hard("user:*", 10, Window::Day)]));
    spend(&ledger, NOON, &caller("ann"), 10);
    spend(&ledger, NOON, &caller("bob"), 10);
    assert_eq!(exhausted(reserve(&ledger, NOON, &caller("ann"), 1)), "user:ann day");
}

#[test]
fn an_exact_scope_replaces_its_wildcard_for_the_same_window_only() {
    let rules = [hard("user:*", 10, Window::Day), hard("user:ann", 50, Window::Day), hard("user:*", 60, Window::Month)];
    let ledger = ledger(&budgets(&rules));
    spend(&ledger, NOON, &caller("ann"), 50);
    assert_eq!(exhausted(reserve(&ledger, NOON, &caller("ann"), 1)), "user:ann day");
    let tomorrow = Millis(NOON.0 + 24 * HOUR);
    assert_eq!(exhausted(reserve(&ledger, tomorrow, &caller("ann"), 11)), "user:ann month");
    assert_eq!(exhausted(reserve(&ledger, NOON, &caller("bob"), 11)), "user:bob day");
}

#[test]
fn a_tags_own_wildcard_stands_between_exact_and_every_tag() {
    let day = Window::Day;
    let check = |rules: &[(&str, u64)], most: u64| {
        let rules: Vec<_> = rules.iter().map(|(scope, limit)| hard(scope, *limit, day)).collect();
        let ledger = ledger(&budgets(&rules));
        spend(&ledger, NOON, &caller("ann"), most);
        assert_eq!(exhausted(reserve(&ledger, NOON, &caller("ann"), 1)), "tag:env=prod day");
    };
    check(&[("tag:*", 10), ("tag:env=*", 20), ("tag:env=prod", 30)], 30);
    check(&[("tag:*", 10), ("tag:env=*", 20), ("tag:env=dev", 30)], 20);
    check(&[("tag:*", 10), ("tag:env=dev", 30), ("tag:zone=*", 20)], 10);
}

#[test]
fn every_kind_of_scope_can_refuse_and_the_narrowest_speaks_first() {
    let token = link(7, &[token_budget(10, Window::Total)]);
    let caller = chain("ann", &[token]);
    let all = ["user:ann", "project:p", "team:ml", "tag:env=prod", "model:m", "org:acme", "global"];
    let rules: Vec<_> = all.iter().map(|scope| hard(scope, 10, Window::Day)).collect();
    for skip in 0..=all.len() {
        let no_token = chain("ann", &[link(7, &[])]);
        let ledger = ledger(&budgets(&rules[skip..]));
        spend(&ledger, NOON, &no_token, 10);
        match all.get(skip) {
            Some(scope) => assert_eq!(exhausted(reserve(&ledger, NOON, &no_token, 1)), format!("{scope} day")),
            None => spend(&ledger, NOON, &no_token, 1),
        }
    }
    let ledger = ledger(&budgets(&rules));
    spend(&ledger, NOON, &caller, 10);
    assert!(exhausted(reserve(&ledger, NOON, &caller, 1)).starts_with("token:0707"));
}

#[test]
fn a_refusal_by_a_wide_scope_leaves_the_narrow_ones_untouched() {
    let rules = [hard("user:*", 100, Window::Day), hard("team:ml", 100, Window::Hour), hard("global", 5, Window::Day)];
    let ledger = ledger(&budgets(&rules));
    assert_eq!(exhausted(reserve(&ledger, NOON, &caller("ann"), 6)), "global day");
    assert_eq!(spent_held(&ledger, "user:ann"), (0, 0));
    assert_eq!(spent_held(&ledger, "team:ml"), (0, 0));
}

#[test]
fn another_model_is_another_counter() {
    let ledger = ledger(&budgets(&[hard("model:*", 10, Window::Day)]));
    spend(&ledger, NOON, &caller("ann"), 10);
    let other = Attempt { model: "other", ..attempt(10) };
    drop(ledger.reserve(NOON, &caller("ann"), &other).expect("another model has money"));
    assert_eq!(exhausted(reserve(&ledger, NOON, &caller("ann"), 1)), "model:m day");
}

#[test]
fn a_call_is_charged_to_the_window_it_was_admitted_in() {
    let ledger = ledger(&budgets(&[hard("user:*", 10, Window::Hour)]));
    let hold = reserve(&ledger, Millis(NOON.0 - 1), &caller("ann"), 10).expect("there is money");
    assert_eq!(exhausted(reserve(&ledger, Millis(NOON.0 - 1), &caller("ann"), 1)), "user:ann hour");
    let next = reserve(&ledger, NOON, &caller("ann"), 10).expect("a new hour has begun");
    assert!(!hold.settle(Millis(NOON.0 + 5), NanoUsd(7)).overcharged);
    next.release();
    let hour = |start: u64| spent_held(&ledger, &format!("user:ann@hour/{start}"));
    assert_eq!(hour(NOON.0 - HOUR), (7, 0));
    assert_eq!(hour(NOON.0), (0, 0));
}

#[test]
fn a_hold_outlives_the_closing_of_its_window() {
    let ledger = ledger(&budgets(&[hard("user:*", 10, Window::Hour)]));
    let hold = reserve(&ledger, NOON, &caller("ann"), 10).expect("there is money");
    let late = Millis(NOON.0 + 3 * HOUR);
    ledger.tick(late);
    assert_eq!(spent_held(&ledger, "user:ann"), (0, 10));
    assert!(!hold.settle(late, NanoUsd(9)).overcharged);
    assert_eq!(spent_held(&ledger, "user:ann"), (9, 0));
    ledger.tick(late);
    assert_eq!(ledger.accounts(), []);
}

#[test]
fn a_clock_that_falls_back_does_not_reopen_a_closed_window() {
    let ledger = ledger(&budgets(&[hard("user:*", 10, Window::Hour)]));
    spend(&ledger, NOON, &caller("ann"), 10);
    let late = Millis(NOON.0 + 3 * HOUR);
    ledger.tick(late);
    spend(&ledger, NOON, &caller("ann"), 10);
    assert_eq!(exhausted(reserve(&ledger, NOON, &caller("ann"), 1)), "user:ann hour");
    assert_eq!(account(&ledger, "user:ann").key.start, Millis(NOON.0 + 2 * HOUR));
}

#[test]
fn a_free_call_in_flight_keeps_its_counter() {
    let ledger = ledger(&budgets(&[hard("user:*", 10, Window::Total)]));
    let hold = reserve(&ledger, NOON, &caller("ann"), 0).expect("it costs nothing");
    let late = Millis(NOON.0 + HOUR);
    ledger.tick(late);
    assert!(hold.settle(late, NanoUsd(3)).overcharged);
    assert_eq!(spent_held(&ledger, "user:ann"), (3, 0));
}

#[test]
fn idle_scopes_are_forgotten_and_spent_ones_are_not() {
    let ledger = ledger(&budgets(&[hard("user:*", 10, Window::Total)]));
    spend(&ledger, NOON, &caller("ann"), 1);
    reserve(&ledger, NOON, &caller("bob"), 1).expect("there is money").release();
    ledger.tick(Millis(NOON.0 + 59_999));
    assert_eq!(ledger.accounts().len(), 2);
    ledger.tick(Millis(NOON.0 + 60_000));
    assert_eq!(spent_held(&ledger, "user:"), (1, 0));
}

#[test]
fn the_counters_of_a_token_are_forgotten_some_time_after_it_expired() {
    let mut token = link(7, &[token_budget(10, Window::Total)]);
    token.expires_at = NOON;
    let ledger = ledger(&Config::default());
    spend(&ledger, Millis(NOON.0 - 1), &chain("ann", &[token]), 10);
    ledger.tick(Millis(NOON.0 + HOUR / 4 - 1));
    assert_eq!(ledger.accounts().len(), 1);
    ledger.tick(Millis(NOON.0 + HOUR / 4));
    assert_eq!(ledger.accounts(), []);
}

#[test]
fn a_soft_budget_blocks_once_it_is_spent_whatever_is_held() {
    let ledger = ledger(&budgets(&[soft("user:*", 10, Window::Day, Overage::Block)]));
    let first = reserve(&ledger, NOON, &caller("ann"), 9).expect("nothing is spent");
    let second = reserve(&ledger, NOON, &caller("ann"), 9).expect("nothing is spent yet");
    assert!(!first.settle(NOON, NanoUsd(9)).overcharged);
    assert!(!second.settle(NOON, NanoUsd(9)).overcharged);
    assert_eq!(exhausted(reserve(&ledger, NOON, &caller("ann"), 1)), "user:ann day");
}

#[test]
fn an_alerting_budget_lets_pass_and_says_once_that_it_is_spent() {
    let ledger = ledger(&budgets(&[soft("user:*", 10, Window::Day, Overage::Alert)]));
    for _ in 0..5 {
        spend(&ledger, NOON, &caller("ann"), 9);
    }
    assert_eq!(shares(&ledger.take_effects()), [10_000]);
}

#[test]
fn a_throttled_budget_lets_calls_trickle_once_it_is_spent() {
    let ledger = ledger(&budgets(&[soft("user:*", 10, Window::Day, Overage::Throttle)]));
    let lane = |now: u64| {
        reserve(&ledger, Millis(now), &caller("ann"), 1).map(|hold| {
            let lane = hold.lane();
            hold.release();
            lane
        })
    };
    assert_eq!(lane(NOON.0), Ok(Lane::Normal));
    spend(&ledger, NOON, &caller("ann"), 10);
    let mut turns = 0;
    while let Ok(lane) = lane(NOON.0) {
        turns += 1;
        assert_eq!(lane, Lane::Slow { start_at: Millis(NOON.0 + 1_000 * turns) });
    }
    assert_eq!(turns * 1_000, SLOW_LANE_WAIT_MAX.0);
    let Err(Refusal::SlowLaneFull { retry_after, .. }) = lane(NOON.0) else { panic!("the lane is full") };
    assert_eq!(lane(NOON.0 + retry_after.0), Ok(Lane::Slow { start_at: Millis(NOON.0 + 21_000) }));
    assert_eq!(spent_held(&ledger, "user:ann"), (10, 0));
}

#[test]
fn alerts_are_raised_once_per_window_and_share() {
    let mut rule = hard("user:*", 1_000, Window::Hour);
    rule.alerts_bp = vec![10_000, 8_000, 9_000, 8_000];
    let ledger = ledger(&budgets(&[rule.clone()]));
    let mut raised = Vec::new();
    for _ in 0..100 {
        spend(&ledger, NOON, &caller("ann"), 10);
        raised.push(shares(&ledger.take_effects()));
    }
    assert_eq!(raised.concat(), [8_000, 9_000, 10_000]);
    assert_eq!(raised[79], [8_000], "at exactly 80 %");
    spend(&ledger, Millis(NOON.0 + HOUR), &caller("ann"), 950);
    assert_eq!(shares(&ledger.take_effects()), [8_000, 9_000], "one call may cross several");
    // A raised limit is a new line; a lowered one that is already crossed says so with the next settlement.
    rule.limit = NanoUsd(960);
    ledger.reload(NOON, &budgets(&[rule]));
    spend(&ledger, Millis(NOON.0 + HOUR), &caller("ann"), 1);
    assert_eq!(shares(&ledger.take_effects()), [8_000, 9_000]);
}

#[test]
fn reloading_keeps_spend_and_switches_between_wildcard_and_exact() {
    let ledger = ledger(&budgets(&[hard("user:*", 10, Window::Day)]));
    spend(&ledger, NOON, &caller("ann"), 9);
    ledger.reload(NOON, &budgets(&[hard("user:ann", 20, Window::Day)]));
    assert_eq!(account(&ledger, "user:ann").limit, Some(NanoUsd(20)));
    spend(&ledger, NOON, &caller("ann"), 11);
    assert_eq!(exhausted(reserve(&ledger, NOON, &caller("ann"), 1)), "user:ann day");
    ledger.reload(NOON, &budgets(&[rule("user:*", 30, Window::Day, BudgetMode::Soft)]));
    spend(&ledger, NOON, &caller("ann"), 5);
    ledger.reload(NOON, &budgets(&[hard("user:*", 30, Window::Day)]));
    spend(&ledger, NOON, &caller("ann"), 5);
    assert_eq!(exhausted(reserve(&ledger, NOON, &caller("ann"), 1)), "user:ann day");
    ledger.reload(NOON, &Config::default());
    drop(reserve(&ledger, NOON, &caller("ann"), 1_000).expect("nothing binds her"));
}

#[test]
fn a_lowered_limit_takes_back_the_rights_that_are_not_used() {
    let ledger = ledger(&budgets(&[hard("global", 100, Window::Total)]));
    let hold = reserve(&ledger, NOON, &caller("ann"), 30).expect("there is money");
    assert_eq!(account(&ledger, "global").rights, NanoUsd(30));
    hold.release();
    let hold = reserve(&ledger, NOON, &caller("ann"), 40).expect("there is money");
    assert_eq!(account(&ledger, "global").rights, NanoUsd(100), "four large calls are granted ahead");
    ledger.reload(NOON, &budgets(&[hard("global", 20, Window::Total)]));
    assert_eq!(account(&ledger, "global").rights, NanoUsd(40), "what is held stays");
    assert_eq!(exhausted(reserve(&ledger, NOON, &caller("ann"), 1)), "global total");
    hold.release();
    spend(&ledger, NOON, &caller("ann"), 20);
}

#[test]
fn an_adaptive_budget_holds_what_is_probable_and_a_strict_one_the_bound() {
    let rules = [adaptive(hard("user:*", 1_000, Window::Day)), hard("global", 1_000, Window::Day)];
    let ledger = ledger(&budgets(&rules));
    let hold = ledger.reserve(NOON, &caller("ann"), &ADAPTIVE).expect("there is money");
    assert_eq!((spent_held(&ledger, "user:ann"), spent_held(&ledger, "global")), ((0, 10), (0, 100)));
    assert_eq!(hold.covered(), NanoUsd(10));
    assert!(!hold.settle(NOON, NanoUsd(100)).overcharged, "below the bound nobody is to blame");
}

#[test]
fn topping_up_stops_at_the_bound_and_at_the_budget() {
    let rules = [adaptive(hard("user:*", 70, Window::Day)), adaptive(hard("global", 1_000, Window::Day))];
    let ledger = ledger(&budgets(&rules));
    let mut hold = ledger.reserve(NOON, &caller("ann"), &ADAPTIVE).expect("there is money");
    hold.top_up(NOON, NanoUsd(50), false).expect("60 of 70");
    assert_eq!(hold.covered(), NanoUsd(60));
    let refused = hold.top_up(NOON, NanoUsd(20), false);
    assert!(matches!(refused, Err(Refusal::Exhausted(_))), "{refused:?}");
    assert_eq!((hold.covered(), spent_held(&ledger, "global")), (NanoUsd(60), (0, 60)));
    ledger.reload(NOON, &budgets(&[adaptive(hard("user:*", 700, Window::Day)), rules[1].clone()]));
    hold.top_up(NOON, NanoUsd(500), false).expect("never more than the bound");
    assert_eq!((hold.covered(), spent_held(&ledger, "global")), (NanoUsd(100), (0, 100)));
    hold.release();
    assert_eq!((spent_held(&ledger, "user:ann"), spent_held(&ledger, "global")), ((0, 0), (0, 0)));
}

#[test]
fn a_top_up_that_a_wide_scope_refuses_is_undone_at_the_narrow_ones() {
    let rules = [adaptive(hard("user:*", 1_000, Window::Day)), adaptive(hard("global", 40, Window::Day))];
    let ledger = ledger(&budgets(&rules));
    let mut hold = ledger.reserve(NOON, &caller("ann"), &ADAPTIVE).expect("there is money");
    assert!(matches!(hold.top_up(NOON, NanoUsd(50), false), Err(Refusal::Exhausted(_))));
    assert_eq!((spent_held(&ledger, "user:ann"), spent_held(&ledger, "global")), ((0, 10), (0, 10)));
    hold.release();
    assert_eq!((spent_held(&ledger, "user:ann"), spent_held(&ledger, "global")), ((0, 0), (0, 0)));
}

#[test]
fn a_call_in_flight_is_not_stopped_by_a_soft_budget_that_was_spent_meanwhile() {
    let ledger = ledger(&budgets(&[adaptive(soft("user:*", 20, Window::Day, Overage::Block))]));
    let mut hold = ledger.reserve(NOON, &caller("ann"), &ADAPTIVE).expect("nothing is spent");
    spend(&ledger, NOON, &caller("ann"), 20);
    hold.top_up(NOON, NanoUsd(50), false).expect("it began before");
    assert_eq!(hold.covered(), NanoUsd(60));
    hold.release();
}

#[test]
fn a_dropped_hold_is_counted_as_leaked_and_charged() {
    let ledger = ledger(&budgets(&[hard("user:*", 100, Window::Day), adaptive(hard("global", 100, Window::Day))]));
    drop(ledger.reserve(NOON, &caller("ann"), &ADAPTIVE).expect("there is money"));
    assert_eq!(ledger.leaked(), 1);
    assert_eq!((spent_held(&ledger, "user:ann"), spent_held(&ledger, "global")), ((100, 0), (10, 0)));
    let hold = reserve(&ledger, NOON, &caller("bob"), 5).expect("there is money");
    assert_eq!(hold.settle_unknown(NOON).cost, NanoUsd(5));
    assert_eq!((ledger.leaked(), spent_held(&ledger, "user:bob")), (1, (5, 0)));
}

#[test]
fn a_provider_that_charges_more_than_the_bound_is_charged_reported_and_not_our_bug() {
    let broken = || bh_base::broken_counts().find(|(which, _)| *which == bh_base::Invariant::CostWithinHold);
    let before = broken().map(|(_, count)| count);
    let ledger = ledger(&budgets(&[hard("user:*", 100, Window::Day)]));
    let hold = reserve(&ledger, NOON, &caller("ann"), 60).expect("there is money");
    assert!(hold.settle(NOON, NanoUsd(150)).overcharged);
    assert_eq!(spent_held(&ledger, "user:ann"), (150, 0));
    assert!(before < broken().map(|(_, count)| count));
    let effects = ledger.take_effects();
    let [Effect::Overcharge(report)] = effects.as_slice() else { panic!("expected a report, got {effects:?}") };
    assert_eq!((report.model.as_str(), report.bound, report.cost), ("m", NanoUsd(60), NanoUsd(150)));
    assert_eq!(exhausted(reserve(&ledger, NOON, &caller("ann"), 1)), "user:ann day");
}

#[test]
fn what_has_no_budget_is_metered_only_where_it_is_asked_for() {
    let mut config = budgets(&[hard("global", 100, Window::Total)]);
    config.meters = vec![MeterRule { kind: bh_base::ScopeKind::Team, window: Window::Month }];
    let ledger = ledger(&config);
    spend(&ledger, NOON, &caller("ann"), 10);
    let view = account(&ledger, "team:ml@month");
    assert_eq!((view.spent, view.limit, view.remaining()), (NanoUsd(10), None, None));
    assert_eq!(ledger.metered(&view.key), NanoUsd(10));
    assert_eq!(ledger.accounts().len(), 2);
}

#[test]
fn a_view_shows_every_counter_of_a_caller_before_and_after_use() {
    let rules = [hard("user:*", 10, Window::Day), soft("org:acme", 50, Window::Month, Overage::Alert)];
    let ledger = ledger(&budgets(&rules));
    let ann = caller("ann");
    let numbers = || {
        let views = ledger.view(NOON, &ann, None);
        views.iter().map(|view| (view.mode, view.remaining().map(|left| left.0))).collect::<Vec<_>>()
    };
    let (hard, soft) = (Some(BudgetMode::Hard), Some(BudgetMode::Soft));
    assert_eq!(numbers(), [(hard, Some(10)), (soft, Some(50))]);
    spend(&ledger, NOON, &ann, 4);
    assert_eq!(numbers(), [(hard, Some(6)), (soft, Some(46))]);
    let status = ledger.status(NOON, &Scope::parse("org:acme").expect("a scope"));
    assert_eq!(status.iter().map(|view| view.spent.0).collect::<Vec<_>>(), [4]);
}

#[test]
fn what_binds_a_call_is_known_before_its_cost() {
    let check = |rules: &[bh_ledger::BudgetRule], hard: bool, strict: bool| {
        let binding = ledger(&budgets(rules)).binding(&caller("ann"), "m");
        assert_eq!((binding.hard, binding.strict), (hard, strict), "{rules:?}");
    };
    check(&[soft("global", 1, Window::Day, Overage::Block)], false, false);
    check(&[adaptive(hard("model:m", 1, Window::Day))], true, false);
    check(&[adaptive(hard("model:m", 1, Window::Day)), hard("user:*", 1, Window::Day)], true, true);
    check(&[hard("model:other", 1, Window::Day)], false, false);
}

#[test]
fn faults_are_reported_all_at_once() {
    let mut bad = hard("user:*", 1, Window::Day);
    bad.overage = Overage::Throttle;
    bad.alerts_bp = vec![0];
    let scope = Pattern::parse("team:ml").expect("a scope");
    let limit = |rpm| bh_ledger::LimitRule { scope: scope.clone(), limits: Limits { rpm, ..Limits::default() } };
    let config = Config {
        budgets: vec![hard("user:*", 1, Window::Day), bad],
        limits: vec![limit(Some(0)), limit(None)],
        meters: Vec::new(),
    };
    assert_eq!(config.faults().len(), 6, "{:?}", config.faults());
}

#[test]
fn rates_of_all_scopes_are_taken_together_or_not_at_all() {
    let mut token = link(7, &[]);
    token.limits = Limits { rpm: Some(2), ..Limits::default() };
    let caller = chain("ann", &[token]);
    let ledger = ledger(&limits("team:ml", Limits { tpm: Some(100), concurrency: Some(1), ..Limits::default() }));
    let tokens = Tokens { input: 60, output: 0 };
    let slot = ledger.limit(NOON, &caller, tokens).expect("it is empty");
    let refused = ledger.limit(NOON, &caller, tokens).expect_err("one at a time");
    assert_eq!((refused.scope.to_string().as_str(), refused.kind), ("team:ml", LimitKind::Concurrency));
    let rates = ledger.rates(NOON, &caller);
    assert_eq!(rates.requests.map(|rate| (rate.limit, rate.remaining)), Some((2, 1)), "the refused one took nothing");
    assert_eq!(rates.tokens.map(|rate| (rate.limit, rate.remaining)), Some((100, 40)));
    drop(slot);
    let refused = ledger.limit(NOON, &caller, tokens).expect_err("60 and 60 of 100");
    assert_eq!((refused.kind, refused.remaining, refused.retry_after), (LimitKind::Tokens, 40, Millis(12_000)));
    let slot = ledger.limit(Millis(NOON.0 + 12_000), &caller, tokens).expect("as told");
    slot.settle(Millis(NOON.0 + 12_000), Tokens::default());
    ledger.tick(Millis(NOON.0 + 20 * HOUR));
    let fresh = ledger.rates(Millis(NOON.0 + 20 * HOUR), &caller);
    assert_eq!(fresh.requests.map(|rate| rate.remaining), Some(2));
}

#[test]
fn a_model_can_be_limited_per_attempt() {
    let ledger = ledger(&limits("model:m", Limits { rpm: Some(1), ..Limits::default() }));
    let slot = ledger.limit_model(NOON, "m", Tokens::default()).expect("it is empty");
    assert!(ledger.limit_model(NOON, "m", Tokens::default()).is_err());
    assert!(ledger.limit_model(NOON, "other", Tokens::default()).is_ok());
    slot.refund(NOON);
    assert!(ledger.limit_model(NOON, "m", Tokens::default()).is_ok());
}

#[test]
fn adaptive_estimates_follow_the_tokens_own_answers() {
    let ledger = ledger(&Config::default());
    for _ in 0..20 {
        ledger.note_output(&caller("ann"), "m", 900);
    }
    assert_eq!(ledger.typical_output(&caller("ann"), "m"), Some(1_023));
    assert_eq!(ledger.typical_output(&caller("bob"), "m"), None);
    assert_eq!(ledger.typical_output(&caller("ann"), "other"), None);
}

fn shares(effects: &[Effect]) -> Vec<u32> {
    let share = |effect: &Effect| match effect {
        Effect::Alert(alert) => alert.share_bp,
        Effect::PersistCeiling(_) | Effect::Ask(_) | Effect::Return { .. } | Effect::Overcharge(_) => {
            panic!("only alerts are expected, got {effect:?}")
        }
    };
    effects.iter().map(share).collect()
}
