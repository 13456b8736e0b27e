//! The data file's format, version 1, and how its rows become models.
//!
//! Prices are pico-USD per token. A price left out has the default that [`RawRates::rates`] names.

use std::collections::BTreeMap;

use bh_base::Overheads;
use serde::Deserialize;

use crate::{Capabilities, Model, PriceRow, Rates, Schedule, ServiceTier, Standing};

/// The format this crate reads.
const FORMAT: u32 = 1;

/// Why a data file cannot be used; the one built in is checked by a test.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataError {
    #[error("the catalog is not JSON of the expected shape")]
    Shape(#[source] serde_json::Error),
    #[error("the catalog has format {0}, this program reads {FORMAT}")]
    Format(u32),
    #[error("{model}: {what} {word:?} is not known")]
    Word { model: String, what: &'static str, word: String },
}

/// A checked data file.
pub(crate) struct Data {
    pub(crate) models: Vec<Model>,
    /// Overheads for models that are not listed: no listed model has larger ones, images excepted.
    pub(crate) stranger: Overheads,
}

/// Reads and checks a data file.
pub(crate) fn parse(text: &str) -> Result<Data, DataError> {
    let raw: RawCatalog = serde_json::from_str(text).map_err(DataError::Shape)?;
    if raw.format != FORMAT {
        return Err(DataError::Format(raw.format));
    }
    let overheads = |model: &str, name: &str, image: Option<u64>| {
        let found = raw.overheads.get(name).ok_or_else(|| word(model, "overheads", name))?;
        Ok::<_, DataError>(found.overheads(image))
    };
    let stranger = overheads("(any)", "unknown", None)?;
    let models = raw
        .models
        .iter()
        .map(|row| row.model(overheads(&row.id, &row.overheads, row.image_tokens)?))
        .collect::<Result<_, DataError>>()?;
    Ok(Data { models, stranger })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCatalog {
    format: u32,
    overheads: BTreeMap<String, RawOverheads>,
    models: Vec<RawModel>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOverheads {
    base: u64,
    per_message: u64,
    tool_prompt: u64,
    per_tool: u64,
    per_feature: u64,
    non_ascii_growth: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawModel {
    id: String,
    provider: String,
    #[serde(default)]
    aliases: Vec<String>,
    standard: RawSchedule,
    #[serde(default)]
    tiers: BTreeMap<String, RawSchedule>,
    #[serde(default)]
    web_search: u64,
    #[serde(default)]
    per_call: u64,
    #[serde(default = "usual_permille")]
    regional_permille: u64,
    #[serde(default)]
    cache_writes_unasked: bool,
    context: Option<u64>,
    output: Option<u64>,
    image_tokens: Option<u64>,
    overheads: String,
    can: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSchedule {
    base: RawRates,
    #[serde(default)]
    steps: Vec<RawStep>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStep {
    above: u64,
    rates: RawRates,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRates {
    input: u64,
    output: u64,
    reasoning: Option<u64>,
    cache_read: Option<u64>,
    cache_write_5m: Option<u64>,
    cache_write_1h: Option<u64>,
    audio_input: Option<u64>,
    audio_output: Option<u64>,
    image_input: Option<u64>,
}

fn usual_permille() -> u64 {
    1000
}

fn word(model: &str, what: &'static str, word: &str) -> DataError {
    DataError::Word { model: model.to_owned(), what, word: word.to_owned() }
}

impl RawOverheads {
    fn overheads(&self, per_image: Option<u64>) -> Overheads {
        Overheads {
            base: self.base,
            per_message: self.per_message,
            tool_prompt: self.tool_prompt,
            per_tool: self.per_tool,
            per_feature: self.per_feature,
            per_image,
            non_ascii_growth: self.non_ascii_growth,
        }
    }
}

impl RawModel {
    fn model(&self, overheads: Overheads) -> Result<Model, DataError> {
        let tier = |(name, schedule): (&String, &RawSchedule)| {
            let tier = ServiceTier::from_wire(name);
            if tier == ServiceTier::Standard {
                return Err(word(&self.id, "tier", name));
            }
            Ok((tier, schedule.schedule()))
        };
        let can = |name: &String| Capabilities::named(name).ok_or_else(|| word(&self.id, "capability", name));
        Ok(Model {
            id: self.id.as_str().into(),
            provider: self.provider.as_str().into(),
            aliases: self.aliases.iter().map(|name| name.as_str().into()).collect(),
            standing: Standing::Listed,
            prices: PriceRow {
                standard: self.standard.schedule(),
                tiers: self.tiers.iter().map(tier).collect::<Result<_, _>>()?,
                web_search: self.web_search,
                per_call: self.per_call,
                regional_permille: self.regional_permille,
            },
            cache_writes_unasked: self.cache_writes_unasked,
            context_tokens: self.context,
            output_tokens_max: self.output,
            capabilities: self.can.iter().map(can).try_fold(Capabilities::NONE, |all, one| Ok(all | one?))?,
            overheads,
        })
    }
}

impl RawSchedule {
    fn schedule(&self) -> Schedule {
        Schedule {
            base: self.base.rates(),
            steps: self.steps.iter().map(|step| (step.above, step.rates.rates())).collect(),
        }
    }
}

impl RawRates {
    fn rates(&self) -> Rates {
        let cache_write_5m = self.cache_write_5m.unwrap_or(self.input);
        Rates {
            input: self.input,
            output: self.output,
            reasoning: self.reasoning.unwrap_or(self.output),
            cache_read: self.cache_read.unwrap_or(self.input),
            cache_write_5m,
            cache_write_1h: self.cache_write_1h.unwrap_or(cache_write_5m),
            audio_input: self.audio_input.unwrap_or(self.input),
            audio_output: self.audio_output.unwrap_or(self.output),
            image_input: self.image_input.unwrap_or(self.input),
        }
    }
}
