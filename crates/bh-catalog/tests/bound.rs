//! The bound of a call is never below what the call can cost, whatever it uses within it.

use bh_base::{NanoUsd, PromptSize, Unbounded, Usage};
use bh_catalog::{Ask, Bound, Catalog, Model, Override, ServiceTier, Terms, UnknownPrice, bound, cost};
use proptest::prelude::*;

const ASK: Ask = Ask { max_output: Some(1_000), choices: 1, terms: Some(STANDARD) };
const STANDARD: Terms = Terms { tier: ServiceTier::Standard, regional: false };

fn of(kind: &str, name: &str, size: PromptSize, ask: Ask) -> Result<Bound, Unbounded> {
    bound(Catalog::builtin().find(kind, name).expect("a listed model"), &size, &ask)
}

/// Checks the cost of a bound.
fn check(kind: &str, name: &str, size: PromptSize, ask: Ask, dollars: &str) {
    let bound = of(kind, name, size, ask).expect("bounded");
    assert_eq!(bound.cost.to_string(), dollars, "{kind}/{name} {bound:?}");
}

#[test]
fn a_bound_is_tokens_times_the_dearest_price_in_reach() {
    let size = PromptSize { text_bytes: 1_000, messages: 2, ..PromptSize::default() };
    // GPT-4o: 1,000 bytes + 32 + 2 × 16 = 1,064 tokens at 2.5, and 1,000 at 10 per million.
    check("openai", "gpt-4o", size, ASK, "0.01266");
    // Three answers.
    check("openai", "gpt-4o", size, Ask { choices: 3, ..ASK }, "0.03266");
    // Priority is 4.25 and 17; terms nobody looked at count as the dearest.
    check("openai", "gpt-4o", size, Ask { terms: Some(ServiceTier::Priority.into()), ..ASK }, "0.021522");
    check("openai", "gpt-4o", size, Ask { terms: None, ..ASK }, "0.021522");
    // Without a limit the model's own counts: 16,384.
    check("openai", "gpt-4o", size, Ask { max_output: None, ..ASK }, "0.1665");
    // A search model bills the call as well.
    check("openai", "gpt-4o-search-preview", size, ASK, "0.03766");
}

#[test]
fn cache_writes_count_when_they_can_happen() {
    // 1,000 bytes + 96 + 16 = 1,112 tokens. Sonnet 4.5: 3 in, 6 written for an hour; 1,000 tokens at 15.
    let size = PromptSize { text_bytes: 1_000, messages: 1, ..PromptSize::default() };
    check("anthropic", "claude-sonnet-4-5", size, ASK, "0.018336");
    check("anthropic", "claude-sonnet-4-5", PromptSize { cache_writes: true, ..size }, ASK, "0.021672");
    // GPT-5.6 writes unasked: 1,048 tokens at 5, not 4; 1,000 at 20.
    check("openai", "gpt-5.6-sol", size, ASK, "0.02524");
}

#[test]
fn a_prompt_that_may_pass_a_step_is_held_at_its_price() {
    // 272,000 tokens are still 2.5 and 15 per million: text + 32 + 16.
    let size = |text_bytes| PromptSize { text_bytes, messages: 1, ..PromptSize::default() };
    check("openai", "gpt-5.4", size(271_952), ASK, "0.695");
    check("openai", "gpt-5.4", size(271_953), ASK, "1.382505");
}

#[test]
fn what_nobody_can_bound_is_refused_with_its_reason() {
    let size = PromptSize { unbounded: Some(Unbounded::ServerTool), ..PromptSize::default() };
    assert_eq!(of("openai", "gpt-4o", size, ASK), Err(Unbounded::ServerTool));
    let image = PromptSize { images: 1, ..PromptSize::default() };
    assert!(of("openai", "gpt-4o", image, ASK).is_ok());
    assert_eq!(of("gemini", "gemini-2.5-pro", image, ASK), Err(Unbounded::Image));

    let open = Catalog::builtin().with_overrides(&[], UnknownPrice::Allow).expect("no faults");
    let unpriced = open.find("openai", "gpt-99").expect("let through");
    assert_eq!(bound(unpriced, &PromptSize::default(), &ASK), Err(Unbounded::UnknownModel));

    let mine = Override::new("my-model", NanoUsd::from_usd(1), NanoUsd::from_usd(2));
    let priced = Catalog::builtin().with_overrides(&[mine], UnknownPrice::Reject).expect("no faults");
    let model = priced.find("openai_compatible", "my-model").expect("priced");
    assert!(bound(model, &PromptSize::default(), &ASK).is_ok());
    let endless = Ask { max_output: None, ..ASK };
    assert_eq!(bound(model, &PromptSize::default(), &endless), Err(Unbounded::UnknownModel));
}

#[test]
fn absurd_sizes_saturate() {
    let size = PromptSize { text_bytes: u64::MAX, messages: u64::MAX, ..PromptSize::default() };
    let ask = Ask { max_output: Some(u64::MAX), choices: u32::MAX, terms: None };
    let bound = of("openai", "o1-pro", size, ask).expect("bounded");
    assert_eq!((bound.cost, bound.input_upper, bound.output_upper), (NanoUsd::MAX, u64::MAX, u64::MAX));
}

prop_compose! {
    fn sizes()(counts in prop::array::uniform5(0_u64..300_000), cache_writes in any::<bool>()) -> PromptSize {
        let [text_bytes, ascii, messages, tools, features] = counts;
        PromptSize {
            text_bytes,
            non_ascii_bytes: text_bytes.saturating_sub(ascii),
            messages: messages % 50,
            tools: tools % 20,
            features: features % 3,
            images: 0,
            cache_writes,
            unbounded: None,
        }
    }
}

/// Shares out a bound's tokens over the buckets that such a call can be billed in.
fn within(bound: &Bound, size: &PromptSize, model: &Model, shares: [u64; 7]) -> Usage {
    let (mut input, mut output) = (bound.input_upper, bound.output_upper);
    let take = |from: &mut u64, share: u64, allowed: bool| {
        let taken = if allowed { *from * share / 100 } else { 0 };
        *from -= taken;
        taken
    };
    Usage {
        cache_read: take(&mut input, shares[0], true),
        cache_write_5m: take(&mut input, shares[1], size.cache_writes || model.cache_writes_unasked),
        cache_write_1h: take(&mut input, shares[2], size.cache_writes),
        input_uncached: take(&mut input, shares[3], true),
        reasoning: take(&mut output, shares[4], true),
        audio_output: take(&mut output, shares[5], true),
        output: take(&mut output, shares[6], true),
        ..Usage::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_usage_within_a_bound_costs_more(
        size in sizes(),
        answer in 0_u64..200_000,
        shares in prop::array::uniform7(0_u64..=100),
        tier in prop::sample::select(ServiceTier::ALL.as_slice()),
        (regional, looked) in any::<(bool, bool)>(),
        pick in any::<prop::sample::Index>(),
    ) {
        let catalog = Catalog::builtin();
        let models: Vec<&Model> = catalog.models().collect();
        let model = pick.get(&models);
        let terms = Terms { tier, regional };
        let ask = Ask { max_output: Some(answer), choices: 1, terms: looked.then_some(terms) };
        let bound = bound(model, &size, &ask).expect("text alone is bounded");
        let usage = within(&bound, &size, model, shares);
        let cost = cost(&model.prices, &usage, terms);
        prop_assert!(cost <= bound.cost, "{}: {cost} > {} for {usage:?}", model.id, bound.cost);
    }
}
