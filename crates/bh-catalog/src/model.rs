//! One model: what it costs, what it can do, how large its prompts and answers get.

use bh_base::Overheads;

use crate::{Capabilities, PriceRow};

/// One row of the catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// The name under which budgets and reports know it. For a stand-in use [`Model::name`].
    pub id: Box<str>,
    /// The kind of the provider whose price list this is (`openai`, `anthropic`, `groq`, …).
    pub provider: Box<str>,
    /// Other names of the same model at the same prices.
    pub aliases: Vec<Box<str>>,
    /// Where its prices come from.
    pub standing: Standing,
    /// What it costs.
    pub prices: PriceRow,
    /// Whether the provider may write to its cache, and bill that, without being asked.
    pub cache_writes_unasked: bool,
    /// The most tokens of prompt and answer together, where known.
    pub context_tokens: Option<u64>,
    /// The most tokens of one answer, reasoning included, where known.
    pub output_tokens_max: Option<u64>,
    /// What it can do.
    pub capabilities: Capabilities,
    /// What the provider adds to a prompt, as upper bounds.
    pub overheads: Overheads,
}

/// Where a model's prices come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// From the data file.
    Listed,
    /// From `pricing.overrides`.
    Overridden,
    /// Not known; the flat price of `pricing.unknown` stands in.
    Flat,
    /// Not known and let through: it costs nothing here, and no hold can bound it.
    Unpriced,
}

impl Model {
    /// The name to charge and report under: the catalog's own, or the asked one for a model nobody listed.
    #[must_use]
    pub fn name<'a>(&'a self, asked: &'a str) -> &'a str {
        match self.standing {
            Standing::Listed | Standing::Overridden => &self.id,
            Standing::Flat | Standing::Unpriced => asked,
        }
    }
}
