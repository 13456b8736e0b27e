//! Models whose provider charged more than the price table allows: not for hard budgets until somebody looked.

use std::collections::HashSet;
use std::sync::{PoisonError, RwLock};

/// Catalog ids, with the price table under which they were caught. A new price table gives each a new chance.
#[derive(Debug, Default)]
pub(crate) struct Overcharged {
    caught: RwLock<HashSet<(Box<str>, Box<str>)>>,
}

/// Models remembered at once; past that the memory starts afresh, and the next overcharge is caught again.
const CAUGHT_MAX: usize = 4096;

impl Overcharged {
    pub(crate) fn note(&self, model: &str, price_version: &str) {
        let mut caught = self.caught.write().unwrap_or_else(PoisonError::into_inner);
        if CAUGHT_MAX <= caught.len() {
            caught.clear();
        }
        if caught.insert((model.into(), price_version.into())) {
            tracing::error!(
                model,
                price_version,
                "a provider charged more than the price table allows; hard budgets refuse this model until its price is corrected"
            );
        }
    }

    pub(crate) fn contains(&self, model: &str, price_version: &str) -> bool {
        let caught = self.caught.read().unwrap_or_else(PoisonError::into_inner);
        !caught.is_empty() && caught.contains(&(model.into(), price_version.into()))
    }

    pub(crate) fn forget_other_prices(&self, price_version: &str) {
        let mut caught = self.caught.write().unwrap_or_else(PoisonError::into_inner);
        caught.retain(|(_, version)| **version == *price_version);
    }
}
