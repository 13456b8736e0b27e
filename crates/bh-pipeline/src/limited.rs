//! Limited: is there rate and concurrency left, and is the node not overloaded?

use bh_dialect::Scan;
use bh_ledger::{Slot, Tokens};

use crate::gateway::{Gateway, InFlight};
use crate::received::Received;
use crate::refusal::Refusal;

/// Bytes of text one token has about, for guesses that are corrected after the call.
const BYTES_PER_TOKEN: u64 = 4;
/// Tokens an image has about.
const TOKENS_PER_IMAGE: u64 = 1000;
/// Answer tokens reserved when the client allows more, or does not say.
const OUTPUT_GUESS: u64 = 1024;

/// A request within every rate, with its place among those in flight.
#[derive(Debug)]
pub(crate) struct Limited {
    pub(crate) received: Received,
    pub(crate) slot: Slot,
    pub(crate) place: InFlight,
}

/// About how many tokens a request will use: reserved of the rates, and corrected when the usage is known.
pub(crate) fn tokens_guess(scan: &Scan) -> Tokens {
    let text = scan.size.text_bytes / BYTES_PER_TOKEN;
    let input = text.saturating_add(scan.size.images.saturating_mul(TOKENS_PER_IMAGE));
    let output = scan.max_output.unwrap_or(OUTPUT_GUESS).min(OUTPUT_GUESS);
    Tokens { input, output: output.saturating_mul(u64::from(scan.choices.max(1))) }
}

impl Gateway {
    /// Takes a place and a share of every rate.
    ///
    /// # Errors
    /// [`Refusal::Shedding`] or [`Refusal::Limited`].
    pub(crate) fn limit(&self, received: Received) -> Result<Limited, Box<(Received, Refusal)>> {
        let place = match self.enter() {
            Ok(place) => place,
            Err(refusal) => return Err(Box::new((received, refusal))),
        };
        let known = &received.known;
        match self.parts.ledger.limit(known.arrival.at, &known.bearer.caller, tokens_guess(&received.scan)) {
            Ok(slot) => Ok(Limited { received, slot, place }),
            Err(refusal) => Err(Box::new((received, refusal.into()))),
        }
    }
}
