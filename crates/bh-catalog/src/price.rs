//! Prices, and what a usage costs under them.

use bh_base::{NanoUsd, Usage};

/// Prices of one kind of call, in pico-USD (10⁻¹² USD) per token: one dollar per million tokens is 1,000,000.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// Prompt tokens that no cache is involved in.
    pub input: u64,
    /// Answer tokens.
    pub output: u64,
    /// Answer tokens spent on reasoning; the output price almost everywhere.
    pub reasoning: u64,
    /// Prompt tokens read from the cache.
    pub cache_read: u64,
    /// Prompt tokens written to the cache for its usual time.
    pub cache_write_5m: u64,
    /// Prompt tokens written to the cache for the longer time (one hour at Anthropic).
    pub cache_write_1h: u64,
    /// Audio tokens of the prompt.
    pub audio_input: u64,
    /// Audio tokens of the answer.
    pub audio_output: u64,
    /// Image tokens of the prompt, where they are counted apart.
    pub image_input: u64,
}

/// The prices of one service tier, by prompt length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    /// Prices of a short prompt.
    pub base: Rates,
    /// Dearer prices of the whole call once the prompt has **more** than so many tokens; rising thresholds.
    pub steps: Vec<(u64, Rates)>,
}

/// Every price of one model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PriceRow {
    /// What a call costs when nothing else was asked for.
    pub standard: Schedule,
    /// Prices of other service tiers; a tier without an entry is charged as standard.
    pub tiers: Vec<(ServiceTier, Schedule)>,
    /// Fee of one web search that the provider runs, in pico-USD.
    pub web_search: u64,
    /// Fee of every call, whatever it uses, in pico-USD: models that always search the web have one.
    pub per_call: u64,
    /// Tokens processed in a region of the caller's choice cost this many thousandths of the usual price; 1000 when
    /// the model has no such surcharge.
    pub regional_permille: u64,
}

/// The service tiers that providers price apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceTier {
    /// The usual one.
    #[default]
    Standard,
    /// Slower and cheaper.
    Flex,
    /// Ahead of others, dearer.
    Priority,
    /// Answered within a day, cheaper.
    Batch,
    /// Anthropic's `speed: fast`.
    Fast,
    /// OpenAI's fastest tier.
    Ultrafast,
}

/// What, beside the tokens, decides the price of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// The tier that served the call.
    pub tier: ServiceTier,
    /// Whether the call was bound to a region (`inference_geo`, data residency), which some models charge for.
    pub regional: bool,
}

/// What a call that was made costs, rounded up once to a whole nano-dollar; saturates.
///
/// The length of the prompt (every prompt token, however billed) decides the step, and a step prices the whole call.
/// A tier the model has no price for is charged as standard: providers serve such calls as standard.
#[must_use]
pub fn cost(prices: &PriceRow, usage: &Usage, terms: Terms) -> NanoUsd {
    let rates = prices.schedule(terms.tier).at(usage.prompt_tokens());
    let tokens = [
        (usage.input_uncached, rates.input),
        (usage.cache_read, rates.cache_read),
        (usage.cache_write_5m, rates.cache_write_5m),
        (usage.cache_write_1h, rates.cache_write_1h),
        (usage.output, rates.output),
        (usage.reasoning, rates.reasoning),
        (usage.audio_input, rates.audio_input),
        (usage.audio_output, rates.audio_output),
        (usage.image_input, rates.image_input),
    ]
    .into_iter()
    .fold(0_u128, |sum, (count, price)| sum.saturating_add(u128::from(count) * u128::from(price)));
    let fees = u128::from(usage.web_searches) * u128::from(prices.web_search) + u128::from(prices.per_call);
    total(tokens, fees, if terms.regional { prices.regional_permille } else { 1000 })
}

/// Tokens and fees (both in pico-USD) as one amount: the surcharge applies to tokens only, and the sum is rounded up
/// once, with the thousandths still in it.
pub(crate) fn total(tokens: u128, fees: u128, permille: u64) -> NanoUsd {
    let thousandths = tokens.saturating_mul(u128::from(permille)).saturating_add(fees.saturating_mul(1000));
    NanoUsd(u64::try_from(thousandths.div_ceil(1_000_000)).unwrap_or(u64::MAX))
}

impl PriceRow {
    /// The prices of a tier, or the standard ones where the model does not price it apart.
    #[must_use]
    pub fn schedule(&self, tier: ServiceTier) -> &Schedule {
        self.tiers.iter().find(|(name, _)| *name == tier).map_or(&self.standard, |(_, schedule)| schedule)
    }
}

impl Schedule {
    /// The prices of a call whose prompt has so many tokens.
    #[must_use]
    pub fn at(&self, prompt_tokens: u64) -> &Rates {
        self.steps.iter().rev().find(|(above, _)| *above < prompt_tokens).map_or(&self.base, |(_, rates)| rates)
    }

    /// Every set of prices a call can meet whose prompt has at most so many tokens.
    pub(crate) fn reachable(&self, prompt_tokens_max: u64) -> impl Iterator<Item = &Rates> {
        let steps = self.steps.iter().filter(move |(above, _)| *above < prompt_tokens_max);
        std::iter::once(&self.base).chain(steps.map(|(_, rates)| rates))
    }
}

impl ServiceTier {
    /// Every tier.
    pub const ALL: [ServiceTier; 6] = [
        ServiceTier::Standard,
        ServiceTier::Flex,
        ServiceTier::Priority,
        ServiceTier::Batch,
        ServiceTier::Fast,
        ServiceTier::Ultrafast,
    ];

    /// The tier that an answer's `service_tier` or `speed` names. Words without a price of their own (`default`,
    /// `auto`, `scale`, `standard`, unknown ones) are standard.
    #[must_use]
    pub fn from_wire(word: &str) -> Self {
        ServiceTier::ALL.into_iter().find(|tier| tier.as_str() == word).unwrap_or(ServiceTier::Standard)
    }

    /// The word used on the wire and in the data file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            ServiceTier::Standard => "standard",
            ServiceTier::Flex => "flex",
            ServiceTier::Priority => "priority",
            ServiceTier::Batch => "batch",
            ServiceTier::Fast => "fast",
            ServiceTier::Ultrafast => "ultrafast",
        }
    }
}

impl From<ServiceTier> for Terms {
    fn from(tier: ServiceTier) -> Self {
        Terms { tier, regional: false }
    }
}
