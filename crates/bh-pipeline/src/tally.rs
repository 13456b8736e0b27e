//! What a request's attempts used and cost together, and how each of them ended.

use std::sync::Arc;

use bh_audit::{AttemptNote, Charged, Text};
use bh_base::{HoldMode, Millis, NanoUsd, Usage};
use bh_ledger::{AccountKey, Hold};

use crate::ports::AttemptFacts;

/// The sum of a request's attempts.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) usage: Usage,
    /// Whether any of it is our estimate.
    pub(crate) estimated: bool,
    pub(crate) est: NanoUsd,
    pub(crate) cost: NanoUsd,
    pub(crate) notes: Vec<Note>,
    charges: Vec<(AccountKey, NanoUsd)>,
}

/// One attempt that ended.
#[derive(Debug)]
pub(crate) struct Note {
    pub(crate) provider: Arc<str>,
    pub(crate) model: Arc<str>,
    pub(crate) key: Arc<str>,
    pub(crate) outcome: &'static str,
    pub(crate) status: Option<u16>,
    pub(crate) began: Millis,
    pub(crate) took_us: u64,
    pub(crate) cost: NanoUsd,
    pub(crate) span_id: [u8; 8],
}

impl Tally {
    /// Adds what one attempt used.
    pub(crate) fn used(&mut self, usage: &Usage) {
        let sum = &mut self.usage;
        sum.input_uncached = sum.input_uncached.saturating_add(usage.input_uncached);
        sum.cache_read = sum.cache_read.saturating_add(usage.cache_read);
        sum.cache_write_5m = sum.cache_write_5m.saturating_add(usage.cache_write_5m);
        sum.cache_write_1h = sum.cache_write_1h.saturating_add(usage.cache_write_1h);
        sum.output = sum.output.saturating_add(usage.output);
        sum.reasoning = sum.reasoning.saturating_add(usage.reasoning);
        sum.audio_input = sum.audio_input.saturating_add(usage.audio_input);
        sum.audio_output = sum.audio_output.saturating_add(usage.audio_output);
        sum.image_input = sum.image_input.saturating_add(usage.image_input);
        sum.web_searches = sum.web_searches.saturating_add(usage.web_searches);
    }

    /// Adds what one attempt is charged at each counter of its hold.
    pub(crate) fn charge(&mut self, keys: Vec<AccountKey>, cost: NanoUsd) {
        self.cost = self.cost.saturating_add(cost);
        for key in keys {
            match self.charges.iter_mut().find(|(known, _)| *known == key) {
                Some((_, sum)) => *sum = sum.saturating_add(cost),
                None => self.charges.push((key, cost)),
            }
        }
    }

    /// The charges as a record says them.
    pub(crate) fn charges(&self) -> Vec<Charged> {
        self.charges.iter().map(|(key, cost)| charged(key, *cost, HoldMode::Strict)).collect()
    }

    /// The attempts as a record says them.
    pub(crate) fn audit_notes(&self) -> Vec<AttemptNote> {
        let note = |note: &Note| AttemptNote {
            provider: (&note.provider).into(),
            model: (&note.model).into(),
            key: Some((&note.key).into()),
            outcome: Text::word(note.outcome),
            status: note.status,
            ms: note.took_us / 1000,
            cost: note.cost,
        };
        self.notes.iter().map(note).collect()
    }

    /// The attempts as metrics and traces see them.
    pub(crate) fn facts(&self) -> Vec<AttemptFacts<'_>> {
        let fact = |note| {
            let Note { provider, model, outcome, status, began, took_us, span_id, .. }: &Note = note;
            AttemptFacts {
                provider,
                model,
                outcome,
                status: *status,
                began: *began,
                took_us: *took_us,
                span_id: *span_id,
            }
        };
        self.notes.iter().map(fact).collect()
    }
}

/// What a hold keeps at each counter, as a record says it.
pub(crate) fn held(hold: &Hold) -> Vec<Charged> {
    hold.held().map(|(key, amount, mode)| charged(key, amount, mode)).collect()
}

fn charged(key: &AccountKey, amount: NanoUsd, hold: HoldMode) -> Charged {
    let scope = Arc::clone(key.scope.text());
    Charged { scope, window: key.window, window_start: key.start, amount, hold }
}
