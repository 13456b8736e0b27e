//! Who is asked, in what order, and why.

use crate::common::{ask, build, failure, name, one_route, order, plan_at, provider};
use bh_base::Millis;
use bh_chat::FaultClass;
use bh_policy::{
    Alias, Ask, Chain, NoPlan, Reason, RouteConfig, RoutesConfig, Serves, Source, Strategy, Target, TargetConfig, Turn,
    Unfit, Why, plan,
};

fn alias(name: &str, target: &str) -> Alias {
    Alias { name: name.into(), target: target.into() }
}

/// Providers openai (`gpt-*`), azure (`gpt-4o`) and local (whatever the catalog lists), two routes and aliases.
fn config() -> RoutesConfig {
    let mut local = provider("local", &[]);
    local.serves = Serves::Catalog;
    local.kind = "llama".into();
    let routes = [
        RouteConfig::new("smart", Strategy::Fallback, vec![TargetConfig::new("openai", Some("gpt-5"))]),
        RouteConfig::new("any-*", Strategy::Fallback, vec![TargetConfig::new("azure", None)]),
    ];
    RoutesConfig {
        version: "v1".into(),
        providers: vec![provider("openai", &["gpt-*"]), provider("azure", &["gpt-4o"]), local],
        routes: routes.into(),
        aliases: vec![alias("best", "better"), alias("better", "smart"), alias("four", "azure/gpt-4o")],
    }
}

/// Who answers for a name, and by which way; or the error's text.
#[track_caller]
fn check(model: &str, expected: Result<(&str, &str), &str>) {
    let routes = build(&config());
    let ask = Ask { listed: &|kind, model| (kind, model) == ("llama", "llama-3"), ..ask(model) };
    let found = plan(&routes, &ask, Millis(0), 1).map_err(|error| error.to_string());
    let found = found.map(|plan| (order(&plan).join(" "), plan.source));
    let way = |source: &Source| match source {
        Source::Route { index, pattern } => format!("route {index} {pattern}"),
        Source::ProviderNamed => "named".into(),
        Source::OnlyProvider => "only".into(),
    };
    let found = found.map(|(who, source)| (who, way(&source)));
    let expected = expected.map(|(who, way)| (who.to_owned(), way.to_owned())).map_err(ToOwned::to_owned);
    assert_eq!(found, expected, "{model}");
}

#[test]
fn a_name_finds_its_way() {
    check("smart", Ok(("openai/gpt-5", "route 0 smart")));
    check("any-thing", Ok(("azure/any-thing", "route 1 any-*")));
    check("openai/gpt-4o", Ok(("openai/gpt-4o", "named")));
    check("gpt-4.1", Ok(("openai/gpt-4.1", "only")));
    check("llama-3", Ok(("local/llama-3", "only")));
    // A provider without a list may know models that the catalog does not.
    check("local/llama-9", Ok(("local/llama-9", "named")));
}

#[test]
fn aliases_are_resolved_before_routing() {
    check("best", Ok(("openai/gpt-5", "route 0 smart")));
    check("four", Ok(("azure/gpt-4o", "named")));
}

#[test]
fn what_nobody_serves_is_unknown() {
    check("llama-9", Err("unknown model llama-9"));
    check("Smart", Err("unknown model Smart"));
    check("", Err("unknown model "));
    check("openai/", Err("unknown model openai/"));
    // Its list of models says that azure does not serve this one.
    check("azure/gpt-5", Err("unknown model azure/gpt-5"));
    check("nobody/gpt-5", Err("unknown model nobody/gpt-5"));
}

#[test]
fn what_several_serve_is_an_error_that_names_them() {
    check(
        "gpt-4o",
        Err("model gpt-4o is served by openai, azure: ask for one of them as openai/gpt-4o, or add a route"),
    );
}

#[test]
fn the_first_route_that_matches_is_used() {
    let targets = |model: &str| vec![TargetConfig::new("p0", Some(model))];
    let mut config = one_route(Strategy::Fallback, 1);
    let routes = [("a-exact", "1"), ("a-*", "2"), ("a-b*", "3"), ("*", "4"), ("b*", "5")];
    config.routes = routes.iter().map(|(m, to)| RouteConfig::new(m, Strategy::Single, targets(to))).collect();
    let routes = build(&config);
    for (model, expected) in [("a-exact", "1"), ("a-other", "2"), ("a-bc", "2"), ("b", "4"), ("p0/x", "4")] {
        let plan = plan_at(&routes, model, 0, 1).unwrap();
        assert_eq!(order(&plan), [format!("p0/{expected}")], "{model}");
    }
}

#[test]
fn a_catch_all_target_loses_the_prefix_of_its_own_provider_only() {
    let mut config = one_route(Strategy::Fallback, 2);
    let targets = vec![TargetConfig::new("p0", None), TargetConfig::new("p1", None)];
    config.routes = vec![RouteConfig::new("*", Strategy::Fallback, targets)];
    let plan = plan_at(&build(&config), "p0/some/model", 0, 1).unwrap();
    assert_eq!(order(&plan), ["p0/some/model", "p1/p0/some/model"]);
}

#[test]
fn permission_is_asked_for_the_name_the_client_used_and_before_anything_is_said() {
    let routes = build(&config());
    let with = |model, allowed: &dyn Fn(&str) -> bool| plan(&routes, &Ask { allowed, ..ask(model) }, Millis(0), 1);
    assert!(with("best", &|name| name == "best").is_ok());
    assert!(matches!(with("best", &|name| name == "smart"), Err(NoPlan::NotAllowed { model }) if model == "best"));
    assert!(matches!(with("no-such-model", &|_| false), Err(NoPlan::NotAllowed { .. })));
}

#[test]
fn fallback_keeps_the_listed_order() {
    let routes = build(&one_route(Strategy::Fallback, 4));
    for draw in 0..20 {
        let plan = plan_at(&routes, "m", 0, draw).unwrap();
        assert_eq!(order(&plan), ["p0/m0", "p1/m1", "p2/m2", "p3/m3"]);
        assert!(plan.steps.iter().all(|step| step.reason == Reason::Listed));
    }
}

#[test]
fn loadbalance_draws_by_weight_and_the_rest_stands_in() {
    let mut config = one_route(Strategy::Loadbalance, 4);
    for (target, weight) in config.routes[0].targets.iter_mut().zip([6, 3, 1, 0]) {
        target.weight = weight;
    }
    let routes = build(&config);
    let (mut first, mut second_after_p0) = ([0_u32; 4], [0_u32; 4]);
    for draw in 0..10_000 {
        let plan = plan_at(&routes, "m", 0, draw).unwrap();
        assert_eq!(plan.steps.len(), 3);
        assert_eq!(plan.skipped.len(), 1);
        assert_eq!(plan.skipped[0].why, Why::Drained);
        first[plan.steps[0].listed_at] += 1;
        if plan.steps[0].listed_at == 0 {
            second_after_p0[plan.steps[1].listed_at] += 1;
            assert_eq!(plan.steps[0].reason, Reason::Drawn { weight: 6, of: 10 });
            assert_eq!(
                plan.steps[2].reason,
                Reason::Drawn {
                    weight: plan.steps[2].target.weight(),
                    of: if plan.steps[2].listed_at == 1 { 3 } else { 1 }
                }
            );
        }
    }
    for (count, share) in first.iter().zip([6_000_u32, 3_000, 1_000, 0]) {
        assert!(count.abs_diff(share) <= 150, "{first:?}");
    }
    assert!(second_after_p0[1].abs_diff(first[0] * 3 / 4) <= 150, "{second_after_p0:?}");
}

#[test]
fn the_same_draw_makes_the_same_plan() {
    let routes = build(&one_route(Strategy::Loadbalance, 5));
    for draw in 0..50 {
        let plans = [plan_at(&routes, "m", 0, draw).unwrap(), plan_at(&routes, "m", 0, draw).unwrap()];
        assert_eq!(order(&plans[0]), order(&plans[1]));
    }
}

#[test]
fn a_client_may_ask_for_another_strategy() {
    let routes = build(&one_route(Strategy::Loadbalance, 3));
    let with = |strategy| {
        plan(&routes, &Ask { strategy: Some(strategy), ..ask("m") }, Millis(0), 9).expect("everyone is well")
    };
    assert_eq!(order(&with(Strategy::Fallback)), ["p0/m0", "p1/m1", "p2/m2"]);
    let single = with(Strategy::Single);
    assert_eq!(order(&single), ["p0/m0"]);
    assert!(single.skipped.iter().all(|skipped| skipped.why == Why::NotChosen));
}

#[test]
fn targets_that_lack_what_the_request_needs_are_left_out_by_name() {
    let routes = build(&one_route(Strategy::Fallback, 3));
    let images = Unfit { what: "images" };
    let only_p1 = |target: &Target| if name(target) == "p1/m1" { Ok(()) } else { Err(images) };
    let found = plan(&routes, &Ask { fits: &only_p1, ..ask("m") }, Millis(0), 1).unwrap();
    assert_eq!(order(&found), ["p1/m1"]);
    assert_eq!(found.skipped.iter().map(|skipped| skipped.why).collect::<Vec<_>>(), [Why::Unfit(images); 2]);
    let nobody = plan(&routes, &Ask { fits: &|_: &Target| Err(images), ..ask("m") }, Millis(0), 1);
    assert_eq!(nobody.unwrap_err().to_string(), "no target of model m supports images");
}

#[test]
fn a_client_can_shorten_the_time_but_not_lengthen_it() {
    let routes = build(&one_route(Strategy::Fallback, 1));
    for (asked, expected) in [(None, 600_000), (Some(5), 5), (Some(u64::MAX), 600_000), (Some(0), 1)] {
        let plan = plan(&routes, &Ask { timeout_ms: asked, ..ask("m") }, Millis(0), 1).unwrap();
        assert_eq!(plan.total_ms, expected);
    }
}

#[test]
fn a_plan_says_what_decided() {
    let plan = plan_at(&build(&config()), "best", 0, 1).unwrap();
    assert_eq!((&*plan.asked, &*plan.model, &*plan.config_version), ("best", "smart", "v1"));
    assert_eq!((plan.source.label(), plan.attempts_max), ("smart", 4));
    assert_eq!((plan.steps[0].reason, plan.steps[0].keys_ready), (Reason::Only, 1));
}

#[test]
fn a_full_memory_makes_room_for_targets_that_do_fail() {
    let mut config = one_route(Strategy::Fallback, 1);
    config.providers[0].serves = Serves::Catalog;
    let routes = build(&config);
    for at in 0..2 * bh_policy::limits::HEALTH_TARGETS_MAX {
        assert!(plan_at(&routes, &format!("p0/invented-{at}"), 0, 1).is_ok());
    }
    for failures in 0..5 {
        let plan = plan_at(&routes, "p0/real", 0, 1).unwrap_or_else(|error| panic!("after {failures}: {error}"));
        let mut chain = Chain::new(plan, Millis(0));
        let Turn::Call(attempt) = chain.turn(Millis(0), 1) else { panic!("expected a call") };
        assert_eq!(chain.failed(attempt, &failure(FaultClass::Connect), Millis(0), 1).1.key, None);
    }
    assert!(matches!(plan_at(&routes, "p0/real", 0, 1), Err(NoPlan::NothingAvailable { .. })));
}

#[test]
fn clients_that_invent_models_do_not_fill_the_memory() {
    let mut config = one_route(Strategy::Fallback, 1);
    config.providers[0].serves = Serves::Catalog;
    let routes = build(&config);
    for at in 0..10_000 {
        assert!(plan_at(&routes, &format!("p0/invented-{at}"), 0, 1).is_ok());
    }
    assert!(routes.health().targets(Millis(0)).len() <= bh_policy::limits::HEALTH_TARGETS_MAX);
    assert!(routes.health().targets(Millis(0)).iter().any(|target| *target.model == *"m0"), "the configured one stays");
}
