//! Alternating rounds of the sides, so that whatever disturbs the machine disturbs both.

use anyhow::Result;

use crate::args::Side;
use crate::load::{Load, Round};
use crate::summary::{Spread, Summary, ratio};

/// The sides' rounds, in the order they ran: A B A B …
pub(crate) struct Comparison {
    rounds: Vec<(Side, Vec<Round>)>,
}

impl Comparison {
    /// Runs `rounds` rounds of each side, alternating.
    ///
    /// # Errors
    /// When a measured process is gone.
    pub(crate) async fn run(sides: &[Side], rounds: usize, load: impl Fn(Side) -> Load) -> Result<Self> {
        let mut done: Vec<(Side, Vec<Round>)> = sides.iter().map(|side| (*side, Vec::new())).collect();
        for _ in 0..rounds {
            for (side, rounds) in &mut done {
                rounds.push(load(*side).run().await?);
            }
        }
        Ok(Comparison { rounds: done })
    }

    /// Each side summed up.
    pub(crate) fn summaries(&self) -> Vec<Summary> {
        self.rounds.iter().map(|(side, rounds)| Summary::of(*side, rounds)).collect()
    }

    /// The gateway's CPU over the bare forwarder's, where both ran.
    pub(crate) fn ratio(&self) -> Option<Spread> {
        let of = |wanted: Side| self.rounds.iter().find(|(side, _)| *side == wanted).map(|(_, rounds)| rounds);
        ratio(of(Side::Gateway)?, of(Side::Bare)?)
    }
}
