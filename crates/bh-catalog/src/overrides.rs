//! Prices the operator sets: `pricing.overrides` of the configuration.

use bh_base::NanoUsd;

use crate::price::{PriceRow, Rates, Schedule};

/// Prices and limits of one model that replace or add to the built-in ones, at every provider that serves the name.
/// Prices are per million tokens. What is left out keeps its ratio to the input price where the model is listed, and
/// costs as much as input where it is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// The model's name, as requests and routes spell it.
    pub model: String,
    /// Per million prompt tokens.
    pub input: NanoUsd,
    /// Per million answer tokens.
    pub output: NanoUsd,
    /// Per million prompt tokens read from the cache.
    pub cache_read: Option<NanoUsd>,
    /// Per million prompt tokens written to the cache for its usual time.
    pub cache_write_5m: Option<NanoUsd>,
    /// Per million prompt tokens written to the cache for the longer time.
    pub cache_write_1h: Option<NanoUsd>,
    /// Per web search.
    pub web_search: Option<NanoUsd>,
    /// The most tokens of prompt and answer together.
    pub context_tokens: Option<u64>,
    /// The most tokens of one answer.
    pub output_tokens_max: Option<u64>,
}

/// What is wrong with one setting of `pricing`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A name that is empty.
    #[error("pricing.overrides: a model's name must not be empty")]
    NoName,
    /// A name given twice.
    #[error("pricing.overrides.{model}: given twice; keep one")]
    Twice {
        /// The name.
        model: String,
    },
    /// A price with more decimals than the ledger computes with.
    #[error("pricing.{path}: at most 6 decimal places of a dollar per million tokens")]
    TooFine {
        /// The setting.
        path: String,
    },
    /// A limit of zero tokens.
    #[error("pricing.{path}: must be at least 1 token")]
    Zero {
        /// The setting.
        path: String,
    },
}

impl Override {
    /// An override of the two prices every model has.
    #[must_use]
    pub fn new(model: impl Into<String>, input: NanoUsd, output: NanoUsd) -> Self {
        Override {
            model: model.into(),
            input,
            output,
            cache_read: None,
            cache_write_5m: None,
            cache_write_1h: None,
            web_search: None,
            context_tokens: None,
            output_tokens_max: None,
        }
    }

    /// Everything wrong with it; empty when it can be applied.
    pub(crate) fn faults(&self) -> Vec<Fault> {
        let path = |field: &str| format!("overrides.{}.{field}", self.model);
        let mut faults = Vec::new();
        if self.model.is_empty() {
            faults.push(Fault::NoName);
        }
        for (field, price) in [
            ("input", Some(self.input)),
            ("output", Some(self.output)),
            ("cache_read", self.cache_read),
            ("cache_write_5m", self.cache_write_5m),
            ("cache_write_1h", self.cache_write_1h),
        ] {
            if price.is_some_and(|price| pico_per_token(price).is_none()) {
                faults.push(Fault::TooFine { path: path(field) });
            }
        }
        for (field, limit) in [("context_tokens", self.context_tokens), ("output_tokens_max", self.output_tokens_max)] {
            if limit == Some(0) {
                faults.push(Fault::Zero { path: path(field) });
            }
        }
        faults
    }

    /// The price row this makes of a listed one, or of nothing. Steps and tiers of the listed row go: the operator
    /// named one price. The override has no faults.
    pub(crate) fn row(&self, listed: Option<&PriceRow>) -> PriceRow {
        let pico = |price: NanoUsd| pico_per_token(price).expect("prices were checked for decimals before");
        let (input, output) = (pico(self.input), pico(self.output));
        let old = listed.map(|row| row.standard.base).unwrap_or_default();
        let or_ratio = |given: Option<NanoUsd>, part: u64, new_whole: u64, old_whole: u64| match given {
            Some(price) => pico(price),
            None if old_whole == 0 => new_whole,
            None => ratio(new_whole, part, old_whole),
        };
        let base = Rates {
            input,
            output,
            reasoning: or_ratio(None, old.reasoning, output, old.output),
            cache_read: or_ratio(self.cache_read, old.cache_read, input, old.input),
            cache_write_5m: or_ratio(self.cache_write_5m, old.cache_write_5m, input, old.input),
            cache_write_1h: or_ratio(self.cache_write_1h, old.cache_write_1h, input, old.input),
            audio_input: or_ratio(None, old.audio_input, input, old.input),
            audio_output: or_ratio(None, old.audio_output, output, old.output),
            image_input: or_ratio(None, old.image_input, input, old.input),
        };
        PriceRow {
            standard: Schedule { base, steps: Vec::new() },
            tiers: Vec::new(),
            web_search: match self.web_search {
                Some(fee) => fee.0.saturating_mul(1000),
                None => listed.map_or(0, |row| row.web_search),
            },
            per_call: listed.map_or(0, |row| row.per_call),
            regional_permille: 1000,
        }
    }
}

/// A price per million tokens as pico-USD per token, or nothing when it has more than six decimals of a dollar.
pub(crate) fn pico_per_token(per_million: NanoUsd) -> Option<u64> {
    per_million.0.is_multiple_of(1000).then_some(per_million.0 / 1000)
}

/// `whole × part ÷ of`, rounded up; saturates.
fn ratio(whole: u64, part: u64, of: u64) -> u64 {
    u64::try_from((u128::from(whole) * u128::from(part)).div_ceil(u128::from(of))).unwrap_or(u64::MAX)
}
