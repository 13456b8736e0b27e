//! What calls cost, against sums done by hand and against an independent calculation.

use bh_base::{NanoUsd, Usage};
use bh_catalog::{Catalog, Model, Rates, ServiceTier, Terms, cost};
use proptest::prelude::*;

/// Looks a model up by its provider and name.
fn model<'a>(catalog: &'a Catalog, kind: &str, name: &str) -> &'a Model {
    catalog.find_priced(kind, name).unwrap_or_else(|| panic!("{kind}/{name} is listed"))
}

/// Checks that a usage costs so many dollars.
fn check(kind: &str, name: &str, usage: Usage, terms: impl Into<Terms>, dollars: &str) {
    let catalog = Catalog::builtin();
    let cost = cost(&model(&catalog, kind, name).prices, &usage, terms.into());
    assert_eq!(cost.to_string(), dollars, "{kind}/{name} {usage:?}");
}

const NONE: Usage = Usage {
    input_uncached: 0,
    cache_read: 0,
    cache_write_5m: 0,
    cache_write_1h: 0,
    output: 0,
    reasoning: 0,
    audio_input: 0,
    audio_output: 0,
    image_input: 0,
    web_searches: 0,
};

#[test]
fn plain_tokens_cost_what_the_price_list_says() {
    let usage = Usage { input_uncached: 1_000_000, output: 1_000_000, ..NONE };
    check("openai", "gpt-4o", usage, Terms::default(), "12.5");
    check("openai", "gpt-4o-2024-05-13", usage, Terms::default(), "20");
    check("openai", "gpt-4.1-mini", usage, Terms::default(), "2");
    check("openai", "o4-mini", usage, Terms::default(), "5.5");
    check("anthropic", "claude-haiku-4-5-20251001", usage, Terms::default(), "6");
    check("groq", "llama-3.3-70b-versatile", usage, Terms::default(), "1.38");
    check("echo", "echo-fail-503", usage, Terms::default(), "3");
}

#[test]
fn the_smallest_call_is_rounded_up_to_a_nano_dollar_once() {
    // One gpt-4.1-nano token is 100,000 pico-dollars in, 400,000 out: exact.
    check("openai", "gpt-4.1-nano", Usage { input_uncached: 1, ..NONE }, Terms::default(), "0.0000001");
    // One cached token of gpt-5-nano is 5,000 pico-dollars, in batch 2,500: half a nano-dollar is a whole one.
    check("openai", "gpt-5-nano", Usage { cache_read: 1, ..NONE }, ServiceTier::Batch, "0.000000003");
    check("openai", "gpt-5-nano", Usage { cache_read: 2, ..NONE }, ServiceTier::Batch, "0.000000005");
    check("openai", "gpt-5-nano", Usage { cache_read: 3, ..NONE }, ServiceTier::Batch, "0.000000008");
}

#[test]
fn caches_are_priced_by_what_was_done_and_for_how_long() {
    // Claude Sonnet 4.5 per million: 3 in, 0.3 read, 3.75 written for five minutes, 6 for an hour, 15 out.
    let usage = Usage {
        input_uncached: 10,
        cache_read: 100,
        cache_write_5m: 1_000,
        cache_write_1h: 10_000,
        output: 20,
        ..NONE
    };
    // 0.00003 + 0.00003 + 0.00375 + 0.06 + 0.0003
    check("anthropic", "claude-sonnet-4-5", usage, Terms::default(), "0.06411");
    // GPT-5.6 bills writes too: 4 in, 5 written, 0.4 read, 20 out.
    let usage = Usage { input_uncached: 8, cache_write_5m: 4_012, cache_read: 1_000, output: 4, ..NONE };
    // 0.000032 + 0.02006 + 0.0004 + 0.00008
    check("openai", "gpt-5.6-sol", usage, Terms::default(), "0.020572");
}

#[test]
fn a_long_prompt_makes_the_whole_call_dearer_from_the_next_token_on() {
    let at = |tokens| Usage { input_uncached: tokens, output: 1_000, ..NONE };
    // Gemini 2.5 Pro: 1.25 and 10 up to 200,000 prompt tokens, 2.5 and 15 above.
    check("gemini", "gemini-2.5-pro", at(200_000), Terms::default(), "0.26");
    check("gemini", "gemini-2.5-pro", at(200_001), Terms::default(), "0.5150025");
    // GPT-5.4: 2.5 and 15 up to 272,000, 5 and 22.5 above.
    check("openai", "gpt-5.4", at(272_000), Terms::default(), "0.695");
    check("openai", "gpt-5.4", at(272_001), Terms::default(), "1.382505");
    // Grok 4: 3 and 15 up to 128,000, 6 and 30 above.
    check("xai", "grok-4", at(128_000), Terms::default(), "0.399");
    check("xai", "grok-4", at(128_001), Terms::default(), "0.798006");
}

#[test]
fn cached_and_written_tokens_count_towards_the_step() {
    // 200,001 prompt tokens of Gemini 2.5 Pro, nearly all read from the cache at 0.25 per million above the step.
    let usage = Usage { input_uncached: 1, cache_read: 200_000, ..NONE };
    check("gemini", "gemini-2.5-pro", usage, Terms::default(), "0.0500025");
    let usage = Usage { cache_read: 200_000, ..NONE };
    check("gemini", "gemini-2.5-pro", usage, Terms::default(), "0.025");
}

#[test]
fn the_middle_steps_of_several_hold() {
    // Qwen3 Coder Plus steps at 32k, 128k and 256k: 1, 1.8, 3 and 6 per million in.
    for (tokens, dollars) in [
        (32_000, "0.032"),
        (32_001, "0.0576018"),
        (128_000, "0.2304"),
        (128_001, "0.384003"),
        (256_000, "0.768"),
        (256_001, "1.536006"),
    ] {
        check("alibaba", "qwen3-coder-plus", Usage { input_uncached: tokens, ..NONE }, Terms::default(), dollars);
    }
}

#[test]
fn reasoning_costs_as_much_as_output() {
    check("openai", "gpt-5", Usage { output: 344, reasoning: 1_536, ..NONE }, Terms::default(), "0.0188");
    check("openai", "gpt-5", Usage { output: 1_880, ..NONE }, Terms::default(), "0.0188");
    check("anthropic", "claude-opus-4-8", Usage { reasoning: 1_000, ..NONE }, Terms::default(), "0.025");
}

#[test]
fn searches_and_audio_have_prices_of_their_own() {
    check("anthropic", "claude-haiku-4-5", Usage { web_searches: 3, ..NONE }, Terms::default(), "0.03");
    // GPT Audio: text 2.5 and 10, audio 32 and 64.
    let usage = Usage { input_uncached: 100, output: 100, audio_input: 100, audio_output: 100, ..NONE };
    check("openai", "gpt-audio", usage, Terms::default(), "0.01085");
    // The search models search on every call: 0.025, then 2.5 and 10.
    let usage = Usage { input_uncached: 12, output: 293, ..NONE };
    check("openai", "gpt-4o-search-preview", usage, Terms::default(), "0.02796");
}

#[test]
fn service_tiers_and_regions_change_the_price() {
    let usage = Usage { input_uncached: 1_000_000, output: 100_000, ..NONE };
    check("openai", "gpt-5", usage, Terms::default(), "2.25");
    check("openai", "gpt-5", usage, ServiceTier::Flex, "1.125");
    check("openai", "gpt-5", usage, ServiceTier::Priority, "4.5");
    check("openai", "gpt-5", usage, ServiceTier::from_wire("priority"), "4.5");
    check("openai", "gpt-5", usage, ServiceTier::from_wire("default"), "2.25");
    // Opus 4.6 fast is six times 5 and 25, Opus 4.8 fast twice.
    check("anthropic", "claude-opus-4-6", usage, ServiceTier::Fast, "45");
    check("anthropic", "claude-opus-4-6-20260205", usage, ServiceTier::Fast, "45");
    check("anthropic", "claude-opus-4-8", usage, ServiceTier::Fast, "15");
    // A tier the model is not priced for is served, and charged, as standard.
    check("anthropic", "claude-opus-4-8", usage, ServiceTier::Priority, "7.5");
    // Bound to a region, a tenth more: on tokens, not on fees.
    let regional = Terms { regional: true, ..Terms::default() };
    check("anthropic", "claude-opus-4-8", usage, regional, "8.25");
    check("anthropic", "claude-opus-4-8", Usage { web_searches: 1, ..usage }, regional, "8.26");
    check("anthropic", "claude-haiku-4-5", usage, regional, "1.5");
}

#[test]
fn sums_saturate_rather_than_wrap() {
    let huge = Usage { input_uncached: u64::MAX, output: u64::MAX, web_searches: u64::MAX, ..NONE };
    let catalog = Catalog::builtin();
    assert_eq!(cost(&model(&catalog, "openai", "o1-pro").prices, &huge, Terms::default()), NanoUsd::MAX);
}

/// The cost another way: each bucket in femto-dollars with its own multiplication, summed as decimal digits.
fn by_hand(rates: &Rates, usage: &Usage, web_search: u64) -> NanoUsd {
    let mut digits = [0_u64; 40];
    let mut add = |count: u64, price: u64| {
        let mut carry = u128::from(count) * u128::from(price);
        for digit in &mut digits {
            carry += u128::from(*digit);
            *digit = u64::try_from(carry % 10).expect("a digit");
            carry /= 10;
        }
    };
    add(usage.input_uncached, rates.input);
    add(usage.cache_read, rates.cache_read);
    add(usage.cache_write_5m, rates.cache_write_5m);
    add(usage.cache_write_1h, rates.cache_write_1h);
    add(usage.output, rates.output);
    add(usage.reasoning, rates.reasoning);
    add(usage.audio_input, rates.audio_input);
    add(usage.audio_output, rates.audio_output);
    add(usage.image_input, rates.image_input);
    add(usage.web_searches, web_search);
    let nano = digits[3..].iter().rev().fold(0_u64, |nano, digit| nano * 10 + digit);
    NanoUsd(nano + u64::from(digits[..3].iter().any(|digit| *digit != 0)))
}

prop_compose! {
    fn usages()(counts in prop::array::uniform10(0_u64..600_000)) -> Usage {
        let [input_uncached, cache_read, cache_write_5m, cache_write_1h, output, reasoning, audio_input, audio_output,
             image_input, searches] = counts;
        Usage { input_uncached, cache_read, cache_write_5m, cache_write_1h, output, reasoning, audio_input, audio_output,
                image_input, web_searches: searches % 50 }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_model_costs_the_sum_of_its_buckets(usage in usages(), pick in any::<prop::sample::Index>()) {
        let catalog = Catalog::builtin();
        let models: Vec<&Model> = catalog.models().filter(|model| model.prices.per_call == 0).collect();
        let model = pick.get(&models);
        let schedule = &model.prices.standard;
        let prompt = usage.prompt_tokens();
        let mut rates = &schedule.base;
        for (above, dearer) in &schedule.steps {
            if prompt > *above {
                rates = dearer;
            }
        }
        let expected = by_hand(rates, &usage, model.prices.web_search);
        prop_assert_eq!(cost(&model.prices, &usage, Terms::default()), expected, "{}", model.id);
    }
}
