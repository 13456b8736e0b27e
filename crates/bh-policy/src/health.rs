//! What was learnt of targets and keys. It outlives configurations: a reload builds new routes over the same health.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use bh_base::Millis;

use crate::breaker::BreakerState;
use crate::config::KeyConfig;
use crate::keys::KeyRecord;
use crate::limits::HEALTH_TARGETS_MAX;
use crate::plan::Why;
use crate::target::{Provider, TargetState};

/// Breakers, places and keys by name.
#[derive(Debug, Default)]
pub struct Health {
    /// By provider id.
    targets: RwLock<HashMap<Arc<str>, Models>>,
    keys: Mutex<HashMap<KeyName, Arc<KeyRecord>>>,
}

/// Targets of one provider, by model.
type Models = HashMap<Arc<str>, Arc<TargetState>>;
/// A provider's id and a key's id.
type KeyName = (Arc<str>, Arc<str>);

/// A target's health at one moment, for `/health`, metrics and explanations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetHealth {
    /// The provider's id.
    pub provider: Arc<str>,
    /// The model.
    pub model: Arc<str>,
    /// Its breaker.
    pub breaker: BreakerState,
    /// Failures in a row while the breaker is closed.
    pub failures: u32,
    /// Calls in flight.
    pub in_flight: u32,
    /// Requests waiting for a place.
    pub waiting: usize,
}

/// A key's health at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyHealth {
    /// The provider's id.
    pub provider: Arc<str>,
    /// The key's id.
    pub key: Arc<str>,
    /// Whether it can be used.
    pub state: KeyState,
    /// Until it can be used again; zero when it can.
    pub ready_in: Millis,
}

/// Whether a key can be used, for whichever target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// It can.
    Ready,
    /// Its own requests or tokens per minute are used up.
    Busy,
    /// Its account has nothing left.
    OutOfQuota,
    /// The provider refused it.
    Quarantined,
}

impl KeyState {
    /// The spelling used in metrics and explanations.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            KeyState::Ready => "ready",
            KeyState::Busy => "busy",
            KeyState::OutOfQuota => "out_of_quota",
            KeyState::Quarantined => "quarantined",
        }
    }
}

impl Health {
    /// Every target that was ever called or configured, in no particular order.
    #[must_use]
    pub fn targets(&self, now: Millis) -> Vec<TargetHealth> {
        let targets = self.targets.read().unwrap_or_else(PoisonError::into_inner);
        let entry = |provider: &Arc<str>, state: &Arc<TargetState>| {
            let breaker = state.breaker();
            TargetHealth {
                provider: Arc::clone(provider),
                model: Arc::clone(&state.model),
                breaker: breaker.state(now),
                failures: breaker.failures(),
                in_flight: state.gate.inside(),
                waiting: state.gate.waiting(),
            }
        };
        targets.iter().flat_map(|(provider, models)| models.values().map(move |state| entry(provider, state))).collect()
    }

    /// Every configured key, in no particular order.
    #[must_use]
    pub fn keys(&self, now: Millis) -> Vec<KeyHealth> {
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = |((provider, key), record): (&KeyName, &Arc<KeyRecord>)| {
            let (state, ready_in) = match record.look(0, now) {
                Ok(()) => (KeyState::Ready, Millis(0)),
                Err(unready) => (key_state(unready.why), unready.ready_in),
            };
            KeyHealth { provider: Arc::clone(provider), key: Arc::clone(key), state, ready_in }
        };
        keys.iter().map(entry).collect()
    }

    /// The state of one target, made when it is new.
    pub(crate) fn target(&self, provider: &Provider, model: &str, now: Millis) -> Arc<TargetState> {
        let known = self.targets.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = known.get(&provider.id).and_then(|models| models.get(model)) {
            return Arc::clone(state);
        }
        drop(known);
        let mut targets = self.targets.write().unwrap_or_else(PoisonError::into_inner);
        if HEALTH_TARGETS_MAX <= targets.values().map(Models::len).sum::<usize>() {
            // Clients may name any model: what nobody holds and nothing was learnt of makes room.
            for models in targets.values_mut() {
                models.retain(|_, state| 1 < Arc::strong_count(state) || !state.is_pristine(now));
            }
        }
        let full = HEALTH_TARGETS_MAX <= targets.values().map(Models::len).sum::<usize>();
        let models = targets.entry(Arc::clone(&provider.id)).or_default();
        if let Some(state) = models.get(model) {
            return Arc::clone(state);
        }
        let name: Arc<str> = model.into();
        let state = Arc::new(TargetState::new(Arc::clone(&name)));
        if !full {
            models.insert(name, Arc::clone(&state));
        }
        state
    }

    /// The record of one key under its present configuration.
    pub(crate) fn key(&self, provider: &Arc<str>, id: &Arc<str>, config: &KeyConfig, now: Millis) -> Arc<KeyRecord> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let record = Arc::clone(keys.entry((Arc::clone(provider), Arc::clone(id))).or_default());
        drop(keys);
        record.configure(config, now);
        record
    }

    /// Forgets keys that no configuration and no call uses any more.
    pub(crate) fn forget_unused_keys(&self) {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.retain(|_, record| 1 < Arc::strong_count(record));
    }
}

fn key_state(why: Why) -> KeyState {
    match why {
        Why::KeysQuarantined => KeyState::Quarantined,
        Why::KeysOutOfQuota => KeyState::OutOfQuota,
        Why::KeysBusy
        | Why::KeysCooling
        | Why::Drained
        | Why::NotChosen
        | Why::Unfit(_)
        | Why::BreakerOpen
        | Why::QueueFull
        | Why::QueueTooSlow
        | Why::Budget
        | Why::Unsupported => KeyState::Busy,
    }
}
