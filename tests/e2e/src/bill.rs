//! What a scripted provider charges: it knows exactly what it served, and reckons with the catalog's prices.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use bh_base::{NanoUsd, Usage};
use bh_catalog::{Catalog, PriceRow, Terms, cost};
use bh_testkit::answers::Tokens;

/// A provider's running total; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Bill {
    total: Arc<AtomicU64>,
}

/// The catalog's prices of a model.
///
/// # Errors
/// The catalog does not list it.
pub fn prices(kind: &str, model: &str) -> Result<PriceRow> {
    let catalog = Catalog::builtin();
    let listed = catalog.find_priced(kind, model).with_context(|| format!("{kind}/{model} has no price"))?;
    Ok(listed.prices.clone())
}

impl Bill {
    /// Charges what these tokens cost.
    pub fn charge(&self, prices: &PriceRow, tokens: Tokens) -> NanoUsd {
        let usage = Usage { input_uncached: tokens.input, output: tokens.output, ..Usage::default() };
        let cost = cost(prices, &usage, Terms::default());
        self.total.fetch_add(cost.0, Ordering::SeqCst);
        cost
    }

    /// Everything charged so far.
    #[must_use]
    pub fn total(&self) -> NanoUsd {
        NanoUsd(self.total.load(Ordering::SeqCst))
    }
}
