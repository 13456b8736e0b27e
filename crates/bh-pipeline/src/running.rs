//! What a stream has cost so far, so that an adaptive hold is topped up before it is used up.

use bh_base::{NanoUsd, Usage};
use bh_catalog::{ServiceTier, Terms, cost};
use bh_dialect::AnswerFacts;
use bh_ledger::Hold;

use crate::admitted::guess_input;
use crate::attempted::Attempted;
use crate::clock;
use crate::received::Received;
use crate::refusal::Refusal;

/// Bytes of answer one token has at the least: three is below every tokenizer's average on text, so the count is high
/// rather than low.
const BYTES_PER_TOKEN: u64 = 3;
/// Share of the hold that may be used before more is held, in percent.
const TOP_UP_AT: u64 = 80;

/// The cost of an answer that is still streaming, from its length.
pub(crate) struct RunningCost {
    prices: Option<bh_catalog::PriceRow>,
    input: u64,
}

impl RunningCost {
    pub(crate) fn new(received: &Received, attempted: &Attempted) -> Self {
        let target = attempted.attempt.target();
        let view = &received.known.view;
        // A strict hold covers the whole call, so nothing needs watching.
        let watched = attempted.admitted.quote.adaptive < attempted.admitted.quote.strict;
        let model = watched.then(|| view.catalog.find(&target.provider.kind, &target.model)).flatten();
        RunningCost { prices: model.map(|model| model.prices.clone()), input: guess_input(&received.scan) }
    }

    /// Tops the hold up when the answer has used most of it.
    ///
    /// # Errors
    /// [`Refusal::Budget`] when there is no more money: the stream ends here.
    pub(crate) fn cover(&self, facts: &AnswerFacts, hold: &mut Hold) -> Result<(), Refusal> {
        let Some(prices) = &self.prices else { return Ok(()) };
        let covered = hold.covered();
        if covered == NanoUsd::MAX {
            return Ok(());
        }
        let output = facts.text_bytes / BYTES_PER_TOKEN;
        let said = facts.usage.unwrap_or_default();
        let usage = Usage { output: output.max(said.answer_tokens()), reasoning: 0, ..said };
        let usage = if usage.prompt_tokens() == 0 { Usage { input_uncached: self.input, ..usage } } else { usage };
        let so_far = cost(prices, &usage, Terms { tier: ServiceTier::Standard, regional: false });
        if u128::from(so_far.0) * 100 < u128::from(covered.0) * u128::from(TOP_UP_AT) {
            return Ok(());
        }
        // As much again as it has cost: a long answer is topped up a few times, not at every event.
        match hold.top_up(clock::now(), so_far.max(NanoUsd(1)), true) {
            Ok(()) => Ok(()),
            Err(_) if so_far < covered => Ok(()),
            Err(broke) => Err(broke.into()),
        }
    }
}
