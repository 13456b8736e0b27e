//! What is in the catalog, how models are found, and what the operator's settings change.

use std::collections::HashSet;

use bh_base::NanoUsd;
use bh_catalog::{Capabilities, Catalog, Fault, Override, ServiceTier, Standing, Terms, UnknownPrice, cost};

/// Checks under which model of the catalog a name is found; an empty id means it is not found.
fn check(kind: &str, asked: &str, id: &str) {
    let catalog = Catalog::builtin();
    let found = catalog.find(kind, asked).map(|model| model.id.as_ref());
    assert_eq!(found.unwrap_or_default(), id, "{kind}/{asked}");
}

fn usd(text: &str) -> NanoUsd {
    NanoUsd::parse_usd(text).expect("dollars")
}

#[test]
fn the_promised_models_are_listed() {
    for (kind, names) in [
        ("openai", "gpt-3.5-turbo gpt-4 gpt-4-turbo gpt-4o gpt-4o-mini gpt-4.1 o1 o3 o3-mini o4-mini gpt-5 gpt-5-mini"),
        ("openai", "gpt-5-nano gpt-5.1 gpt-5.2 gpt-5.4 gpt-5.5 gpt-5.6-sol gpt-4o-audio-preview"),
        ("anthropic", "claude-3-haiku-20240307 claude-3-5-sonnet-20241022 claude-3-5-haiku-latest claude-3-7-sonnet"),
        ("anthropic", "claude-sonnet-4-20250514 claude-opus-4-1 claude-sonnet-4-5 claude-opus-4-8 claude-sonnet-5"),
        ("gemini", "gemini-2.5-pro gemini-2.5-flash gemini-2.5-flash-lite gemini-3.1-pro-preview"),
        ("groq", "llama-3.3-70b-versatile llama-3.1-8b-instant meta-llama/llama-4-scout-17b-16e-instruct"),
        ("deepseek", "deepseek-chat deepseek-reasoner deepseek-v4-flash"),
        ("xai", "grok-4 grok-4-fast grok-4.3"),
        ("moonshot", "kimi-k2-thinking kimi-k2.5"),
        ("minimax", "MiniMax-M2 MiniMax-M2.5"),
        ("zai", "glm-4.6 glm-5"),
        ("alibaba", "qwen3-coder-plus qwen3-coder-flash qwen3-coder-480b-a35b-instruct"),
        ("mistral", "mistral-large-latest mistral-medium-latest mistral-small-latest codestral-latest"),
        ("echo", "echo"),
    ] {
        for name in names.split_whitespace() {
            let model = Catalog::builtin().find_priced(kind, name).cloned().unwrap_or_else(|| panic!("{kind}/{name}"));
            assert!(model.output_tokens_max.is_some(), "{kind}/{name} has an answer limit");
            assert!(model.context_tokens.is_some(), "{kind}/{name} has a context limit");
        }
    }
}

#[test]
fn every_row_makes_sense() {
    let catalog = Catalog::builtin();
    let mut names = HashSet::new();
    for model in catalog.models() {
        let id = &model.id;
        for name in std::iter::once(&model.id).chain(&model.aliases) {
            assert!(names.insert((&model.provider, name)), "{name} is listed twice");
        }
        let prices = &model.prices;
        for schedule in ServiceTier::ALL.map(|tier| prices.schedule(tier)) {
            assert!(schedule.steps.is_sorted_by(|(a, _), (b, _)| a < b), "{id}: steps rise");
            for rates in std::iter::once(&schedule.base).chain(schedule.steps.iter().map(|(_, rates)| rates)) {
                assert!(rates.cache_read <= rates.input, "{id}: reading the cache is not dearer than not reading it");
                assert!(rates.input <= rates.cache_write_5m, "{id}: {rates:?}");
                assert!(rates.cache_write_5m <= rates.cache_write_1h, "{id}: {rates:?}");
                assert!(rates.input < 1_000_000_000 && rates.output < 10_000_000_000, "{id}: dollars, not cents");
            }
        }
        assert!((1000..=1100).contains(&prices.regional_permille), "{id}");
        assert!(model.capabilities.contains(Capabilities::STREAMING), "{id}");
        assert!(
            model.overheads.per_image.is_some() == model.capabilities.contains(Capabilities::IMAGES)
                || !["openai", "anthropic"].contains(&model.provider.as_ref())
                || model.aliases.iter().any(|alias| alias.contains("vision")),
            "{id}: OpenAI and Anthropic say how many tokens an image is"
        );
    }
}

#[test]
fn snapshots_latest_and_tuned_models_are_found_under_their_base() {
    check("openai", "gpt-4o", "gpt-4o");
    check("openai", "gpt-4o-2024-08-06", "gpt-4o");
    check("openai", "gpt-4o-2031-01-01", "gpt-4o");
    check("openai", "gpt-4o-2024-05-13", "gpt-4o-2024-05-13");
    check("openai", "gpt-4-vision-preview", "gpt-4-turbo-preview");
    check("openai", "ft:gpt-4o-mini-2024-07-18:acme::abc", "ft:gpt-4o-mini-2024-07-18");
    check("anthropic", "claude-sonnet-4-5-20250929", "claude-sonnet-4-5");
    check("anthropic", "claude-3-5-sonnet-latest", "claude-3-5-sonnet");
    check("anthropic", "claude-3-5-sonnet@20240620", "claude-3-5-sonnet");
    check("anthropic", "claude-sonnet-4-0", "claude-sonnet-4");
    check("echo", "echo-slow", "echo");
}

#[test]
fn a_kind_serves_only_its_own_models_unless_it_may_be_anyone() {
    check("openai", "claude-sonnet-4-5", "");
    check("anthropic", "gpt-4o", "");
    check("azure", "gpt-4o", "gpt-4o");
    check("openai_compatible", "gpt-4o", "gpt-4o");
    check("openai_compatible", "llama-3.3-70b-versatile", "llama-3.3-70b-versatile");
    check("ollama", "llama3.2", "");
    for odd in
        ["", "-", "-latest", "ft:", "ft::", "gpt-4o-", "gpt-4o-20", "-20250929", "é-20250929", "日本語のモデル名"]
    {
        check("openai", odd, "");
        check("openai_compatible", odd, "");
    }
}

#[test]
fn an_override_replaces_the_price_and_keeps_the_rest_in_proportion() {
    let mut mine = Override::new("claude-sonnet-4-5", usd("6"), usd("15"));
    mine.output_tokens_max = Some(1000);
    let catalog = Catalog::builtin().with_overrides(&[mine], UnknownPrice::Reject).unwrap();
    let model = catalog.find("anthropic", "claude-sonnet-4-5-20250929").unwrap();
    let rates = model.prices.standard.base;
    assert_eq!((rates.input, rates.output, rates.reasoning), (6_000_000, 15_000_000, 15_000_000));
    assert_eq!((rates.cache_read, rates.cache_write_5m, rates.cache_write_1h), (600_000, 7_500_000, 12_000_000));
    assert_eq!((model.standing, model.output_tokens_max), (Standing::Overridden, Some(1000)));
    assert!(model.context_tokens.is_some(), "what was not named stays");
    assert_eq!(Catalog::builtin().find("anthropic", "claude-sonnet-4-5").unwrap().standing, Standing::Listed);
}

#[test]
fn an_override_of_a_snapshot_or_alias_leaves_the_base_alone() {
    for name in ["gpt-4o-2024-08-06", "gpt-4-vision-preview"] {
        let base = Catalog::builtin().find("openai", name).unwrap().clone();
        let catalog = Catalog::builtin()
            .with_overrides(&[Override::new(name, usd("1"), usd("2"))], UnknownPrice::Reject)
            .unwrap();
        let own = catalog.find("openai", name).unwrap();
        assert_eq!((&*own.id, own.prices.standard.base.input), (name, 1_000_000));
        assert_eq!(own.output_tokens_max, base.output_tokens_max);
        assert_eq!(catalog.find("openai", &base.id).unwrap().prices, base.prices);
        assert_eq!(&*catalog.find("openai_compatible", name).unwrap().id, name);
    }
}

#[test]
fn an_override_of_an_unlisted_model_holds_at_every_provider() {
    let mut mine = Override::new("my-model", usd("0.10"), usd("0.40"));
    mine.cache_read = Some(usd("0.01"));
    let catalog = Catalog::builtin().with_overrides(&[mine], UnknownPrice::Reject).unwrap();
    for kind in ["openai", "anthropic", "openai_compatible", "ollama"] {
        let model = catalog.find(kind, "my-model").unwrap();
        assert_eq!(model.name("my-model"), "my-model");
        let rates = model.prices.standard.base;
        assert_eq!(
            (rates.input, rates.output, rates.cache_read, rates.cache_write_1h),
            (100_000, 400_000, 10_000, 100_000)
        );
    }
    assert!(catalog.find("openai", "other-model").is_none());
}

#[test]
fn a_model_without_a_price_is_what_the_policy_says() {
    let catalog = |unknown| Catalog::builtin().with_overrides(&[], unknown).unwrap();
    assert!(catalog(UnknownPrice::Reject).find("openai", "gpt-99").is_none());

    let flat = catalog(UnknownPrice::Flat { input: usd("2"), output: usd("8") });
    let model = flat.find("openai", "gpt-99").unwrap();
    assert_eq!((model.standing, model.name("gpt-99")), (Standing::Flat, "gpt-99"));
    let usage = bh_base::Usage { cache_read: 500_000, output: 1_000_000, ..Default::default() };
    assert_eq!(cost(&model.prices, &usage, Terms { regional: true, ..Terms::default() }), usd("9"));
    assert!(flat.find_priced("openai", "gpt-99").is_none());

    let free = catalog(UnknownPrice::Allow);
    let model = free.find("openai", "gpt-99").unwrap();
    assert_eq!(model.standing, Standing::Unpriced);
    assert_eq!(cost(&model.prices, &usage, Terms::default()), NanoUsd::ZERO);
}

#[test]
fn every_fault_of_the_settings_is_reported_at_once() {
    let mut fine = Override::new("a", usd("0.1234567"), usd("1"));
    fine.context_tokens = Some(0);
    let faults = Catalog::builtin()
        .with_overrides(
            &[
                fine,
                Override::new("", usd("1"), usd("1")),
                Override::new("b", usd("1"), usd("1")),
                Override::new("b", usd("1"), usd("1")),
            ],
            UnknownPrice::Flat { input: usd("0.0000001"), output: usd("1") },
        )
        .unwrap_err();
    assert_eq!(
        faults,
        [
            Fault::TooFine { path: "overrides.a.input".into() },
            Fault::Zero { path: "overrides.a.context_tokens".into() },
            Fault::NoName,
            Fault::Twice { model: "b".into() },
            Fault::TooFine { path: "unknown.input".into() },
        ]
    );
}

#[test]
fn the_version_names_exactly_these_prices() {
    let plain = Catalog::builtin();
    assert_eq!(plain.version(), Catalog::builtin().version());
    assert!(plain.version().starts_with("v1-"));
    let with = |overrides: &[Override], unknown| plain.with_overrides(overrides, unknown).unwrap().version().to_owned();
    assert_eq!(&with(&[], UnknownPrice::Reject), plain.version());
    let (a, b) = (Override::new("a", usd("1"), usd("2")), Override::new("b", usd("1"), usd("2")));
    let versions = [
        plain.version().to_owned(),
        with(&[], UnknownPrice::Allow),
        with(&[], UnknownPrice::Flat { input: usd("1"), output: usd("2") }),
        with(std::slice::from_ref(&a), UnknownPrice::Reject),
        with(std::slice::from_ref(&b), UnknownPrice::Reject),
        with(&[Override { cache_read: Some(usd("1")), ..a.clone() }], UnknownPrice::Reject),
        with(&[Override { cache_write_5m: Some(usd("1")), ..a.clone() }], UnknownPrice::Reject),
    ];
    assert_eq!(versions.iter().collect::<HashSet<_>>().len(), versions.len(), "{versions:?}");
    assert_eq!(
        with(&[a.clone(), b.clone()], UnknownPrice::Reject),
        with(&[b, a], UnknownPrice::Reject),
        "the order of the settings does not matter"
    );
}
