//! A target: one model at one provider, with how to treat it and what is known of its health.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bh_base::Millis;

use crate::breaker::Breaker;
use crate::config::{BreakerConfig, ConcurrencyConfig, RetryConfig};
use crate::gate::Gate;
use crate::glob::Glob;
use crate::keys::{Coolings, Key, Survey, survey};

/// A provider as routing sees it.
#[derive(Debug)]
pub struct Provider {
    /// Its id in the configuration.
    pub id: Arc<str>,
    /// Its kind, under which the catalog lists its models.
    pub kind: Arc<str>,
    /// Patterns of the models it serves; `None` is what the catalog lists for its kind.
    pub(crate) serves: Option<Vec<Glob>>,
    pub(crate) keys: Vec<Key>,
}

/// One model at one provider.
#[derive(Debug)]
pub struct Target {
    /// Who is called.
    pub provider: Arc<Provider>,
    /// The model it is asked for.
    pub model: Arc<str>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) state: Arc<TargetState>,
}

/// How a target is treated.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) weight: u32,
    pub(crate) retry: Option<RetryConfig>,
    pub(crate) breaker: BreakerConfig,
    pub(crate) concurrency: Option<ConcurrencyConfig>,
}

/// What is known of a target's health; shared by every route that names it, and kept across configurations.
#[derive(Debug)]
pub(crate) struct TargetState {
    pub(crate) model: Arc<str>,
    breaker: Mutex<Breaker>,
    pub(crate) coolings: Coolings,
    pub(crate) gate: Arc<Gate>,
}

impl Provider {
    /// Ids of its keys, in the order of the configuration. A provider without keys has one that stands for none.
    pub fn key_ids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|key| &*key.id)
    }
}

impl Target {
    /// Its share under `loadbalance`.
    #[must_use]
    pub fn weight(&self) -> u32 {
        self.settings.weight
    }

    pub(crate) fn survey(&self, tokens: u64, now: Millis) -> Survey {
        survey(&self.provider.keys, &self.state.coolings, tokens, now)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings { weight: 1, retry: None, breaker: BreakerConfig::default(), concurrency: None }
    }
}

impl TargetState {
    pub(crate) fn new(model: Arc<str>) -> Self {
        TargetState { model, breaker: Mutex::default(), coolings: Coolings::default(), gate: Arc::default() }
    }

    pub(crate) fn breaker(&self) -> MutexGuard<'_, Breaker> {
        // The breaker is consistent between any two statements, so a panic elsewhere does not spoil it.
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether forgetting this state would change nothing.
    pub(crate) fn is_pristine(&self, now: Millis) -> bool {
        self.breaker().is_pristine()
            && self.coolings.is_empty(now)
            && self.gate.inside() == 0
            && self.gate.waiting() == 0
    }
}
