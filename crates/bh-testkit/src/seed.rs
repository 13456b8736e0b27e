//! Randomness that can be had again.

use std::ops::Range;
use std::time::{SystemTime, UNIX_EPOCH};

/// A source of numbers (SplitMix64); equal seeds give equal numbers.
#[derive(Debug, Clone)]
pub struct Seed {
    state: u64,
}

impl Seed {
    /// A source that starts at `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// A fresh source, or the one named by `BH_SEED`; prints how to have it again.
    ///
    /// # Panics
    /// When `BH_SEED` is not a whole number.
    #[must_use]
    pub fn announced(test: &str) -> Self {
        let seed = match std::env::var("BH_SEED") {
            Ok(text) => text.parse().expect("BH_SEED is a whole number"),
            Err(_unset) => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
                u64::from(now.subsec_nanos()) ^ now.as_secs().rotate_left(32)
            }
        };
        announce(test, seed);
        Self::new(seed)
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number of a range; the range must not be empty.
    ///
    /// # Panics
    /// When the range is empty.
    pub fn within(&mut self, range: Range<usize>) -> usize {
        assert!(!range.is_empty(), "a number is asked of an empty range");
        // The bias of the remainder does not matter to a test.
        range.start + (self.next_u64() % range.len() as u64) as usize
    }

    /// A source of its own for one part of a test, so that parts do not disturb one another.
    #[must_use]
    pub fn fork(&mut self) -> Self {
        Self::new(self.next_u64())
    }
}

#[expect(clippy::print_stderr, reason = "a failing test must say which seed failed")]
fn announce(test: &str, seed: u64) {
    eprintln!("{test}: seed {seed} (again with BH_SEED={seed})");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_give_equal_numbers() {
        let draw = |seed| {
            let mut source = Seed::new(seed);
            [source.next_u64(), source.next_u64(), source.fork().next_u64()]
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn numbers_stay_within_their_range() {
        let mut source = Seed::new(1);
        assert!((0..1000).all(|_| (3..9).contains(&source.within(3..9))));
    }
}
